// SPDX-License-Identifier: GPL-2.0
/*
 * F_DEFLATE_ON_OOM: the balloon is the guest's last reserve.
 */

#include <kunit/test.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "fake_host.h"

#define DEFLATE_ON_OOM	BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
#define MUST_TELL_HOST	BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST)

/* One call of the notifier gives back 16 MiB. */
#define PAGES_PER_OOM	((16UL << 20) >> PAGE_SHIFT)

/* Calls the notifier as the out-of-memory killer does. Returns guest pages. */
static unsigned long run_out_of_memory(struct fake_host *host)
{
	struct notifier_block *nb = &host->bd->oom.notifier;
	unsigned long freed = 0;

	KUNIT_ASSERT_NOT_NULL(host->test, nb->notifier_call);
	nb->notifier_call(nb, 0, &freed);
	fake_host_check(host);
	return freed;
}

static void oom_gives_pages_back(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long held, target = PAGES_PER_OOM + 1000;

	fake_host_reach(host, target);
	held = balloon_refs(&host->bd->ledger);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), PAGES_PER_OOM);
	/* The pages must be free when the notifier returns. */
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), held - PAGES_PER_OOM);

	fake_host_await(host, fake_host_actual(host) == 1000 &&
			fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 1000 * BALLOON_PER_GUEST_PAGE);
}

/* The guest needs the memory, so the driver does not inflate at once. */
static void oom_stops_inflation_for_a_while(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long since, got;

	fake_host_reach(host, 500);
	got = fake_host_got(host);
	since = jiffies;
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 500);
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_HOLDING);
	fake_host_await(host, fake_host_got(host) != got);
	KUNIT_EXPECT_GE(test, jiffies - since + 1,
			msecs_to_jiffies(BALLOON_HOLD_OFF_MIN_MS));
	fake_host_await(host, fake_host_arrived(host, 500));
}

static void give_at_600(struct fake_host *host, unsigned int order)
{
	if (fake_host_got(host) == 600)
		balloon_give_at_oom(host->bd, 1);
}

/* Inflation itself may be the reason why the guest ran out of memory. */
static void oom_interrupts_inflation(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	host->max_order = 0;
	fake_host_reach(host, 500);
	host->on_alloc = give_at_600;
	fake_host_set_target(host, 5000);
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_HOLDING &&
			fake_host_asleep(host));
	KUNIT_EXPECT_LE(test, fake_host_got(host), 601);
	fake_host_check(host);
}

/* With F_DEFLATE_ON_OOM, ballooned pages stay managed pages of the guest. */
static void oom_leaves_managed_pages_alone(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long managed = totalram_pages();

	fake_host_reach(host, 500);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
	fake_host_reach(host, 0);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
}

/*
 * A preempted migration holds the page lock of a replacement whose inflate is
 * acknowledged. The notifier must not wait for this page lock.
 */
static void oom_does_not_wait_for_locked_replacement(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long since;
	struct page *page;

	fake_host_reach(host, 500);
	host->holds[FAKE_INFLATE] = true;
	fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, 0,
			migrate_pages(&host->isolated, fake_host_migration_target,
				      NULL, (unsigned long)host, MIGRATE_ASYNC,
				      MR_COMPACTION, NULL));
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 1 &&
			fake_host_asleep(host));
	page = fake_message_page(fake_host_last(host, FAKE_INFLATE), 0);
	lock_page(page);
	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_INFLATE));
	fake_host_await(host, READ_ONCE(host->bd->queues.nr_acked) == 4);
	fake_host_await(host, fake_host_asleep(host));

	since = jiffies;
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 499);
	KUNIT_EXPECT_LT(test, jiffies - since, HZ / 10);
	KUNIT_EXPECT_EQ(test, balloon_state_pages(host->bd,
						  BALLOON_PAGE_IN_FLIGHT), 1);
	unlock_page(page);
	fake_host_await(host, !balloon_state_pages(host->bd,
						   BALLOON_PAGE_IN_FLIGHT));
	fake_host_check(host);
}

static struct page *useful_page;

static bool is_useful(const struct page *page)
{
	return page_to_pfn(page) % 3 == page_to_pfn(useful_page) % 3;
}

/* The notifier gives only pages of zones that the task can use. */
static void oom_gives_what_task_can_use(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long left, pfn;
	struct page *page;

	fake_host_reach(host, 3000);
	useful_page = balloon_resident_page(host->bd);
	host->is_starved = is_useful;
	left = 3000 - run_out_of_memory(host);
	KUNIT_EXPECT_GE(test, left, 1800);
	KUNIT_EXPECT_LE(test, left, 2200);
	xa_for_each(&host->taken, pfn, page)
		KUNIT_EXPECT_FALSE(test, PageOffline(page) && is_useful(page));
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), left);
	host->is_starved = NULL;
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), left);
}

/* The notifier gives lent blocks back before pages of the balloon. */
static void oom_gives_hints_first(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM |
				BIT_ULL(VIRTIO_BALLOON_F_FREE_PAGE_HINT));
	unsigned long lent;

	fake_host_reach(host, 500);
	fake_host_set_command(host, 7);
	fake_host_await(host, READ_ONCE(host->bd->hints.nr_lent) &&
			list_empty(&host->bd->hints.in_flight));
	flush_delayed_work(&host->bd->hinting.work);
	lent = balloon_hints_lent(&host->bd->hints);
	KUNIT_EXPECT_GT(test, lent, 0);
	KUNIT_EXPECT_GT(test, run_out_of_memory(host), 0);
	KUNIT_EXPECT_LT(test, balloon_hints_lent(&host->bd->hints), lent);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 500);
	while (balloon_hints_lent(&host->bd->hints))
		KUNIT_ASSERT_GT(test, run_out_of_memory(host), 0);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 500);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 500);
}

/* The shrinker or the kthread gave blocks after the allocation had failed. */
static void oom_counts_hints_that_came_back(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test,
				BIT_ULL(VIRTIO_BALLOON_F_FREE_PAGE_HINT));
	unsigned long given;

	fake_host_set_command(host, 7);
	fake_host_await(host, READ_ONCE(host->bd->hints.nr_lent) &&
			list_empty(&host->bd->hints.in_flight));
	flush_delayed_work(&host->bd->hinting.work);
	KUNIT_EXPECT_GT(test, run_out_of_memory(host), 0);
	given = balloon_hints_give(&host->bd->hints, ULONG_MAX);
	KUNIT_EXPECT_GT(test, given, 0);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), given);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
}

static void oom_not_offered(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
	/* As for a device that has recovered a moment ago. */
	KUNIT_EXPECT_EQ(test, balloon_give_at_oom(host->bd, 100), 0);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 500);
}

static void oom_must_tell_host(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM |
						       MUST_TELL_HOST);

	fake_host_reach(host, 500);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 500);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 0);
}

/* The notifier waits for a host only for a limited time. */
static void oom_must_tell_slow_host(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM |
						       MUST_TELL_HOST);
	unsigned long since;

	fake_host_reach(host, 500);
	host->holds[FAKE_DEFLATE] = true;
	since = jiffies;
	run_out_of_memory(host);
	KUNIT_EXPECT_LE(test, jiffies - since, 2 * HZ);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 500);
	fake_host_answer_all(host);
	fake_host_await(host, !balloon_refs(&host->bd->ledger));
}

static void oom_does_not_wait_for_lock(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long since;

	fake_host_reach(host, 500);
	mutex_lock(&host->bd->balloon_lock);
	since = jiffies;
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
	KUNIT_EXPECT_LE(test, jiffies - since, 2 * HZ);
	mutex_unlock(&host->bd->balloon_lock);
}

/*
 * The kthread gave pages after the allocation had failed, and the notifier can give
 * none. The allocation has to be tried again, once.
 */
static void oom_counts_what_came_back(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_reach(host, 500);
	KUNIT_EXPECT_EQ(test, balloon_give_at_oom(host->bd, 100), 100);
	mutex_lock(&host->bd->balloon_lock);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 100);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
	mutex_unlock(&host->bd->balloon_lock);
}

/* The same for pages on trial. */
static void oom_counts_trial_that_ended(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_put_on_trial(host, 300);
	fake_host_set_target(host, 0);
	fake_host_await(host, !balloon_trial_size(host->bd));
	KUNIT_EXPECT_GE(test, run_out_of_memory(host), 300);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
}

static void answer_deflates(struct work_struct *work)
{
	struct fake_host *host = container_of(work, struct fake_host, guest_work);

	fake_host_pass_time(HZ / 2);
	host->holds[FAKE_DEFLATE] = false;
	fake_host_answer_all(host);
}

/* The host is slow, and all batches are in use. */
static void oom_waits_for_batch(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);
	unsigned long since;
	unsigned int calls = 0;

	host->features |= DEFLATE_ON_OOM;
	host->drops_above = BALLOON_SMALL_MESSAGE;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	fake_host_reach(host, BALLOON_BATCHES * BALLOON_SMALL_MESSAGE);
	host->holds[FAKE_DEFLATE] = true;
	while (host->bd->pool.nr_free && calls++ < BALLOON_BATCHES)
		KUNIT_EXPECT_GT(test, run_out_of_memory(host), 0);
	KUNIT_EXPECT_EQ(test, host->bd->pool.nr_free, 0);
	KUNIT_EXPECT_GT(test, balloon_size(&host->bd->ledger), 0);

	since = jiffies;
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
	KUNIT_EXPECT_LE(test, jiffies - since, 2 * HZ);

	INIT_WORK(&host->guest_work, answer_deflates);
	schedule_work(&host->guest_work);
	KUNIT_EXPECT_GT(test, run_out_of_memory(host), 0);
	flush_work(&host->guest_work);
	KUNIT_EXPECT_FALSE(test, host->holds[FAKE_DEFLATE]);
	fake_host_check(host);
}

/* The holder of the page lock may be the task that needs memory. */
static void oom_passes_over_locked_pages(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	struct page *page;

	fake_host_reach(host, 500);
	page = balloon_resident_page(host->bd);
	lock_page(page);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 499);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
	KUNIT_EXPECT_TRUE(test, PageOffline(page));
	unlock_page(page);
}

static void oom_passes_over_isolated_pages(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_reach(host, 500);
	fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 499);
	putback_movable_pages(&host->isolated);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 1);
}

static void oom_of_empty_balloon(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long since = jiffies;

	/* An out-of-memory that took no page does not delay the next target. */
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
	fake_host_reach(host, 10);
	KUNIT_EXPECT_LT(test, jiffies - since, HZ);
}

/* The kthread of a dying balloon would not post the deflates. */
static void oom_of_dying_balloon(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_reach(host, 500);
	set_bit(BALLOON_DYING, &host->bd->flags);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
	clear_bit(BALLOON_DYING, &host->bd->flags);
}

static void oom_of_dead_balloon(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_reach(host, 500);
	host->insists = BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	fake_host_needs_reset(host);
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_DEAD);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 0);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 500);
	KUNIT_EXPECT_EQ(test, run_out_of_memory(host), 0);
}

static struct kunit_case oom_cases[] = {
	KUNIT_CASE(oom_gives_pages_back),
	KUNIT_CASE_SLOW(oom_stops_inflation_for_a_while),
	KUNIT_CASE(oom_interrupts_inflation),
	KUNIT_CASE(oom_leaves_managed_pages_alone),
	KUNIT_CASE(oom_does_not_wait_for_locked_replacement),
	KUNIT_CASE(oom_gives_what_task_can_use),
	KUNIT_CASE(oom_gives_hints_first),
	KUNIT_CASE(oom_counts_hints_that_came_back),
	KUNIT_CASE(oom_not_offered),
	KUNIT_CASE(oom_must_tell_host),
	KUNIT_CASE(oom_must_tell_slow_host),
	KUNIT_CASE(oom_does_not_wait_for_lock),
	KUNIT_CASE(oom_counts_what_came_back),
	KUNIT_CASE(oom_counts_trial_that_ended),
	KUNIT_CASE(oom_waits_for_batch),
	KUNIT_CASE(oom_passes_over_locked_pages),
	KUNIT_CASE(oom_passes_over_isolated_pages),
	KUNIT_CASE(oom_of_empty_balloon),
	KUNIT_CASE(oom_of_dying_balloon),
	KUNIT_CASE(oom_of_dead_balloon),
	{}
};

static struct kunit_suite oom_suite = {
	.name = "virtio_balloon_oom",
	.test_cases = oom_cases,
};

kunit_test_suite(oom_suite);
