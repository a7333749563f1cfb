// SPDX-License-Identifier: GPL-2.0
/*
 * Pages on trial: the host gets them unless they refault.
 */

#include <kunit/test.h>
#include <linux/migrate.h>
#include <linux/mm.h>

#include "fake_host.h"

#define DEFLATE_ON_OOM	BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)

/* The host hears of what had to be reclaimed when nobody has missed it. */
static void restraint_waits_before_it_hands_over(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since = jiffies;

	fake_host_put_on_trial(host, 5000);
	fake_host_pass_time(BALLOON_TRIAL_PERIOD / 2);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_EQ(test, fake_host_actual(host), 0);
	fake_host_await(host, fake_host_arrived(host, 5000));
	KUNIT_EXPECT_GE(test, jiffies - since, BALLOON_TRIAL_PERIOD);
	KUNIT_EXPECT_LE(test, jiffies - since, 3 * BALLOON_TRIAL_PERIOD);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(host->bd), 0);
	fake_host_check(host);
}

/* While the guest stands still, nobody can miss anything. */
static void restraint_waits_for_guest_to_run(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int samples;

	fake_host_put_on_trial(host, 5000);
	samples = host->nr_samples;
	host->pause = 10 * BALLOON_TRIAL_PERIOD;
	fake_host_await(host, host->nr_samples - samples >= 4);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(host->bd), 5000);
	host->pause = 0;
	fake_host_await(host, fake_host_arrived(host, 5000));
	fake_host_check(host);
}

/* The host is not told of what comes next until that has passed. */
static void expect_trial(struct fake_host *host, unsigned long guest_pages)
{
	unsigned long told = host->nr_inflated;

	fake_host_await(host, balloon_trial_size(host->bd) == guest_pages);
	KUNIT_EXPECT_EQ(host->test, host->nr_inflated, told);
	fake_host_await(host, host->nr_inflated == told + guest_pages);
	KUNIT_EXPECT_EQ(host->test, balloon_trial_size(host->bd), 0);
}

/* What kswapd got is free when the balloon looks, and was in use before. */
static void restraint_tries_what_was_just_reclaimed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since;

	fake_host_set_target(host, 1);
	fake_host_await(host, fake_host_arrived(host, 1));
	fake_host_pass_time(HZ);
	host->signals.reclaimed += BALLOON_RECLAIMED_ANY;
	fake_host_set_target(host, 301);
	expect_trial(host, 300);

	/* Long enough ago. */
	fake_host_pass_time(BALLOON_RECLAIM_FRESH + HZ);
	since = jiffies;
	fake_host_set_target(host, 501);
	fake_host_await(host, fake_host_arrived(host, 501));
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_TRIAL_PERIOD);
}

/* kswapd is faster than the balloon, which woke it in vain. */
static void restraint_tries_what_it_waited_for(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->full = true;
	host->spare = 0;
	fake_host_set_target(host, 300);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_ALLOCATION));
	host->full = false;
	host->spare = ULONG_MAX;
	expect_trial(host, 300);
}

/* More than this in the balloon, and who had it fetches it again. */
#define RESTRAINT_WORTH	6000UL
/* With the floor that makes it. */
#define RESTRAINT_MARGIN	2500UL
#define RESTRAINT_FLOOR	(RESTRAINT_MARGIN << BALLOON_TRIAL_MARGIN_SHIFT)

static void miss_pages(struct fake_host *host, unsigned int order)
{
	host->signals.scanned++;
	host->signals.reclaimed++;
	if (balloon_size(&host->bd->ledger) + balloon_trial_size(host->bd) >=
	    RESTRAINT_WORTH)
		host->signals.refaults += 100000;
}

/* It finds out how far it can go, and the host has never had as much as that. */
static void restraint_gives_back_what_is_missed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;

	balloon_set_floor(bd, RESTRAINT_FLOOR);
	host->full = true;
	host->on_alloc = miss_pages;
	fake_host_set_target(host, 50000);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(bd), 0);

	fake_host_pass_time(60 * HZ);
	KUNIT_EXPECT_GE(test, balloon_size(&bd->ledger),
			(RESTRAINT_WORTH - RESTRAINT_MARGIN) * 3 / 4);
	KUNIT_EXPECT_LE(test, balloon_size(&bd->ledger),
			RESTRAINT_WORTH - RESTRAINT_MARGIN);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	fake_host_check(host);

	/* Nobody needs it any more: the balloon learns that from its trials. */
	host->on_alloc = NULL;
	fake_host_await(host, fake_host_arrived(host, 50000));
	KUNIT_EXPECT_TRUE(test, bd->restraint.refaulted);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(bd), 0);
}

static void reclaim_pages(struct fake_host *host, unsigned int order)
{
	host->signals.scanned++;
	host->signals.reclaimed++;
}

/* Who reads in a loop comes for a page when the reclaim of it is over. */
static void restraint_knows_what_was_reclaimed_before(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	struct balloon_device *bd = host->bd;
	unsigned int i;

	host->on_alloc = reclaim_pages;
	fake_host_put_on_trial(host, 5000);
	fake_host_pass_time(BALLOON_TRIAL_PERIOD / 2);
	host->on_alloc = NULL;
	host->signals.refaults += 1000;
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_FALSE(test, bd->restraint.cgroup);
	KUNIT_EXPECT_TRUE(test, bd->restraint.refaulted);
	KUNIT_EXPECT_LT(test, bd->trial.limit, 5000);

	/* From a slow disk it takes a while to get them all. */
	for (i = 0; i < 12; i++) {
		host->signals.refaults += 330;
		fake_host_pass_time(HZ);
	}
	KUNIT_EXPECT_FALSE(test, bd->restraint.cgroup);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	/* The next ones never went, unless somebody reclaims from himself. */
	fake_host_pass_time(20 * HZ);
	host->signals.refaults += 4900;
	fake_host_pass_time(20 * HZ);
	KUNIT_EXPECT_TRUE(test, bd->restraint.cgroup);
}

/* Who comes for a page after a minute can do without it for another. */
static void restraint_forgets_what_was_reclaimed_before(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	host->on_alloc = reclaim_pages;
	fake_host_put_on_trial(host, 5000);
	fake_host_await(host, fake_host_arrived(host, 5000));
	fake_host_pass_time(BALLOON_WARY + 10 * HZ);
	host->signals.refaults += 4900;
	fake_host_pass_time(5 * HZ);
	KUNIT_EXPECT_TRUE(test, host->bd->restraint.cgroup);
}

/* Who reads large files has reclaimed more than can be in use. */
static void restraint_knows_how_much_can_be_missed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_reach(host, 500);
	fake_host_pass_time(2 * HZ);
	host->signals.scanned += 9 * totalram_pages();
	host->signals.reclaimed += 9 * totalram_pages();
	fake_host_pass_time(2 * HZ);
	host->signals.refaults += 2 * totalram_pages();
	fake_host_pass_time(2 * HZ);
	KUNIT_EXPECT_TRUE(test, host->bd->restraint.cgroup);
}

/* At the floor a part of the margin is all that can be tried. */
static void restraint_holds_with_margin_on_trial(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;

	balloon_set_floor(bd, RESTRAINT_FLOOR);
	host->full = true;
	host->available = RESTRAINT_FLOOR + RESTRAINT_MARGIN / 2;
	bd->restraint.refaulted = true;
	bd->restraint.refaulted_at = jiffies;
	fake_host_set_target(host, 50000);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_FLOOR));
	KUNIT_EXPECT_EQ(test, balloon_trial_size(bd), RESTRAINT_MARGIN / 2);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	/* Nobody has missed it for a minute. */
	fake_host_pass_time(BALLOON_WARY + 10 * HZ);
	KUNIT_EXPECT_FALSE(test, bd->restraint.refaulted);
	KUNIT_EXPECT_EQ(test, balloon_size(&bd->ledger), RESTRAINT_MARGIN / 2);
}

/* The minute begins when it is over. */
static void restraint_stays_wary_while_it_hurts(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	unsigned int i;

	host->full = true;
	host->on_alloc = miss_pages;
	fake_host_set_target(host, 50000);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	for (i = 0; i < 80; i++) {
		host->signals.scanned++;
		host->signals.refaults += 1000;
		fake_host_pass_time(HZ);
	}
	KUNIT_EXPECT_TRUE(test, bd->restraint.refaulted);
}

/* The less often the longer in vain. */
static void restraint_tries_seldom(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long allocs, least;

	balloon_set_floor(host->bd, RESTRAINT_FLOOR);
	host->full = true;
	host->on_alloc = miss_pages;
	fake_host_set_target(host, 50000);
	fake_host_pass_time(120 * HZ);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	least = host->bd->restraint.now.total >> BALLOON_TRIAL_MIN_SHIFT;
	KUNIT_EXPECT_EQ(test, host->bd->trial.limit, least);
	allocs = host->nr_allocs[0];
	fake_host_pass_time(100 * HZ);
	KUNIT_EXPECT_GT(test, host->nr_allocs[0] - allocs, 0);
	KUNIT_EXPECT_LE(test, host->nr_allocs[0] - allocs,
			20 * (RESTRAINT_MARGIN + least));
}

static void thrash_in_cgroup(struct fake_host *host, unsigned int order)
{
	host->signals.scanned++;
	host->signals.reclaimed++;
	host->signals.taken++;
	host->signals.refaults += 100000;
}

/* Once the driver has seen it go on without reclaim. */
static void restraint_lets_cgroups_thrash(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long end;

	host->full = true;
	host->on_alloc = thrash_in_cgroup;
	fake_host_set_target(host, 50000);
	for (end = jiffies + 30 * HZ; time_before(jiffies, end);) {
		fake_host_pass_time(HZ / 20);
		host->signals.refaults += 100000;
	}
	KUNIT_EXPECT_TRUE(test, fake_host_arrived(host, 50000));
}

static void restraint_ends_trial_with_target(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_put_on_trial(host, 500);
	fake_host_set_target(host, 0);
	fake_host_await(host, !balloon_trial_size(host->bd));
	fake_host_pass_time(5 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);

	/* What is on trial as the device goes is seen to by the fake host. */
	fake_host_put_on_trial(host, 500);
}

static struct page *isolate_from_trial(struct fake_host *host)
{
	struct page *page = list_first_entry(&host->bd->trial.bm.pages,
					     struct page, lru);

	KUNIT_ASSERT_TRUE(host->test,
			  isolate_movable_page(page, ISOLATE_UNEVICTABLE));
	list_add_tail(&page->lru, &host->isolated);
	return page;
}

/* mm moves a page on trial, and nobody has to be told. */
static void restraint_has_pages_on_trial_moved(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct page *page;
	unsigned int i;

	fake_host_put_on_trial(host, 500);
	for (i = 0; i < 20; i++) {
		page = isolate_from_trial(host);
		KUNIT_EXPECT_EQ(test, 0,
				migrate_pages(&host->isolated,
					      fake_host_migration_target, NULL,
					      (unsigned long)host, MIGRATE_ASYNC,
					      MR_MEMORY_HOTPLUG, NULL));
		KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
		KUNIT_EXPECT_EQ(test, balloon_trial_size(host->bd), 500);
		fake_host_check(host);
	}
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_INFLATE].nr_messages, 0);
	fake_host_await(host, fake_host_arrived(host, 500));
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_DEFLATE].nr_messages, 0);
}

/* What mm has isolated comes back after the end of the trial, to the guest. */
static void restraint_ends_trial_of_isolated_page(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct page *page;

	fake_host_put_on_trial(host, 500);
	page = isolate_from_trial(host);
	fake_host_set_target(host, 0);
	fake_host_await(host, balloon_trial_size(host->bd) == 1);
	fake_host_await(host, fake_host_asleep(host));
	putback_movable_pages(&host->isolated);
	fake_host_await(host, !balloon_trial_size(host->bd));
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
}

/* Of an empty balloon, which has nothing else to give. It is not tried again at once. */
static void expect_recall_near_the_killer(struct fake_host *host)
{
	struct notifier_block *nb = &host->bd->oom.notifier;
	unsigned long got, freed = 0, since;
	struct kunit *test = host->test;

	fake_host_put_on_trial(host, 500);
	got = fake_host_got(host);
	since = jiffies;
	nb->notifier_call(nb, 0, &freed);
	KUNIT_EXPECT_EQ(test, freed, 500);
	KUNIT_EXPECT_TRUE(test, host->bd->restraint.refaulted);
	KUNIT_EXPECT_LT(test, host->bd->trial.limit, 500);
	fake_host_await(host, fake_host_got(host) != got);
	KUNIT_EXPECT_GE(test, jiffies - since + 1,
			msecs_to_jiffies(BALLOON_REFAULT_MIN_MS));
	fake_host_await(host, fake_host_arrived(host, 500));
}

static void restraint_ends_trial_near_the_killer(struct kunit *test)
{
	expect_recall_near_the_killer(fake_host_start(test, DEFLATE_ON_OOM));
}

/* What nobody has been told of is the guest's whatever was negotiated. */
static void restraint_ends_trial_without_reserve(struct kunit *test)
{
	expect_recall_near_the_killer(fake_host_start(test, 0));
}

/* What is on trial is a guest's answer to a target: that may change meanwhile. */
static void restraint_looks_again_while_it_tries(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_put_on_trial(host, 5000);
	KUNIT_EXPECT_GE(test, host->nr_looks, 5000 / BALLOON_TRIAL_AT_ONCE);
}

static struct kunit_case trial_cases[] = {
	KUNIT_CASE(restraint_waits_before_it_hands_over),
	KUNIT_CASE(restraint_waits_for_guest_to_run),
	KUNIT_CASE(restraint_tries_what_was_just_reclaimed),
	KUNIT_CASE(restraint_tries_what_it_waited_for),
	KUNIT_CASE(restraint_gives_back_what_is_missed),
	KUNIT_CASE(restraint_knows_what_was_reclaimed_before),
	KUNIT_CASE(restraint_forgets_what_was_reclaimed_before),
	KUNIT_CASE(restraint_knows_how_much_can_be_missed),
	KUNIT_CASE(restraint_holds_with_margin_on_trial),
	KUNIT_CASE(restraint_stays_wary_while_it_hurts),
	KUNIT_CASE(restraint_tries_seldom),
	KUNIT_CASE(restraint_lets_cgroups_thrash),
	KUNIT_CASE(restraint_ends_trial_with_target),
	KUNIT_CASE(restraint_has_pages_on_trial_moved),
	KUNIT_CASE(restraint_ends_trial_of_isolated_page),
	KUNIT_CASE(restraint_ends_trial_near_the_killer),
	KUNIT_CASE(restraint_ends_trial_without_reserve),
	KUNIT_CASE(restraint_looks_again_while_it_tries),
	{}
};

static struct kunit_suite trial_suite = {
	.name = "virtio_balloon_trial",
	.test_cases = trial_cases,
};

kunit_test_suite(trial_suite);
