// SPDX-License-Identifier: GPL-2.0
/*
 * The statistics queue, which has a single buffer.
 */

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"

#define STATS_VQ	BIT_ULL(VIRTIO_BALLOON_F_STATS_VQ)

static unsigned int nr_stats(struct fake_host *host)
{
	return host->queues[FAKE_STATS].nr_messages;
}

static unsigned int nr_of_tag(struct fake_host *host,
			      struct fake_message *message, u16 tag, u64 *value)
{
	struct virtio_balloon_stat *stat = (void *)message->numbers;
	unsigned int i, found = 0;

	for (i = 0; i < message->nr / sizeof(*stat); i++) {
		if (virtio16_to_cpu(&host->vdev, stat[i].tag) != tag)
			continue;
		*value = virtio64_to_cpu(&host->vdev, stat[i].val);
		found++;
	}
	return found;
}

static u64 stat_of_tag(struct fake_host *host, struct fake_message *message,
		       u16 tag)
{
	u64 value = 0;

	KUNIT_EXPECT_EQ_MSG(host->test,
			    nr_of_tag(host, message, tag, &value), 1,
			    "tag %u", tag);
	return value;
}

/* Returns the buffer to the driver, and returns the new statistics. */
static struct fake_message *ask(struct fake_host *host)
{
	unsigned int nr = nr_stats(host);

	KUNIT_EXPECT_TRUE(host->test, fake_host_answer(host, FAKE_STATS));
	fake_host_await(host, nr_stats(host) == nr + 1);
	return fake_host_last(host, FAKE_STATS);
}

static void stats_have_every_tag_once(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	struct fake_message *message;
	unsigned int tag, tags = 0;

	fake_host_await(host, nr_stats(host) == 1);
	message = fake_host_last(host, FAKE_STATS);
	KUNIT_EXPECT_EQ(test,
			message->nr % sizeof(struct virtio_balloon_stat), 0);
	for (tag = 0; tag < VIRTIO_BALLOON_S_NR; tag++) {
		if (!IS_ENABLED(CONFIG_HUGETLB_PAGE) &&
		    (tag == VIRTIO_BALLOON_S_HTLB_PGALLOC ||
		     tag == VIRTIO_BALLOON_S_HTLB_PGFAIL))
			continue;
		stat_of_tag(host, message, tag);
		tags++;
	}
	KUNIT_EXPECT_EQ(test, message->nr,
			tags * sizeof(struct virtio_balloon_stat));
}

static void stats_are_of_this_guest(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	struct fake_message *message;
	u64 total, free, available;

	fake_host_await(host, nr_stats(host) == 1);
	fake_host_reach(host, 5000);
	message = ask(host);
	total = stat_of_tag(host, message, VIRTIO_BALLOON_S_MEMTOT);
	free = stat_of_tag(host, message, VIRTIO_BALLOON_S_MEMFREE);
	available = stat_of_tag(host, message, VIRTIO_BALLOON_S_AVAIL);

	KUNIT_EXPECT_EQ(test, total, (u64)totalram_pages() << PAGE_SHIFT);
	KUNIT_EXPECT_GT(test, free, total / 2);
	KUNIT_EXPECT_LT(test, free, total);
	KUNIT_EXPECT_GT(test, available, total / 2);
	KUNIT_EXPECT_LT(test, available, total);
	KUNIT_EXPECT_EQ(test, 0,
			stat_of_tag(host, message, VIRTIO_BALLOON_S_SWAP_IN));
}

/* The host may read the buffer until it returns the buffer. */
static void stats_buffer_is_the_hosts(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	struct fake_message *first, *second;

	fake_host_await(host, nr_stats(host) == 1);
	first = fake_host_last(host, FAKE_STATS);
	fake_host_reach(host, 5000);
	balloon_stats_requested(host->queues[FAKE_STATS].vq);
	flush_work(&host->bd->stats.work);
	KUNIT_EXPECT_EQ(test, nr_stats(host), 1);
	KUNIT_EXPECT_MEMEQ(test, first->data, first->numbers, first->nr);

	second = ask(host);
	KUNIT_EXPECT_PTR_EQ(test, second->data, first->data);
	KUNIT_EXPECT_MEMEQ(test, second->data, second->numbers, second->nr);
	KUNIT_EXPECT_LT(test,
			stat_of_tag(host, second, VIRTIO_BALLOON_S_MEMTOT),
			stat_of_tag(host, first, VIRTIO_BALLOON_S_MEMTOT));
}

/* The work answers while the kthread waits for the host. */
static void stats_while_inflation_is_stuck(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	unsigned long since;

	fake_host_await(host, nr_stats(host) == 1);
	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 5000);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 8 &&
			fake_host_asleep(host));
	since = jiffies;
	ask(host);
	ask(host);
	KUNIT_EXPECT_LT(test, jiffies - since, HZ);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 5000));
}

static void stats_while_balloon_lock_is_held(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);

	fake_host_await(host, nr_stats(host) == 1);
	mutex_lock(&host->bd->balloon_lock);
	ask(host);
	mutex_unlock(&host->bd->balloon_lock);
}

/* The host returns even the first statistics at once. */
static void stats_host_returns_at_once(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features |= STATS_VQ;
	host->stats_at_once = 5;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	fake_host_await(host, nr_stats(host) == 6);
	ask(host);
}

static void stats_of_legacy_host(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features = STATS_VQ;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	fake_host_await(host, nr_stats(host) == 1);
	KUNIT_EXPECT_EQ(test, (u64)totalram_pages() << PAGE_SHIFT,
			stat_of_tag(host, ask(host), VIRTIO_BALLOON_S_MEMTOT));
}

static void stats_not_offered(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	KUNIT_EXPECT_NULL(test, host->bd->stats.vq);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_STATS].vq);
	fake_host_reach(host, 100);
}

/* Removal comes between the interrupt and the answer. */
static void stats_removed_while_asked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);

	fake_host_await(host, nr_stats(host) == 1);
	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_STATS));
	fake_host_unplug(host);
}

static void stats_with_wrong_id(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	unsigned int nr;

	fake_host_reach(host, 100);
	nr = nr_stats(host);
	fake_host_answer_wrong_id(host, FAKE_STATS, U16_MAX);
	fake_host_await(host, fake_host_recovered(host, 1, 100));
	fake_host_await(host, nr_stats(host) > nr);
	ask(host);
}

/* Pages on trial count as free. */
static void stats_contain_what_is_on_trial(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	s64 free, without, size = 5000 * PAGE_SIZE;

	fake_host_await(host, nr_stats(host) == 1);
	free = stat_of_tag(host, ask(host), VIRTIO_BALLOON_S_MEMFREE);
	fake_host_put_on_trial(host, 5000);
	without = free - stat_of_tag(host, ask(host), VIRTIO_BALLOON_S_MEMFREE);
	KUNIT_EXPECT_LT(test, without, size / 2);
}

static struct kunit_case stats_cases[] = {
	KUNIT_CASE(stats_have_every_tag_once),
	KUNIT_CASE(stats_are_of_this_guest),
	KUNIT_CASE(stats_buffer_is_the_hosts),
	KUNIT_CASE(stats_while_inflation_is_stuck),
	KUNIT_CASE(stats_while_balloon_lock_is_held),
	KUNIT_CASE(stats_host_returns_at_once),
	KUNIT_CASE(stats_of_legacy_host),
	KUNIT_CASE(stats_not_offered),
	KUNIT_CASE(stats_removed_while_asked),
	KUNIT_CASE(stats_with_wrong_id),
	KUNIT_CASE(stats_contain_what_is_on_trial),
	{}
};

static struct kunit_suite stats_suite = {
	.name = "virtio_balloon_stats",
	.test_cases = stats_cases,
};

kunit_test_suite(stats_suite);
