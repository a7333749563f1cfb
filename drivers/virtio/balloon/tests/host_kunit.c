// SPDX-License-Identifier: GPL-2.0
/*
 * A host that is slow, wrong or gone. Whatever it does, the driver does not
 * hang, gives every page back, and lets itself be removed.
 */

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"

#define MUST_TELL_HOST	BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST)
#define FIRECRACKER_MAX	256

/* Removal that waits for a host takes its patience, and not much more. */
#define REMOVE_BOUND	(msecs_to_jiffies(BALLOON_HOST_PATIENCE_MS) + 3 * HZ)

static bool host_is_dead(struct fake_host *host)
{
	return fake_host_asleep(host) &&
	       READ_ONCE(host->bd->state) == BALLOON_DEAD;
}

/* Nobody can be told, so nobody is waited for. */
static void unplug_at_once(struct fake_host *host)
{
	unsigned long since = jiffies;

	fake_host_unplug(host);
	KUNIT_EXPECT_LT(host->test, jiffies - since, HZ);
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
	fake_host_await(host, host_is_dead(host));
	KUNIT_EXPECT_LT(test, fake_host_got(host), 1000);
	fake_host_check(host);
	unplug_at_once(host);
}

static void host_breaks_while_inflates_are_unacked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 5000);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) > 4 &&
			fake_host_asleep(host));
	virtio_break_device(&host->vdev);
	/* Without any event: it has to look by itself. */
	fake_host_await(host, host_is_dead(host));
	fake_host_check(host);
	unplug_at_once(host);
}

static void host_breaks_while_deflates_are_unacked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 5000);
	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 0);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) &&
			fake_host_asleep(host));
	virtio_break_device(&host->vdev);
	fake_host_await(host, host_is_dead(host));
	fake_host_check(host);
	unplug_at_once(host);
}

static void host_breaks_while_asleep(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	virtio_break_device(&host->vdev);
	fake_host_set_target(host, 600);
	fake_host_await(host, host_is_dead(host));
	fake_host_check(host);
	unplug_at_once(host);
}

static void host_breaks_during_trial(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_put_on_trial(host, 500);
	virtio_break_device(&host->vdev);
	fake_host_await(host, host_is_dead(host));
	KUNIT_EXPECT_EQ(test, balloon_trial_size(host->bd), 0);
	unplug_at_once(host);
}

/* As a device that is pulled out does. */
static void host_breaks_before_remove(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 500);
	virtio_break_device(&host->vdev);
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

static void host_is_deaf(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	host->deaf = true;
	fake_host_set_target(host, 1000);
	fake_host_await(host, host_is_dead(host));
	unplug_at_once(host);
}

static void host_needs_reset(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	fake_host_needs_reset(host);
	fake_host_await(host, host_is_dead(host));
	fake_host_set_target(host, 600);
	fake_host_await(host, host_is_dead(host));
	KUNIT_EXPECT_EQ(test, fake_host_got(host), 500);
	unplug_at_once(host);
}

/* It goes on after it has given up. Nobody listens, and nobody gets busy. */
static void host_answers_when_dead(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 100);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 1 &&
			fake_host_asleep(host));
	fake_host_needs_reset(host);
	fake_host_await(host, host_is_dead(host));
	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_INFLATE));
	fake_host_await(host, host_is_dead(host));
	unplug_at_once(host);
}

static void host_names_unposted_buffer(struct kunit *test,
				       enum fake_queue_index queue, u16 head)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 500);
	host->holds[queue] = true;
	fake_host_set_target(host, queue == FAKE_INFLATE ? 600 : 400);
	fake_host_await(host, fake_host_unanswered(host, queue) == 1 &&
			fake_host_asleep(host));
	fake_host_answer_wrong_id(host, queue, head);
	fake_host_await(host, host_is_dead(host));
	fake_host_check(host);
	unplug_at_once(host);
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

/* It is slow, as far as anybody can tell: the driver goes on waiting. */
static void host_is_slow(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long until = jiffies + 3 * BALLOON_LOOK_AGAIN;

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 100);
	fake_host_await(host, time_after(jiffies, until));
	KUNIT_EXPECT_EQ(test, host->bd->state, BALLOON_INFLATING);
	KUNIT_EXPECT_EQ(test, fake_host_actual(host), 0);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 100));
}

/* A host that lives but never answers: pages come back after a reset. */
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

/* More than it has batches for, so that it has to wait for those as well. */
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

/* Patience is for one that says nothing, not for one that has much to do. */
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
	/* Five messages of 256, every one of them was waited for. */
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

/* More than one of the large messages. */
#define MANY	(2 * BALLOON_LARGE_MESSAGE)

/* Messages of more than 256 numbers are lost: that costs a page, no more. */
static void host_drops_large_messages(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->drops_above = FIRECRACKER_MAX;
	fake_host_reach(host, MANY);
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 1);
	KUNIT_EXPECT_EQ(test, balloon_held(host->bd), MANY + 1);
	KUNIT_EXPECT_EQ(test,
			balloon_state_pages(host->bd, BALLOON_PAGE_IN_FLIGHT),
			1);

	fake_host_reach(host, 1);
	fake_host_reach(host, MANY);
	fake_host_reach(host, 0);
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 1);
	KUNIT_EXPECT_EQ(test, balloon_held(host->bd), 1);
	unplug_at_once(host);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

/* The canary's interrupt is not waited for, nor those that it would delay. */
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

/* Numbers are physical, so an IOMMU would only be in the way. */
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

/* A table of descriptors would have to be allocated where nothing may be. */
static void host_offers_indirect_descriptors(struct kunit *test)
{
	struct fake_host *host =
		fake_host_start(test, BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC));

	KUNIT_EXPECT_FALSE(test,
			   virtio_has_feature(&host->vdev,
					      VIRTIO_RING_F_INDIRECT_DESC));
	fake_host_reach(host, 100);
}

/* What the driver does not know is not negotiated either. */
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

	/* One that is stuck is no reason for the other to wait. */
	one->holds[FAKE_INFLATE] = true;
	fake_host_set_target(one, 3000);
	fake_host_reach(two, 100);
	fake_host_reach(two, 4000);
	KUNIT_EXPECT_EQ(test, fake_host_actual(one), 1000);
	virtio_break_device(&one->vdev);
	fake_host_await(one, host_is_dead(one));
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
	KUNIT_CASE(host_breaks_before_remove),
	KUNIT_CASE(host_breaks_in_remove),
	KUNIT_CASE(host_is_deaf),
	KUNIT_CASE(host_needs_reset),
	KUNIT_CASE(host_answers_when_dead),
	KUNIT_CASE(host_names_inflate_out_of_range),
	KUNIT_CASE(host_names_unposted_inflate),
	KUNIT_CASE(host_names_deflate_out_of_range),
	KUNIT_CASE(host_names_unposted_deflate),
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
