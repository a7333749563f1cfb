// SPDX-License-Identifier: GPL-2.0
/*
 * A guest that has too little memory to spare: the driver keeps the pages that
 * it got, and tries again with a growing delay.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/mm.h>

#include "fake_host.h"

static bool waits_at(struct fake_host *host, unsigned long guest_pages,
		     unsigned int delay_ms)
{
	struct balloon_device *bd = host->bd;

	return fake_host_asleep(host) &&
	       READ_ONCE(bd->config.state) == BALLOON_HOLDING &&
	       READ_ONCE(bd->thread.retry_delay_ms) == delay_ms &&
	       balloon_size(&bd->ledger) == guest_pages &&
	       fake_host_actual(host) == guest_pages;
}

static unsigned long nr_tries(struct fake_host *host)
{
	return host->nr_refusals[0];
}

/* Memory ends before the first page, inside of a message, or at its end. */
static const unsigned long ends[] = { 0, 1, 100, 255, 256, 257, 1500 };

static void end_desc(const unsigned long *end, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%lu", *end);
}

KUNIT_ARRAY_PARAM(end, ends, end_desc);

static void retry_keeps_what_was_got(struct kunit *test)
{
	const unsigned long *end = test->param_value;
	struct fake_host *host = fake_host_start(test, 0);

	/* Send the canary first, as its page would count. */
	fake_host_reach(host, 1100);
	fake_host_reach(host, 0);

	host->spare = *end;
	fake_host_set_target(host, 3000);
	fake_host_await(host, waits_at(host, *end, BALLOON_RETRY_MIN_MS));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, *end * BALLOON_PER_GUEST_PAGE);
	fake_host_check(host);

	host->spare = ULONG_MAX;
	fake_host_await(host, fake_host_arrived(host, 3000));
	KUNIT_EXPECT_EQ(test, host->bd->thread.retry_delay_ms, 0);
}

/* The canary gets the only page, which must not be lost. */
static void retry_after_canary(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->spare = 1;
	fake_host_set_target(host, 3000);
	fake_host_await(host, waits_at(host, 1, BALLOON_RETRY_MIN_MS));
	host->spare = ULONG_MAX;
	fake_host_await(host, fake_host_arrived(host, 3000));
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 1);
}

/* The driver waits for each delay, which is twice as long as the last one. */
static void retry_backs_off(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int delay = BALLOON_RETRY_MIN_MS, rounds;
	unsigned long since;

	KUNIT_EXPECT_EQ(test, delay, 100);
	host->spare = 0;
	fake_host_set_target(host, 10);
	for (rounds = 1; rounds < 4; rounds++, delay *= 2) {
		fake_host_await(host, waits_at(host, 0, delay));
		KUNIT_EXPECT_EQ(test, nr_tries(host), rounds);
		since = jiffies;
		fake_host_await(host, nr_tries(host) == rounds + 1);
		KUNIT_EXPECT_GE(test, jiffies - since + 2,
				msecs_to_jiffies(delay));
		KUNIT_EXPECT_LE(test, jiffies - since,
				msecs_to_jiffies(delay) + HZ / 2);
	}
}

/* The test moves the time of the next try to now and does not wait. */
static void retry_backs_off_to_ten_seconds(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	unsigned int delay = BALLOON_RETRY_MIN_MS, rounds;

	host->spare = 0;
	fake_host_set_target(host, 10);
	for (rounds = 0; rounds < 12; rounds++) {
		fake_host_await(host, waits_at(host, 0, delay));
		bd->thread.retry_at = jiffies;
		balloon_event(bd);
		delay = min(2 * delay, 10000U);
	}
	fake_host_await(host, waits_at(host, 0, 10000));
}

static void retry_progress_resets_delay(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->spare = 0;
	fake_host_set_target(host, 100);
	fake_host_await(host, waits_at(host, 0, 8 * BALLOON_RETRY_MIN_MS));
	host->spare = 10;
	fake_host_await(host, waits_at(host, 10, BALLOON_RETRY_MIN_MS));
}

static void retry_new_target_resets_delay(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long tries, since;

	host->spare = 0;
	fake_host_set_target(host, 100);
	fake_host_await(host, waits_at(host, 0, 4 * BALLOON_RETRY_MIN_MS));
	tries = nr_tries(host);
	since = jiffies;

	fake_host_set_target(host, 101);
	fake_host_await(host, waits_at(host, 0, BALLOON_RETRY_MIN_MS));
	KUNIT_EXPECT_EQ(test, nr_tries(host), tries + 1);
	KUNIT_EXPECT_LT(test, jiffies - since, HZ / 2);
}

/* Setting the same target again does not cause a try at once. */
static void retry_same_target_keeps_delay(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long tries;

	host->spare = 0;
	fake_host_set_target(host, 100);
	fake_host_await(host, waits_at(host, 0, 4 * BALLOON_RETRY_MIN_MS));
	tries = nr_tries(host);
	fake_host_set_target(host, 100);
	fake_host_await(host, waits_at(host, 0, 4 * BALLOON_RETRY_MIN_MS));
	KUNIT_EXPECT_EQ(test, nr_tries(host), tries);
}

/* The next try begins with the largest blocks again. */
static void retry_tries_large_blocks_again(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 1100);
	host->max_order = 0;
	host->spare = 10;
	fake_host_set_target(host, 9000);
	fake_host_await(host, waits_at(host, 1110, BALLOON_RETRY_MIN_MS));
	host->spare = ULONG_MAX;
	host->max_order = NR_PAGE_ORDERS;
	memset(host->nr_allocs, 0, sizeof(host->nr_allocs));
	fake_host_await(host, fake_host_arrived(host, 9000));
	KUNIT_EXPECT_LT(test, host->nr_allocs[0], 20);
}

static void retry_lower_target_ends_waiting(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->spare = 200;
	fake_host_set_target(host, 300);
	fake_host_await(host, waits_at(host, 200, BALLOON_RETRY_MIN_MS));
	fake_host_reach(host, 200);
	KUNIT_EXPECT_EQ(test, host->bd->thread.retry_delay_ms, 0);

	fake_host_set_target(host, 300);
	fake_host_await(host, waits_at(host, 200, BALLOON_RETRY_MIN_MS));
	fake_host_reach(host, 20);
	KUNIT_EXPECT_EQ(test, host->bd->thread.retry_delay_ms, 0);
}

/* The driver moves towards a target above all memory, and back again. */
static void retry_target_beyond_memory(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long most = balloon_to_guest_pages(U32_MAX);

	host->spare = 2000;
	host->config.num_pages = cpu_to_le32(U32_MAX);
	virtio_config_changed(&host->vdev);
	fake_host_await(host, waits_at(host, 2000, BALLOON_RETRY_MIN_MS));
	KUNIT_EXPECT_EQ(test, host->bd->config.target, most);
	fake_host_check(host);
	fake_host_reach(host, 0);
}

static void retry_removed_while_waiting(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since;

	host->spare = 200;
	fake_host_set_target(host, 300);
	fake_host_await(host, waits_at(host, 200, 4 * BALLOON_RETRY_MIN_MS));
	since = jiffies;
	fake_host_unplug(host);
	KUNIT_EXPECT_LT(test, jiffies - since, HZ / 4);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

/* There is free memory, but the guest needs it for its floor. */
static void retry_when_not_affordable(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	balloon_set_floor(host->bd, 1000);
	host->available = 1345;
	fake_host_set_target(host, 400);
	fake_host_await(host, waits_at(host, 345, BALLOON_RETRY_MIN_MS));
	fake_host_await(host, waits_at(host, 345, 4 * BALLOON_RETRY_MIN_MS));
	KUNIT_EXPECT_EQ(test, fake_host_got(host), 345);
	KUNIT_EXPECT_EQ(test, nr_tries(host), 0);

	host->available = ULONG_MAX / 8;
	fake_host_await(host, fake_host_arrived(host, 400));
}

static unsigned long mib_to_pages(unsigned long mib)
{
	return mib << (20 - PAGE_SHIFT);
}

static void expect_about(struct kunit *test, unsigned long pages,
			 unsigned long about)
{
	KUNIT_EXPECT_GT(test, pages, about - mib_to_pages(4));
	KUNIT_EXPECT_LT(test, pages, about + mib_to_pages(4));
}

static void retry_leaves_floor_available(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	kunit_deactivate_static_stub(test, balloon_available);
	expect_about(test, balloon_affordable(host->bd),
		     si_mem_available() - balloon_floor(host->bd));
}

/*
 * Allocates half of the memory page by page, and frees every other page. An
 * eighth of the memory may be on the per-CPU lists.
 */
static void retry_sees_fragments(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int i, nr = totalram_pages() / 2;
	struct page **pages = kunit_kcalloc(test, nr, sizeof(*pages),
					    GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pages);
	kunit_deactivate_static_stub(test, balloon_guest_is_fragmented);
	KUNIT_EXPECT_FALSE(test, balloon_guest_is_fragmented(host->bd));

	for (i = 0; i < nr; i++)
		pages[i] = alloc_page(GFP_HIGHUSER_MOVABLE);
	for (i = 0; i < nr; i += 2)
		put_page(pages[i]);
	KUNIT_EXPECT_TRUE(test, balloon_guest_is_fragmented(host->bd));

	for (i = 1; i < nr; i += 2)
		put_page(pages[i]);
}

static struct kunit_case retry_cases[] = {
	KUNIT_CASE_PARAM(retry_keeps_what_was_got, end_gen_params),
	KUNIT_CASE(retry_after_canary),
	KUNIT_CASE(retry_backs_off),
	KUNIT_CASE(retry_backs_off_to_ten_seconds),
	KUNIT_CASE(retry_progress_resets_delay),
	KUNIT_CASE(retry_new_target_resets_delay),
	KUNIT_CASE(retry_same_target_keeps_delay),
	KUNIT_CASE(retry_tries_large_blocks_again),
	KUNIT_CASE(retry_lower_target_ends_waiting),
	KUNIT_CASE(retry_target_beyond_memory),
	KUNIT_CASE(retry_removed_while_waiting),
	KUNIT_CASE(retry_when_not_affordable),
	KUNIT_CASE(retry_leaves_floor_available),
	KUNIT_CASE(retry_sees_fragments),
	{}
};

static struct kunit_suite retry_suite = {
	.name = "virtio_balloon_retry",
	.test_cases = retry_cases,
};

kunit_test_suite(retry_suite);
