// SPDX-License-Identifier: GPL-2.0
/*
 * How far the balloon may go, decided by experiment.
 *
 * What is free beyond the high watermark is taken for good (FREE). For more, reclaim
 * has to find pages, and nobody knows beforehand whether they are of use. So an
 * experiment is made. While nothing is on trial, the guest is looked at (LOOK): that
 * is the control. Then pages are held that the host has not been told of (TRY). If
 * no more is missed than in the control they are the host's, and more is tried. If
 * it is, all of them go back, less is tried next, and not at once (WAIT).
 *
 * The control is the lowest rate of the last ten minutes. One that was measured anew
 * after each step would creep.
 *
 *	IDLE --> FREE --> LOOK --> TRY --> the host
 *	           ^        ^       |
 *	           |        +- WAIT <  missed
 *	         FLOOR
 *
 * From everywhere EASE gives, if that is allowed and the guest is short, and is
 * followed by HOLD_OFF.
 */

#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "experiment.h"

#define BYTES(bytes)	((bytes) >> PAGE_SHIFT)

/* What the control is measured in. Node counters are folded once a second. */
#define WINDOW_MS	1000U
/*
 * A page is on trial for one or two of these. Evicted pages of a set that is in use
 * are missed at a rate, so that a little of the time shows it.
 */
#define HALF_MS		500U
/* After a miss: the next is expected to be smaller. */
#define HALF_WARY_MS	1000U
/* Between two looks: while pages are taken, and while something may show. */
#define TAKE_MS		10U
#define LOOK_MS		100U

/*
 * So many more a second may be missed than in the control. At 150 requests a second
 * they cost a task that waits for each 2.7 % of its time.
 */
#define REGRETS_PER_S	4U
/*
 * ... and once, one of so many pages on trial, as those are read again and stay. No
 * more than a slow disk serves a second: its thrash must not pass for that.
 */
#define REGRETS_SHIFT	7U
#define REGRETS_ONCE	64UL
/* A cgroup that reclaims from itself does so by batches, of each CPU's. */
#define FOREIGN_BATCH	128U

/* The least that is worth a trial: less than lies between two watermarks. */
#define STEP_MIN	BYTES(SZ_1M)
/* What is done at once: more than a message, less than a look's worth. */
#define MESSAGE		BYTES(SZ_4M)

/* Bounds of the delay after a trial that was missed. */
#define WAIT_MIN_MS	500U
#define WAIT_MAX_MS	10000U
/* A guest that a trial has cost a second is left alone for twenty: 5 %... */
#define RECOVERIES	20U
/* ... and for ten minutes at most. */
#define RECOVERED_MS	600000U
/* For so long after a miss a margin is kept, and nothing is taken for good. */
#define WARY_MS		60000U

/* The guest thrashes: more than a slow disk does beside other things. */
#define THRASH_PER_S	64U
/* ... in so many windows in a row; or is short of memory in as many looks. */
#define SUSTAINED	3U
/* Near the floor that is also where more allocations stall, a look. */
#define STALLS_PER_LOOK	1U
/* Thrash beside more free memory than this is not for want of it. */
#define SPARE_MIN	BYTES(SZ_4M)
/* Nothing is taken after something was given: the longer where that goes on. */
#define HOLD_OFF_MIN_MS	10000U
#define HOLD_OFF_MAX_MS	20000U

#define NO_RATE		(~0U)

static void enter(struct balloon_experiment *ex, enum balloon_phase phase,
		  const struct balloon_sample *now)
{
	ex->phase = phase;
	ex->since = now->ms;
}

static struct balloon_action act(enum balloon_act what, unsigned long pages,
				 unsigned int ms)
{
	return (struct balloon_action) {
		.act = what, .pages = pages, .look_in_ms = ms,
	};
}

static struct balloon_action rest(unsigned int ms)
{
	return act(BALLOON_ACT_NONE, 0, ms);
}

static void begin_window(struct balloon_experiment *ex,
			 const struct balloon_sample *now)
{
	unsigned int i;

	ex->from = *now;
	for (i = 0; i < min(now->nr_nodes, BALLOON_EXPERIMENT_NODES); i++)
		ex->node_from[i] = now->nodes[i].regrets;
}

/*
 * Who misses a page needs another for it, and a cgroup at its limit takes that from
 * itself. So what others than the balloon got bounds what it can have to do with.
 */
static u64 missed(const struct balloon_sample *from,
		  const struct balloon_sample *now)
{
	s64 got = now->stolen - from->stolen;

	got -= (s64)now->free - (s64)from->free;
	got -= (s64)(now->size + now->on_trial) -
	       (s64)(from->size + from->on_trial);
	return got < 0 ? 0 : min(now->regrets - from->regrets, (u64)got);
}

static unsigned int baseline(const struct balloon_experiment *ex)
{
	unsigned int i, lowest = NO_RATE;

	for (i = 0; i < BALLOON_BASELINE_MINUTES; i++)
		lowest = min(lowest, ex->lowest[i]);
	return lowest == NO_RATE ? 0 : lowest;
}

/* Is more missed than always, with so many pages on trial? */
static bool hurts(const struct balloon_experiment *ex,
		  const struct balloon_sample *now, unsigned long on_trial)
{
	u64 length = max(now->ms - ex->from.ms, (u64)WINDOW_MS);
	unsigned int base = baseline(ex);
	unsigned long once;

	once = min(on_trial >> REGRETS_SHIFT, REGRETS_ONCE);
	if (ex->foreign > REGRETS_PER_S)
		once += FOREIGN_BATCH;
	return missed(&ex->from, now) * 1000 >
	       (base + base / 4 + REGRETS_PER_S) * length + once * 1000ULL;
}

static void end_window(struct balloon_experiment *ex,
		       const struct balloon_sample *now)
{
	u64 length = max(now->ms - ex->from.ms, (u64)1);
	u64 minute = div_u64(now->ms, 60000);
	unsigned int *lowest, i, all;

	all = div64_u64((now->regrets - ex->from.regrets) * 1000, length);
	ex->rate = div64_u64(missed(&ex->from, now) * 1000 + length - 1, length);
	for (; ex->minute < minute; ex->minute++)
		ex->lowest[(ex->minute + 1) % BALLOON_BASELINE_MINUTES] =
			NO_RATE;
	lowest = &ex->lowest[minute % BALLOON_BASELINE_MINUTES];
	*lowest = min(*lowest, ex->rate);
	ex->foreign = (3 * ex->foreign + all - min(all, ex->rate)) / 4;
	ex->calm = !hurts(ex, now, 0);
	for (i = 0; i < min(now->nr_nodes, BALLOON_EXPERIMENT_NODES); i++)
		ex->node_calm[i] = ex->calm ||
				   length * REGRETS_PER_S >=
				   (now->nodes[i].regrets - ex->node_from[i]) *
				   1000;
	begin_window(ex, now);
}

/**
 * balloon_experiment_init - nothing is known yet
 * @ex: what is remembered
 *
 * Context: any.
 */
void balloon_experiment_init(struct balloon_experiment *ex)
{
	memset(ex, 0, sizeof(*ex));
	memset(ex->lowest, 0xff, sizeof(ex->lowest));
	ex->wait_ms = WAIT_MIN_MS;
}

/* What the host wants beyond what it has and is about to get. */
static unsigned long wanted(const struct balloon_experiment *ex,
			    const struct balloon_sample *now)
{
	unsigned long has = now->size + ex->hand;

	return now->target > has ? now->target - has : 0;
}

static unsigned long affordable(const struct balloon_experiment *ex,
				const struct balloon_sample *now)
{
	unsigned long floor = now->floor + (ex->gave ? now->floor / 2 : 0);

	return now->available > floor ? now->available - floor : 0;
}

/**
 * balloon_experiment_missed - what is on trial is missed, and goes back
 * @ex: what is remembered
 * @now: a sample of before it goes back
 *
 * A quarter is tried next time.
 *
 * Context: any. Of use to the out-of-memory notifier, which ends trials by itself.
 */
void balloon_experiment_missed(struct balloon_experiment *ex,
			       const struct balloon_sample *now)
{
	ex->step = max(min(now->on_trial, ex->step) / 4, STEP_MIN);
	ex->missed = true;
	ex->missed_at = now->ms;
	ex->wait_ms = min(2 * ex->wait_ms, WAIT_MAX_MS);
	ex->calm_at = 0;
	ex->misses = 0;
	ex->most = 1;
	enter(ex, BALLOON_PHASE_WAIT, now);
	begin_window(ex, now);
}

/**
 * balloon_experiment_gave - the guest was short, and something was given
 * @ex: what is remembered
 * @now: a sample
 *
 * Context: any. Of use to the out-of-memory notifier, which gives by itself.
 */
void balloon_experiment_gave(struct balloon_experiment *ex,
			     const struct balloon_sample *now)
{
	if (ex->phase != BALLOON_PHASE_EASE)
		ex->hold_off_ms = ex->gave ? HOLD_OFF_MAX_MS : HOLD_OFF_MIN_MS;
	ex->gave = true;
	ex->gave_at = now->ms;
	enter(ex, BALLOON_PHASE_EASE, now);
}

static struct balloon_action end_trial(struct balloon_experiment *ex,
				       const struct balloon_sample *now)
{
	balloon_experiment_missed(ex, now);
	return act(BALLOON_ACT_END, now->on_trial, LOOK_MS);
}

static struct balloon_action take_free(struct balloon_experiment *ex,
				       const struct balloon_sample *now)
{
	unsigned long most = min(now->target - now->size, affordable(ex, now));
	struct balloon_action action = act(BALLOON_ACT_TAKE, 0, 0);
	unsigned int i;

	for (i = 0; i < now->nr_nodes && !ex->missed; i++) {
		if (now->nodes[i].spare > action.pages && ex->node_calm[i]) {
			action.node = i;
			action.pages = now->nodes[i].spare;
		}
	}
	action.pages = min3(action.pages, most, MESSAGE);
	return action;
}

/* Reclaim has to begin with active pages where less than this is inactive. */
static unsigned long cold(const struct balloon_sample *now)
{
	return now->inactive - min(now->inactive, now->active / 4);
}

/* More at a time where much is cold, so that not much that is not goes with it. */
static unsigned long largest_step(const struct balloon_sample *now)
{
	return max3(cold(now) / 3, now->inactive / 64, 4 * STEP_MIN);
}

static void begin_trial(struct balloon_experiment *ex,
			const struct balloon_sample *now)
{
	if (!ex->step)
		ex->step = max(cold(now) / 8, STEP_MIN);
	ex->old = 0;
	ex->hand = 0;
	ex->half = *now;
	begin_window(ex, now);
	enter(ex, BALLOON_PHASE_TRY, now);
}

/*
 * What is on trial and has not passed. Between the high and the low watermark pages
 * are had without reclaim, and tell nothing before kswapd has replaced them.
 */
static unsigned long unproven(const struct balloon_experiment *ex,
			      const struct balloon_sample *now)
{
	unsigned long rest = now->on_trial - min(now->on_trial, ex->hand);

	return rest - min(rest, now->lack);
}

/* What has been on trial for long enough is the host's, but for the margin. */
static void pass_half(struct balloon_experiment *ex,
		      const struct balloon_sample *now)
{
	unsigned long unpassed = now->on_trial - min(now->on_trial, ex->hand);
	unsigned long passed = min(ex->old, unproven(ex, now));
	struct balloon_sample half = ex->half;

	passed = min(ex->missed ? passed / 2 : passed, wanted(ex, now));
	ex->hand += passed;
	if (passed) {
		ex->step = 2 * ex->step;
		ex->wait_ms = max(ex->wait_ms / 2, WAIT_MIN_MS);
	}
	ex->old = ex->missed ? unpassed - min(unpassed, ex->old) :
			       unpassed - min(unpassed, passed);
	ex->half = *now;
	end_window(ex, now);
	ex->from = half;
}

static struct balloon_action try(struct balloon_experiment *ex,
				 const struct balloon_sample *now)
{
	unsigned long young, most, quota;
	u64 passed = now->ms - ex->half.ms;
	unsigned int half = ex->missed ? HALF_WARY_MS : HALF_MS;

	if (hurts(ex, now, now->on_trial))
		return end_trial(ex, now);
	if (passed >= half) {
		pass_half(ex, now);
		passed = 0;
	}
	young = unproven(ex, now);
	young -= min(young, ex->old);
	/* After a miss one at a time, and twice what the host gets of it. */
	ex->step = min(ex->step, largest_step(now));
	most = ex->step * (ex->missed ? 2 : 1);
	most = min(most, wanted(ex, now) + (ex->missed ? ex->step : 0));
	if (!ex->calm || ex->hand > ex->step ||
	    (ex->missed && (ex->old || ex->hand)))
		most = 0;
	quota = min(most - min(most, ex->old),
		    (unsigned long)div_u64((u64)most * (passed + TAKE_MS), half));
	if (young < quota && affordable(ex, now) &&
	    now->ms - ex->took_at >= TAKE_MS) {
		ex->took_at = now->ms;
		return act(BALLOON_ACT_TRY,
			   min(quota - young, affordable(ex, now)),
			   ex->hand ? 0 : TAKE_MS);
	}
	if (ex->hand) {
		quota = min3(ex->hand, now->on_trial, MESSAGE);
		ex->hand -= quota ?: ex->hand;
		return act(BALLOON_ACT_HAND_OVER, quota, 0);
	}
	if (ex->missed ? ex->old || now->ms - ex->since < half :
			 now->on_trial || young < quota)
		return rest(most ? TAKE_MS : LOOK_MS);
	/* The margin goes back, or kswapd finds nothing. */
	enter(ex, BALLOON_PHASE_WAIT, now);
	ex->calm_at = now->ms;
	ex->misses = 0;
	ex->most = 1;
	return act(BALLOON_ACT_END, now->on_trial, LOOK_MS);
}

/* How much the guest has to get back, whatever the host wants. */
static unsigned long to_give(struct balloon_experiment *ex,
			     const struct balloon_sample *now, bool whole)
{
	unsigned long enough = now->floor + now->floor / 2, give = 0, spare = 0;
	unsigned int i;

	for (i = 0; i < now->nr_nodes; i++)
		spare += now->nodes[i].spare;
	if (now->available < now->floor - now->floor / 4 ||
	    (now->available / 2 < now->floor &&
	     now->stalls - ex->stalls > STALLS_PER_LOOK))
		ex->short_looks++;
	else
		ex->short_looks = 0;
	ex->stalls = now->stalls;
	if (ex->short_looks >= SUSTAINED || now->available < now->floor / 2 ||
	    (ex->gave && now->available < now->floor))
		give = max(enough - min(enough, now->available),
			   now->floor / 2);
	if (!whole)
		return min(give, now->size);
	if (ex->rate <= baseline(ex) + THRASH_PER_S || spare > SPARE_MIN) {
		ex->thrash = 0;
		ex->ease = 0;
	} else if (++ex->thrash >= SUSTAINED) {
		ex->ease = max(2 * ex->ease, now->size / 16 + 1);
		give = max(give, ex->ease);
	}
	return min(give, now->size);
}

/*
 * What is missed after a trial has a price. How long it takes is how much it is by
 * how fast it comes, as whoever misses a page waits for the disk.
 */
static bool waits(struct balloon_experiment *ex,
		  const struct balloon_sample *now, bool whole)
{
	u64 lost;

	if (ex->phase == BALLOON_PHASE_HOLD_OFF)
		return now->ms - ex->since < ex->hold_off_ms;
	if (ex->phase != BALLOON_PHASE_WAIT)
		return false;
	if (!ex->calm_at && whole) {
		ex->misses += ex->rate;
		ex->most = max(ex->most, ex->rate);
		if (ex->calm)
			ex->calm_at = now->ms;
	}
	if (!ex->calm_at)
		return true;
	lost = div_u64(ex->misses * 1000, ex->most);
	lost = min(lost * RECOVERIES, (u64)RECOVERED_MS);
	return now->ms - ex->calm_at < max_t(u64, lost, ex->wait_ms);
}

/**
 * balloon_experiment_step - decide what to do next
 * @ex: what is remembered
 * @now: how things stand; the target is not below the size
 *
 * Whoever calls it does what it says, and comes again when it says, or earlier.
 *
 * Context: any. Depends on its arguments only.
 * Return: what to do.
 */
struct balloon_action balloon_experiment_step(struct balloon_experiment *ex,
					      const struct balloon_sample *now)
{
	struct balloon_action action;
	unsigned long give;
	bool whole = false;

	if (!ex->from.ms)
		begin_window(ex, now);
	if (ex->phase != BALLOON_PHASE_TRY &&
	    now->ms - ex->from.ms >= WINDOW_MS) {
		whole = true;
		end_window(ex, now);
	}
	ex->missed = ex->missed && now->ms - ex->missed_at < WARY_MS;
	ex->gave = ex->gave && now->ms - ex->gave_at < WARY_MS;

	if (now->may_give && now->size) {
		give = to_give(ex, now, whole);
		if (give && now->on_trial)
			return end_trial(ex, now);
		if (give) {
			balloon_experiment_gave(ex, now);
			return act(BALLOON_ACT_GIVE, give, LOOK_MS);
		}
	}
	if (ex->phase == BALLOON_PHASE_EASE)
		enter(ex, BALLOON_PHASE_HOLD_OFF, now);
	if (ex->phase == BALLOON_PHASE_TRY && now->size < now->target)
		return try(ex, now);
	if (now->size >= now->target) {
		enter(ex, BALLOON_PHASE_IDLE, now);
		return now->on_trial ? act(BALLOON_ACT_END, now->on_trial, 0) :
				       rest(now->may_give ? LOOK_MS : BALLOON_NEVER_MS);
	}
	if (waits(ex, now, whole)) {
		/* What nobody has needed for a minute goes, after all. */
		if (ex->phase != BALLOON_PHASE_WAIT || !ex->calm)
			return rest(LOOK_MS);
		action = take_free(ex, now);
		return action.pages ? action : rest(LOOK_MS);
	}
	if (!affordable(ex, now)) {
		enter(ex, BALLOON_PHASE_FLOOR, now);
		return rest(LOOK_MS);
	}
	action = take_free(ex, now);
	if (action.pages) {
		enter(ex, BALLOON_PHASE_FREE, now);
		return action;
	}
	if (ex->phase == BALLOON_PHASE_LOOK ? whole && ex->calm :
	    ex->calm && !ex->missed) {
		begin_trial(ex, now);
		return rest(0);
	}
	if (ex->phase != BALLOON_PHASE_LOOK) {
		enter(ex, BALLOON_PHASE_LOOK, now);
		begin_window(ex, now);
	}
	return rest(LOOK_MS);
}
