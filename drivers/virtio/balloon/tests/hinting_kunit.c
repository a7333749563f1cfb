// SPDX-License-Identifier: GPL-2.0
/*
 * Free page hinting: lent blocks, and their return.
 *
 * If the host holds its answers, the driver fills the ring and waits. So the
 * ring bounds the hints. The fake host fails a test if the driver frees a block
 * before its acknowledgment or the reset.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"

#define HINTING		BIT_ULL(VIRTIO_BALLOON_F_FREE_PAGE_HINT)

#define RING		8
#define PATIENCE	msecs_to_jiffies(BALLOON_HOST_PATIENCE_MS)

/* Starts a host that answers hints only when the test tells it to. */
static struct fake_host *slow_host(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features |= HINTING;
	host->ring_size = RING;
	host->holds[FAKE_HINTING] = true;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	return host;
}

/* Asks for hints until only the descriptor of the stop is free. */
static void ask_until_full(struct fake_host *host, u32 id)
{
	fake_host_set_command(host, id);
	fake_host_await(host, fake_host_unanswered(host, FAKE_HINTING) ==
			RING - 1);
}

/* Ends the hints, and waits until the driver has nothing left to do. */
static void finish(struct fake_host *host, u32 id)
{
	fake_host_set_command(host, id);
	host->holds[FAKE_HINTING] = false;
	while (fake_host_answer(host, FAKE_HINTING))
		;
	flush_delayed_work(&host->bd->hinting.work);
	KUNIT_EXPECT_EQ(host->test,
			fake_host_unanswered(host, FAKE_HINTING), 0);
}

static struct fake_message *hint(struct fake_host *host, unsigned int index)
{
	return fake_host_message(host, FAKE_HINTING, index);
}

static bool is_command(const struct fake_message *message, u32 id)
{
	return message && !message->writable && message->numbers[0] == id;
}

static unsigned int nr_commands(struct fake_host *host, u32 id)
{
	struct fake_message *message;
	unsigned int i, nr = 0;

	for (i = 0; (message = hint(host, i)); i++)
		nr += is_command(message, id);
	return nr;
}

static unsigned long guest_pages(const struct fake_message *message)
{
	return message->blocks[0].length >> PAGE_SHIFT;
}

static bool is_lent(const struct fake_message *message)
{
	return page_ref_count(message->blocks[0].page) > 1;
}

/* Returns the guest pages of all blocks that the driver still holds. */
static unsigned long pages_lent(struct fake_host *host)
{
	struct fake_message *message;
	unsigned long nr = 0;
	unsigned int i;

	for (i = 0; (message = hint(host, i)); i++)
		if (message->writable && is_lent(message))
			nr += guest_pages(message);
	return nr;
}

static unsigned long pages_hinted(struct fake_host *host)
{
	struct fake_message *message;
	unsigned long nr = 0;
	unsigned int i;

	for (i = 0; (message = hint(host, i)); i++)
		if (message->writable)
			nr += guest_pages(message);
	return nr;
}

static unsigned long nr_lent(struct fake_host *host)
{
	return READ_ONCE(host->bd->hints.nr_lent);
}

static unsigned long shrink_count(struct fake_host *host)
{
	struct shrinker *shrinker = host->bd->hints.shrinker;
	struct shrink_control sc = {};

	return shrinker->count_objects(shrinker, &sc);
}

static unsigned long shrink_scan(struct fake_host *host, unsigned long nr)
{
	struct shrinker *shrinker = host->bd->hints.shrinker;
	struct shrink_control sc = { .nr_to_scan = nr };

	return shrinker->scan_objects(shrinker, &sc);
}

/* The id, whole blocks of all memory that the guest can spare, and a stop. */
static void hints_in_order(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, HINTING);
	unsigned long floor = balloon_default_floor(totalram_pages());
	struct fake_message *message;
	unsigned int i, last;

	fake_host_set_command(host, 7);
	fake_host_await(host, nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP));
	flush_delayed_work(&host->bd->hinting.work);
	last = host->queues[FAKE_HINTING].nr_messages - 1;
	KUNIT_EXPECT_GT(test, last, 16);
	KUNIT_EXPECT_TRUE(test, is_command(hint(host, 0), 7));
	KUNIT_EXPECT_TRUE(test, is_command(hint(host, last),
					   VIRTIO_BALLOON_CMD_ID_STOP));
	for (i = 1; i < last; i++) {
		message = hint(host, i);
		KUNIT_ASSERT_TRUE(test, message->writable);
		KUNIT_EXPECT_GE(test, guest_pages(message), pageblock_nr_pages);
		KUNIT_EXPECT_TRUE(test, is_lent(message));
	}
	KUNIT_EXPECT_EQ(test, nr_lent(host), pages_hinted(host));

	/* Hints respect the floor of inflation, to within the last block. */
	KUNIT_EXPECT_GT(test, si_mem_available() + MAX_ORDER_NR_PAGES +
			      MAX_ORDER_NR_PAGES / 2, floor);

	fake_host_set_command(host, VIRTIO_BALLOON_CMD_ID_DONE);
	flush_delayed_work(&host->bd->hinting.work);
	KUNIT_EXPECT_EQ(test, nr_lent(host), 0);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* The host has not finished its migration at the stop: blocks stay lent. */
static void hints_are_kept_on_stop(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	KUNIT_EXPECT_EQ(test, nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP), 1);
	KUNIT_EXPECT_GT(test, pages_hinted(host), 0);
	KUNIT_EXPECT_EQ(test, pages_lent(host), pages_hinted(host));
	KUNIT_EXPECT_EQ(test, nr_lent(host), pages_hinted(host));
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* The host is done, but has not acknowledged all blocks. */
static void hints_are_acked_before_done(struct kunit *test)
{
	struct fake_host *host = slow_host(test);
	unsigned int i;

	ask_until_full(host, 7);
	fake_host_set_command(host, VIRTIO_BALLOON_CMD_ID_DONE);
	for (i = 0; i < 4; i++)
		fake_host_answer(host, FAKE_HINTING);
	schedule_timeout_uninterruptible(HZ / 5);
	for (i = 4; i < RING - 1; i++)
		KUNIT_EXPECT_TRUE(test, is_lent(hint(host, i)));
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
	KUNIT_EXPECT_EQ(test, nr_lent(host), 0);
}

/* The shrinker frees acknowledged blocks only. */
static void hints_not_acked_are_not_shrunk(struct kunit *test)
{
	struct fake_host *host = slow_host(test);
	unsigned long acked = 0;
	unsigned int i;

	ask_until_full(host, 7);
	KUNIT_EXPECT_EQ(test, shrink_count(host), 0);
	KUNIT_EXPECT_EQ(test, shrink_scan(host, ULONG_MAX), SHRINK_STOP);

	fake_host_set_command(host, VIRTIO_BALLOON_CMD_ID_STOP);
	for (i = 0; i < 4; i++) {
		fake_host_answer(host, FAKE_HINTING);
		if (i)
			acked += guest_pages(hint(host, i));
	}
	fake_host_await(host, nr_lent(host) == acked);
	KUNIT_EXPECT_EQ(test, shrink_count(host), acked);
	KUNIT_EXPECT_EQ(test, shrink_scan(host, ULONG_MAX), acked);
	for (i = 1; i < RING - 1; i++)
		KUNIT_EXPECT_EQ(test, is_lent(hint(host, i)), i >= 4);
	KUNIT_EXPECT_EQ(test, shrink_count(host), 0);
	KUNIT_EXPECT_EQ(test, shrink_scan(host, ULONG_MAX), SHRINK_STOP);
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
}

/* The shrinker frees whole blocks, and as few as possible. */
static void hints_shrink_by_blocks(struct kunit *test)
{
	struct fake_host *host = slow_host(test);
	unsigned long block, all;

	ask_until_full(host, 7);
	block = guest_pages(hint(host, 1));
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	all = pages_hinted(host);
	KUNIT_EXPECT_EQ(test, shrink_scan(host, 1), block);
	KUNIT_EXPECT_EQ(test, shrink_scan(host, block), block);
	KUNIT_EXPECT_EQ(test, shrink_count(host), all - 2 * block);
	KUNIT_EXPECT_EQ(test, shrink_scan(host, block + 1), 2 * block);
	KUNIT_EXPECT_EQ(test, shrink_count(host), all - 4 * block);
	KUNIT_EXPECT_EQ(test, pages_lent(host), all - 4 * block);
}

static void take_offline(struct fake_host *host, unsigned long action,
			 const struct fake_message *message)
{
	fake_host_take_offline(host, action, message->blocks[0].page,
			       guest_pages(message));
}

/* If the memory of one block goes offline, the driver frees only this block. */
static void hints_return_from_offline_memory(struct kunit *test)
{
	struct fake_host *host = slow_host(test);
	unsigned long block, all;
	unsigned int i;

	ask_until_full(host, 7);
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	all = pages_hinted(host);
	block = guest_pages(hint(host, 3));
	take_offline(host, MEM_GOING_OFFLINE, hint(host, 3));
	for (i = 1; i < RING - 1; i++)
		KUNIT_EXPECT_EQ(test, is_lent(hint(host, i)), i != 3);
	KUNIT_EXPECT_EQ(test, nr_lent(host), all - block);
	take_offline(host, MEM_OFFLINE, hint(host, 3));
	KUNIT_EXPECT_EQ(test, nr_lent(host), all - block);
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* The driver frees a block in flight once the host acknowledges it. */
static void hints_not_acked_return_late(struct kunit *test)
{
	struct fake_host *host = slow_host(test);
	unsigned long kept;
	unsigned int i;

	ask_until_full(host, 7);
	take_offline(host, MEM_GOING_OFFLINE, hint(host, 2));
	for (i = 1; i < RING - 1; i++)
		KUNIT_EXPECT_TRUE(test, is_lent(hint(host, i)));

	fake_host_set_command(host, VIRTIO_BALLOON_CMD_ID_STOP);
	for (i = 0; i < 4; i++)
		fake_host_answer(host, FAKE_HINTING);
	kept = guest_pages(hint(host, 1)) + guest_pages(hint(host, 3));
	fake_host_await(host, nr_lent(host) == kept &&
			!is_lent(hint(host, 2)));
	for (i = 1; i < RING - 1; i++)
		KUNIT_EXPECT_EQ(test, is_lent(hint(host, i)), i != 2);
	take_offline(host, MEM_OFFLINE, hint(host, 2));
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
}

/* After MEM_CANCEL_OFFLINE, the blocks stay lent. */
static void hints_stay_after_cancelled_offline(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	take_offline(host, MEM_GOING_OFFLINE, hint(host, 2));
	take_offline(host, MEM_CANCEL_OFFLINE, hint(host, 2));
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	KUNIT_EXPECT_EQ(test, pages_lent(host), pages_hinted(host));
	KUNIT_EXPECT_EQ(test, nr_lent(host), pages_hinted(host));
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
}

/* The host cancels a migration and begins another while the driver answers. */
static void hints_of_changing_command(struct kunit *test)
{
	struct fake_host *host = slow_host(test);
	struct fake_message *message;
	bool stopped = false;
	unsigned int i;

	ask_until_full(host, 7);
	fake_host_set_command(host, 8);
	while (!nr_commands(host, 8)) {
		fake_host_await(host, fake_host_answer(host, FAKE_HINTING) ||
				nr_commands(host, 8));
	}
	for (i = 1; !is_command(message = hint(host, i), 8); i++) {
		KUNIT_EXPECT_FALSE_MSG(test, stopped, "hints after the stop");
		stopped = is_command(message, VIRTIO_BALLOON_CMD_ID_STOP);
	}
	KUNIT_EXPECT_TRUE(test, stopped);
	/* The blocks of the first command stay lent. */
	KUNIT_EXPECT_GT(test, nr_lent(host), 0);
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	KUNIT_EXPECT_EQ(test, nr_commands(host, 7), 1);
	KUNIT_EXPECT_EQ(test, nr_commands(host, 8), 1);
	KUNIT_EXPECT_EQ(test, nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP), 2);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* The configuration changes, but the command is the same. */
static void hints_answer_a_command_once(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, HINTING);
	unsigned int nr;

	fake_host_set_command(host, 7);
	fake_host_await(host, nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP));
	flush_delayed_work(&host->bd->hinting.work);
	nr = host->queues[FAKE_HINTING].nr_messages;
	fake_host_set_command(host, 7);
	flush_delayed_work(&host->bd->hinting.work);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_HINTING].nr_messages, nr);
}

/* Hints and inflation both go on if the target changes between hints. */
static void hints_go_on_while_inflating(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	fake_host_reach(host, 300);
	while (host->queues[FAKE_HINTING].nr_messages < 3 * RING)
		fake_host_await(host, fake_host_answer(host, FAKE_HINTING) ||
				host->queues[FAKE_HINTING].nr_messages >=
				3 * RING);
	KUNIT_EXPECT_EQ(test, nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP), 0);
	fake_host_reach(host, 100);
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* The driver finds a command at probe. */
static void hints_find_command(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features |= HINTING;
	host->ring_size = RING;
	host->holds[FAKE_HINTING] = true;
	host->config.free_page_hint_cmd_id = cpu_to_le32(7);
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	fake_host_await(host, fake_host_unanswered(host, FAKE_HINTING) ==
			RING - 1);
	KUNIT_EXPECT_TRUE(test, is_command(hint(host, 0), 7));
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
}

static void hints_of_legacy_host(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features = HINTING;
	host->ring_size = RING;
	host->holds[FAKE_HINTING] = true;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	ask_until_full(host, 7);
	KUNIT_EXPECT_TRUE(test, is_command(hint(host, 0), 7));
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
}

static void hints_not_offered(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_set_command(host, 7);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_HINTING].vq);
	KUNIT_EXPECT_NULL(test, host->bd->hints.shrinker);
	fake_host_reach(host, 100);
}

/* The driver ignores the length that the host reports for a hinted block. */
static void hints_with_wrong_lengths(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	host->answer_length = U32_MAX;
	ask_until_full(host, 7);
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	KUNIT_EXPECT_EQ(test, nr_lent(host), pages_hinted(host));
	fake_host_reach(host, 100);
}

/* The driver waits through a minute of silence and rereads the command. */
static void hints_of_silent_host(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	schedule_timeout_uninterruptible(60 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_resets, 1);
	KUNIT_EXPECT_TRUE(test, host->bd->hinting.silent);
	KUNIT_EXPECT_GT(test, pages_lent(host), 0);
	fake_host_reach(host, 100);

	/* The work does not run meanwhile: the guest could not suspend. */
	KUNIT_EXPECT_FALSE(test,
			   work_busy(&host->bd->hinting.work.work) &
			   WORK_BUSY_RUNNING);

	host->holds[FAKE_HINTING] = false;
	while (fake_host_answer(host, FAKE_HINTING))
		;
	fake_host_await(host, nr_commands(host, 7) == 2 &&
			nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP));
	KUNIT_EXPECT_FALSE(test, host->bd->hinting.silent);
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* If a silent host ends the hints, the driver frees acknowledged blocks. */
static void hints_return_from_silent_host(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	fake_host_answer(host, FAKE_HINTING);
	fake_host_answer(host, FAKE_HINTING);
	schedule_timeout_uninterruptible(30 * HZ);
	KUNIT_EXPECT_GT(test, nr_lent(host), 0);
	fake_host_set_command(host, VIRTIO_BALLOON_CMD_ID_DONE);
	fake_host_await(host, !nr_lent(host));
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
}

/* Static stubs work only in tasks of the test, so watch_guest() makes one. */
static unsigned long guest_is_short(struct balloon_device *bd,
				    enum zone_watermarks mark)
{
	return 0;
}

static void watch_guest(struct work_struct *work)
{
	struct fake_host *host = container_of(work, struct fake_host,
					      guest_work);

	current->kunit_test = host->test;
	host->bd->hinting.work.work.func(&host->bd->hinting.work.work);
	current->kunit_test = NULL;
}

/* A guest that is short gets blocks back, even if mm calls no shrinker. */
static void hints_return_to_guest_that_is_short(struct kunit *test)
{
	struct fake_host *host = slow_host(test);
	unsigned long lent;

	ask_until_full(host, 7);
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	lent = nr_lent(host);
	KUNIT_EXPECT_GT(test, lent, 0);
	schedule_timeout_uninterruptible(HZ);
	KUNIT_EXPECT_EQ(test, nr_lent(host), lent);

	kunit_activate_static_stub(test, balloon_spare, guest_is_short);
	INIT_WORK(&host->guest_work, watch_guest);
	while (nr_lent(host)) {
		schedule_work(&host->guest_work);
		flush_work(&host->guest_work);
		KUNIT_ASSERT_LT(test, nr_lent(host), lent);
		lent = nr_lent(host);
	}
	fake_host_set_command(host, VIRTIO_BALLOON_CMD_ID_DONE);
	flush_delayed_work(&host->bd->hinting.work);
}

static void hints_in_ring_of_one(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features |= HINTING;
	host->ring_size = 1;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	fake_host_set_command(host, 7);
	fake_host_await(host, nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP));
	KUNIT_EXPECT_GT(test, nr_lent(host), 0);
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* The reset frees all blocks, acknowledged or not. */
static void expect_hints_recover(struct fake_host *host)
{
	struct kunit *test = host->test;

	host->holds[FAKE_HINTING] = false;
	host->config.free_page_hint_cmd_id = 0;
	fake_host_await(host, fake_host_recovered(host, 1, 10));
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
	fake_host_set_command(host, 8);
	fake_host_await(host, nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP));
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	fake_host_unplug(host);
}

/* A broken hinting queue: the driver resets the device and frees all blocks. */
static void hints_of_broken_host(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	fake_host_reach(host, 10);
	ask_until_full(host, 7);
	fake_host_answer_wrong_id(host, FAKE_HINTING, U16_MAX);
	expect_hints_recover(host);
}

/* The device breaks for another reason while blocks are lent. */
static void hints_of_broken_balloon(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	fake_host_reach(host, 10);
	ask_until_full(host, 7);
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	KUNIT_EXPECT_GT(test, nr_lent(host), 0);
	fake_host_needs_reset(host);
	fake_host_await(host, fake_host_recovered(host, 1, 10));
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* The device breaks silently: the kthread notices as it waits for an answer. */
static void hints_of_silent_balloon(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	KUNIT_EXPECT_GT(test, nr_lent(host), 0);
	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 10);
	fake_host_await(host, host->queues[FAKE_INFLATE].nr_messages);
	host->holds[FAKE_INFLATE] = false;
	virtio_break_device(&host->vdev);
	fake_host_await(host, fake_host_recovered(host, 1, 10));
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
}

/* Removal resets the device without a wait, and frees all blocks. */
static void hints_removed_while_unacked(struct kunit *test)
{
	struct fake_host *host = slow_host(test);
	unsigned long since;

	ask_until_full(host, 7);
	fake_host_answer(host, FAKE_HINTING);
	fake_host_answer(host, FAKE_HINTING);
	since = jiffies;
	fake_host_unplug(host);
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_LOOK_AGAIN);
}

static void hints_removed_while_answered(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, HINTING);

	fake_host_set_command(host, 7);
	fake_host_await(host, nr_commands(host, 7));
	fake_host_unplug(host);
}

static void hints_removed_before_done(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	finish(host, VIRTIO_BALLOON_CMD_ID_STOP);
	fake_host_unplug(host);
}

static void hints_bound_again(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	fake_host_unbind(host);
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	/* The newly bound driver answers the old command. */
	fake_host_await(host, nr_commands(host, 7) == 2);
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
}

#ifdef CONFIG_PM_SLEEP
/* The test does not freeze the kthread, which sleeps with a target of 0. */
static void hints_frozen_and_restored(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	ask_until_full(host, 7);
	fake_host_answer(host, FAKE_HINTING);
	fake_host_answer(host, FAKE_HINTING);
	KUNIT_EXPECT_EQ(test, virtio_device_freeze(&host->vdev), 0);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_HINTING].vq);
	KUNIT_EXPECT_EQ(test, virtio_device_restore(&host->vdev), 0);

	/* The device was reset, so the driver answers the command again. */
	fake_host_await(host, nr_commands(host, 7) == 2 &&
			fake_host_unanswered(host, FAKE_HINTING) == RING - 1);
	finish(host, VIRTIO_BALLOON_CMD_ID_DONE);
	KUNIT_EXPECT_EQ(test, pages_lent(host), 0);
	fake_host_reach(host, 100);
}
#else
static void hints_frozen_and_restored(struct kunit *test)
{
	kunit_skip(test, "needs PM_SLEEP");
}
#endif

static struct balloon_device *probed;

static int fail_step(struct balloon_device *bd)
{
	balloon_device_get(bd);
	probed = bd;
	return -ENOMEM;
}

static void expect_probe_fails(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features |= HINTING | BIT_ULL(VIRTIO_BALLOON_F_REPORTING);
	host->config.free_page_hint_cmd_id = cpu_to_le32(7);
	KUNIT_EXPECT_FALSE(test, fake_host_plug(host));
	KUNIT_EXPECT_TRUE(test, host->status & VIRTIO_CONFIG_S_FAILED);
	KUNIT_EXPECT_NULL(test, host->vdev.priv);
	KUNIT_EXPECT_EQ(test, kref_read(&probed->kref), 1);
	balloon_device_put(probed);
}

static void hints_without_memory(struct kunit *test)
{
	kunit_activate_static_stub(test, balloon_hinting_alloc, fail_step);
	expect_probe_fails(test);
}

static void hints_without_shrinker(struct kunit *test)
{
	kunit_activate_static_stub(test, balloon_hinting_start, fail_step);
	expect_probe_fails(test);
}

/*
 * The host misses notifications. The ring is full before the driver has sent as
 * many as get lost, so it has to notify again.
 */
static void hints_notified_in_vain(struct kunit *test)
{
	struct fake_host *host = slow_host(test);

	host->holds[FAKE_HINTING] = false;
	host->misses = RING;
	fake_host_set_command(host, 7);
	fake_host_await(host, nr_commands(host, VIRTIO_BALLOON_CMD_ID_STOP));
	flush_delayed_work(&host->bd->hinting.work);
	KUNIT_EXPECT_EQ(test, host->misses, 0);
	KUNIT_EXPECT_FALSE(test, test_bit(BALLOON_BROKEN, &host->bd->flags));
}

static struct kunit_case hinting_cases[] = {
	KUNIT_CASE(hints_in_order),
	KUNIT_CASE(hints_are_kept_on_stop),
	KUNIT_CASE(hints_are_acked_before_done),
	KUNIT_CASE(hints_not_acked_are_not_shrunk),
	KUNIT_CASE(hints_shrink_by_blocks),
	KUNIT_CASE(hints_return_from_offline_memory),
	KUNIT_CASE(hints_not_acked_return_late),
	KUNIT_CASE(hints_stay_after_cancelled_offline),
	KUNIT_CASE(hints_of_changing_command),
	KUNIT_CASE(hints_answer_a_command_once),
	KUNIT_CASE(hints_go_on_while_inflating),
	KUNIT_CASE(hints_find_command),
	KUNIT_CASE(hints_of_legacy_host),
	KUNIT_CASE(hints_not_offered),
	KUNIT_CASE(hints_with_wrong_lengths),
	KUNIT_CASE(hints_notified_in_vain),
	KUNIT_CASE_SLOW(hints_of_silent_host),
	KUNIT_CASE_SLOW(hints_return_from_silent_host),
	KUNIT_CASE_SLOW(hints_return_to_guest_that_is_short),
	KUNIT_CASE(hints_in_ring_of_one),
	KUNIT_CASE(hints_of_broken_host),
	KUNIT_CASE(hints_of_broken_balloon),
	KUNIT_CASE(hints_of_silent_balloon),
	KUNIT_CASE(hints_removed_while_unacked),
	KUNIT_CASE(hints_removed_while_answered),
	KUNIT_CASE(hints_removed_before_done),
	KUNIT_CASE(hints_bound_again),
	KUNIT_CASE(hints_frozen_and_restored),
	KUNIT_CASE(hints_without_memory),
	KUNIT_CASE(hints_without_shrinker),
	{}
};

static struct kunit_suite hinting_suite = {
	.name = "virtio_balloon_hinting",
	.test_cases = hinting_cases,
};

kunit_test_suite(hinting_suite);
