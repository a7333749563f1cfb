// SPDX-License-Identifier: GPL-2.0
/*
 * Inflation and deflation: sizes, messages, their order, and the waits for
 * acknowledgments.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <kunit/test-bug.h>
#include <linux/mm.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"

#define MUST_TELL_HOST	BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST)
#define EVENT_IDX	BIT_ULL(VIRTIO_RING_F_EVENT_IDX)

/* Sizes just below, at and above the sizes of messages. */
static const unsigned long sizes[] = {
	0, 1, 2, 255, 256, 257, 511, 512, 1023, 1024, 1025, 1026, 2049, 5000,
};

static void size_desc(const unsigned long *size, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%lu", *size);
}

KUNIT_ARRAY_PARAM(size, sizes, size_desc);

static void inflate_reaches_size(struct kunit *test)
{
	const unsigned long *size = test->param_value;
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, *size);
	KUNIT_EXPECT_EQ(test, fake_host_got(host), *size);
	fake_host_reach(host, 0);
}

static void inflate_reaches_size_must_tell_host(struct kunit *test)
{
	const unsigned long *size = test->param_value;
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, *size);
	fake_host_reach(host, *size / 2);
	fake_host_reach(host, 0);
}

/* Inflates by one more page, from each size at which a message may end. */
static void inflate_reaches_size_by_one_page(struct kunit *test)
{
	const unsigned long *size = test->param_value;
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, *size);
	fake_host_reach(host, *size + 1);
	fake_host_reach(host, *size);
}

static void inflate_converts_units(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, BALLOON_PER_GUEST_PAGE, PAGE_SIZE / 4096);
	KUNIT_EXPECT_EQ(test, balloon_to_guest_pages(0), 0);
	KUNIT_EXPECT_EQ(test, balloon_to_guest_pages(BALLOON_PER_GUEST_PAGE),
			1);
	/* A target is rounded down to whole guest pages. */
	KUNIT_EXPECT_EQ(test,
			balloon_to_guest_pages(BALLOON_PER_GUEST_PAGE - 1), 0);
	KUNIT_EXPECT_EQ(test,
			balloon_to_guest_pages(4 * BALLOON_PER_GUEST_PAGE - 1),
			3);
	KUNIT_EXPECT_EQ(test, guest_to_balloon_pages(7),
			7 * BALLOON_PER_GUEST_PAGE);
	KUNIT_EXPECT_EQ(test, guest_to_balloon_pages(ULONG_MAX), U32_MAX);
	KUNIT_EXPECT_EQ(test, guest_pages_to_kib(3), 3 * PAGE_SIZE / 1024);
}

/* Numbers have 32 bits: a higher number would name another page. */
static void inflate_has_no_number_for_some(struct kunit *test)
{
	u64 first = (1ULL << 32) / BALLOON_PER_GUEST_PAGE;

	if (BITS_PER_LONG < 64)
		kunit_skip(test, "all memory has numbers");

	/* The function looks only at addresses: the pages need not exist. */
	KUNIT_EXPECT_TRUE(test, balloon_page_has_number(pfn_to_page(0)));
	KUNIT_EXPECT_TRUE(test,
			  balloon_page_has_number(pfn_to_page(first - 1)));
	KUNIT_EXPECT_FALSE(test, balloon_page_has_number(pfn_to_page(first)));
}

/* At the target, the driver posts no message and writes no configuration. */
static void inflate_rests_at_target(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int inflates, deflates, reports;

	fake_host_reach(host, 300);
	inflates = host->queues[FAKE_INFLATE].nr_messages;
	deflates = host->queues[FAKE_DEFLATE].nr_messages;
	reports = host->nr_reports;

	fake_host_reach(host, 300);
	fake_host_look(host);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_INFLATE].nr_messages, inflates);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_DEFLATE].nr_messages, deflates);
	KUNIT_EXPECT_EQ(test, host->nr_reports, reports);
}

/* A late inflate would discard the data of the page's next owner. */
static void inflate_unacked_is_not_released(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct fake_message *message;
	struct balloon_device *bd = host->bd;
	unsigned int i;

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 100);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 1 &&
			fake_host_asleep(host));
	fake_host_set_target(host, 0);
	fake_host_await(host, bd->config.target == 0 && fake_host_asleep(host));

	fake_host_look(host);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_DEFLATE].nr_messages, 0);
	KUNIT_EXPECT_EQ(test, balloon_state_pages(bd, BALLOON_PAGE_IN_FLIGHT),
			100);
	message = fake_host_last(host, FAKE_INFLATE);
	for (i = 0; i < message->nr; i++)
		KUNIT_EXPECT_EQ(test,
				page_ref_count(fake_message_page(message, i)),
				2);
	KUNIT_EXPECT_EQ(test, fake_host_actual(host), 0);
	fake_host_check(host);

	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 0));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
}

/* Sends an inflate that the host does not answer. Returns its first page. */
static struct page *inflate_unanswered(struct fake_host *host,
				       unsigned long guest_pages)
{
	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, guest_pages);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 1 &&
			fake_host_asleep(host));
	return fake_message_page(fake_host_last(host, FAKE_INFLATE), 0);
}

/* mm cannot move a page in flight, so its marks would stop memory offlining. */
static void inflate_unacked_is_not_marked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct page *page;

	page = inflate_unanswered(host, 1);
	KUNIT_EXPECT_FALSE(test, PageOffline(page));
	KUNIT_EXPECT_FALSE(test, __PageMovable(page));

	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 1));
	KUNIT_EXPECT_TRUE(test, PageOffline(page));
	KUNIT_EXPECT_TRUE(test, __PageMovable(page));

	fake_host_reach(host, 0);
	KUNIT_EXPECT_FALSE(test, PageOffline(page));
}

/* The next page to inflate may be one that was just deflated. */
static void inflate_waits_for_deflates(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->max_order = 0;
	host->recycles = true;
	fake_host_reach(host, 300);
	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 100);
	fake_host_await(host, balloon_size(&host->bd->ledger) == 100 &&
			fake_host_asleep(host));

	fake_host_set_target(host, 200);
	fake_host_await(host, balloon_size(&host->bd->ledger) == 200 &&
			fake_host_asleep(host) &&
			fake_host_actual(host) == 100);
	fake_host_look(host);
	KUNIT_EXPECT_EQ(test, fake_host_unanswered(host, FAKE_INFLATE), 0);
	KUNIT_EXPECT_EQ(test,
			balloon_state_pages(host->bd, BALLOON_PAGE_PRIVATE),
			100);
	fake_host_check(host);

	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 200));
}

static void deflate_must_tell_host_keeps_pages(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	struct balloon_device *bd = host->bd;
	unsigned long managed = totalram_pages();
	struct fake_message *message;
	unsigned int i;

	fake_host_reach(host, 50);
	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 0);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) == 1 &&
			fake_host_asleep(host));

	KUNIT_EXPECT_EQ(test, balloon_state_pages(bd, BALLOON_PAGE_LEAVING),
			50);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed - 50);
	message = fake_host_last(host, FAKE_DEFLATE);
	for (i = 0; i < message->nr; i++)
		KUNIT_EXPECT_EQ(test,
				page_ref_count(fake_message_page(message, i)),
				2);
	fake_host_check(host);

	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 0) && !balloon_refs(&bd->ledger));
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
}

static void deflate_releases_at_once(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long managed = totalram_pages();
	struct fake_message *message;
	unsigned int i;

	fake_host_reach(host, 50);
	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 0);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) == 1 &&
			fake_host_asleep(host));

	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 0);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
	message = fake_host_last(host, FAKE_DEFLATE);
	for (i = 0; i < message->nr; i++)
		KUNIT_EXPECT_EQ(test,
				page_ref_count(fake_message_page(message, i)),
				1);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 0));
}

/* `actual` counts only pages that the host has acknowledged. */
static void inflate_reports_what_is_acked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 400);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 2 &&
			fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, fake_host_actual(host), 0);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 400);

	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_INFLATE));
	fake_host_await(host, fake_host_actual(host) == 256);
	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_INFLATE));
	fake_host_await(host, fake_host_arrived(host, 400));
}

/* During a move, the driver writes `actual` at most every 10 ms. */
static void inflate_reports_sparingly(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long start = jiffies, intervals;

	host->max_order = 0;
	fake_host_reach(host, 20000);
	intervals = (jiffies - start) / BALLOON_REPORT_INTERVAL;
	KUNIT_EXPECT_LE(test, host->nr_reports, intervals + 2);
}

/* Are the numbers consecutive? */
static bool in_a_row(const u32 *numbers, unsigned int nr)
{
	unsigned int i;

	for (i = 1; i < nr; i++)
		if (numbers[i] != numbers[0] + i)
			return false;
	return true;
}

/*
 * If the host takes large messages, the driver names whole huge pages of the
 * host. Blocks that are allocated one after the other need not be neighbours.
 */
static void inflate_names_whole_blocks(struct kunit *test)
{
	unsigned int block = min(BALLOON_PER_GUEST_PAGE << pageblock_order,
				 BALLOON_LARGE_MESSAGE);
	struct fake_host *host = fake_host_start(test, 0);
	struct fake_message *message;
	unsigned int i, j, whole = 0;

	fake_host_reach(host, 20 * BALLOON_LARGE_MESSAGE);
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 1);
	for (i = 0; (message = fake_host_message(host, FAKE_INFLATE, i)); i++) {
		for (j = 0; j + block <= message->nr; j += block)
			whole += in_a_row(message->numbers + j, block);
	}
	KUNIT_EXPECT_GT(test, whole, 10 * BALLOON_LARGE_MESSAGE / block);
}

/* If the largest blocks cannot be allocated, the driver takes smaller ones. */
static void inflate_takes_smaller_blocks(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int order;

	host->max_order = 3;
	fake_host_reach(host, 3000);
	KUNIT_EXPECT_GT(test, host->nr_allocs[3], 300);
	for (order = 4; order < NR_PAGE_ORDERS; order++)
		KUNIT_EXPECT_LE(test, host->nr_refusals[order], 1);
}

/* The driver leaves whole blocks to a fragmented guest. */
static void inflate_leaves_blocks_to_fragmented_guest(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->fragmented = true;
	fake_host_reach(host, 3000);
	KUNIT_EXPECT_EQ(test, host->nr_allocs[0], 3000);

	host->fragmented = false;
	fake_host_reach(host, 6000);
	KUNIT_EXPECT_EQ(test, host->nr_allocs[0], 3000);
}

static void inflate_small_target_sends_no_canary(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, BALLOON_LARGE_MESSAGE / BALLOON_PER_GUEST_PAGE);
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 0);
}

/* Once acknowledged, the canary's page counts like any other. */
static void inflate_counts_canary_once_acked(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 3000);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) > 1 &&
			fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 1);
	KUNIT_EXPECT_EQ(test, balloon_refs(&bd->ledger), balloon_size(&bd->ledger) + 1);

	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 3000));
	KUNIT_EXPECT_EQ(test, balloon_refs(&bd->ledger), 3000);
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 1);
}

static void inflate_posts_many_messages_a_kick(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct fake_queue *q = &host->queues[FAKE_INFLATE];

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 5000);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) ==
			BALLOON_BATCHES - BALLOON_BATCHES_FOR_MIGRATION -
			BALLOON_BATCHES_FOR_DEFLATE && fake_host_asleep(host));
	KUNIT_EXPECT_LE(test, q->nr_kicks, q->nr_messages / 2);
	fake_host_check(host);

	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 5000));
}

/* Batches wait for descriptors, and the driver posts all of them in the end. */
static void inflate_through_small_ring(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->ring_size = 1;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 3000);
	fake_host_await(host, balloon_size(&host->bd->ledger) > 512 &&
			fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, fake_host_unanswered(host, FAKE_INFLATE), 1);
	fake_host_check(host);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 3000));
	fake_host_reach(host, 0);
}

static void inflate_answered_in_reverse(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 1000);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 4);
	while (fake_host_answer_newest(host, FAKE_INFLATE))
		fake_host_await(host, fake_host_asleep(host));
	fake_host_await(host, fake_host_arrived(host, 1000));

	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 0);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) == 4);
	while (fake_host_answer_newest(host, FAKE_DEFLATE))
		fake_host_await(host, fake_host_asleep(host));
	fake_host_await(host, fake_host_arrived(host, 0));
}

/* The acknowledgment wakes the kthread; it need not wait for its timer. */
static void inflate_wakes_on_acks(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_start(test, features);
	unsigned long start;

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 5000);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 8 &&
			fake_host_asleep(host));
	start = jiffies;
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 5000));
	fake_host_reach(host, 10);
	fake_host_reach(host, 700);
	KUNIT_EXPECT_LT(test, jiffies - start, BALLOON_LOOK_AGAIN);
}

static void inflate_wakes_on_acks_by_flags(struct kunit *test)
{
	inflate_wakes_on_acks(test, 0);
}

static void inflate_wakes_on_acks_by_event_index(struct kunit *test)
{
	inflate_wakes_on_acks(test, EVENT_IDX);
}

/* The driver ignores the used length: the host writes to no message. */
static void inflate_ignores_used_length(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	host->answer_length = U32_MAX;
	fake_host_reach(host, 2000);
	fake_host_reach(host, 0);
}

/* Before virtio 1.0, rings have the byte order of the guest. */
static void inflate_legacy_host(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features = MUST_TELL_HOST;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	KUNIT_EXPECT_FALSE(test, virtio_has_feature(&host->vdev,
						    VIRTIO_F_VERSION_1));
	fake_host_reach(host, 2000);
	fake_host_reach(host, 3);
}

/* The configuration is little-endian, also for legacy hosts. */
static void inflate_target_is_little_endian(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	u8 *bytes = (u8 *)&host->config.num_pages;

	memset(bytes, 0, sizeof(host->config.num_pages));
	bytes[1] = 2;
	virtio_config_changed(&host->vdev);
	fake_host_await(host, fake_host_arrived(host, 0x200 /
						BALLOON_PER_GUEST_PAGE));
	bytes = (u8 *)&host->config.actual;
	KUNIT_EXPECT_EQ(test, bytes[0], 0);
	KUNIT_EXPECT_EQ(test, bytes[1], 2);
}

static void lower_target_once(struct fake_host *host, unsigned int order)
{
	if (fake_host_got(host) == 150)
		fake_host_set_target(host, 40);
}

/* The driver looks for a new target between two pages of a message. */
static void inflate_follows_target_at_once(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->max_order = 0;
	host->on_alloc = lower_target_once;
	fake_host_set_target(host, 5000);
	fake_host_await(host, fake_host_arrived(host, 40));
	/* The driver still finishes the allocation that is under way. */
	KUNIT_EXPECT_LE(test, fake_host_got(host), 151);
}

static void raise_target_once(struct fake_host *host, unsigned int order)
{
	if (fake_host_got(host) == 150)
		fake_host_set_target(host, 700);
}

static void inflate_follows_raised_target(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->max_order = 0;
	host->on_alloc = raise_target_once;
	fake_host_set_target(host, 300);
	fake_host_await(host, fake_host_arrived(host, 700));
	KUNIT_EXPECT_EQ(test, fake_host_got(host), 700);
}

static void inflate_follows_target_in_every_direction(struct kunit *test)
{
	static const unsigned long targets[] = {
		10, 1300, 1299, 0, 257, 256, 1, 1500, 1100, 1200, 0, 1, 2,
	};
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned int i;

	host->recycles = true;
	host->max_order = 0;
	for (i = 0; i < ARRAY_SIZE(targets); i++) {
		/* The driver does not reach every other target. */
		if (i % 2)
			fake_host_set_target(host, targets[i]);
		else
			fake_host_reach(host, targets[i]);
	}
	fake_host_reach(host, 77);
}

static void inflate_accounts_for_pages(struct kunit *test)
{
	unsigned long inflated = fake_host_events(BALLOON_INFLATE);
	unsigned long deflated = fake_host_events(BALLOON_DEFLATE);
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long managed = totalram_pages(), of_zone;
	struct zone *zone;

	fake_host_reach(host, 1);
	zone = page_zone(balloon_resident_page(host->bd));
	of_zone = zone_managed_pages(zone);

	host->max_order = 0;
	fake_host_reach(host, 601);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed - 601);
	KUNIT_EXPECT_EQ(test, zone_managed_pages(zone), of_zone - 600);
	KUNIT_EXPECT_EQ(test, fake_host_events(BALLOON_INFLATE) - inflated, 601);
	KUNIT_EXPECT_EQ(test, fake_host_events(BALLOON_DEFLATE) - deflated, 0);

	fake_host_reach(host, 1);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed - 1);
	KUNIT_EXPECT_EQ(test, zone_managed_pages(zone), of_zone);
	KUNIT_EXPECT_EQ(test, fake_host_events(BALLOON_DEFLATE) - deflated, 600);
}

/* No stub replaces the driver's own allocation here. */
static void inflate_allocates_by_itself(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);
	unsigned long managed = totalram_pages();

	host->lends_nothing = true;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	fake_host_reach(host, 10000);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed - 10000);
	KUNIT_EXPECT_EQ(test, fake_host_got(host), 0);
	fake_host_reach(host, 0);
}

static unsigned int nr_joined[NR_PAGE_ORDERS];

/* Stands in for balloon_free_block(). */
static void count_joined(struct page *block, unsigned int order)
{
	struct kunit *test = kunit_get_current_test();
	unsigned int i;

	for (i = 1; i < 1U << order; i++) {
		KUNIT_EXPECT_EQ(test, page_ref_count(block + i), 0);
		KUNIT_EXPECT_NULL(test, block[i].mapping);
	}
	nr_joined[order]++;
	__free_pages(block, order);
}

/* Starts a host without the stub of allocation, and counts joined blocks. */
static struct fake_host *start_with_allocator(struct kunit *test,
					      unsigned int order)
{
	struct fake_host *host;

	if (IS_ENABLED(CONFIG_MEM_ALLOC_PROFILING))
		kunit_skip(test, "this kernel has its pages freed one by one");
	if (BALLOON_SMALL_MESSAGE / BALLOON_PER_GUEST_PAGE < 1U << order)
		kunit_skip(test, "no message is so large");
	memset(nr_joined, 0, sizeof(nr_joined));
	host = fake_host_create(test);
	host->lends_nothing = true;
	kunit_activate_static_stub(test, balloon_free_block, count_joined);
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	return host;
}

static void assert_block(struct kunit *test, struct page *first,
			 unsigned int order)
{
	KUNIT_ASSERT_EQ(test, first->index, order);
	KUNIT_ASSERT_TRUE(test, IS_ALIGNED(page_to_pfn(first), 1UL << order));
}

/* Fills the balloon with one block. Returns the first page of the block. */
static struct page *start_with_block(struct kunit *test,
				     struct fake_host **host,
				     unsigned int order)
{
	struct page *page;

	*host = start_with_allocator(test, order);
	fake_host_reach(*host, 1UL << order);
	page = balloon_resident_page((*host)->bd);
	assert_block(test, page, order);
	return page;
}

static void deflate_joins_block(struct kunit *test)
{
	struct fake_host *host;
	unsigned int order;

	start_with_block(test, &host, 7);
	fake_host_reach(host, 0);
	for (order = 0; order < NR_PAGE_ORDERS; order++)
		KUNIT_EXPECT_EQ(test, nr_joined[order], order == 7);
}

static void deflate_joins_parts_of_block(struct kunit *test)
{
	struct fake_host *host;

	/* 100 of the 128 pages go: all from the 28th on. */
	start_with_block(test, &host, 7);
	fake_host_reach(host, 28);
	KUNIT_EXPECT_EQ(test, nr_joined[2], 1);
	KUNIT_EXPECT_EQ(test, nr_joined[5], 1);
	KUNIT_EXPECT_EQ(test, nr_joined[6], 1);

	fake_host_reach(host, 0);
	KUNIT_EXPECT_EQ(test, nr_joined[2], 2);
	KUNIT_EXPECT_EQ(test, nr_joined[3], 1);
	KUNIT_EXPECT_EQ(test, nr_joined[4], 1);
}

/* Makes one block look like two blocks of half its size. */
static void make_two_of_block(struct page *block, unsigned int order)
{
	unsigned int i;

	for (i = 0; i < 1U << order; i++)
		block[i].index = order - 1;
}

static void deflate_does_not_join_two_blocks(struct kunit *test)
{
	struct fake_host *host;

	make_two_of_block(start_with_block(test, &host, 7), 7);
	fake_host_reach(host, 0);
	KUNIT_EXPECT_EQ(test, nr_joined[6], 2);
	KUNIT_EXPECT_EQ(test, nr_joined[7], 0);
}

/* Pages of a lost message also go back as the blocks that they came in. */
static void deflate_does_not_join_two_unacked(struct kunit *test)
{
	struct fake_host *host = start_with_allocator(test, 7);
	struct page *page;

	page = inflate_unanswered(host, 128);
	assert_block(test, page, 7);
	make_two_of_block(page, 7);

	fake_host_needs_reset(host);
	fake_host_unplug(host);
	KUNIT_EXPECT_EQ(test, nr_joined[6], 2);
	KUNIT_EXPECT_EQ(test, nr_joined[7], 0);
}

/* A page with another reference is not joined; the last put_page() frees it. */
static void deflate_does_not_join_what_is_referenced(struct kunit *test)
{
	struct fake_host *host;
	unsigned int order;
	struct page *page;

	page = start_with_block(test, &host, 7) + 37;
	get_page(page);
	fake_host_reach(host, 0);
	for (order = 0; order < NR_PAGE_ORDERS; order++)
		KUNIT_EXPECT_EQ(test, nr_joined[order], 0);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
	put_page(page);
}

/* ->index of a new page is left by its last user: the driver must set it. */
static void inflate_notes_single_pages(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->max_order = 0;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	fake_host_reach(host, 1);
	KUNIT_EXPECT_EQ(test, balloon_resident_page(host->bd)->index, 0);
}

static struct kunit_case inflate_cases[] = {
	KUNIT_CASE_PARAM(inflate_reaches_size, size_gen_params),
	KUNIT_CASE_PARAM(inflate_reaches_size_must_tell_host, size_gen_params),
	KUNIT_CASE_PARAM(inflate_reaches_size_by_one_page, size_gen_params),
	KUNIT_CASE(inflate_converts_units),
	KUNIT_CASE(inflate_has_no_number_for_some),
	KUNIT_CASE(inflate_rests_at_target),
	KUNIT_CASE(inflate_unacked_is_not_released),
	KUNIT_CASE(inflate_unacked_is_not_marked),
	KUNIT_CASE(inflate_waits_for_deflates),
	KUNIT_CASE(deflate_must_tell_host_keeps_pages),
	KUNIT_CASE(deflate_releases_at_once),
	KUNIT_CASE(inflate_reports_what_is_acked),
	KUNIT_CASE(inflate_reports_sparingly),
	KUNIT_CASE(inflate_names_whole_blocks),
	KUNIT_CASE(inflate_takes_smaller_blocks),
	KUNIT_CASE(inflate_leaves_blocks_to_fragmented_guest),
	KUNIT_CASE(inflate_small_target_sends_no_canary),
	KUNIT_CASE(inflate_counts_canary_once_acked),
	KUNIT_CASE(inflate_posts_many_messages_a_kick),
	KUNIT_CASE(inflate_through_small_ring),
	KUNIT_CASE(inflate_answered_in_reverse),
	KUNIT_CASE(inflate_wakes_on_acks_by_flags),
	KUNIT_CASE(inflate_wakes_on_acks_by_event_index),
	KUNIT_CASE(inflate_ignores_used_length),
	KUNIT_CASE(inflate_legacy_host),
	KUNIT_CASE(inflate_target_is_little_endian),
	KUNIT_CASE(inflate_follows_target_at_once),
	KUNIT_CASE(inflate_follows_raised_target),
	KUNIT_CASE(inflate_follows_target_in_every_direction),
	KUNIT_CASE(inflate_accounts_for_pages),
	KUNIT_CASE(inflate_allocates_by_itself),
	KUNIT_CASE(inflate_notes_single_pages),
	KUNIT_CASE(deflate_joins_block),
	KUNIT_CASE(deflate_joins_parts_of_block),
	KUNIT_CASE(deflate_does_not_join_two_blocks),
	KUNIT_CASE(deflate_does_not_join_two_unacked),
	KUNIT_CASE(deflate_does_not_join_what_is_referenced),
	{}
};

static struct kunit_suite inflate_suite = {
	.name = "virtio_balloon_inflate",
	.test_cases = inflate_cases,
};

kunit_test_suite(inflate_suite);
