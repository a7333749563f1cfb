// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the experiment's decisions, sample by sample. Each case makes up a
 * guest's counters.
 */

#include <kunit/test.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "../experiment.h"

#define MIB(mib)	((unsigned long)(mib) << (20 - PAGE_SHIFT))
#define NODES		2U

/**
 * struct made_up - a guest whose counters a case makes up
 * @test: the case
 * @ex: the experiment under test
 * @nodes: the guest's nodes
 * @now: the next sample
 * @action: the action that the last step returned
 * @busy: processes run for half of the time
 */
struct made_up {
	struct kunit *test;
	struct balloon_experiment ex;
	struct balloon_node nodes[NODES];
	struct balloon_sample now;
	struct balloon_action action;
	bool busy;
};

/*
 * A guest of 4 GiB, half of them cold cache. No memory is free, and the host
 * wants 2 GiB.
 */
static struct made_up *made_up(struct kunit *test)
{
	struct made_up *guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, guest);
	guest->test = test;
	balloon_experiment_init(&guest->ex, guest->nodes, NODES);
	guest->now = (struct balloon_sample) {
		.ms = 1000,
		.available = MIB(3000),
		.inactive = MIB(2000),
		.active = MIB(500),
		.floor = MIB(128),
		.target = MIB(2048),
	};
	return guest;
}

/* Carries out the last action, as far as it moves pages. */
static void carry_out(struct made_up *guest)
{
	struct balloon_sample *now = &guest->now;
	unsigned long pages = guest->action.pages;

	switch (guest->action.act) {
	case BALLOON_ACT_TAKE:
		now->size += pages;
		now->available -= pages;
		guest->nodes[guest->action.node].spare -= pages;
		break;
	case BALLOON_ACT_TRY:
		now->on_trial += pages;
		now->available -= pages;
		now->reclaimed += pages;
		now->used -= pages;
		now->inactive -= min(now->inactive, pages);
		break;
	case BALLOON_ACT_HAND_OVER:
		now->on_trial -= pages;
		now->size += pages;
		balloon_experiment_handed_over(&guest->ex, pages);
		break;
	case BALLOON_ACT_END:
		now->available += now->on_trial;
		now->on_trial = 0;
		break;
	case BALLOON_ACT_GIVE:
		now->size -= pages;
		now->available += pages;
		break;
	default:
		break;
	}
}

static enum balloon_act step(struct made_up *guest)
{
	guest->action = balloon_experiment_step(&guest->ex, &guest->now);
	carry_out(guest);
	return guest->action.act;
}

/* @rate pages refault a second, and reclaim frees as many others. */
static void pass_ms(struct made_up *guest, unsigned int ms, unsigned int rate)
{
	unsigned int pages = ms * rate / 1000;

	guest->now.ms += ms;
	guest->now.idle_ms += ms;
	if (guest->busy)
		guest->now.user_ms += ms / 2;
	guest->now.refaults += pages;
	guest->now.reclaimed += pages;
	guest->nodes[0].refaults += pages;
}

/* Steps every 10 ms, or at once, until the action is @what. Returns the ms. */
static unsigned int await_act(struct made_up *guest, enum balloon_act what,
			      unsigned int rate)
{
	unsigned int ms;

	for (ms = 0; step(guest) != what;) {
		if (ms > 1200000) {
			KUNIT_FAIL_AND_ABORT(guest->test, "%u never came", what);
			return ms;
		}
		if (!guest->action.look_in_ms)
			continue;
		pass_ms(guest, 10, rate);
		ms += 10;
	}
	return ms;
}

/* Steps in the same way for @ms. Returns whether an action was @what. */
static bool says_within(struct made_up *guest, enum balloon_act what,
			unsigned int ms, unsigned int rate)
{
	bool said = false;

	while (ms) {
		said |= step(guest) == what;
		if (!guest->action.look_in_ms)
			continue;
		pass_ms(guest, 10, rate);
		ms -= 10;
	}
	return said;
}

/* A trial fails, and pages refault for five seconds more. */
static void fail_trial(struct made_up *guest)
{
	await_act(guest, BALLOON_ACT_TRY, 0);
	await_act(guest, BALLOON_ACT_END, 2000);
	says_within(guest, BALLOON_ACT_TRY, 5000, 2000);
}

static void experiment_takes_free_memory_at_once(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	guest->nodes[0].spare = MIB(5);
	guest->nodes[1].spare = MIB(6);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_TAKE);
	KUNIT_EXPECT_EQ(test, guest->action.node, 1);
	KUNIT_EXPECT_EQ(test, guest->action.pages, MIB(6));
	KUNIT_EXPECT_EQ(test, guest->action.look_in_ms, 0);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_TAKE);
	KUNIT_EXPECT_EQ(test, guest->action.node, 0);
	KUNIT_EXPECT_EQ(test, guest->action.pages, MIB(5));
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
	KUNIT_EXPECT_EQ(test, guest->now.size, MIB(11));
}

static void experiment_takes_no_more_than_is_wanted(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	guest->nodes[0].spare = MIB(2000);
	guest->now.target = 7;
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_TAKE);
	KUNIT_EXPECT_EQ(test, guest->action.pages, 7);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
	KUNIT_EXPECT_EQ(test, guest->action.look_in_ms, BALLOON_NEVER_MS);
	KUNIT_EXPECT_EQ(test, guest->action.hold, BALLOON_HOLD_NONE);
}

static void experiment_leaves_floor(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	guest->nodes[0].spare = MIB(2000);
	guest->now.available = guest->now.floor + 7;
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_TAKE);
	KUNIT_EXPECT_EQ(test, guest->action.pages, 7);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
	KUNIT_EXPECT_EQ(test, guest->action.hold, BALLOON_HOLD_FLOOR);
	/* A process ends. */
	guest->now.available = MIB(200);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_TAKE);
}

/* Pages that have to be reclaimed wait for a control, and then for a trial. */
static void experiment_looks_then_tries(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int ms;

	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
	ms = await_act(guest, BALLOON_ACT_TRY, 0);
	KUNIT_EXPECT_GE(test, ms, 1000);
	KUNIT_EXPECT_LE(test, ms, 1100);
	ms = await_act(guest, BALLOON_ACT_HAND_OVER, 0);
	KUNIT_EXPECT_GE(test, ms, 500);
	KUNIT_EXPECT_LE(test, ms, 1100);
	KUNIT_EXPECT_GT(test, guest->now.on_trial, 0);
}

/* A process that reads in a loop comes back for a page seconds later. */
static void experiment_waits_for_busy_processes(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int ms;

	guest->busy = true;
	await_act(guest, BALLOON_ACT_TRY, 0);
	ms = await_act(guest, BALLOON_ACT_HAND_OVER, 0);
	KUNIT_EXPECT_GE(test, ms, 2000);
	KUNIT_EXPECT_LE(test, ms, 4100);
	/* Other pages are on trial meanwhile. */
	KUNIT_EXPECT_GT(test, guest->now.on_trial, MIB(1));
	/* After a failed trial the next ones last as long. */
	await_act(guest, BALLOON_ACT_END, 2000);
	await_act(guest, BALLOON_ACT_TRY, 0);
	KUNIT_EXPECT_TRUE(test, guest->ex.missed);
	KUNIT_EXPECT_GE(test, await_act(guest, BALLOON_ACT_HAND_OVER, 0), 3900);
}

/* An idle cache of 2 GiB. The kernel's own driver takes it in about 2 s. */
static void experiment_takes_cold_cache_fast(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int ms;

	for (ms = 0; guest->now.size < MIB(1000); ms += 10) {
		do {
			step(guest);
		} while (!guest->action.look_in_ms);
		pass_ms(guest, 10, 0);
		KUNIT_ASSERT_LT(test, ms, 30000);
	}
	KUNIT_EXPECT_LE(test, ms, 6000);
}

static void experiment_ends_trial_that_refaults(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned long held;

	await_act(guest, BALLOON_ACT_TRY, 0);
	says_within(guest, BALLOON_ACT_END, 300, 0);
	held = guest->now.on_trial;
	KUNIT_EXPECT_GT(test, held, MIB(4));
	KUNIT_EXPECT_LE(test, await_act(guest, BALLOON_ACT_END, 2000), 200);
	KUNIT_EXPECT_EQ(test, guest->action.hold, BALLOON_HOLD_REFAULT);
	KUNIT_EXPECT_GE(test, guest->action.retry_ms, BALLOON_WAIT_MIN_MS);
	KUNIT_EXPECT_EQ(test, guest->now.size, 0);
	KUNIT_EXPECT_LE(test, guest->ex.step, held / 2);
	KUNIT_EXPECT_GE(test, guest->ex.step, MIB(1));
	/* No trial begins while the refaults go on, nor at once after them. */
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_TRY, 9000, 2000));
	KUNIT_EXPECT_GE(test, await_act(guest, BALLOON_ACT_TRY, 0), 1000);
}

/* On a slow disk thrash is some refaults a second in a guest of any size. */
static void experiment_notices_slow_disk(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_act(guest, BALLOON_ACT_TRY, 0);
	KUNIT_EXPECT_TRUE(test, says_within(guest, BALLOON_ACT_END, 2000, 150));
}

/* Waits for disks show thrash earlier, but count only beside refaults. */
static void experiment_notices_waits(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int ms;

	await_act(guest, BALLOON_ACT_TRY, 0);
	for (ms = 0; ms < 300; ms += 10) {
		guest->now.waited_ms += 10;
		pass_ms(guest, 10, 0);
		KUNIT_ASSERT_NE(test, step(guest), BALLOON_ACT_END);
	}
	guest->now.refaults += 4;
	guest->now.reclaimed += 4;
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_END);
}

/* In a guest whose CPUs are all busy, no wait shows. */
static void experiment_is_wary_of_busy_cpus(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_act(guest, BALLOON_ACT_TRY, 0);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_END, 300, 0));
	guest->now.refaults += 40;
	guest->now.reclaimed += 40;
	KUNIT_EXPECT_NE(test, step(guest), BALLOON_ACT_END);
	guest->now.idle_ms = guest->ex.control.from.idle_ms;
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_END);
}

/* The same number of pages refaults with and without a trial. */
static void experiment_allows_for_baseline(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_act(guest, BALLOON_ACT_TRY, 400);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_END, 5000, 400));
	KUNIT_EXPECT_GT(test, guest->now.size, 0);
	KUNIT_EXPECT_TRUE(test, says_within(guest, BALLOON_ACT_END, 2000, 800));
}

/*
 * The rate grows little by little. The baseline is the lowest rate, not the
 * last.
 */
static void experiment_baseline_does_not_creep(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int rate;
	bool ends = false;

	await_act(guest, BALLOON_ACT_TRY, 100);
	for (rate = 100; rate < 1000 && !ends; rate += rate / 10)
		ends = says_within(guest, BALLOON_ACT_END, 1500, rate);
	KUNIT_EXPECT_TRUE(test, ends);
	KUNIT_EXPECT_LT(test, rate, 250);
}

/* A cgroup at its limit reclaims from itself. No global counter counts this. */
static void experiment_lets_cgroups_thrash(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int ms;

	for (ms = 0; guest->now.size < MIB(100); ms += 10) {
		do {
			step(guest);
		} while (!guest->action.look_in_ms);
		KUNIT_ASSERT_NE(test, guest->action.act, BALLOON_ACT_END);
		KUNIT_ASSERT_LT(test, ms, 30000);
		guest->now.ms += 10;
		guest->now.refaults += 500;
		guest->nodes[0].refaults += 500;
	}
}

/* Node 0 thrashes; the memory of node 1 is free. */
static void experiment_takes_from_calm_node(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_act(guest, BALLOON_ACT_TRY, 0);
	await_act(guest, BALLOON_ACT_END, 9000);
	says_within(guest, BALLOON_ACT_TRY, 1500, 9000);
	guest->nodes[0].spare = MIB(500);
	guest->nodes[1].spare = MIB(8);
	guest->ex.missed = false;
	guest->ex.phase = BALLOON_PHASE_FREE;
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_TAKE);
	KUNIT_EXPECT_EQ(test, guest->action.node, 1);
	KUNIT_EXPECT_EQ(test, guest->action.pages, MIB(8));
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
}

/* After a failed trial, trials hold twice as many pages as the host gets. */
static void experiment_keeps_margin(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned long most = 0;

	await_act(guest, BALLOON_ACT_TRY, 0);
	await_act(guest, BALLOON_ACT_END, 2000);
	await_act(guest, BALLOON_ACT_TRY, 0);
	while (step(guest) != BALLOON_ACT_HAND_OVER) {
		most = max(most, guest->now.on_trial);
		pass_ms(guest, 10, 0);
	}
	while (guest->action.act == BALLOON_ACT_HAND_OVER)
		step(guest);
	KUNIT_EXPECT_GE(test, guest->now.size, most * 2 / 5);
	KUNIT_EXPECT_LE(test, guest->now.size, most / 2);
}

/*
 * Between the low and the high watermark, pages come without reclaim and prove
 * nothing.
 */
static void experiment_lacking_zones_prove_nothing(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_act(guest, BALLOON_ACT_TRY, 0);
	guest->now.lack = MIB(4000);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_HAND_OVER, 2500, 0));
	guest->now.lack = 0;
	KUNIT_EXPECT_TRUE(test, says_within(guest, BALLOON_ACT_HAND_OVER, 5000, 0));
}

/* kswapd finds no pages. The trial does not wait for ever. */
static void experiment_gives_up_stuck_trial(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int ms, last = 0, round;

	for (round = 0; round < 8; round++) {
		for (ms = 0; guest->action.act != BALLOON_ACT_END; ms += 10) {
			KUNIT_ASSERT_LT(test, ms, 30000);
			guest->action = balloon_experiment_step(&guest->ex,
								&guest->now);
			pass_ms(guest, 10, 0);
		}
		KUNIT_EXPECT_EQ(test, guest->action.hold,
				BALLOON_HOLD_ALLOCATION);
		KUNIT_EXPECT_GE(test, guest->action.retry_ms, last);
		last = guest->action.retry_ms;
		guest->action.act = BALLOON_ACT_NONE;
	}
	KUNIT_EXPECT_EQ(test, last, 10000);
}

/*
 * mm has isolated pages when the trial ends. The pages go back to the guest
 * when mm returns them.
 */
static void experiment_ends_what_comes_back(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_act(guest, BALLOON_ACT_TRY, 0);
	await_act(guest, BALLOON_ACT_END, 2000);
	guest->now.on_trial = 3;
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_END);
	KUNIT_EXPECT_EQ(test, guest->action.retry_ms, 0);
}

/* The price of a trial is the refaults after it. They delay the next trial. */
static void experiment_waits_by_cost(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int cheap, dear;

	await_act(guest, BALLOON_ACT_TRY, 0);
	await_act(guest, BALLOON_ACT_END, 2000);
	cheap = await_act(guest, BALLOON_ACT_TRY, 0);
	await_act(guest, BALLOON_ACT_END, 2000);
	says_within(guest, BALLOON_ACT_TRY, 5000, 2000);
	dear = await_act(guest, BALLOON_ACT_TRY, 0);
	KUNIT_EXPECT_LE(test, cheap, 10000);
	KUNIT_EXPECT_GE(test, dear, 80000);
	KUNIT_EXPECT_LE(test, dear, 120000);

	await_act(guest, BALLOON_ACT_END, 2000);
	says_within(guest, BALLOON_ACT_TRY, 60000, 2000);
	KUNIT_EXPECT_LE(test, await_act(guest, BALLOON_ACT_TRY, 0), 602000);
}

static void experiment_forgives(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	fail_trial(guest);
	balloon_experiment_forgive(&guest->ex);
	KUNIT_EXPECT_LE(test, await_act(guest, BALLOON_ACT_TRY, 0), 3000);
}

/* A host that changes its target twice does not end a delay. */
static void experiment_new_target_ends_no_delay(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	fail_trial(guest);
	guest->now.target = 0;
	says_within(guest, BALLOON_ACT_TRY, 1000, 0);
	guest->now.target = MIB(2048);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_TRY, 60000, 0));
}

/* A window from before a long rest is stale: the control is measured anew. */
static void experiment_forgets_while_it_rests(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_act(guest, BALLOON_ACT_TRY, 0);
	guest->now.target = 0;
	step(guest);
	pass_ms(guest, 3600000, 0);
	guest->now.refaults += 1000000;
	guest->now.reclaimed += 1000000;
	guest->now.target = MIB(2048);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_TRY, 900, 0));
	KUNIT_EXPECT_TRUE(test, says_within(guest, BALLOON_ACT_TRY, 300, 0));
}

static void lend(struct made_up *guest, unsigned long mib)
{
	guest->now.may_give = true;
	guest->now.size = MIB(mib);
	guest->now.target = guest->now.size;
	KUNIT_EXPECT_EQ(guest->test, step(guest), BALLOON_ACT_NONE);
	pass_ms(guest, 100, 0);
}

static void experiment_eases_below_half_of_floor(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	lend(guest, 1000);
	guest->now.available = MIB(63);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_GIVE);
	KUNIT_EXPECT_EQ(test, guest->action.pages, MIB(128 + 64 - 63));
	KUNIT_EXPECT_EQ(test, guest->action.hold, BALLOON_HOLD_FLOOR);
	KUNIT_EXPECT_EQ(test, guest->action.retry_ms, BALLOON_HOLD_OFF_MIN_MS);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
	/* The guest keeps the memory for a while: the host gets none of it. */
	guest->nodes[0].spare = MIB(2000);
	guest->now.available = MIB(2000);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_TAKE, 9900, 0));
	KUNIT_EXPECT_TRUE(test, says_within(guest, BALLOON_ACT_TAKE, 200, 0));
}

/* The balloon gives fewer pages than it should. The next step goes on. */
static void experiment_eases_by_and_by(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned long size, pages;

	lend(guest, 1000);
	guest->now.available = MIB(63);
	size = guest->now.size;
	do {
		guest->action = balloon_experiment_step(&guest->ex, &guest->now);
		pages = min(guest->action.pages, 100UL);
		guest->now.size -= pages;
		guest->now.available += pages;
	} while (guest->action.act == BALLOON_ACT_GIVE);
	KUNIT_EXPECT_EQ(test, size - guest->now.size, MIB(128 + 64 - 63));
}

/* Hinted blocks were given in place of the balloon's pages. */
static void experiment_counts_what_else_was_given(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	lend(guest, 1000);
	guest->now.available = MIB(63);
	guest->action = balloon_experiment_step(&guest->ex, &guest->now);
	KUNIT_EXPECT_EQ(test, guest->action.act, BALLOON_ACT_GIVE);
	balloon_experiment_given(&guest->ex, guest->action.pages);
	guest->now.available += guest->action.pages;
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
}

static void experiment_eases_when_pressed(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int looks;

	lend(guest, 1000);
	guest->now.available = MIB(90);
	for (looks = 1; looks < 3; looks++) {
		KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
		pass_ms(guest, 100, 0);
	}
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_GIVE);

	/*
	 * Pressure may end by itself, and looks that follow at once count as
	 * one.
	 */
	guest = made_up(test);
	lend(guest, 1000);
	for (looks = 0; looks < 20; looks++) {
		guest->now.available = MIB(looks % 10 ? 90 : 140);
		KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
		pass_ms(guest, 20, 0);
	}
}

static void experiment_eases_when_allocations_stall(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int looks;

	lend(guest, 1000);
	guest->now.available = MIB(200);
	for (looks = 0; looks < 3; looks++) {
		guest->now.stalls += 2;
		step(guest);
		pass_ms(guest, 100, 0);
	}
	KUNIT_EXPECT_EQ(test, guest->action.act, BALLOON_ACT_GIVE);
	KUNIT_EXPECT_EQ(test, guest->action.hold, BALLOON_HOLD_STALL);
	/*
	 * Far from the floor, stalls do not show that the guest is short of
	 * memory.
	 */
	guest = made_up(test);
	lend(guest, 1000);
	for (looks = 0; looks < 9; looks++) {
		guest->now.stalls += 200;
		KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_NONE);
		pass_ms(guest, 100, 0);
	}
}

/* mm counts the cache as available, but tasks read it again and again. */
static void experiment_eases_when_guest_thrashes(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	lend(guest, 1000);
	says_within(guest, BALLOON_ACT_GIVE, 5000, 0);
	KUNIT_EXPECT_LE(test, await_act(guest, BALLOON_ACT_GIVE, 1000), 5000);
	KUNIT_EXPECT_EQ(test, guest->action.hold, BALLOON_HOLD_REFAULT);
	KUNIT_EXPECT_GE(test, guest->action.pages, MIB(1000) / 16);
	/* The driver gives more until the guest no longer thrashes. */
	KUNIT_EXPECT_LE(test, await_act(guest, BALLOON_ACT_GIVE, 1000), 2000);
	says_within(guest, BALLOON_ACT_NONE, 3000, 0);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_GIVE, 9000, 0));
}

/*
 * Thrash does not show a lack of memory if memory is free, or if the guest has
 * always thrashed.
 */
static void experiment_does_not_ease_for_others(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	lend(guest, 1000);
	says_within(guest, BALLOON_ACT_GIVE, 3000, 0);
	guest->nodes[1].spare = MIB(100);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_GIVE, 9000, 1000));

	guest = made_up(test);
	lend(guest, 1000);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_GIVE, 9000, 500));
}

static void experiment_ends_trial_before_it_eases(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	guest->now.may_give = true;
	guest->now.size = MIB(100);
	await_act(guest, BALLOON_ACT_TRY, 0);
	guest->now.available = MIB(60);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_END);
	KUNIT_EXPECT_EQ(test, guest->action.hold, BALLOON_HOLD_FLOOR);
	KUNIT_EXPECT_EQ(test, guest->now.size, MIB(100));
}

static void experiment_gives_nothing_unasked(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	lend(guest, 1000);
	guest->now.may_give = false;
	guest->now.available = 0;
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_GIVE, 9000, 1000));
}

/* After the driver gave pages, it gives earlier and holds off for longer. */
static void experiment_is_wary_after_it_gave(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned long size;

	lend(guest, 1000);
	guest->now.available = MIB(60);
	await_act(guest, BALLOON_ACT_GIVE, 0);
	says_within(guest, BALLOON_ACT_GIVE, 2000, 0);
	guest->now.available = MIB(120);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_GIVE);
	KUNIT_EXPECT_EQ(test, guest->action.retry_ms,
			2 * BALLOON_HOLD_OFF_MIN_MS);
	/* The driver leaves the floor and another half of it alone. */
	guest->now.available = MIB(128 + 64);
	says_within(guest, BALLOON_ACT_TAKE, 25000, 0);
	KUNIT_EXPECT_EQ(test, guest->ex.phase, BALLOON_PHASE_FLOOR);
	size = guest->now.size;
	/* The larger floor lasts for a minute. */
	says_within(guest, BALLOON_ACT_TAKE, 60000, 0);
	KUNIT_EXPECT_GT(test, guest->now.size, size);
}

/* Steps until pages have passed, and does not hand them over. */
static void await_pass(struct made_up *guest)
{
	unsigned int ms;

	for (ms = 0; ms < 100000; ms += 10) {
		guest->action = balloon_experiment_step(&guest->ex, &guest->now);
		if (guest->action.act == BALLOON_ACT_HAND_OVER)
			return;
		carry_out(guest);
		pass_ms(guest, 10, 0);
	}
	KUNIT_FAIL_AND_ABORT(guest->test, "no page passed");
}

/* A recovery gives all pages back, also those that passed. */
static void experiment_forgets_pages_that_went_back(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_pass(guest);
	guest->now.available += guest->now.on_trial + guest->now.size;
	guest->now.on_trial = 0;
	guest->now.size = 0;
	/* New pages have a trial of their own. */
	KUNIT_EXPECT_GE(test, await_act(guest, BALLOON_ACT_HAND_OVER, 0), 500);
}

/* kswapd has to replace pages before anyone can refault them. */
static void experiment_trial_begins_with_reclaim(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_act(guest, BALLOON_ACT_TRY, 0);
	guest->now.lack = ULONG_MAX;
	says_within(guest, BALLOON_ACT_HAND_OVER, 700, 0);
	guest->now.lack = 0;
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_HAND_OVER,
					     500, 0));
	KUNIT_EXPECT_TRUE(test, says_within(guest, BALLOON_ACT_HAND_OVER,
					    1000, 0));
}

/* The host gets no page more than it wants, if its target falls meanwhile. */
static void experiment_hands_over_no_more_than_is_wanted(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	await_pass(guest);
	guest->now.target = guest->now.size + 3;
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_HAND_OVER);
	KUNIT_EXPECT_EQ(test, guest->action.pages, 3);
}

/* A node or a CPU goes offline, and its share of a counter with it. */
static void experiment_counters_may_step_back(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	guest->now.refaults = 1000000;
	guest->now.waited_ms = 1000000;
	guest->now.idle_ms = 1000000;
	guest->nodes[0].refaults = 1000000;
	await_act(guest, BALLOON_ACT_TRY, 0);
	guest->now.reclaimed += 100000;
	guest->now.refaults = 0;
	guest->now.waited_ms = 0;
	guest->now.idle_ms = 0;
	guest->nodes[0].refaults = 0;
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_END, 5000, 0));
	KUNIT_EXPECT_EQ(test, guest->ex.control.foreign, 0);
	KUNIT_EXPECT_TRUE(test, guest->nodes[0].calm);
}

/* Looks between two that count neither add to the pressure nor end it. */
static void experiment_eases_by_looks_that_count(struct kunit *test)
{
	struct made_up *guest = made_up(test);
	unsigned int looks;
	bool gave = false;

	lend(guest, 1000);
	guest->now.available = MIB(200);
	for (looks = 0; looks < 30; looks++) {
		if (looks % 10 == 0)
			guest->now.stalls += 2;
		gave |= step(guest) == BALLOON_ACT_GIVE;
		pass_ms(guest, 10, 0);
	}
	KUNIT_EXPECT_TRUE(test, gave);
}

/* mm may keep a page on trial isolated for long. */
static void experiment_eases_beside_isolated_page(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	guest->now.may_give = true;
	guest->now.size = MIB(100);
	await_act(guest, BALLOON_ACT_TRY, 0);
	guest->now.available = MIB(60);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_END);
	guest->now.on_trial = 1;
	guest->now.available = MIB(60);
	KUNIT_EXPECT_EQ(test, step(guest), BALLOON_ACT_GIVE);
}

/* A target that falls and rises again does not end HOLD_OFF. */
static void experiment_new_target_ends_no_hold_off(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	lend(guest, 1000);
	guest->now.available = MIB(60);
	await_act(guest, BALLOON_ACT_GIVE, 0);
	balloon_experiment_rest(&guest->ex);
	guest->now.available = MIB(3000);
	guest->nodes[0].spare = MIB(1000);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_TAKE,
					     BALLOON_HOLD_OFF_MIN_MS - 100, 0));
	KUNIT_EXPECT_TRUE(test, says_within(guest, BALLOON_ACT_TAKE, 200, 0));
}

/* Counters wrap around, and the numbers of large guests do not overflow. */
static void experiment_counts_beyond_the_end(struct kunit *test)
{
	struct made_up *guest = made_up(test);

	guest->now.refaults = -100UL;
	guest->now.reclaimed = -200UL;
	guest->now.stalls = -1UL;
	await_act(guest, BALLOON_ACT_TRY, 100);
	KUNIT_EXPECT_FALSE(test, says_within(guest, BALLOON_ACT_END, 5000, 100));

	guest = made_up(test);
	guest->now.available = ULONG_MAX / 4;
	guest->now.inactive = ULONG_MAX / 4;
	guest->now.target = ULONG_MAX / 4;
	await_act(guest, BALLOON_ACT_HAND_OVER, 0);
	KUNIT_EXPECT_GT(test, guest->action.pages, 0);
	KUNIT_EXPECT_LE(test, guest->action.pages, guest->now.target);
}

static struct kunit_case experiment_cases[] = {
	KUNIT_CASE(experiment_takes_free_memory_at_once),
	KUNIT_CASE(experiment_takes_no_more_than_is_wanted),
	KUNIT_CASE(experiment_leaves_floor),
	KUNIT_CASE(experiment_looks_then_tries),
	KUNIT_CASE(experiment_waits_for_busy_processes),
	KUNIT_CASE(experiment_takes_cold_cache_fast),
	KUNIT_CASE(experiment_ends_trial_that_refaults),
	KUNIT_CASE(experiment_notices_slow_disk),
	KUNIT_CASE(experiment_notices_waits),
	KUNIT_CASE(experiment_is_wary_of_busy_cpus),
	KUNIT_CASE(experiment_allows_for_baseline),
	KUNIT_CASE(experiment_baseline_does_not_creep),
	KUNIT_CASE(experiment_lets_cgroups_thrash),
	KUNIT_CASE(experiment_takes_from_calm_node),
	KUNIT_CASE(experiment_keeps_margin),
	KUNIT_CASE(experiment_lacking_zones_prove_nothing),
	KUNIT_CASE(experiment_gives_up_stuck_trial),
	KUNIT_CASE(experiment_ends_what_comes_back),
	KUNIT_CASE(experiment_waits_by_cost),
	KUNIT_CASE(experiment_forgives),
	KUNIT_CASE(experiment_new_target_ends_no_delay),
	KUNIT_CASE(experiment_forgets_while_it_rests),
	KUNIT_CASE(experiment_eases_below_half_of_floor),
	KUNIT_CASE(experiment_eases_by_and_by),
	KUNIT_CASE(experiment_counts_what_else_was_given),
	KUNIT_CASE(experiment_eases_when_pressed),
	KUNIT_CASE(experiment_eases_when_allocations_stall),
	KUNIT_CASE(experiment_eases_when_guest_thrashes),
	KUNIT_CASE(experiment_does_not_ease_for_others),
	KUNIT_CASE(experiment_ends_trial_before_it_eases),
	KUNIT_CASE(experiment_gives_nothing_unasked),
	KUNIT_CASE(experiment_is_wary_after_it_gave),
	KUNIT_CASE(experiment_forgets_pages_that_went_back),
	KUNIT_CASE(experiment_trial_begins_with_reclaim),
	KUNIT_CASE(experiment_hands_over_no_more_than_is_wanted),
	KUNIT_CASE(experiment_counters_may_step_back),
	KUNIT_CASE(experiment_eases_by_looks_that_count),
	KUNIT_CASE(experiment_eases_beside_isolated_page),
	KUNIT_CASE(experiment_new_target_ends_no_hold_off),
	KUNIT_CASE(experiment_counts_beyond_the_end),
	{}
};

static struct kunit_suite experiment_suite = {
	.name = "virtio_balloon_experiment",
	.test_cases = experiment_cases,
};

kunit_test_suite(experiment_suite);
