// SPDX-License-Identifier: GPL-2.0
/*
 * The kthread: moves the balloon towards the host's target.
 *
 * There is no hard limit. The balloon keeps the pages that it got. The kthread
 * tries to get the missing ones on a timer, whose delay doubles while the tries
 * get nothing. experiment.c decides how much memory the balloon may take, and
 * when the guest gets some back.
 */

#include <linux/err.h>
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/numa.h>
#include <kunit/static_stub.h>

#include "blocks.h"
#include "config.h"
#include "device.h"
#include "experiment.h"
#include "guest.h"
#include "hints.h"
#include "ledger.h"
#include "pages.h"
#include "queue.h"
#include "recovery.h"
#include "restraint.h"
#include "settle.h"
#include "thread.h"
#include "trace.h"
#include "trial.h"
#include "virtio_balloon.h"
#include "wakeup.h"

/* The longest delay between tries to get memory. */
#define BALLOON_RETRY_MAX_MS	(10 * MSEC_PER_SEC)

/* All batches are in use, or mm has isolated pages: look at refaults, too. */
#define BALLOON_HAND_OVER_AGAIN	(HZ / 10)

static bool balloon_moving(const struct balloon_device *bd)
{
	return bd->config.state == BALLOON_INFLATING ||
	       bd->config.state == BALLOON_DEFLATING;
}

/*
 * Writes `actual` if it is due. Returns the longest time until the next report,
 * in jiffies.
 */
static long balloon_report_in_time(struct balloon_device *bd)
{
	if (balloon_moving(bd) &&
	    time_before(jiffies,
			bd->config.actual_at + BALLOON_REPORT_INTERVAL))
		return BALLOON_REPORT_INTERVAL;

	balloon_actual_write(bd, balloon_actual(&bd->ledger));
	return MAX_SCHEDULE_TIMEOUT;
}

/* The log gets one line when holding starts, and one when it ends. */
static void balloon_tell_holding(struct balloon_device *bd)
{
	if (bd->thread.told_holding)
		return;
	bd->thread.told_holding = true;
	dev_info_ratelimited(&bd->vdev->dev,
			     "no memory to spare at %lu of %lu KiB, trying again from time to time\n",
			     guest_pages_to_kib(balloon_size(&bd->ledger)),
			     guest_pages_to_kib(bd->config.target));
}

static void balloon_tell_arrived(struct balloon_device *bd)
{
	if (!bd->thread.told_holding)
		return;
	bd->thread.told_holding = false;
	dev_info_ratelimited(&bd->vdev->dev, "reached the target of %lu KiB\n",
			     guest_pages_to_kib(bd->config.target));
}

static void balloon_go_on(struct balloon_device *bd)
{
	WRITE_ONCE(bd->thread.retry_delay_ms, 0);
	balloon_hold_set(bd, BALLOON_HOLD_NONE);
}

static void balloon_retry_in(struct balloon_device *bd, unsigned int delay_ms,
			     enum balloon_hold reason)
{
	WRITE_ONCE(bd->thread.retry_delay_ms, delay_ms);
	balloon_hold_set(bd, reason);
	bd->thread.retry_at = jiffies + msecs_to_jiffies(delay_ms);
	balloon_expect_large_blocks(&bd->blocks);
	if (reason)
		trace_hold(bd, reason, delay_ms);
}

static void balloon_back_off(struct balloon_device *bd,
			     enum balloon_hold reason)
{
	unsigned int last = bd->config.hold == reason ?
			    bd->thread.retry_delay_ms : 0;

	balloon_tell_holding(bd);
	balloon_retry_in(bd, clamp(2 * last, BALLOON_RETRY_MIN_MS,
				   BALLOON_RETRY_MAX_MS), reason);
}

/* Below, functions return the kthread's longest sleep in jiffies, or 0. */
static long balloon_look_in(const struct balloon_action *action)
{
	return action->look_in_ms == BALLOON_NEVER_MS ?
	       MAX_SCHEDULE_TIMEOUT : msecs_to_jiffies(action->look_in_ms);
}

/* Returns the time until the next try to allocate, in jiffies. */
static long balloon_wait_left(const struct balloon_device *bd)
{
	long left;

	if (bd->config.hold != BALLOON_HOLD_ALLOCATION &&
	    bd->config.hold != BALLOON_HOLD_FLOOR)
		return 0;
	left = bd->thread.retry_at - jiffies;
	return bd->thread.retry_delay_ms && left > 0 ? left : 0;
}

static long balloon_took(struct balloon_device *bd, int err, unsigned long got,
			 long look_in)
{
	if (got)
		balloon_go_on(bd);
	else if (err == -ENOMEM)
		balloon_back_off(bd, BALLOON_HOLD_ALLOCATION);
	return err == -EBUSY ? BALLOON_LOOK_AGAIN : look_in;
}

static long balloon_take(struct balloon_device *bd,
			 const struct balloon_action *action)
{
	long left = balloon_wait_left(bd);
	unsigned long got;
	int err;

	if (left) {
		balloon_state_set(bd, BALLOON_HOLDING);
		return left;
	}
	balloon_state_set(bd, BALLOON_INFLATING);
	balloon_take_from(&bd->blocks, action->node == NUMA_NO_NODE ?
				       balloon_sparest_node() : action->node);
	err = balloon_inflate(bd, action->pages, &got);
	/* kswapd is about to find more. */
	return balloon_took(bd, err, got,
			    err == -ENOMEM ? balloon_look_in(action) : 0);
}

static long balloon_try(struct balloon_device *bd,
			const struct balloon_action *action)
{
	struct balloon_counters *counters = &bd->restraint.counters;
	bool begins = !balloon_trial_size(bd);
	unsigned long got;

	balloon_state_set(bd, BALLOON_INFLATING);
	got = balloon_trial_take(bd, action->pages);
	if (begins && got)
		WRITE_ONCE(counters->trials, counters->trials + 1);
	return balloon_took(bd, 0, got, balloon_look_in(action));
}

/* The host gets pages that have passed their trial. */
static long balloon_hand_over(struct balloon_device *bd,
			      const struct balloon_action *action)
{
	unsigned long got = 0;
	int err = 0;

	balloon_state_set(bd, BALLOON_INFLATING);
	if (balloon_trial_pass(bd, action->pages))
		err = balloon_inflate(bd, bd->trial.nr_passed, &got);
	balloon_trial_pass(bd, 0);
	balloon_experiment_handed_over(&bd->restraint.experiment, got);
	if (got)
		trace_trial(bd, got, true);
	else
		err = -EBUSY;	/* mm has isolated the pages */
	/* The trial of other pages goes on while the kthread waits. */
	return min(balloon_took(bd, err, got, 0), BALLOON_HAND_OVER_AGAIN);
}

/* Says why the balloon does not grow for a while. */
static void balloon_hold(struct balloon_device *bd, enum balloon_hold hold,
			 unsigned int retry_ms)
{
	if (hold == BALLOON_HOLD_NONE)
		return;
	balloon_tell_holding(bd);
	balloon_retry_in(bd, retry_ms, hold);
}

/* Returns how many guest pages went back. */
static unsigned long balloon_trial_fails(struct balloon_device *bd)
{
	struct balloon_counters *counters = &bd->restraint.counters;
	unsigned long nr = balloon_trial_size(bd);

	balloon_trial_end(bd);
	nr -= min(nr, balloon_trial_size(bd));
	if (!nr)
		return 0;
	WRITE_ONCE(counters->failed, counters->failed + 1);
	WRITE_ONCE(counters->recalled, counters->recalled + nr);
	trace_trial(bd, nr, false);
	return nr;
}

static long balloon_end_trial(struct balloon_device *bd,
			      const struct balloon_action *action)
{
	if (action->hold == BALLOON_HOLD_NONE ||
	    action->hold == BALLOON_HOLD_ALLOCATION)
		balloon_trial_end(bd);
	else
		balloon_trial_fails(bd);
	balloon_hold(bd, action->hold, action->retry_ms);
	return balloon_look_in(action);
}

/* Gives pages back before the guest runs out of memory. */
static long balloon_ease(struct balloon_device *bd,
			 const struct balloon_action *action)
{
	unsigned long *count = &bd->restraint.counters.given[action->hold];
	bool begins = bd->config.state != BALLOON_DEFLATING;
	unsigned long given;
	int err;

	/* Hinted blocks go back before pages of the balloon. */
	given = balloon_hints_give(&bd->hints, action->pages);
	if (given) {
		balloon_experiment_given(&bd->restraint.experiment, given);
		return 0;
	}
	balloon_state_set(bd, BALLOON_DEFLATING);
	balloon_trial_end(bd);
	err = balloon_deflate(bd, action->pages, &given);
	WRITE_ONCE(*count, *count + given);
	if (begins)
		balloon_hold(bd, action->hold, action->retry_ms);
	return err == -EBUSY ? BALLOON_LOOK_AGAIN : 0;
}

static long balloon_wait(struct balloon_device *bd,
			 const struct balloon_action *action)
{
	if (action->hold == BALLOON_HOLD_FLOOR && !balloon_wait_left(bd) &&
	    action->look_in_ms == BALLOON_NEVER_MS)
		balloon_back_off(bd, BALLOON_HOLD_FLOOR);
	if (action->hold == BALLOON_HOLD_NONE) {
		balloon_state_set(bd, BALLOON_INFLATING);
		return balloon_look_in(action);
	}
	if (bd->config.hold == BALLOON_HOLD_NONE)
		balloon_hold_set(bd, action->hold);
	balloon_state_set(bd, BALLOON_HOLDING);
	return min(balloon_look_in(action),
		   balloon_wait_left(bd) ?: MAX_SCHEDULE_TIMEOUT);
}

static long balloon_shrink(struct balloon_device *bd, unsigned long want)
{
	unsigned long given;

	balloon_trial_end(bd);
	balloon_experiment_rest(&bd->restraint.experiment);
	balloon_go_on(bd);
	balloon_state_set(bd, BALLOON_DEFLATING);
	return balloon_deflate(bd, want, &given) == -EBUSY ?
	       BALLOON_LOOK_AGAIN : 0;
}

static long balloon_rest(struct balloon_device *bd, bool busy)
{
	balloon_trial_end(bd);	/* the target fell to the balloon's size */
	balloon_experiment_rest(&bd->restraint.experiment);
	balloon_go_on(bd);
	if (busy)
		return BALLOON_LOOK_AGAIN;
	balloon_state_set(bd, BALLOON_IDLE);
	balloon_tell_arrived(bd);
	return MAX_SCHEDULE_TIMEOUT;
}

/**
 * balloon_step - one step towards the target, or away from it
 * @bd: the balloon
 * @busy: the host has messages that it has not acknowledged
 *
 * Context: the kthread; no lock held.
 * Return: the longest sleep of the kthread in jiffies, 0 to go on.
 */
long balloon_step(struct balloon_device *bd, bool busy)
{
	unsigned long size = balloon_size(&bd->ledger);
	unsigned long target = bd->config.target;
	struct balloon_action action;

	if (size > target)
		return balloon_shrink(bd, size - target);
	/* The driver reads counters only if a decision depends on them. */
	if (size == target && !balloon_may_have_to_give(bd))
		return balloon_rest(bd, busy);
	action = balloon_restrain(bd);
	switch (action.act) {
	case BALLOON_ACT_TAKE:
		return balloon_take(bd, &action);
	case BALLOON_ACT_TRY:
		return balloon_try(bd, &action);
	case BALLOON_ACT_HAND_OVER:
		return balloon_hand_over(bd, &action);
	case BALLOON_ACT_END:
		return balloon_end_trial(bd, &action);
	case BALLOON_ACT_GIVE:
		return balloon_ease(bd, &action);
	default:
		return size == target ? balloon_rest(bd, busy) :
					balloon_wait(bd, &action);
	}
}

/*
 * The kthread waits for a silent host. But the device may be gone, or may have
 * been reset behind the driver's back. Then no answer would ever come, so the
 * kthread reads the device's status.
 */
static void balloon_look_after_device(struct balloon_device *bd, bool busy)
{
	unsigned long acked = READ_ONCE(bd->queues.nr_acked);

	if (!busy || acked != bd->thread.looked_acked) {
		bd->thread.looked_acked = acked;
		bd->thread.looked_at = jiffies;
		bd->thread.host_silent = false;
	} else if (time_after_eq(jiffies,
				 bd->thread.looked_at + BALLOON_LOOK_AGAIN)) {
		bd->thread.looked_at = jiffies;
		bd->thread.host_silent = true;
		if (!balloon_device_works(bd))
			balloon_device_fail(bd);
	}
}

static void balloon_answer_recall(struct balloon_device *bd)
{
	unsigned long held = balloon_trial_size(bd);

	/* The task waits for the pages. Counters may wait for the task. */
	balloon_trial_answer(bd, held ? balloon_trial_fails(bd) : 0);
	if (held)
		balloon_hold(bd, BALLOON_HOLD_STALL,
			     balloon_note_recall(bd, held));
}

/* Does all work that is due. Returns as balloon_step() does. */
static long balloon_thread_pass(struct balloon_device *bd)
{
	long timeout, look_in;
	bool busy;
	int err;

	if (balloon_is_dying(bd))
		return MAX_SCHEDULE_TIMEOUT;
	if (balloon_is_broken(bd)) {
		balloon_go_on(bd);
		balloon_experiment_rest(&bd->restraint.experiment);
		balloon_expect_large_blocks(&bd->blocks);
		return balloon_recover(bd);
	}
	if (test_and_clear_bit(BALLOON_CONFIG_CHANGED, &bd->flags) &&
	    balloon_target_read(bd)) {
		if (balloon_wait_left(bd))
			WRITE_ONCE(bd->thread.retry_delay_ms, 0);
		balloon_expect_large_blocks(&bd->blocks);
	}
	if (test_and_clear_bit(BALLOON_FLOOR_CHANGED, &bd->flags)) {
		balloon_experiment_forgive(&bd->restraint.experiment);
		balloon_go_on(bd);
	}
	/* First: the task that recalled the trial waits for the count. */
	if (balloon_trial_is_recalled(bd))
		balloon_answer_recall(bd);
	/* The guest needed its memory a moment ago, and may need it again. */
	if (test_and_clear_bit(BALLOON_GAVE_AT_OOM, &bd->flags)) {
		balloon_trial_end(bd);
		balloon_hold(bd, BALLOON_HOLD_STALL, balloon_note_oom(bd));
	}

	mutex_lock(&bd->balloon_lock);
	err = balloon_advance(bd);
	busy = balloon_queues_busy(bd);
	look_in = balloon_queues_look_in(bd);
	balloon_queues_unlock(bd);
	if (err)
		return 0;	/* to recover */
	balloon_look_after_device(bd, busy);

	timeout = balloon_step(bd, busy);
	timeout = min(timeout, balloon_look_at_guest_in(bd));
	if (busy)
		timeout = min(timeout, look_in);
	return min(timeout, balloon_report_in_time(bd));
}

/*
 * Lets the guest suspend if the kthread has gone as far as it can for now. A
 * silent host must not keep the guest awake.
 */
static void balloon_thread_rests(struct balloon_device *bd)
{
	if (balloon_moving(bd) && !bd->thread.host_silent &&
	    !balloon_is_dying(bd))
		return;
	balloon_may_sleep(bd, BALLOON_AWAKE_TARGET);
	/* A change of the target that came before has to be carried out. */
	if (test_bit(BALLOON_CONFIG_CHANGED, &bd->flags) &&
	    !balloon_is_dying(bd))
		balloon_stay_awake(bd, BALLOON_AWAKE_TARGET);
}

/*
 * The kthread of a dying balloon reaps nothing. So it must not ask the queues:
 * an acknowledgment that stays there would keep it from sleeping.
 */
static void balloon_thread_sleep(struct balloon_device *bd, int seen,
				 long timeout)
{
	if (balloon_is_dying(bd) || balloon_is_broken(bd) ||
	    balloon_queues_may_sleep(bd))
		wait_event_freezable_timeout(bd->wait,
					     atomic_read(&bd->events) != seen ||
					     kthread_should_stop(), timeout);
}

static int balloon_thread(void *data)
{
	struct balloon_device *bd = data;
	long timeout;
	int seen;

	set_freezable();
	while (!kthread_should_stop()) {
		seen = atomic_read_acquire(&bd->events);
		timeout = balloon_thread_pass(bd);
		if (timeout) {
			balloon_restraint_slept(bd, timeout);
			balloon_thread_rests(bd);
			balloon_thread_sleep(bd, seen, timeout);
		}
		/* On every turn, as the kernel may not be preemptible. */
		cond_resched();
		try_to_freeze();
	}
	return 0;
}

/**
 * balloon_thread_start - create the kthread and let it read the target
 * @bd: the balloon, its virtqueues found
 *
 * Context: probe. Takes a reference for the kthread.
 * Return: 0 or the errno of kthread_create().
 */
int balloon_thread_start(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_thread_start, bd);

	balloon_expect_large_blocks(&bd->blocks);
	set_bit(BALLOON_CONFIG_CHANGED, &bd->flags);
	balloon_device_get(bd);
	bd->thread.task = kthread_run(balloon_thread, bd, "vballoon");
	if (IS_ERR(bd->thread.task)) {
		balloon_device_put(bd);
		return PTR_ERR(bd->thread.task);
	}
	return 0;
}

/**
 * balloon_thread_stop - stop the kthread and drop its reference
 * @bd: the balloon
 *
 * The kthread stops at the end of the message that it is working on.
 *
 * Context: remove; sleeps.
 */
void balloon_thread_stop(struct balloon_device *bd)
{
	kthread_stop(bd->thread.task);
	balloon_device_put(bd);
}
