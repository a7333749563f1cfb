// SPDX-License-Identifier: GPL-2.0
/*
 * How far the balloon may go: the floor, the decision, and what comes of it.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/migrate.h>
#include <linux/memory.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "../decide.h"
#include "../sysfs.h"
#include "fake_host.h"

#define DEFLATE_ON_OOM	BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
#define MUST_TELL_HOST	BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST)

static unsigned long mib_to_pages(u64 mib)
{
	return mib << (20 - PAGE_SHIFT);
}

/* At the end of each piece, in MiB. */
static void restraint_default_floor(struct kunit *test)
{
	static const struct {
		u64 size;
		u64 floor;
	} ends[] = {
		{ 0, 0 }, { 8, 4 }, { 32, 10 }, { 128, 22 }, { 512, 46 },
		{ 1024, 62 }, { 2048, 94 }, { 8192, 190 }, { 32768, 382 },
		{ 131072, 766 }, { 524288, 1534 }, { 64ULL << 20, 1534 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ends); i++)
		KUNIT_EXPECT_EQ_MSG(test,
				    balloon_default_floor(mib_to_pages(ends[i].size)),
				    mib_to_pages(ends[i].floor),
				    "floor of %llu MiB", ends[i].size);
	KUNIT_EXPECT_EQ(test, balloon_default_floor(ULONG_MAX),
			mib_to_pages(1534));
}

/* A larger guest keeps as much or more, and less of itself. */
static void restraint_default_floor_is_monotonic(struct kunit *test)
{
	unsigned long floor, before = 0, size;

	for (size = 1; size < mib_to_pages(64ULL << 20); size += size / 7 + 1) {
		floor = balloon_default_floor(size);
		KUNIT_EXPECT_GE(test, floor, before);
		KUNIT_EXPECT_LE(test, floor, size / 2);
		before = floor;
	}
}

/* Back to the default, whatever the test found. */
static void restore_floor_mib(void *unused)
{
	balloon_floor_mib = -1;
}

static void restraint_floor_by_parameter(struct kunit *test)
{
	struct fake_host *host;

	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, restore_floor_mib,
						  NULL));
	KUNIT_EXPECT_EQ(test, balloon_floor_mib, -1);
	balloon_floor_mib = 77;
	host = fake_host_start(test, 0);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), mib_to_pages(77));

	fake_host_unbind(host);
	balloon_floor_mib = INT_MAX;
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), mib_to_pages(INT_MAX));

	fake_host_unbind(host);
	balloon_floor_mib = 0;
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), 0);
}

static struct device_attribute *floor_file(struct kunit *test)
{
	struct attribute **attr = balloon_groups[0]->attrs;

	while (*attr && strcmp((*attr)->name, "floor_kib"))
		attr++;
	KUNIT_ASSERT_NOT_NULL(test, *attr);
	return container_of(*attr, struct device_attribute, attr);
}

static void restraint_floor_by_sysfs(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct device_attribute *file = floor_file(test);
	struct device *dev = &host->vdev.dev;
	char *page = (char *)kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, file->attr.mode, 0644);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd),
			balloon_default_floor(totalram_pages()));

	/* Whole pages, upwards. */
	KUNIT_EXPECT_EQ(test, file->store(dev, file, "4097\n", 5), 5);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd),
			4096 / (PAGE_SIZE >> 10) + 1);
	KUNIT_EXPECT_EQ(test, file->store(dev, file, "0", 1), 1);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), 0);
	file->show(dev, file, page);
	KUNIT_EXPECT_STREQ(test, page, "0\n");

	KUNIT_EXPECT_EQ(test, file->store(dev, file, "-1", 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, file->store(dev, file, "much", 4), -EINVAL);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), 0);
}

/* The machine's floor: the balloon's pages do not lower it. */
static void restraint_balloon_does_not_lower_floor(struct kunit *test,
						   u64 features)
{
	struct fake_host *host = fake_host_start(test, features);
	unsigned long before = balloon_floor(host->bd);

	fake_host_reach(host, mib_to_pages(256));
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), before);
}

static void restraint_floor_with_balloon(struct kunit *test)
{
	restraint_balloon_does_not_lower_floor(test, 0);
}

static void restraint_floor_with_balloon_in_managed_pages(struct kunit *test)
{
	restraint_balloon_does_not_lower_floor(test, DEFLATE_ON_OOM);
}

/* Nobody waits for the timer: half a minute of it would be too long. */
static void restraint_changed_floor_is_noticed_at_once(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	unsigned long since;

	balloon_set_floor(bd, ULONG_MAX / 4);	/* twice what there is */
	fake_host_set_target(host, 500);
	fake_host_await(host, READ_ONCE(bd->thread.retry_delay_ms) == 1600 &&
			fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, fake_host_got(host), 0);

	since = jiffies;
	balloon_set_floor(bd, 0);
	fake_host_await(host, fake_host_arrived(host, 500));
	KUNIT_EXPECT_LT(test, jiffies - since, HZ / 2);
}

#define GIB_PAGES	(1UL << (30 - PAGE_SHIFT))
/* Of 64 TiB. */
#define HUGE_PAGES	(1UL << (46 - PAGE_SHIFT))
/* Of 32 MiB. */
#define TINY_PAGES	(1UL << (25 - PAGE_SHIFT))

/* A second between the two snapshots, unless a case says otherwise. */
struct decision {
	const char *name;
	struct balloon_signals earlier;
	struct balloon_signals now;
	struct balloon_bounds bounds;
	struct balloon_plan plan;
};

/* A guest of 1 GiB with a floor of 1000, half of the way to the target. */
#define BOUNDS(...)							\
	.bounds = { .floor = 1000, .size = 50000, .target = 100000, __VA_ARGS__ }
#define NOW(...)							\
	.now = { .when = HZ, .available = 60000, .spare = ULONG_MAX,	\
		 .total = GIB_PAGES, __VA_ARGS__ }
#define TAKES(pages)	.plan = { .take = (pages) }
#define TRIES(pages)	.plan = { .take = (pages), .on_trial = true }
#define HOLDS(reason)	.plan = { .hold = BALLOON_HOLD_##reason }
#define PRESSED(reason)							\
	.plan = { .hold = BALLOON_HOLD_##reason, .pressed = true }
#define GIVES(pages, reason)						\
	.plan = { .give = (pages), .hold = BALLOON_HOLD_##reason,	\
		  .pressed = true }

static const struct decision decisions[] = {
	/* Nothing happens. */
	{ "calm", {}, NOW(), BOUNDS(), TAKES(50000) },
	{ "calm, less is available than wanted", {}, NOW(.available = 40000),
	  BOUNDS(), TAKES(39000) },
	{ "at the target", {}, NOW(), BOUNDS(.size = 100000), {} },
	{ "above the target", {}, NOW(), BOUNDS(.size = 100001), {} },
	{ "a single snapshot", { .when = HZ, .stalls = 99 }, NOW(.stalls = 99),
	  BOUNDS(), TAKES(50000) },
	{ "no time between two snapshots", { .when = HZ }, NOW(), BOUNDS(),
	  TAKES(50000) },
	/* What is free, and what has to be reclaimed. */
	{ "little is free", {}, NOW(.spare = 7), BOUNDS(), TAKES(7) },
	{ "nothing is free", {}, NOW(.spare = 0), BOUNDS(), TRIES(50000) },
	{ "nothing is free, less is available than wanted", {},
	  NOW(.available = 40000, .spare = 0), BOUNDS(), TRIES(39000) },
	{ "what is free was just reclaimed", {}, NOW(.spare = 7),
	  BOUNDS(.reclaimed = 7), TRIES(50000) },
	{ "less is free than was just reclaimed", {}, NOW(.spare = 7),
	  BOUNDS(.reclaimed = 8), TRIES(50000) },
	{ "half of what is free was just reclaimed", {}, NOW(.spare = 14),
	  BOUNDS(.reclaimed = 7), TAKES(7) },
	{ "it was missed not long ago", {}, NOW(), BOUNDS(.refaulted = true),
	  TRIES(50000) },
	{ "others are on trial", {}, NOW(), BOUNDS(.on_trial = 20000),
	  TRIES(30000) },
	{ "all others are on trial", {}, NOW(), BOUNDS(.on_trial = 50000), {} },
	{ "all others are on trial, the margin is not", {}, NOW(),
	  BOUNDS(.on_trial = 50000, .refaulted = true, .margin = 250),
	  TRIES(250) },
	{ "all others are on trial, and the margin", {}, NOW(),
	  BOUNDS(.on_trial = 50250, .refaulted = true, .margin = 250), {} },
	{ "at the target, with a margin", {}, NOW(),
	  BOUNDS(.size = 100000, .refaulted = true, .margin = 250), {} },
	{ "all others are on trial, and missed", {},
	  NOW(.scanned = 1, .refaults = 257), BOUNDS(.on_trial = 50000),
	  HOLDS(REFAULT) },
	{ "nothing is free at the floor", {},
	  NOW(.available = 1000, .spare = 0), BOUNDS(), HOLDS(FLOOR) },
	/* The floor. */
	{ "just above the floor", {}, NOW(.available = 1001), BOUNDS(),
	  TAKES(1) },
	{ "at the floor", {}, NOW(.available = 1000), BOUNDS(),
	  HOLDS(FLOOR) },
	{ "below the floor", {}, NOW(.available = 900), BOUNDS(),
	  HOLDS(FLOOR) },
	{ "a floor that is off", {}, NOW(.available = 1), BOUNDS(.floor = 0),
	  TAKES(1) },
	{ "nothing available, floor off", {}, NOW(.available = 0),
	  BOUNDS(.floor = 0), HOLDS(FLOOR) },
	{ "a floor above all memory", {}, NOW(),
	  BOUNDS(.floor = ULONG_MAX / 4), PRESSED(FLOOR) },
	{ "wary", {}, NOW(.available = 1500), BOUNDS(.wary = true),
	  HOLDS(FLOOR) },
	{ "wary, enough available", {}, NOW(.available = 1501),
	  BOUNDS(.wary = true), TAKES(1) },
	/* Stalls. */
	{ "some stalls", {}, NOW(.stalls = 100), BOUNDS(), TAKES(50000) },
	{ "stalls", {}, NOW(.stalls = 101), BOUNDS(), HOLDS(STALL) },
	{ "stalls in a tenth of a second", { .when = HZ - HZ / 10 },
	  NOW(.stalls = 11), BOUNDS(), HOLDS(STALL) },
	{ "some stalls in a tenth of a second", { .when = HZ - HZ / 10 },
	  NOW(.stalls = 10), BOUNDS(), TAKES(50000) },
	{ "few stalls near the floor", {},
	  NOW(.available = 1999, .stalls = 10), BOUNDS(), TAKES(999) },
	{ "some stalls near the floor", {},
	  NOW(.available = 1999, .stalls = 11), BOUNDS(), PRESSED(STALL) },
	{ "stalls at the target", {}, NOW(.stalls = 101),
	  BOUNDS(.size = 100000), {} },
	{ "efficient scans", {}, NOW(.scanned = 9000, .reclaimed = 2250),
	  BOUNDS(), TAKES(50000) },
	{ "laborious scans", {}, NOW(.scanned = 9000, .reclaimed = 2249),
	  BOUNDS(), HOLDS(STALL) },
	{ "laborious scans of little", {}, NOW(.scanned = 1023), BOUNDS(),
	  TAKES(50000) },
	/* Refaults: of 1 GiB, 256 pages a second are few. */
	{ "some refaults", {}, NOW(.scanned = 1, .refaults = 256), BOUNDS(),
	  TAKES(50000) },
	{ "refaults", {}, NOW(.scanned = 1, .refaults = 257), BOUNDS(),
	  HOLDS(REFAULT) },
	{ "refaults beside a stall", {}, NOW(.stalls = 1, .refaults = 257),
	  BOUNDS(), HOLDS(REFAULT) },
	{ "swap", {}, NOW(.scanned = 1, .swapped = 257), BOUNDS(),
	  HOLDS(REFAULT) },
	{ "refaults and swap of a cgroup", {},
	  NOW(.refaults = 99999, .swapped = 99999), BOUNDS(), TAKES(50000) },
	{ "refaults of a cgroup while the balloon grows", {},
	  NOW(.scanned = 9000, .reclaimed = 9000, .taken = 6000, .free = 2900,
	      .refaults = 99999, .swapped = 99999),
	  BOUNDS(.cgroup = true), TAKES(50000) },
	{ "refaults of others than the cgroup, too", {},
	  NOW(.scanned = 9000, .reclaimed = 9000, .taken = 6000, .free = 900,
	      .refaults = 99999), BOUNDS(.cgroup = true), HOLDS(REFAULT) },
	{ "more is free, and less taken, than before",
	  { .taken = 20000, .free = 100 },
	  NOW(.scanned = 9000, .reclaimed = 9000, .taken = 0, .free = 29000,
	      .refaults = 99999), BOUNDS(.cgroup = true), TAKES(50000) },
	{ "nothing is missed by others than the cgroup", {},
	  NOW(.scanned = 9000, .reclaimed = 9000, .refaults = 256),
	  BOUNDS(.cgroup = true), TAKES(50000) },
	{ "refaults of a cgroup near the floor", {},
	  NOW(.available = 1999, .refaults = 257), BOUNDS(.cgroup = true),
	  TAKES(999) },
	{ "refaults near the floor", {},
	  NOW(.available = 1999, .refaults = 257), BOUNDS(), HOLDS(REFAULT) },
	{ "refaults of what was reclaimed before", {}, NOW(.refaults = 257),
	  BOUNDS(.may_refault = 257), HOLDS(REFAULT) },
	{ "more refaults than was reclaimed before", {}, NOW(.refaults = 99999),
	  BOUNDS(.may_refault = 256), TAKES(50000) },
	{ "refaults of what was reclaimed before, and of a cgroup",
	  { .free = 9000 }, NOW(.refaults = 99999),
	  BOUNDS(.may_refault = 257, .cgroup = true), HOLDS(REFAULT) },
	{ "refaults of a cgroup while others get memory", { .free = 9000 },
	  NOW(.refaults = 99999),
	  BOUNDS(.may_refault = 256, .cgroup = true), TAKES(50000) },
	{ "refaults of a tiny guest", {},
	  NOW(.scanned = 1, .total = TINY_PAGES, .refaults = 65), BOUNDS(),
	  HOLDS(REFAULT) },
	{ "few refaults of a tiny guest", {},
	  NOW(.scanned = 1, .total = TINY_PAGES, .refaults = 64), BOUNDS(),
	  TAKES(50000) },
	{ "refaults of a huge guest", {},
	  NOW(.scanned = 1, .total = HUGE_PAGES, .refaults = 16385), BOUNDS(),
	  HOLDS(REFAULT) },
	{ "few refaults of a huge guest", {},
	  NOW(.scanned = 1, .total = HUGE_PAGES, .refaults = 16384), BOUNDS(),
	  TAKES(50000) },
	/* Counters wrap around, jiffies do, sums may step back. */
	{ "counters wrap around", { .when = 0UL - HZ, .stalls = 0UL - 5,
	    .scanned = 0UL - 1, .reclaimed = 0UL - 1, .refaults = 0UL - 1 },
	  .now = { .when = 0, .available = 60000, .spare = ULONG_MAX,
		   .total = GIB_PAGES,
		   .stalls = 5, .scanned = 2000, .reclaimed = 2000 },
	  BOUNDS(), TAKES(50000) },
	{ "counters wrap around and tell", { .stalls = 0UL - 50 },
	  NOW(.stalls = 51), BOUNDS(), HOLDS(STALL) },
	{ "counters step back", { .stalls = 5, .scanned = 5000,
	    .refaults = 5, .swapped = 5 }, NOW(), BOUNDS(), TAKES(50000) },
	{ "all that can be counted", {},
	  .now = { ULONG_MAX, ULONG_MAX, ULONG_MAX, ULONG_MAX, LONG_MAX,
		   LONG_MAX, LONG_MAX, LONG_MAX, LONG_MAX }, BOUNDS(),
	  HOLDS(STALL) },
	{ "ages between two snapshots", {},
	  .now = { .when = ULONG_MAX, .available = 60000,
		   .spare = ULONG_MAX, .total = GIB_PAGES, .stalls = 4500 },
	  BOUNDS(), TAKES(50000) },
	{ "a huge guest", {}, NOW(.available = HUGE_PAGES, .total = HUGE_PAGES),
	  BOUNDS(.target = ULONG_MAX), TAKES(HUGE_PAGES - 1000) },
	/* Pressure without the feature: hold only. */
	{ "pressed", {}, NOW(.available = 0), BOUNDS(.pressed = 9),
	  PRESSED(FLOOR) },
	{ "pressed at the target", {}, NOW(.available = 0),
	  BOUNDS(.pressed = 9, .size = 100000), .plan = { .pressed = true } },
	/* Giving. */
	{ "a little below the floor", {}, NOW(.available = 750),
	  BOUNDS(.may_give = true, .pressed = 9), HOLDS(FLOOR) },
	{ "below the floor once", {}, NOW(.available = 749),
	  BOUNDS(.may_give = true, .pressed = 0), PRESSED(FLOOR) },
	{ "below the floor twice", {}, NOW(.available = 749),
	  BOUNDS(.may_give = true, .pressed = 1), PRESSED(FLOOR) },
	{ "below the floor three times", {}, NOW(.available = 749),
	  BOUNDS(.may_give = true, .pressed = 2), GIVES(751, FLOOR) },
	{ "far below the floor", {}, NOW(.available = 499),
	  BOUNDS(.may_give = true), GIVES(1001, FLOOR) },
	{ "far below the floor at the target", {}, NOW(.available = 499),
	  BOUNDS(.may_give = true, .size = 100000), GIVES(1001, FLOOR) },
	{ "less in the balloon than is missing", {}, NOW(.available = 499),
	  BOUNDS(.may_give = true, .size = 7), GIVES(7, FLOOR) },
	{ "empty", {}, NOW(.available = 499),
	  BOUNDS(.may_give = true, .size = 0), PRESSED(FLOOR) },
	{ "stalls near the floor", {}, NOW(.available = 1999, .stalls = 11),
	  BOUNDS(.may_give = true, .pressed = 2), GIVES(3126, STALL) },
	{ "stalls near the floor twice", {},
	  NOW(.available = 1999, .stalls = 11),
	  BOUNDS(.may_give = true, .pressed = 1), PRESSED(STALL) },
	{ "stalls that were answered", {},
	  NOW(.available = 1999, .stalls = 11),
	  BOUNDS(.may_give = true, .pressed = 2, .answered = true),
	  HOLDS(STALL) },
	{ "giving, not enough yet", {}, NOW(.available = 1499),
	  BOUNDS(.may_give = true, .giving = true, .wary = true),
	  GIVES(1, FLOOR) },
	{ "giving, enough", {}, NOW(.available = 1500),
	  BOUNDS(.may_give = true, .giving = true, .wary = true),
	  HOLDS(FLOOR) },
	{ "stalls while reclaim gets little", {},
	  NOW(.stalls = 11, .scanned = 9000),
	  BOUNDS(.may_give = true, .pressed = 2), GIVES(3126, STALL) },
	{ "stalls of one who reads large files", {},
	  NOW(.stalls = 999, .scanned = 9000, .reclaimed = 9000),
	  BOUNDS(.may_give = true, .pressed = 9), HOLDS(STALL) },
	{ "stalls with the floor off", {}, NOW(.available = 5, .stalls = 11,
	    .scanned = 9000), BOUNDS(.may_give = true, .pressed = 2,
	    .floor = 0), GIVES(3126, STALL) },
	{ "refaults are no reason to give", {},
	  NOW(.scanned = 1, .refaults = 9999),
	  BOUNDS(.may_give = true, .pressed = 9), HOLDS(REFAULT) },
	{ "a huge guest gives", {}, NOW(.available = 0, .total = HUGE_PAGES,
	    .stalls = 99), BOUNDS(.may_give = true, .size = HUGE_PAGES,
	    .target = HUGE_PAGES), GIVES(HUGE_PAGES / 16 + 1, FLOOR) },
	{ "a floor above all memory gives all", {}, NOW(),
	  BOUNDS(.floor = ULONG_MAX / 4, .may_give = true),
	  GIVES(50000, FLOOR) },
};

static void decision_desc(const struct decision *decision, char *desc)
{
	strscpy(desc, decision->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(decision, decisions, decision_desc);

static void restraint_decides(struct kunit *test)
{
	const struct decision *decision = test->param_value;
	struct balloon_plan plan;

	plan = balloon_decide(&decision->earlier, &decision->now,
			      &decision->bounds);
	KUNIT_EXPECT_EQ(test, plan.take, decision->plan.take);
	KUNIT_EXPECT_EQ(test, plan.on_trial, decision->plan.on_trial);
	KUNIT_EXPECT_EQ(test, plan.give, decision->plan.give);
	KUNIT_EXPECT_EQ(test, plan.hold, decision->plan.hold);
	KUNIT_EXPECT_EQ(test, plan.pressed, decision->plan.pressed);
}

/* The real ones, of a machine that does nothing else. */
static void restraint_reads_signals(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_signals signals;

	kunit_deactivate_static_stub(test, balloon_available);
	kunit_deactivate_static_stub(test, balloon_spare);
	kunit_deactivate_static_stub(test, balloon_signals_read);
	memset(&signals, 0xff, sizeof(signals));
	balloon_signals_read(host->bd, &signals);
	KUNIT_EXPECT_LE(test, jiffies - signals.when, HZ);
	KUNIT_EXPECT_EQ(test, signals.total, totalram_pages());
	KUNIT_EXPECT_GT(test, signals.available, 0);
	KUNIT_EXPECT_GT(test, signals.spare, 0);
	KUNIT_EXPECT_LT(test, signals.spare, signals.total);
	KUNIT_EXPECT_LE(test, signals.spare, balloon_spare(host->bd, WMARK_LOW));
	KUNIT_EXPECT_LT(test, signals.available, signals.total);
	KUNIT_EXPECT_EQ(test, signals.swapped, 0);
	KUNIT_EXPECT_LE(test, signals.reclaimed, signals.scanned);
}

static bool holds_for(struct fake_host *host, enum balloon_hold reason)
{
	struct balloon_device *bd = host->bd;

	return fake_host_asleep(host) &&
	       READ_ONCE(bd->config.state) == BALLOON_HOLDING &&
	       READ_ONCE(bd->config.hold) == reason &&
	       fake_host_actual(host) == balloon_size(&bd->ledger);
}

/* Lets the fake clock run. */
static void pass_time(unsigned long jiffies_to_pass)
{
	schedule_timeout_uninterruptible(jiffies_to_pass);
}

/* A process ends, and the host has no part in it. */
static void restraint_takes_what_becomes_free(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since;

	balloon_set_floor(host->bd, 1000);
	host->available = 1300;
	fake_host_set_target(host, 2000);
	fake_host_await(host, holds_for(host, BALLOON_HOLD_FLOOR));
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 300);
	pass_time(60 * HZ);
	fake_host_await(host, holds_for(host, BALLOON_HOLD_FLOOR));
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 300);

	host->available = 5000;
	since = jiffies;
	fake_host_await(host, fake_host_arrived(host, 2000));
	KUNIT_EXPECT_LE(test, jiffies - since, 20 * HZ);
	KUNIT_EXPECT_EQ(test, host->bd->config.hold, BALLOON_HOLD_NONE);
}

/* Each page that the balloon takes hurts somebody else. */
static void stall_somebody(struct fake_host *host, unsigned int order)
{
	host->signals.stalls += 100;
}

static void restraint_holds_while_it_hurts(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long size;

	host->spare = 50;
	host->on_alloc = stall_somebody;
	fake_host_set_target(host, 5000);
	fake_host_await(host, holds_for(host, BALLOON_HOLD_STALL));
	size = balloon_size(&host->bd->ledger);
	KUNIT_EXPECT_LT(test, size, 5000);

	/* Calm from here on. */
	host->on_alloc = NULL;
	host->spare = ULONG_MAX;
	fake_host_await(host, fake_host_arrived(host, 5000));
}

/* The host hears of what had to be reclaimed when nobody has missed it. */
static void restraint_waits_before_it_hands_over(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since = jiffies;

	fake_host_put_on_trial(host, 5000);
	pass_time(BALLOON_TRIAL_PERIOD / 2);
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
	pass_time(HZ);
	host->signals.reclaimed += BALLOON_RECLAIMED_ANY;
	fake_host_set_target(host, 301);
	expect_trial(host, 300);

	/* Long enough ago. */
	pass_time(BALLOON_RECLAIM_FRESH + HZ);
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
	fake_host_await(host, holds_for(host, BALLOON_HOLD_ALLOCATION));
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
	fake_host_await(host, holds_for(host, BALLOON_HOLD_REFAULT));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_EQ(test, balloon_trial_size(bd), 0);

	pass_time(60 * HZ);
	KUNIT_EXPECT_GE(test, balloon_size(&bd->ledger),
			(RESTRAINT_WORTH - RESTRAINT_MARGIN) * 3 / 4);
	KUNIT_EXPECT_LE(test, balloon_size(&bd->ledger),
			RESTRAINT_WORTH - RESTRAINT_MARGIN);
	fake_host_await(host, holds_for(host, BALLOON_HOLD_REFAULT));
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
	pass_time(BALLOON_TRIAL_PERIOD / 2);
	host->on_alloc = NULL;
	host->signals.refaults += 1000;
	fake_host_await(host, holds_for(host, BALLOON_HOLD_REFAULT));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	KUNIT_EXPECT_FALSE(test, bd->restraint.cgroup);
	KUNIT_EXPECT_TRUE(test, bd->restraint.refaulted);
	KUNIT_EXPECT_LT(test, bd->trial.limit, 5000);

	/* From a slow disk it takes a while to get them all. */
	for (i = 0; i < 12; i++) {
		host->signals.refaults += 330;
		pass_time(HZ);
	}
	KUNIT_EXPECT_FALSE(test, bd->restraint.cgroup);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	/* The next ones never went, unless somebody reclaims from himself. */
	pass_time(20 * HZ);
	host->signals.refaults += 4900;
	pass_time(20 * HZ);
	KUNIT_EXPECT_TRUE(test, bd->restraint.cgroup);
}

/* Who comes for a page after a minute can do without it for another. */
static void restraint_forgets_what_was_reclaimed_before(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	host->on_alloc = reclaim_pages;
	fake_host_put_on_trial(host, 5000);
	fake_host_await(host, fake_host_arrived(host, 5000));
	pass_time(BALLOON_WARY + 10 * HZ);
	host->signals.refaults += 4900;
	pass_time(5 * HZ);
	KUNIT_EXPECT_TRUE(test, host->bd->restraint.cgroup);
}

/* Who reads large files has reclaimed more than can be in use. */
static void restraint_knows_how_much_can_be_missed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_reach(host, 500);
	pass_time(2 * HZ);
	host->signals.scanned += 9 * totalram_pages();
	host->signals.reclaimed += 9 * totalram_pages();
	pass_time(2 * HZ);
	host->signals.refaults += 2 * totalram_pages();
	pass_time(2 * HZ);
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
	fake_host_await(host, holds_for(host, BALLOON_HOLD_FLOOR));
	KUNIT_EXPECT_EQ(test, balloon_trial_size(bd), RESTRAINT_MARGIN / 2);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
	/* Nobody has missed it for a minute. */
	pass_time(BALLOON_WARY + 10 * HZ);
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
	fake_host_await(host, holds_for(host, BALLOON_HOLD_REFAULT));
	for (i = 0; i < 80; i++) {
		host->signals.scanned++;
		host->signals.refaults += 1000;
		pass_time(HZ);
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
	pass_time(120 * HZ);
	fake_host_await(host, holds_for(host, BALLOON_HOLD_REFAULT));
	least = host->bd->restraint.now.total >> BALLOON_TRIAL_MIN_SHIFT;
	KUNIT_EXPECT_EQ(test, host->bd->trial.limit, least);
	allocs = host->nr_allocs[0];
	pass_time(100 * HZ);
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
		pass_time(HZ / 20);
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
	pass_time(5 * HZ);
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

/* Nothing is looked at where there is nothing to decide. */
static void restraint_does_not_sample_while_empty(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	KUNIT_EXPECT_EQ(test, host->nr_samples, 0);
	pass_time(60 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_samples, 0);

	fake_host_reach(host, 500);
	KUNIT_EXPECT_GT(test, host->nr_samples, 0);
	fake_host_reach(host, 0);
	host->nr_samples = 0;
	pass_time(60 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_samples, 0);
}

static void restraint_does_not_sample_at_target(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	host->nr_samples = 0;
	pass_time(60 * HZ);
	KUNIT_EXPECT_EQ(test, host->nr_samples, 0);
}

static void restraint_samples_once_a_second_with_reserve(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	fake_host_reach(host, 500);
	host->nr_samples = 0;
	pass_time(60 * HZ);
	KUNIT_EXPECT_GE(test, host->nr_samples, 50);
	KUNIT_EXPECT_LE(test, host->nr_samples, 61);
}

static void restraint_samples_ten_times_a_second_at_most(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since = jiffies;

	fake_host_reach(host, 20000);
	KUNIT_EXPECT_LE(test, host->nr_samples,
			(jiffies - since) / BALLOON_SAMPLE_MOVING + 1);
}

/* It goes below the floor and stays there, if nothing is given back. */
static void restraint_gives_when_pressed(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);
	unsigned long since = jiffies;

	balloon_set_floor(host->bd, 1000);
	host->available = 9000;
	fake_host_reach(host, 5000);

	host->available = 5700;
	fake_host_await(host, holds_for(host, BALLOON_HOLD_FLOOR));
	KUNIT_EXPECT_LE(test, jiffies - since, 3 * HZ);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 4200);
	fake_host_check(host);

	/* For the time being it leaves it at that. */
	pass_time(30 * HZ);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 4200);
	host->available = 9000;
	since = jiffies;
	fake_host_await(host, fake_host_arrived(host, 5000));
	KUNIT_EXPECT_LE(test, jiffies - since, 30 * HZ);
}

/* A large allocation is not given in pieces of one sample each. */
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

/* Reclaim tells of itself, a second before the next look is due. */
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
	pass_time(2 * HZ);

	since = host->bd->restraint.now.when;
	fake_host_await(host, host->bd->restraint.now.when != since);
	host->available = 5400;
	since = jiffies;
	KUNIT_EXPECT_EQ(test, shrinker->count_objects(shrinker, &sc),
			SHRINK_EMPTY);
	fake_host_await(host, balloon_size(&host->bd->ledger) < 5000);
	KUNIT_EXPECT_LE(test, jiffies - since, HZ / 4);
}

/* To stop taking is the first that is done about it. */
static void restraint_gives_what_is_on_trial_first(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, DEFLATE_ON_OOM);

	balloon_set_floor(host->bd, 1000);
	host->available = 9000;
	fake_host_reach(host, 3000);
	fake_host_put_on_trial(host, 3000);
	host->available = 6400;
	fake_host_await(host, !balloon_trial_size(host->bd));
	pass_time(5 * HZ);
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
	fake_host_await(host, holds_for(host, BALLOON_HOLD_FLOOR));
	pass_time(60 * HZ);
	KUNIT_EXPECT_EQ(test, balloon_size(&host->bd->ledger), 5000);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 5000 * BALLOON_PER_GUEST_PAGE);
}

/* With MUST_TELL_HOST nothing is available before the host says so. */
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
	pass_time(5 * HZ);
	KUNIT_EXPECT_GE(test, balloon_size(&host->bd->ledger), 3900);
	fake_host_answer_all(host);
}

/*
 * A process that takes all that it finds and lets go of it, and a host that
 * insists, for a minute.
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
		pass_time(HZ / 2);
		size = balloon_size(&host->bd->ledger);
		/* The host's own back and forth is by a page. */
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
	KUNIT_CASE(restraint_default_floor),
	KUNIT_CASE(restraint_default_floor_is_monotonic),
	KUNIT_CASE(restraint_floor_by_parameter),
	KUNIT_CASE(restraint_floor_by_sysfs),
	KUNIT_CASE(restraint_floor_with_balloon),
	KUNIT_CASE(restraint_floor_with_balloon_in_managed_pages),
	KUNIT_CASE(restraint_changed_floor_is_noticed_at_once),
	KUNIT_CASE_PARAM(restraint_decides, decision_gen_params),
	KUNIT_CASE(restraint_reads_signals),
	KUNIT_CASE(restraint_takes_what_becomes_free),
	KUNIT_CASE(restraint_holds_while_it_hurts),
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
	KUNIT_CASE(restraint_does_not_sample_while_empty),
	KUNIT_CASE(restraint_does_not_sample_at_target),
	KUNIT_CASE(restraint_samples_once_a_second_with_reserve),
	KUNIT_CASE(restraint_samples_ten_times_a_second_at_most),
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
