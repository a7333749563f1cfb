// SPDX-License-Identifier: GPL-2.0
/*
 * The decision, case by case.
 */

#include <kunit/test.h>
#include <linux/sizes.h>

#include "../decide.h"
#include "fake_host.h"

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

static struct kunit_case decide_cases[] = {
	KUNIT_CASE_PARAM(restraint_decides, decision_gen_params),
	{}
};

static struct kunit_suite decide_suite = {
	.name = "virtio_balloon_decide",
	.test_cases = decide_cases,
};

kunit_test_suite(decide_suite);
