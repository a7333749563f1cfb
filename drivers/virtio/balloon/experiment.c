// SPDX-License-Identifier: GPL-2.0
/*
 * Decides by experiment how large the balloon may grow.
 *
 * The driver takes memory that is free beyond the high watermark for good
 * (FREE). To grow further, it needs pages that reclaim finds. No counter tells
 * beforehand whether a task uses these pages. So the driver makes an
 * experiment. First it measures how many pages refault while no page is on
 * trial (LOOK). This is the control (control.c). Then the driver holds pages
 * and does not tell the host (TRY). If no more pages refault than in the
 * control, the host gets the pages on trial, and the next trial is larger. If
 * more pages refault, all pages on trial go back to the guest. The next trial
 * is then smaller and comes later (WAIT).
 *
 *	IDLE --> FREE --> LOOK --> TRY --> the host
 *	           ^        ^       |
 *	           |        +- WAIT <  refaults
 *	         FLOOR
 *
 * With F_DEFLATE_ON_OOM (virtio 1.2, 5.5.3) a guest that is short of memory
 * gets pages back in each phase (EASE). HOLD_OFF follows.
 */

#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/numa.h>
#include <linux/sizes.h>
#include <linux/string.h>

#include "control.h"
#include "experiment.h"
#include "pressure.h"

#define BYTES(bytes)	((bytes) >> PAGE_SHIFT)

/*
 * A page is on trial for one or two halves of HALF_MS. Pages of a working set
 * refault at a rate, so a short time shows the refaults.
 */
#define HALF_MS		500U
/* The same after a failed trial: the next trial is smaller and shows less. */
#define HALF_WARY_MS	1000U
/*
 * The same while processes are busy. A process that reads data in a loop comes
 * back for a page only once in a loop: a trial has to last for as long.
 */
#define HALF_BUSY_MS	2000U
/* A trial ends if it has not grown, and no page has passed, for so many halves. */
#define STUCK_HALVES	3U
/*
 * Between two looks: TAKE_MS while the driver takes pages, LOOK_MS while it
 * waits for refaults.
 */
#define TAKE_MS		10U
#define LOOK_MS		100U

/* The smallest trial. */
#define STEP_MIN	BYTES(SZ_1M)

/* The longest delay after a failed trial, unless its cost calls for more. */
#define WAIT_MAX_MS	10000U
/*
 * For each second that a failed trial has cost tasks, no trial begins for
 * RECOVERIES seconds. So trials cost 5 %.
 */
#define RECOVERIES	20U
/* The longest delay for the cost of a trial: ten minutes. */
#define RECOVERED_MS	600000U
/*
 * For this time after a failed trial the driver keeps a margin. It also puts
 * free memory on trial instead of taking it for good.
 */
#define WARY_MS		60000U

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
 * balloon_experiment_init - start without any knowledge
 * @ex: the experiment
 * @nodes: an array for the nodes, indexed by node number
 * @nr_nodes: length of @nodes
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

/* Returns the pages that the host wants and neither has nor is about to get. */
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
 * balloon_experiment_missed - a trial fails: the guest needs the pages
 * @ex: the experiment
 * @now: a sample from before the pages go back
 * @why: the sign that the guest needs the pages
 *
 * The next trial holds a quarter as many pages.
 *
 * Context: any. The kthread also calls this if the out-of-memory notifier has
 * recalled the trial.
 * Return: the shortest time until the next trial, in ms.
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
 * balloon_experiment_gave - a guest that was short of memory got pages back
 * @ex: the experiment
 * @now: a sample
 * @why: the sign that the guest was short
 *
 * Context: any. The kthread also calls this if the out-of-memory notifier has
 * given pages.
 * Return: the shortest time for which the balloon takes no page, in ms.
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
 * @ex: the experiment
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
 * balloon_experiment_given - the guest got pages from outside of the balloon
 * @ex: the experiment
 * @pages: guest pages, a part of those that BALLOON_ACT_GIVE asked for
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
 * @ex: the experiment
 *
 * Delays go on: a host cannot end one by changing the target twice.
 *
 * Context: any.
 */
void balloon_experiment_rest(struct balloon_experiment *ex)
{
	ex->passed = 0;
	if (ex->phase == BALLOON_PHASE_EASE)
		ex->phase = BALLOON_PHASE_HOLD_OFF;
	if (ex->phase != BALLOON_PHASE_WAIT &&
	    ex->phase != BALLOON_PHASE_HOLD_OFF)
		ex->phase = BALLOON_PHASE_IDLE;
}

/**
 * balloon_experiment_forgive - end all delays and margins
 * @ex: the experiment
 *
 * For an administrator who writes the floor or the policy, and so knows better
 * than the last trial.
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

/*
 * kswapd reclaims as much as the balloon takes. The driver does not check whose
 * pages kswapd reclaims.
 */
static struct balloon_action take_any(struct balloon_experiment *ex,
				      const struct balloon_sample *now)
{
	struct balloon_action action = act(BALLOON_ACT_TAKE, 0, TAKE_MS);

	action.node = NUMA_NO_NODE;
	action.pages = min(now->target - now->size, affordable(ex, now));
	return action;
}

/*
 * Returns the number of cold pages. If fewer pages are inactive than a quarter
 * of the active ones, reclaim begins with active pages.
 */
static unsigned long cold(const struct balloon_sample *now)
{
	return now->inactive - min(now->inactive, now->active / 4);
}

/*
 * If many pages are cold, a trial may be large: pages in use are then a small
 * part of it.
 */
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
 * Returns the pages on trial that have not passed. Between the high and the low
 * watermark, pages come without reclaim. Their trial begins when kswapd has
 * replaced them.
 */
static unsigned long unproven(const struct balloon_experiment *ex,
			      const struct balloon_sample *now)
{
	unsigned long rest = now->on_trial - min(now->on_trial, ex->passed);

	return rest - min(rest, now->lack);
}

/* Passes pages that were on trial for both halves, except for the margin. */
static void pass_half(struct balloon_experiment *ex,
		      const struct balloon_sample *now)
{
	unsigned long all = unproven(ex, now);
	unsigned long passed = min(ex->old, all);
	struct balloon_sample half = ex->half;

	passed = min(ex->missed ? passed / 2 : passed, wanted(ex, now));
	ex->passed += passed;
	if (passed) {
		ex->step = 2 * ex->step;
		ex->wait_ms = max(ex->wait_ms, BALLOON_WAIT_MIN_MS) / 2;
		ex->grew_at = now->ms;
	}
	ex->old = all - min(all, ex->missed ? ex->old : passed);
	ex->half = *now;
	ex->refaults = balloon_control_refaults(&ex->control, now);
	balloon_control_end(&ex->control, now);
	ex->control.from = half;
}

/*
 * Ends a trial that has not failed. Its margin goes back, or kswapd finds no
 * more pages.
 */
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

/* Returns the most pages that may be on trial now and have not passed. */
static unsigned long trial_room(struct balloon_experiment *ex,
				const struct balloon_sample *now)
{
	ex->step = min(ex->step, largest_step(now));
	if (!ex->control.calm || ex->passed > ex->step)
		return 0;
	/* Long trials overlap. */
	if (!ex->missed)
		return min(ex->control.busy ? 2 * ex->step : ex->step,
			   wanted(ex, now));
	/*
	 * After a failed trial only one trial runs at a time. It holds twice as
	 * many pages as the host gets of it.
	 */
	if (ex->old || ex->passed)
		return 0;
	return min(2 * ex->step, wanted(ex, now) + ex->step);
}

static unsigned int half_ms(const struct balloon_experiment *ex)
{
	if (ex->control.busy)
		return HALF_BUSY_MS;
	return ex->missed ? HALF_WARY_MS : HALF_MS;
}

static struct balloon_action try(struct balloon_experiment *ex,
				 const struct balloon_sample *now)
{
	unsigned int half = half_ms(ex);
	unsigned int stuck = STUCK_HALVES * max(half, HALF_WARY_MS);
	unsigned long young, most, quota, more;

	/* A recovery, or a freeze, has given pages back that had passed. */
	ex->passed = min(ex->passed, now->on_trial);
	ex->old = min(ex->old, now->on_trial);
	if (balloon_control_hurts(&ex->control, now, now->on_trial))
		return end_trial(ex, now, BALLOON_HOLD_REFAULT);
	if (now->size + now->on_trial > ex->held) {
		ex->held = now->size + now->on_trial;
		ex->grew_at = now->ms;
	}
	if (now->ms - ex->half.ms >= half)
		pass_half(ex, now);
	if (!ex->passed && now->ms - ex->grew_at >= stuck)
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
			   min(ex->passed, now->target - now->size), 0);
	if (ex->missed ? !ex->old && now->ms - ex->since >= half :
			 !now->on_trial && !most)
		return give_trial_up(ex, now, BALLOON_HOLD_NONE);
	return rest(ex, most ? TAKE_MS : LOOK_MS);
}

/* Returns whether @action is due, whatever the target is. */
static bool ease(struct balloon_experiment *ex, const struct balloon_sample *now,
		 bool whole, struct balloon_action *action)
{
	enum balloon_hold why = ex->hold;
	unsigned long give;

	give = balloon_pressure_short(&ex->pressure, now, ex->gave, &why);
	if (whole && now->policy == BALLOON_POLICY_FULL)
		give = max(give, balloon_pressure_thrash(&ex->pressure,
							 &ex->control, now,
							 &why));
	/* Pages that mm has isolated since do not keep the guest waiting. */
	if (give && now->on_trial && ex->phase == BALLOON_PHASE_TRY) {
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
 * A failed trial has a price: the time that it has cost tasks. This is the
 * number of refaults, divided by the highest rate at which the disk served
 * them.
 */
static u64 recovery_ms(const struct balloon_experiment *ex)
{
	u64 lost = div_u64((u64)ex->cost * 1000, ex->most);

	return max_t(u64, min(lost * RECOVERIES, (u64)RECOVERED_MS), ex->wait_ms);
}

/* Returns the time until the next trial may begin, in ms. */
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

/* Called below the target, without pages on trial and without a delay. */
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
 * balloon_experiment_step - decide on the next action
 * @ex: the experiment; its nodes are as of the sample
 * @now: the sample; its target is not below its size
 *
 * The caller carries the action out. It calls again after look_in_ms or
 * earlier.
 *
 * Context: any. The result depends on the arguments only.
 * Return: the next action.
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
	/* mm had isolated these pages, or the target fell. */
	if (now->on_trial)
		return act(BALLOON_ACT_END, now->on_trial, LOOK_MS);
	if (now->size >= now->target)
		return rest(ex, BALLOON_NEVER_MS);

	left = wait_left(ex, now, whole);
	if (!left)
		return grow(ex, now, whole);
	/* No task misses memory that is still free after WARY_MS. */
	if (ex->phase == BALLOON_PHASE_WAIT && ex->control.calm) {
		action = take_free(ex, now);
		if (action.pages)
			return action;
	}
	return rest(ex, clamp(left / 2, TAKE_MS, BALLOON_WINDOW_MS));
}
