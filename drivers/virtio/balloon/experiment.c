// SPDX-License-Identifier: GPL-2.0
/*
 * How far the balloon may go, decided by experiment.
 *
 * Memory that is free beyond the high watermark is taken for good (FREE). For more,
 * reclaim has to find pages, and no counter tells beforehand whether a task uses
 * them. So the driver makes an experiment. While no page is on trial, it measures how
 * many pages refault (LOOK): the control (control.c). Then it holds pages of which the
 * host has not been told (TRY). If no more refaults than in the control, the host gets
 * them, and the next trial is larger. If more does, all of them go back to the guest,
 * and the next trial is smaller, and comes later (WAIT).
 *
 *	IDLE --> FREE --> LOOK --> TRY --> the host
 *	           ^        ^       |
 *	           |        +- WAIT <  refaults
 *	         FLOOR
 *
 * With F_DEFLATE_ON_OOM (virtio 1.2, 5.5.3) a guest that is short of memory gets
 * pages back from each phase (EASE). HOLD_OFF follows.
 */

#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "control.h"
#include "experiment.h"

#define BYTES(bytes)	((bytes) >> PAGE_SHIFT)

/*
 * A page is on trial for one or two of these. Pages of a working set refault at a
 * rate, so a short time shows it.
 */
#define HALF_MS		500U
/* After a trial that failed: the next one is smaller, and shows less. */
#define HALF_WARY_MS	1000U
/* A trial that has not grown for this long, and of which nothing passes, ends. */
#define STUCK_MS	(3 * HALF_WARY_MS)
/* Between two looks: while pages are taken, and while refaults may show. */
#define TAKE_MS		10U
#define LOOK_MS		100U

/* The smallest trial. */
#define STEP_MIN	BYTES(SZ_1M)

/* The longest delay after a trial that failed, if its cost does not call for more. */
#define WAIT_MAX_MS	10000U
/* If a trial has cost tasks a second, no other follows for twenty: 5 %... */
#define RECOVERIES	20U
/* ... and for no more than ten minutes. */
#define RECOVERED_MS	600000U
/* After a trial that failed a margin is kept for this time, and free memory tried. */
#define WARY_MS		60000U

/* The guest thrashes in this many windows in a row, or is short in as many looks. */
#define SUSTAINED	3U
/* Near the floor, more allocations than this stall between two looks. */
#define STALLS_PER_LOOK	1U
/* Beside more free memory than this, thrash has another cause. */
#define SPARE_MIN	BYTES(SZ_4M)
/* The longest HOLD_OFF. */
#define HOLD_OFF_MAX_MS	20000U

static void enter(struct balloon_experiment *ex, enum balloon_phase phase,
		  enum balloon_hold hold, const struct balloon_sample *now)
{
	ex->phase = phase;
	ex->hold = hold;
	ex->since = now->ms;
}

static struct balloon_action act(enum balloon_act what, unsigned long pages,
				 unsigned int ms)
{
	return (struct balloon_action) {
		.act = what, .pages = pages, .look_in_ms = ms,
	};
}

static struct balloon_action rest(const struct balloon_experiment *ex,
				  unsigned int ms)
{
	return (struct balloon_action) { .look_in_ms = ms, .hold = ex->hold };
}

/**
 * balloon_experiment_init - nothing is known yet
 * @ex: what is remembered
 * @nodes: room for each node, by number
 * @nr_nodes: their count
 *
 * Context: any.
 */
void balloon_experiment_init(struct balloon_experiment *ex,
			     struct balloon_node *nodes, unsigned int nr_nodes)
{
	memset(ex, 0, sizeof(*ex));
	balloon_control_init(&ex->control, nodes, nr_nodes);
	ex->wait_ms = BALLOON_WAIT_MIN_MS / 2;
}

/* What the host wants beyond what it has and is about to get. */
static unsigned long wanted(const struct balloon_experiment *ex,
			    const struct balloon_sample *now)
{
	unsigned long has = now->size + ex->passed;

	return now->target > has ? now->target - has : 0;
}

static unsigned long affordable(const struct balloon_experiment *ex,
				const struct balloon_sample *now)
{
	unsigned long floor = now->floor + (ex->gave ? now->floor / 2 : 0);

	return now->available > floor ? now->available - floor : 0;
}

/**
 * balloon_experiment_missed - the pages on trial are needed, and go back
 * @ex: what is remembered
 * @now: a sample of before they go back
 * @why: what shows that
 *
 * The next trial holds a quarter as many.
 *
 * Context: any. The out-of-memory notifier ends trials by itself.
 * Return: ms until the next trial, at least.
 */
unsigned int balloon_experiment_missed(struct balloon_experiment *ex,
				       const struct balloon_sample *now,
				       enum balloon_hold why)
{
	ex->refaults = balloon_control_refaults(&ex->control, now);
	ex->step = max(min(now->on_trial, ex->step) / 4, STEP_MIN);
	ex->passed = 0;
	ex->missed = true;
	ex->missed_at = now->ms;
	ex->wait_ms = min(2 * ex->wait_ms, WAIT_MAX_MS);
	ex->calm_at = 0;
	ex->cost = 0;
	ex->most = 1;
	enter(ex, BALLOON_PHASE_WAIT, why, now);
	balloon_control_begin(&ex->control, now);
	return ex->wait_ms;
}

/**
 * balloon_experiment_gave - the guest was short of memory, and pages were given
 * @ex: what is remembered
 * @now: a sample
 * @why: what shows that it was short
 *
 * Context: any. The out-of-memory notifier gives by itself.
 * Return: ms for which no page is taken, at least.
 */
unsigned int balloon_experiment_gave(struct balloon_experiment *ex,
				     const struct balloon_sample *now,
				     enum balloon_hold why)
{
	if (ex->phase != BALLOON_PHASE_EASE) {
		ex->hold_off_ms = ex->gave ? HOLD_OFF_MAX_MS :
					     BALLOON_HOLD_OFF_MIN_MS;
		ex->give_to = now->size;
	}
	ex->passed = 0;
	ex->gave = true;
	ex->gave_at = now->ms;
	enter(ex, BALLOON_PHASE_EASE, why, now);
	return ex->hold_off_ms;
}

/**
 * balloon_experiment_handed_over - the host has got pages that passed
 * @ex: what is remembered
 * @pages: guest pages
 *
 * Context: any.
 */
void balloon_experiment_handed_over(struct balloon_experiment *ex,
				    unsigned long pages)
{
	ex->passed -= min(ex->passed, pages);
}

/**
 * balloon_experiment_given - the guest has got pages that were not the balloon's
 * @ex: what is remembered
 * @pages: guest pages, of those that BALLOON_ACT_GIVE asked for
 *
 * Context: any.
 */
void balloon_experiment_given(struct balloon_experiment *ex,
			      unsigned long pages)
{
	ex->give_to += pages;
}

/**
 * balloon_experiment_rest - the host wants no more than it has
 * @ex: what is remembered
 *
 * A delay goes on: the host does not end it by changing the target twice.
 *
 * Context: any.
 */
void balloon_experiment_rest(struct balloon_experiment *ex)
{
	ex->passed = 0;
	if (ex->phase != BALLOON_PHASE_WAIT &&
	    ex->phase != BALLOON_PHASE_HOLD_OFF)
		ex->phase = BALLOON_PHASE_IDLE;
}

/**
 * balloon_experiment_forgive - no delay goes on, no margin is kept
 * @ex: what is remembered
 *
 * For an administrator, who knows better than the last trial.
 *
 * Context: any.
 */
void balloon_experiment_forgive(struct balloon_experiment *ex)
{
	ex->passed = 0;
	ex->missed = false;
	ex->gave = false;
	ex->phase = BALLOON_PHASE_IDLE;
}

static struct balloon_action end_trial(struct balloon_experiment *ex,
				       const struct balloon_sample *now,
				       enum balloon_hold why)
{
	struct balloon_action action = act(BALLOON_ACT_END, now->on_trial,
					   LOOK_MS);

	action.hold = why;
	action.retry_ms = balloon_experiment_missed(ex, now, why);
	return action;
}

static struct balloon_action take_free(struct balloon_experiment *ex,
				       const struct balloon_sample *now)
{
	unsigned long most = min(now->target - now->size, affordable(ex, now));
	struct balloon_action action = act(BALLOON_ACT_TAKE, 0, 0);
	const struct balloon_node *node = ex->control.nodes;
	int nid;

	for (nid = 0; nid < ex->control.nr_nodes && !ex->missed; nid++, node++) {
		if (node->spare > action.pages && node->calm) {
			action.node = nid;
			action.pages = node->spare;
		}
	}
	action.pages = min(action.pages, most);
	return action;
}

/* kswapd reclaims as much as the balloon takes; whose pages, is not asked. */
static struct balloon_action take_any(struct balloon_experiment *ex,
				      const struct balloon_sample *now)
{
	struct balloon_action action = act(BALLOON_ACT_TAKE, 0, TAKE_MS);

	action.node = NUMA_NO_NODE;
	action.pages = min(now->target - now->size, affordable(ex, now));
	return action;
}

/* If less is inactive than this, reclaim begins with active pages. */
static unsigned long cold(const struct balloon_sample *now)
{
	return now->inactive - min(now->inactive, now->active / 4);
}

/* If much is cold, a trial is large: pages in use are a small part of it. */
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
	ex->passed = 0;
	ex->held = 0;
	ex->grew_at = now->ms;
	ex->half = *now;
	balloon_control_begin(&ex->control, now);
	enter(ex, BALLOON_PHASE_TRY, BALLOON_HOLD_NONE, now);
}

/*
 * Pages on trial that have not passed. Between the high and the low watermark pages
 * are had without reclaim: their trial begins when kswapd has replaced them.
 */
static unsigned long unproven(const struct balloon_experiment *ex,
			      const struct balloon_sample *now)
{
	unsigned long rest = now->on_trial - min(now->on_trial, ex->passed);

	return rest - min(rest, now->lack);
}

/* Pages that were on trial for both halves pass, but for the margin. */
static void pass_half(struct balloon_experiment *ex,
		      const struct balloon_sample *now)
{
	unsigned long rest = now->on_trial - min(now->on_trial, ex->passed);
	unsigned long passed = min(ex->old, unproven(ex, now));
	struct balloon_sample half = ex->half;

	passed = min(ex->missed ? passed / 2 : passed, wanted(ex, now));
	ex->passed += passed;
	if (passed) {
		ex->step = 2 * ex->step;
		ex->wait_ms = max(ex->wait_ms, BALLOON_WAIT_MIN_MS) / 2;
		ex->grew_at = now->ms;
	}
	ex->old = rest - min(rest, ex->missed ? ex->old : passed);
	ex->half = *now;
	ex->refaults = balloon_control_refaults(&ex->control, now);
	balloon_control_end(&ex->control, now);
	ex->control.from = half;
}

/* The margin goes back, or kswapd finds no more pages. */
static struct balloon_action give_trial_up(struct balloon_experiment *ex,
					   const struct balloon_sample *now,
					   enum balloon_hold why)
{
	struct balloon_action action = act(BALLOON_ACT_END, now->on_trial,
					   LOOK_MS);

	if (why != BALLOON_HOLD_NONE)
		ex->wait_ms = min(2 * ex->wait_ms, WAIT_MAX_MS);
	enter(ex, BALLOON_PHASE_WAIT, why, now);
	ex->calm_at = now->ms;
	ex->cost = 0;
	ex->most = 1;
	action.hold = why;
	action.retry_ms = ex->wait_ms;
	return action;
}

/* How many pages may be on trial now and have not passed. */
static unsigned long trial_room(struct balloon_experiment *ex,
				const struct balloon_sample *now)
{
	ex->step = min(ex->step, largest_step(now));
	if (!ex->control.calm || ex->passed > ex->step)
		return 0;
	if (!ex->missed)
		return min(ex->step, wanted(ex, now));
	/* One trial at a time, and twice what the host gets of it. */
	if (ex->old || ex->passed)
		return 0;
	return min(2 * ex->step, wanted(ex, now) + ex->step);
}

static struct balloon_action try(struct balloon_experiment *ex,
				 const struct balloon_sample *now)
{
	unsigned int half = ex->missed ? HALF_WARY_MS : HALF_MS;
	unsigned long young, most, quota, more;

	if (balloon_control_hurts(&ex->control, now, now->on_trial))
		return end_trial(ex, now, BALLOON_HOLD_REFAULT);
	if (now->size + now->on_trial > ex->held) {
		ex->held = now->size + now->on_trial;
		ex->grew_at = now->ms;
	}
	if (now->ms - ex->half.ms >= half)
		pass_half(ex, now);
	if (!ex->passed && now->ms - ex->grew_at >= STUCK_MS)
		return give_trial_up(ex, now, BALLOON_HOLD_ALLOCATION);
	young = unproven(ex, now);
	young -= min(young, ex->old);
	most = trial_room(ex, now);
	quota = div_u64((u64)most * (now->ms - ex->half.ms + TAKE_MS), half);
	quota = min(most - min(most, ex->old), quota);
	more = min(quota - min(young, quota), affordable(ex, now));
	if (more && now->ms - ex->took_at >= TAKE_MS) {
		ex->took_at = now->ms;
		return act(BALLOON_ACT_TRY, more, ex->passed ? 0 : TAKE_MS);
	}
	if (ex->passed)
		return act(BALLOON_ACT_HAND_OVER,
			   min(ex->passed, now->on_trial), 0);
	if (ex->missed ? !ex->old && now->ms - ex->since >= half :
			 !now->on_trial && !most)
		return give_trial_up(ex, now, BALLOON_HOLD_NONE);
	return rest(ex, most ? TAKE_MS : LOOK_MS);
}

/* How many pages a guest that has less than the floor gets back. */
static unsigned long give_to_short(struct balloon_experiment *ex,
				   const struct balloon_sample *now,
				   enum balloon_hold *why)
{
	unsigned long enough = now->floor + now->floor / 2;
	bool stalls = now->available / 2 < now->floor &&
		      now->stalls - ex->stalls > STALLS_PER_LOOK;
	bool is_short = now->available < now->floor - now->floor / 4;

	if (!stalls && !is_short)
		ex->short_looks = 0;
	/* Pressure has to last: looks may follow each other at once. */
	if (now->ms - ex->short_at >= LOOK_MS) {
		ex->short_looks += stalls || is_short;
		ex->short_at = now->ms;
		ex->stalls = now->stalls;
	}
	if (ex->short_looks < SUSTAINED && now->available >= now->floor / 2 &&
	    !(ex->gave && now->available < now->floor))
		return 0;
	*why = stalls && !is_short ? BALLOON_HOLD_STALL : BALLOON_HOLD_FLOOR;
	return max(enough - min(enough, now->available), now->floor / 2);
}

/* How many pages a guest that thrashes gets back, whatever is available to it. */
static unsigned long give_to_thrashing(struct balloon_experiment *ex,
				       const struct balloon_sample *now,
				       enum balloon_hold *why)
{
	unsigned long spare = 0;
	unsigned int nid;

	for (nid = 0; nid < ex->control.nr_nodes; nid++)
		spare += ex->control.nodes[nid].spare;
	if (!balloon_control_thrashes(&ex->control) || spare > SPARE_MIN) {
		ex->thrash = 0;
		ex->ease = 0;
		return 0;
	}
	if (++ex->thrash < SUSTAINED)
		return 0;
	ex->ease = max(2 * ex->ease, now->size / 16 + 1);
	*why = BALLOON_HOLD_REFAULT;
	return ex->ease;
}

/* Returns whether @action is due, whatever the host wants. */
static bool ease(struct balloon_experiment *ex, const struct balloon_sample *now,
		 bool whole, struct balloon_action *action)
{
	enum balloon_hold why = ex->hold;
	unsigned long give;

	give = give_to_short(ex, now, &why);
	if (whole && now->policy == BALLOON_POLICY_FULL)
		give = max(give, give_to_thrashing(ex, now, &why));
	if (give && now->on_trial) {
		*action = end_trial(ex, now, why);
		return true;
	}
	if (!give && (ex->phase != BALLOON_PHASE_EASE || now->size <= ex->give_to))
		return false;
	balloon_experiment_gave(ex, now, why);
	if (give)
		ex->give_to = min(ex->give_to, now->size - min(give, now->size));
	*action = act(BALLOON_ACT_GIVE, now->size - ex->give_to, 0);
	action->hold = why;
	action->retry_ms = ex->hold_off_ms;
	return true;
}

/*
 * A trial that failed has a price: the time that it has cost tasks. That is the
 * number of refaults by the highest rate at which the disk served them.
 */
static u64 recovery_ms(const struct balloon_experiment *ex)
{
	u64 lost = div_u64((u64)ex->cost * 1000, ex->most);

	return max_t(u64, min(lost * RECOVERIES, (u64)RECOVERED_MS), ex->wait_ms);
}

/* Returns for how many ms no trial begins yet. */
static unsigned int wait_left(struct balloon_experiment *ex,
			      const struct balloon_sample *now, bool whole)
{
	u64 passed = now->ms - ex->since, length = 0;

	if (ex->phase == BALLOON_PHASE_HOLD_OFF) {
		length = ex->hold_off_ms;
	} else if (ex->phase == BALLOON_PHASE_WAIT) {
		if (!ex->calm_at && whole) {
			ex->cost += ex->control.rate;
			ex->most = max(ex->most, ex->control.rate);
			if (ex->control.calm)
				ex->calm_at = now->ms;
		}
		if (!ex->calm_at)
			return BALLOON_WINDOW_MS;
		passed = now->ms - ex->calm_at;
		length = recovery_ms(ex);
	}
	return length > passed ? length - passed : 0;
}

/* Below the target, no page on trial, no delay. */
static struct balloon_action grow(struct balloon_experiment *ex,
				  const struct balloon_sample *now, bool whole)
{
	struct balloon_action action;

	if (!affordable(ex, now)) {
		if (ex->phase != BALLOON_PHASE_FLOOR)
			enter(ex, BALLOON_PHASE_FLOOR, BALLOON_HOLD_FLOOR, now);
		return rest(ex, BALLOON_NEVER_MS);
	}
	action = now->policy == BALLOON_POLICY_FULL ? take_free(ex, now) :
						      take_any(ex, now);
	if (action.pages) {
		enter(ex, BALLOON_PHASE_FREE, BALLOON_HOLD_NONE, now);
		return action;
	}
	if (ex->control.calm &&
	    (ex->phase == BALLOON_PHASE_LOOK ? whole : !ex->missed)) {
		begin_trial(ex, now);
		return rest(ex, 0);
	}
	if (ex->phase != BALLOON_PHASE_LOOK) {
		enter(ex, BALLOON_PHASE_LOOK, ex->missed ? BALLOON_HOLD_REFAULT :
							   BALLOON_HOLD_NONE, now);
		balloon_control_begin(&ex->control, now);
	} else if (whole) {
		ex->hold = BALLOON_HOLD_REFAULT;
	}
	return rest(ex, balloon_control_left_ms(&ex->control, now));
}

/**
 * balloon_experiment_step - decide what to do next
 * @ex: what is remembered; its nodes are as of the sample
 * @now: the sample, its target not below its size
 *
 * The caller carries the action out, and comes again when it says, or earlier.
 *
 * Context: any. Depends on its arguments only.
 * Return: what to do.
 */
struct balloon_action balloon_experiment_step(struct balloon_experiment *ex,
					      const struct balloon_sample *now)
{
	struct balloon_action action;
	unsigned int left;
	bool whole;

	if (balloon_control_is_stale(&ex->control, now))
		balloon_control_begin_anew(&ex->control, now);
	whole = ex->phase != BALLOON_PHASE_TRY &&
		!balloon_control_left_ms(&ex->control, now);
	if (whole)
		balloon_control_end(&ex->control, now);
	ex->missed = ex->missed && now->ms - ex->missed_at < WARY_MS;
	ex->gave = ex->gave && now->ms - ex->gave_at < WARY_MS;

	if (now->may_give && now->size && now->policy != BALLOON_POLICY_OBEY &&
	    ease(ex, now, whole, &action))
		return action;
	if (ex->phase == BALLOON_PHASE_EASE)
		enter(ex, BALLOON_PHASE_HOLD_OFF, ex->hold, now);
	if (now->size >= now->target)
		balloon_experiment_rest(ex);
	if (ex->phase == BALLOON_PHASE_TRY &&
	    now->policy == BALLOON_POLICY_FULL &&
	    (now->on_trial || affordable(ex, now)))
		return try(ex, now);
	/* mm had isolated them, or the target fell. */
	if (now->on_trial)
		return act(BALLOON_ACT_END, now->on_trial, LOOK_MS);
	if (now->size >= now->target)
		return rest(ex, BALLOON_NEVER_MS);

	left = wait_left(ex, now, whole);
	if (!left)
		return grow(ex, now, whole);
	/* Memory that has been free for a minute is not missed. */
	if (ex->phase == BALLOON_PHASE_WAIT && ex->control.calm) {
		action = take_free(ex, now);
		if (action.pages)
			return action;
	}
	return rest(ex, clamp(left / 2, TAKE_MS, BALLOON_WINDOW_MS));
}
