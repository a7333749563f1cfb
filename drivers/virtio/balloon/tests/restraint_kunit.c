// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of restraint: its limits, its samples, and memory that goes back.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "fake_host.h"

#define DEFLATE_ON_OOM	BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
#define MUST_TELL_HOST	BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST)

/* Reads the real counters, of a machine that does nothing else. */
static void restraint_reads_sample(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_node *node = host->bd->restraint.experiment.control.nodes;
	struct balloon_sample sample;

	kunit_deactivate_static_stub(test, balloon_available);
	kunit_deactivate_static_stub(test, balloon_spare);
	kunit_deactivate_static_stub(test, balloon_sample_read);
	memset(&sample, 0xff, sizeof(sample));
	host->bd->restraint.counted_at = jiffies - 1;
	balloon_sample_read(host->bd, &sample);
	KUNIT_EXPECT_EQ(test, sample.refaults, 0);
	KUNIT_EXPECT_EQ(test, sample.stalls, 0);
	KUNIT_EXPECT_GE(test, sample.reclaimed, 0);
	KUNIT_EXPECT_GT(test, sample.available, 0);
	KUNIT_EXPECT_LT(test, sample.available, totalram_pages());
	KUNIT_EXPECT_LT(test, sample.used, totalram_pages());
	KUNIT_EXPECT_EQ(test, sample.lack, 0);
	KUNIT_EXPECT_LT(test, sample.inactive + sample.active,
			totalram_pages());
	KUNIT_EXPECT_EQ(test, sample.floor, balloon_floor(host->bd));
	KUNIT_EXPECT_EQ(test, sample.size, 0);
	KUNIT_EXPECT_EQ(test, sample.on_trial, 0);
	KUNIT_EXPECT_GT(test, node->spare, 0);
	KUNIT_EXPECT_LT(test, node->spare, totalram_pages());
}

/* Counters of all CPUs are expensive, so the driver reads them once a jiffy. */
static void restraint_counts_once_a_jiffy(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_sample sample = { .reclaimed = 12345678 };

	kunit_deactivate_static_stub(test, balloon_sample_read);
	host->bd->restraint.counted_at = jiffies;
	balloon_sample_read(host->bd, &sample);
	KUNIT_EXPECT_EQ(test, sample.reclaimed, 12345678);
	fake_host_pass_time(1);
	balloon_sample_read(host->bd, &sample);
	KUNIT_EXPECT_NE(test, sample.reclaimed, 12345678);
}

/* A process ends. The balloon grows without any action of the host. */
static void restraint_takes_what_becomes_free(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since;

	balloon_set_floor(host->bd, 1000);
	host->available = 1300;
	fake_host_set_target(host, 2000);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_FLOOR));
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 300);
	fake_host_pass_time(60 * HZ);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_FLOOR));
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 300);

	host->available = 5000;
	since = jiffies;
	fake_host_await(host, fake_host_arrived(host, 2000));
	KUNIT_EXPECT_LE(test, jiffies - since, 20 * HZ);
	KUNIT_EXPECT_EQ(test, host->bd->config.hold, BALLOON_HOLD_NONE);
}

/* The driver takes no sample if it has nothing to decide. */
static void restraint_does_not_sample_while_empty(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	/* Probe takes one sample. */
	KUNIT_EXPECT_EQ(test, host->nr_samples, 1);
	host->nr_samples = 0;
	fake_host_pass_time(60 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_samples, 0);

	fake_host_reach(host, 500);
	KUNIT_EXPECT_GT(test, host->nr_samples, 0);
	fake_host_reach(host, 0);
	host->nr_samples = 0;
	fake_host_pass_time(60 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_samples, 0);
}

static void restraint_does_not_sample_at_target(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	host->nr_samples = 0;
	fake_host_pass_time(60 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_samples, 0);
}

static void restraint_samples_once_a_second_with_reserve(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_reach(host, 500);
	host->nr_samples = 0;
	fake_host_pass_time(60 * HZ);
	KUNIT_EXPECT_GE(test, host->nr_samples, 50);
	KUNIT_EXPECT_LE(test, host->nr_samples, 61);
}

/*
 * The guest goes below the floor. It stays there if the driver gives nothing
 * back.
 */
static void restraint_gives_when_pressed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long since = jiffies;

	balloon_set_floor(host->bd, 1000);
	host->available = 9000;
	fake_host_reach(host, 5000);

	host->available = 5700;
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_FLOOR));
	KUNIT_EXPECT_LE(test, jiffies - since, 3 * HZ);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 4200);
	fake_host_check(host);

	/* For a while the driver neither gives nor takes more. */
	fake_host_pass_time(30 * HZ);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 4200);
	host->available = 9000;
	since = jiffies;
	fake_host_await(host, fake_host_arrived(host, 5000));
	KUNIT_EXPECT_LE(test, jiffies - since, 30 * HZ);
}

/*
 * The driver gives enough for a large allocation at once, not a part in each
 * sample.
 */
static void restraint_gives_as_fast_as_it_is_used(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long since;

	balloon_set_floor(host->bd, 1000);
	host->available = 9000;
	fake_host_reach(host, 8000);
	host->available = 2000;
	since = jiffies;
	fake_host_await(host, balloon_size(&host->bd->ledger) == 500);
	KUNIT_EXPECT_LE(test, jiffies - since, 2 * HZ);
}

/* The shrinker reports reclaim a second before the next look is due. */
static void restraint_looks_when_reclaim_begins(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	struct shrinker *shrinker = host->bd->restraint.shrinker;
	struct shrink_control sc = {};
	unsigned long since;

	KUNIT_ASSERT_NOT_NULL(test, shrinker);
	balloon_set_floor(host->bd, 1000);
	host->available = 9000;
	fake_host_reach(host, 5000);
	fake_host_pass_time(2 * HZ);

	since = host->nr_samples;
	fake_host_await(host, host->nr_samples != since);
	host->available = 5400;
	since = jiffies;
	KUNIT_EXPECT_EQ(test, shrinker->count_objects(shrinker, &sc),
			SHRINK_EMPTY);
	fake_host_await(host, balloon_size(&host->bd->ledger) < 5000);
	KUNIT_EXPECT_LE(test, jiffies - since, HZ / 4);
}

/* Under pressure the driver first gives back pages on trial. */
static void restraint_gives_what_is_on_trial_first(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	balloon_set_floor(host->bd, 1000);
	host->available = 9000;
	fake_host_reach(host, 3000);
	fake_host_put_on_trial(host, 3000);
	host->available = 6400;
	fake_host_await(host, !balloon_trial_size(host->bd));
	fake_host_pass_time(5 * HZ);
	KUNIT_EXPECT_GE(test, balloon_size(&host->bd->ledger), 3000);
	fake_host_check(host);
}

static void restraint_gives_nothing_unasked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	KUNIT_EXPECT_NULL(test, host->bd->restraint.shrinker);
	balloon_set_floor(host->bd, 1000);
	fake_host_reach(host, 5000);
	host->available = 0;
	fake_host_set_target(host, 5001);
	fake_host_await(host, fake_host_holds_for(host, BALLOON_HOLD_FLOOR));
	fake_host_pass_time(60 * HZ);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 5000);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 5000 * BALLOON_PER_GUEST_PAGE);
}

/*
 * With MUST_TELL_HOST no page is available before the host acknowledges the
 * deflate.
 */
static void restraint_gives_no_more_than_needed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM |
						       MUST_TELL_HOST);

	balloon_set_floor(host->bd, 1000);
	host->available = 9000;
	fake_host_reach(host, 5000);
	host->holds[FAKE_DEFLATE] = true;
	host->available = 5400;
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_HOLDING);
	fake_host_pass_time(5 * HZ);
	KUNIT_EXPECT_GE(test, balloon_size(&host->bd->ledger), 3900);
	fake_host_answer_all(host);
}

/*
 * For a minute a process takes all memory that it finds and frees it again.
 * Meanwhile the host insists on its target.
 */
static void restraint_turns_round_now_and_then(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long end, size, before;
	unsigned int turns = 0;
	bool grew = true, grows, wants = false;

	balloon_set_floor(host->bd, 1000);
	host->available = 9000;
	fake_host_reach(host, 5000);
	before = 5000;
	for (end = jiffies + 60 * HZ; time_before(jiffies, end);) {
		wants = !wants;
		host->available = wants ? 3000 : 9000;
		fake_host_set_target(host, wants ? 5001 : 5000);
		fake_host_pass_time(HZ / 2);
		size = balloon_size(&host->bd->ledger);
		/* The host itself changes its target by a page. */
		grows = size > before;
		if (abs((long)(size - before)) > 1 && grows != grew) {
			grew = grows;
			turns++;
		}
		before = size;
	}
	KUNIT_EXPECT_GT(test, turns, 1);
	KUNIT_EXPECT_LE(test, turns, 8);
	fake_host_check(host);
}

static struct kunit_case restraint_cases[] = {
	KUNIT_CASE(restraint_reads_sample),
	KUNIT_CASE(restraint_counts_once_a_jiffy),
	KUNIT_CASE(restraint_takes_what_becomes_free),
	KUNIT_CASE(restraint_does_not_sample_while_empty),
	KUNIT_CASE(restraint_does_not_sample_at_target),
	KUNIT_CASE(restraint_samples_once_a_second_with_reserve),
	KUNIT_CASE(restraint_gives_when_pressed),
	KUNIT_CASE(restraint_gives_as_fast_as_it_is_used),
	KUNIT_CASE(restraint_looks_when_reclaim_begins),
	KUNIT_CASE(restraint_gives_what_is_on_trial_first),
	KUNIT_CASE(restraint_gives_nothing_unasked),
	KUNIT_CASE(restraint_gives_no_more_than_needed),
	KUNIT_CASE(restraint_turns_round_now_and_then),
	{}
};

static struct kunit_suite restraint_suite = {
	.name = "virtio_balloon_restraint",
	.test_cases = restraint_cases,
};

kunit_test_suite(restraint_suite);
