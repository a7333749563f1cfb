// SPDX-License-Identifier: GPL-2.0
/*
 * A host that is slow, wrong or gone. In each case the driver must not hang,
 * must give every page back, and can be removed.
 */

#include <kunit/test.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"

#define MUST_TELL_HOST	BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST)
#define FIRECRACKER_MAX	256

/* Removal waits for a silent host only a little longer than the patience. */
#define REMOVE_BOUND	(msecs_to_jiffies(BALLOON_HOST_PATIENCE_MS) + 3 * HZ)

/* Removal does not wait for a device that is broken or gone. */
static void unplug_at_once(struct fake_host *host)
{
	unsigned long since = jiffies;

	fake_host_unplug(host);
	KUNIT_EXPECT_LT(host->test, jiffies - since, HZ);
}

/* Waits for the recovery, and checks that the driver reaches new targets. */
static void expect_recovery(struct fake_host *host, unsigned long guest_pages)
{
	fake_host_await(host, fake_host_recovered(host, 1, guest_pages));
	fake_host_check(host);
	fake_host_reach(host, 700);
	fake_host_reach(host, 3);
	fake_host_unplug(host);
}

/* Checks that the guest has all pages while the device cannot be set up. */
static void expect_all_back(struct fake_host *host)
{
	struct kunit *test = host->test;

	fake_host_await(host, READ_ONCE(host->bd->recovery.down) &&
			fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, host->bd->config.state, BALLOON_RECOVERING);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 0);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(host->bd), 0);
	KUNIT_EXPECT_EQ(test, totalram_pages(), host->managed);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	fake_host_check(host);
}

static bool host_is_dead(struct fake_host *host)
{
	return fake_host_asleep(host) &&
	       READ_ONCE(host->bd->config.state) == BALLOON_DEAD;
}

static void break_once(struct fake_host *host, unsigned int order)
{
	if (fake_host_got(host) == 300)
		virtio_break_device(&host->vdev);
}

static void host_breaks_while_inflating(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->max_order = 0;
	host->on_alloc = break_once;
	fake_host_set_target(host, 5000);
	expect_recovery(host, 5000);
}

static void host_breaks_while_inflates_are_unacked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 5000);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) > 4 &&
			fake_host_asleep(host));
	host->holds[FAKE_INFLATE] = false;
	virtio_break_device(&host->vdev);
	/* There is no event: the kthread has to look by itself. */
	expect_recovery(host, 5000);
}

static void host_breaks_while_deflates_are_unacked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 5000);
	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 10);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) &&
			fake_host_asleep(host));
	host->holds[FAKE_DEFLATE] = false;
	virtio_break_device(&host->vdev);
	expect_recovery(host, 10);
}

static void host_breaks_while_asleep(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	virtio_break_device(&host->vdev);
	fake_host_set_target(host, 600);
	expect_recovery(host, 600);
}

static void host_breaks_during_trial(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_put_on_trial(host, 500);
	host->find_vqs_err = -EIO;
	virtio_break_device(&host->vdev);
	expect_all_back(host);
	host->find_vqs_err = 0;
	host->full = false;
	expect_recovery(host, 500);
}

static void host_breaks_with_pages_resident(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 1000);
	host->find_vqs_err = -EIO;
	fake_host_needs_reset(host);
	expect_all_back(host);
	host->find_vqs_err = 0;
	expect_recovery(host, 1000);
}

/* The driver releases an isolated page at put-back, the others at once. */
static void host_breaks_with_page_isolated(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 1000);
	fake_host_isolate(host);
	fake_host_needs_reset(host);
	fake_host_await(host, balloon_refs(&host->bd->ledger) == 1 &&
			fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, host->bd->config.state, BALLOON_RECOVERING);
	KUNIT_EXPECT_EQ(test, totalram_pages(), host->managed - 1);
	KUNIT_EXPECT_FALSE(test, host->status & VIRTIO_CONFIG_S_DRIVER_OK);
	putback_movable_pages(&host->isolated);
	expect_recovery(host, 1000);
}

static int migrate_on_broken(struct fake_host *host)
{
	return migrate_pages(&host->isolated, fake_host_migration_target,
			     fake_host_migration_unused, (unsigned long)host,
			     MIGRATE_SYNC, MR_COMPACTION, NULL);
}

/* Replacements are in flight; the broken balloon refuses another migration. */
static void host_breaks_while_migrating(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int i;

	fake_host_reach(host, 1000);
	host->holds[FAKE_INFLATE] = true;
	for (i = 0; i < 50; i++)
		fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, migrate_on_broken(host), 0);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) &&
			fake_host_asleep(host));
	fake_host_isolate(host);
	host->find_vqs_err = -EIO;
	fake_host_needs_reset(host);
	fake_host_await(host, balloon_refs(&host->bd->ledger) == 1 &&
			fake_host_asleep(host));
	KUNIT_EXPECT_GT(test, migrate_on_broken(host), 0);
	putback_movable_pages(&host->isolated);
	expect_all_back(host);
	host->find_vqs_err = 0;
	host->holds[FAKE_INFLATE] = false;
	expect_recovery(host, 1000);
}

/* The notifier waits until the kthread has released a broken device's pages. */
static void host_breaks_when_out_of_memory(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct notifier_block *nb = &host->bd->oom.notifier;
	unsigned long freed = 0;

	fake_host_reach(host, 1000);
	host->find_vqs_err = -EIO;
	set_bit(BALLOON_BROKEN, &host->bd->flags);
	nb->notifier_call(nb, 0, &freed);
	KUNIT_EXPECT_EQ(test, freed, 1000);
	expect_all_back(host);
	host->find_vqs_err = 0;
	expect_recovery(host, 1000);
}

/* A device that is pulled out also breaks before its removal. */
static void host_breaks_before_remove(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 500);
	virtio_break_device(&host->vdev);
	unplug_at_once(host);
}

static void host_breaks_in_recovery_and_is_removed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 500);
	host->find_vqs_err = -EIO;
	fake_host_needs_reset(host);
	expect_all_back(host);
	unplug_at_once(host);
}

static void break_from_work(struct work_struct *work);
static struct fake_host *host_to_break;
static DECLARE_DELAYED_WORK(break_work, break_from_work);

static void break_from_work(struct work_struct *work)
{
	virtio_break_device(&host_to_break->vdev);
}

static void host_breaks_in_remove(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned long since = jiffies;

	fake_host_reach(host, 500);
	host->holds[FAKE_DEFLATE] = true;
	host_to_break = host;
	schedule_delayed_work(&break_work, HZ / 2);
	fake_host_unplug(host);
	flush_delayed_work(&break_work);
	KUNIT_EXPECT_LE(test, jiffies - since,
			HZ / 2 + BALLOON_LOOK_AGAIN + HZ);
}

/* The device breaks after each set-up: the delay between tries grows. */
static void host_is_deaf(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long until;

	fake_host_reach(host, 500);
	host->deaf = true;
	fake_host_set_target(host, 1000);
	until = jiffies + 60 * HZ;
	fake_host_await(host, time_after(jiffies, until - HZ));
	KUNIT_EXPECT_EQ(test, host->bd->config.state, BALLOON_RECOVERING);
	KUNIT_EXPECT_GT(test, host->nr_resets, 6);
	KUNIT_EXPECT_LT(test, host->nr_resets, 30);
	KUNIT_EXPECT_TRUE(test, host->bd->recovery.told);
	host->deaf = false;
	expect_recovery(host, 1000);
}

static void host_needs_reset(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	fake_host_needs_reset(host);
	expect_recovery(host, 500);
}

static void host_needs_reset_many_times(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned int i;

	fake_host_reach(host, 500);
	for (i = 0; i < 10; i++) {
		fake_host_needs_reset(host);
		fake_host_await(host, fake_host_recovered(host, 1 + i, 500));
	}
	expect_recovery(host, 500);
}

/* Another party resets the device, which then stays silent. */
static void host_forgets_driver(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since;

	fake_host_reach(host, 500);
	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 600);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) &&
			fake_host_asleep(host));
	since = jiffies;
	fake_host_forget_driver(host);
	host->holds[FAKE_INFLATE] = false;
	fake_host_await(host, fake_host_recovered(host, 1, 600));
	KUNIT_EXPECT_LT(test, jiffies - since, 4 * BALLOON_LOOK_AGAIN);
	expect_recovery(host, 600);
}

/* The driver ignores answers of a device that needs a reset, and sleeps. */
static void host_answers_when_broken(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 100);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 1 &&
			fake_host_asleep(host));
	host->find_vqs_err = -EIO;
	host->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_INFLATE));
	virtio_config_changed(&host->vdev);
	expect_all_back(host);
	host->holds[FAKE_INFLATE] = false;
	host->find_vqs_err = 0;
	expect_recovery(host, 100);
}

static void host_names_unposted_buffer(struct kunit *test,
				       enum fake_queue_index queue, u16 head)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned long target = queue == FAKE_INFLATE ? 600 : 400;

	fake_host_reach(host, 500);
	host->holds[queue] = true;
	fake_host_set_target(host, target);
	fake_host_await(host, fake_host_unanswered(host, queue) == 1 &&
			fake_host_asleep(host));
	fake_host_answer_wrong_id(host, queue, head);
	host->holds[queue] = false;
	expect_recovery(host, target);
}

static void host_names_inflate_out_of_range(struct kunit *test)
{
	host_names_unposted_buffer(test, FAKE_INFLATE, U16_MAX);
}

static void host_names_unposted_inflate(struct kunit *test)
{
	host_names_unposted_buffer(test, FAKE_INFLATE, 77);
}

static void host_names_deflate_out_of_range(struct kunit *test)
{
	host_names_unposted_buffer(test, FAKE_DEFLATE, U16_MAX);
}

static void host_names_unposted_deflate(struct kunit *test)
{
	host_names_unposted_buffer(test, FAKE_DEFLATE, 77);
}

/* Checks that the driver has given up, sleeps, and the guest has all memory. */
static void expect_death(struct fake_host *host)
{
	struct kunit *test = host->test;

	fake_host_await(host, host_is_dead(host));
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 0);
	KUNIT_EXPECT_EQ(test, totalram_pages(), host->managed);
	fake_host_check(host);
	fake_host_set_target(host, 600);
	fake_host_await(host, host_is_dead(host));
}

/* A reset of a device that was pulled out would never end. */
static void host_is_pulled_out(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	host->pulled = true;
	virtio_config_changed(&host->vdev);
	fake_host_await(host, host_is_dead(host));
	KUNIT_EXPECT_EQ(test, host->nr_resets, 1);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 0);
	/* fake_host_expect_gone() expects a reset, so removal does one. */
	host->pulled = false;
	clear_bit(BALLOON_WAS_RESET, &host->bd->flags);
	unplug_at_once(host);
}

static void host_refuses_features_later(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	host->insists = BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	fake_host_needs_reset(host);
	expect_death(host);
	unplug_at_once(host);
}

static void host_has_no_queues_for_good(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	host->find_vqs_err = -EIO;
	fake_host_needs_reset(host);
	expect_all_back(host);
	fake_host_await(host, time_after(jiffies, host->bd->recovery.try_at));
	fake_host_await(host, host->bd->recovery.nr_tries > 9);
	expect_death(host);
	host->find_vqs_err = 0;
	fake_host_unbind(host);
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	fake_host_reach(host, 500);
}

/* The driver waits through a minute of silence on either queue. */
static void host_is_silent(struct kunit *test, enum fake_queue_index queue)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned long until = jiffies + 60 * HZ;

	fake_host_reach(host, 500);
	host->holds[queue] = true;
	fake_host_set_target(host, queue == FAKE_INFLATE ? 5000 : 100);
	schedule_timeout_uninterruptible(until - jiffies);
	KUNIT_EXPECT_EQ(test, host->nr_resets, 1);
	KUNIT_EXPECT_EQ(test, host->bd->config.state, queue == FAKE_INFLATE ?
			BALLOON_INFLATING : BALLOON_DEFLATING);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, queue == FAKE_INFLATE ?
						5000 : 100));
	fake_host_reach(host, 700);
}

static void host_is_silent_about_inflates(struct kunit *test)
{
	host_is_silent(test, FAKE_INFLATE);
}

static void host_is_silent_about_deflates(struct kunit *test)
{
	host_is_silent(test, FAKE_DEFLATE);
}

/* A silent device may only be slow: the driver goes on waiting. */
static void host_is_slow(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long until = jiffies + 3 * BALLOON_LOOK_AGAIN;

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 100);
	fake_host_await(host, time_after(jiffies, until));
	KUNIT_EXPECT_EQ(test, host->bd->config.state, BALLOON_INFLATING);
	KUNIT_EXPECT_EQ(test, fake_host_actual(host), 0);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 100));
}

/* The host never answers: removal resets the device and frees all pages. */
static void host_never_acks(struct kunit *test, enum fake_queue_index queue)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned long since;

	fake_host_reach(host, 400);
	host->holds[queue] = true;
	fake_host_set_target(host, queue == FAKE_INFLATE ? 900 : 0);
	fake_host_await(host, fake_host_unanswered(host, queue) == 2);
	since = jiffies;
	fake_host_unplug(host);
	KUNIT_EXPECT_LE(test, jiffies - since, REMOVE_BOUND);
	KUNIT_EXPECT_GE(test, jiffies - since,
			msecs_to_jiffies(BALLOON_HOST_PATIENCE_MS));
}

static void host_never_acks_inflates(struct kunit *test)
{
	host_never_acks(test, FAKE_INFLATE);
}

static void host_never_acks_deflates(struct kunit *test)
{
	host_never_acks(test, FAKE_DEFLATE);
}

/* Deflation needs more batches than there are, so it also waits for batches. */
static void host_is_gone(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned long since;

	host->drops_above = FIRECRACKER_MAX;
	fake_host_reach(host, 6000);
	host->gone = true;
	fake_host_set_target(host, 0);
	fake_host_await(host, fake_host_asleep(host));
	fake_host_check(host);
	since = jiffies;
	fake_host_unplug(host);
	KUNIT_EXPECT_LE(test, jiffies - since, REMOVE_BOUND);
}

/* Each answer of a slow host renews the driver's patience. */
static void host_is_slow_in_remove_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(answer_work, host_is_slow_in_remove_work);

static void host_is_slow_in_remove_work(struct work_struct *work)
{
	if (host_to_break->nr_resets > 1)
		return;
	fake_host_answer(host_to_break, FAKE_DEFLATE);
	schedule_delayed_work(&answer_work, 4 * HZ);
}

static void host_is_slow_in_remove(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	host->drops_above = FIRECRACKER_MAX;
	fake_host_reach(host, 1200);
	host->holds[FAKE_DEFLATE] = true;
	host_to_break = host;
	schedule_delayed_work(&answer_work, 4 * HZ);
	fake_host_unplug(host);
	cancel_delayed_work_sync(&answer_work);
	/* Removal has waited for all five messages of 256 numbers. */
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

/* Needs more than one large message. */
#define MANY	(2 * BALLOON_LARGE_MESSAGE)

/* The host loses messages of more than 256 numbers: only one page is lost. */
static void host_drops_large_messages(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->drops_above = FIRECRACKER_MAX;
	fake_host_reach(host, MANY);
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 1);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), MANY + 1);
	KUNIT_EXPECT_EQ(test,
			balloon_state_pages(host->bd, BALLOON_PAGE_IN_FLIGHT),
			1);

	fake_host_reach(host, 1);
	fake_host_reach(host, MANY);
	fake_host_reach(host, 0);
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 1);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 1);
	unplug_at_once(host);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

/* A canary without an answer delays no interrupt of other messages. */
static void host_drops_large_messages_and_is_waited_for(struct kunit *test,
							u64 features)
{
	struct fake_host *host = fake_host_start(test, features);
	unsigned long since = jiffies;
	unsigned int i;

	host->drops_above = FIRECRACKER_MAX;
	fake_host_reach(host, MANY);
	host->holds[FAKE_INFLATE] = true;
	for (i = 0; i < 10; i++) {
		fake_host_set_target(host, MANY + 1 + i);
		fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE)
				== 1 && fake_host_asleep(host));
		fake_host_answer(host, FAKE_INFLATE);
		fake_host_await(host, fake_host_arrived(host, MANY + 1 + i));
	}
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_LOOK_AGAIN);
}

static void host_drops_large_messages_quickly(struct kunit *test)
{
	host_drops_large_messages_and_is_waited_for(test, 0);
}

static void host_drops_large_messages_quickly_by_event_index(struct kunit *test)
{
	u64 features = BIT_ULL(VIRTIO_RING_F_EVENT_IDX);

	host_drops_large_messages_and_is_waited_for(test, features);
}

static void host_drops_large_messages_must_tell_host(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	host->drops_above = FIRECRACKER_MAX;
	host->max_order = 0;
	host->recycles = true;
	fake_host_reach(host, MANY);
	fake_host_reach(host, 10);
	fake_host_reach(host, MANY);
	unplug_at_once(host);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

/* Page frame numbers are physical, so the driver refuses an IOMMU. */
static void host_offers_access_platform(struct kunit *test)
{
	struct fake_host *host =
		fake_host_start(test, BIT_ULL(VIRTIO_F_ACCESS_PLATFORM));

	KUNIT_EXPECT_FALSE(test, virtio_has_feature(&host->vdev,
						    VIRTIO_F_ACCESS_PLATFORM));
	fake_host_reach(host, 100);
}

static void host_insists_on_access_platform(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->insists = BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	host->features |= host->insists;
	KUNIT_EXPECT_FALSE(test, fake_host_plug(host));
	KUNIT_EXPECT_TRUE(test, host->status & VIRTIO_CONFIG_S_FAILED);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_INFLATE].vq);
}

/* An indirect table would need an allocation, which posting must not make. */
static void host_offers_indirect_descriptors(struct kunit *test)
{
	struct fake_host *host =
		fake_host_start(test, BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC));

	KUNIT_EXPECT_FALSE(test,
			   virtio_has_feature(&host->vdev,
					      VIRTIO_RING_F_INDIRECT_DESC));
	fake_host_reach(host, 100);
}

/* The driver negotiates only features that it knows. */
static void host_offers_everything(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features = ~(BIT_ULL(VIRTIO_F_RING_PACKED) |
			   BIT_ULL(VIRTIO_F_NOTIFICATION_DATA));
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	KUNIT_EXPECT_TRUE(test,
			  virtio_has_feature(&host->vdev,
					     VIRTIO_BALLOON_F_MUST_TELL_HOST));
	KUNIT_EXPECT_FALSE(test, host->vdev.features &
			   BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON));
	fake_host_reach(host, 2000);
	fake_host_reach(host, 0);
}

static void host_has_two_devices(struct kunit *test)
{
	struct fake_host *one = fake_host_start(test, 0);
	struct fake_host *two = fake_host_start(test, MUST_TELL_HOST);
	unsigned long managed = totalram_pages();

	one->shares_guest = true;
	two->shares_guest = true;
	fake_host_reach(one, 1000);
	fake_host_reach(two, 2000);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed - 3000);

	/* The second device does not wait for the first one, which is stuck. */
	one->holds[FAKE_INFLATE] = true;
	fake_host_set_target(one, 3000);
	fake_host_reach(two, 100);
	fake_host_reach(two, 4000);
	KUNIT_EXPECT_EQ(test, fake_host_actual(one), 1000);
	one->find_vqs_err = -EIO;
	virtio_break_device(&one->vdev);
	fake_host_await(one, READ_ONCE(one->bd->config.state) == BALLOON_RECOVERING &&
			!balloon_refs(&one->bd->ledger));
	fake_host_unplug(one);

	fake_host_reach(two, 5000);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed - 5000);
	fake_host_unplug(two);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
}

static struct kunit_case host_cases[] = {
	KUNIT_CASE(host_breaks_while_inflating),
	KUNIT_CASE(host_breaks_while_inflates_are_unacked),
	KUNIT_CASE(host_breaks_while_deflates_are_unacked),
	KUNIT_CASE(host_breaks_while_asleep),
	KUNIT_CASE(host_breaks_during_trial),
	KUNIT_CASE(host_breaks_with_pages_resident),
	KUNIT_CASE(host_breaks_with_page_isolated),
	KUNIT_CASE(host_breaks_while_migrating),
	KUNIT_CASE(host_breaks_when_out_of_memory),
	KUNIT_CASE(host_breaks_before_remove),
	KUNIT_CASE(host_breaks_in_recovery_and_is_removed),
	KUNIT_CASE(host_breaks_in_remove),
	KUNIT_CASE_SLOW(host_is_deaf),
	KUNIT_CASE(host_needs_reset),
	KUNIT_CASE(host_needs_reset_many_times),
	KUNIT_CASE(host_forgets_driver),
	KUNIT_CASE(host_answers_when_broken),
	KUNIT_CASE(host_names_inflate_out_of_range),
	KUNIT_CASE(host_names_unposted_inflate),
	KUNIT_CASE(host_names_deflate_out_of_range),
	KUNIT_CASE(host_names_unposted_deflate),
	KUNIT_CASE(host_is_pulled_out),
	KUNIT_CASE(host_refuses_features_later),
	KUNIT_CASE_SLOW(host_has_no_queues_for_good),
	KUNIT_CASE_SLOW(host_is_silent_about_inflates),
	KUNIT_CASE_SLOW(host_is_silent_about_deflates),
	KUNIT_CASE_SLOW(host_is_slow),
	KUNIT_CASE_SLOW(host_never_acks_inflates),
	KUNIT_CASE_SLOW(host_never_acks_deflates),
	KUNIT_CASE_SLOW(host_is_gone),
	KUNIT_CASE_SLOW(host_is_slow_in_remove),
	KUNIT_CASE(host_drops_large_messages),
	KUNIT_CASE(host_drops_large_messages_quickly),
	KUNIT_CASE(host_drops_large_messages_quickly_by_event_index),
	KUNIT_CASE(host_drops_large_messages_must_tell_host),
	KUNIT_CASE(host_offers_access_platform),
	KUNIT_CASE(host_insists_on_access_platform),
	KUNIT_CASE(host_offers_indirect_descriptors),
	KUNIT_CASE(host_offers_everything),
	KUNIT_CASE(host_has_two_devices),
	{}
};

static struct kunit_suite host_suite = {
	.name = "virtio_balloon_host",
	.test_cases = host_cases,
};

kunit_test_suite(host_suite);
