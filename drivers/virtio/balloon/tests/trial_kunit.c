// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of pages on trial: the host gets them unless they refault.
 */

#include <kunit/test.h>
#include <linux/migrate.h>
#include <linux/mm.h>

#include "fake_host.h"

#define DEFLATE_ON_OOM	BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)

/* The host is told of reclaimed pages after a while without refaults. */
static void restraint_waits_before_it_hands_over(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since = jiffies;

	fake_host_put_on_trial(host, 5000);
	fake_host_pass_time(HZ / 4);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_EQ(test, fake_host_actual(host), 0);
	fake_host_await(host, fake_host_arrived(host, 5000));
	KUNIT_EXPECT_GE(test, jiffies - since, 3 * HZ / 2);
	KUNIT_EXPECT_LE(test, jiffies - since, 4 * HZ);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(host->bd), 0);
	fake_host_check(host);
}

/* While the guest stands still, no page can refault. */
static void restraint_waits_for_guest_to_run(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int samples;

	fake_host_put_on_trial(host, 5000);
	samples = host->nr_samples;
	host->pause = 10 * HZ;
	fake_host_await(host, host->nr_samples - samples >= 3);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(host->bd), 5000);
	host->pause = 0;
	fake_host_await(host, fake_host_arrived(host, 5000));
	fake_host_check(host);
}

/* kswapd has just freed pages of a task, and the task reads them again. */
static void restraint_takes_nothing_free_while_it_refaults(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int i;

	host->full = true;
	fake_host_set_target(host, 300);
	for (i = 0; i < 100; i++) {
		/* The rate grows each time: a constant rate is the baseline. */
		host->sample.refaults += 10 * i;
		host->sample.reclaimed += 10 * i;
		fake_host_pass_time(HZ / 10);
		host->full = i < 50;
	}
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	fake_host_await(host, fake_host_arrived(host, 300));
}

/* kswapd finds no pages at first. */
static void restraint_tries_what_it_waited_for(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->full = true;
	host->spare = 0;
	fake_host_set_target(host, 300);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_ALLOCATION));
	host->full = false;
	host->spare = ULONG_MAX;
	fake_host_await(host, fake_host_arrived(host, 300));
}

/* If the balloon holds more pages than this, tasks read some of them again. */
#define RESTRAINT_WORTH	6000UL

static void miss_pages(struct fake_host *host, unsigned int order)
{
	unsigned long pages = 0;

	if (balloon_size(&host->bd->ledger) + balloon_trial_size(host->bd) >=
	    RESTRAINT_WORTH)
		pages = 1000;
	host->sample.refaults += pages;
	host->sample.reclaimed += pages + 1;
}

/* The driver finds the limit by trials. The host never gets as many pages. */
static void restraint_gives_back_what_is_missed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;

	host->full = true;
	host->on_alloc = miss_pages;
	fake_host_set_target(host, 50000);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(bd), 0);

	fake_host_pass_time(60 * HZ);
	KUNIT_EXPECT_GE(test, balloon_size(&bd->ledger), RESTRAINT_WORTH / 2);
	KUNIT_EXPECT_LT(test, balloon_size(&bd->ledger), RESTRAINT_WORTH);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	fake_host_check(host);

	/*
	 * No task needs the pages any more. The driver learns that from its
	 * trials.
	 */
	host->on_alloc = NULL;
	fake_host_await(host, fake_host_arrived(host, 50000));
	KUNIT_EXPECT_EQ(test, balloon_trial_size(bd), 0);
}

static void restraint_tries_nothing_while_it_refaults(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long got;
	unsigned int i;

	host->full = true;
	host->on_alloc = miss_pages;
	fake_host_set_target(host, 50000);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	got = fake_host_got(host);
	for (i = 0; i < 800; i++) {
		host->sample.refaults += 100;
		host->sample.reclaimed += 100;
		fake_host_pass_time(HZ / 10);
	}
	KUNIT_EXPECT_EQ(test, fake_host_got(host), got);
}

/* The longer trials fail, the less often the driver makes one. */
static void restraint_tries_seldom(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long got;

	host->full = true;
	host->on_alloc = miss_pages;
	fake_host_set_target(host, 50000);
	fake_host_pass_time(120 * HZ);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_REFAULT));
	got = fake_host_got(host);
	fake_host_pass_time(100 * HZ);
	KUNIT_EXPECT_GT(test, fake_host_got(host), got);
	KUNIT_EXPECT_LE(test, fake_host_got(host) - got, 2 * RESTRAINT_WORTH);
}

static void thrash_in_cgroup(struct fake_host *host, unsigned int order)
{
	host->sample.reclaimed++;
	host->sample.refaults += 100000;
}

static void restraint_lets_cgroups_thrash(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->full = true;
	host->on_alloc = thrash_in_cgroup;
	fake_host_set_target(host, 50000);
	fake_host_await(host, fake_host_arrived(host, 50000));
}

static void restraint_ends_trial_with_target(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_put_on_trial(host, 500);
	fake_host_set_target(host, 0);
	fake_host_await(host, !balloon_trial_size(host->bd));
	fake_host_pass_time(5 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);

	/* The fake host checks pages that are on trial when the device goes. */
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

/* mm moves a page on trial without a message to the host. */
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

/*
 * mm returns an isolated page after the end of the trial. The guest gets the
 * page.
 */
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

/* No page that was not on trial takes the place of a page that mm has isolated. */
static void restraint_hands_over_isolated_page(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_put_on_trial(host, 500);
	isolate_from_trial(host);
	fake_host_await(host, balloon_size(&host->bd->ledger) == 499);
	fake_host_await(host, fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 499);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(host->bd), 1);
	KUNIT_EXPECT_TRUE(test, host->bd->trial.wants_isolated);
	putback_movable_pages(&host->isolated);
	fake_host_await(host, fake_host_arrived(host, 500));
}

/* The balloon is empty and has no more to give. No trial begins at once. */
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
	fake_host_await(host, host->bd->restraint.experiment.missed);
	KUNIT_EXPECT_LT(test, host->bd->restraint.experiment.step, 500);
	fake_host_await(host, fake_host_got(host) != got);
	KUNIT_EXPECT_GE(test, jiffies - since + 1,
			msecs_to_jiffies(BALLOON_WAIT_MIN_MS));
	fake_host_await(host, fake_host_arrived(host, 500));
}

static void restraint_ends_trial_near_the_killer(struct kunit *test)
{
	expect_recall_near_the_killer(fake_host_start(test, DEFLATE_ON_OOM));
}

/*
 * Pages that the host does not know of go back, whatever features are
 * negotiated.
 */
static void restraint_ends_trial_without_reserve(struct kunit *test)
{
	expect_recall_near_the_killer(fake_host_start(test, 0));
}

/* The driver looks at the guest during a trial: it may change meanwhile. */
static void restraint_looks_again_while_it_tries(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_put_on_trial(host, 5000);
	KUNIT_EXPECT_GE(test, host->nr_looks, 5);
}

static struct kunit_case trial_cases[] = {
	KUNIT_CASE(restraint_waits_before_it_hands_over),
	KUNIT_CASE(restraint_waits_for_guest_to_run),
	KUNIT_CASE(restraint_takes_nothing_free_while_it_refaults),
	KUNIT_CASE(restraint_tries_what_it_waited_for),
	KUNIT_CASE(restraint_gives_back_what_is_missed),
	KUNIT_CASE(restraint_tries_nothing_while_it_refaults),
	KUNIT_CASE(restraint_tries_seldom),
	KUNIT_CASE(restraint_lets_cgroups_thrash),
	KUNIT_CASE(restraint_ends_trial_with_target),
	KUNIT_CASE(restraint_has_pages_on_trial_moved),
	KUNIT_CASE(restraint_ends_trial_of_isolated_page),
	KUNIT_CASE(restraint_hands_over_isolated_page),
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
