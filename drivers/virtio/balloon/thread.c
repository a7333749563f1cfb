// SPDX-License-Identifier: GPL-2.0
/*
 * The kthread: moves the balloon towards the host's target.
 *
 * There is no hard limit. What was got is kept, and what is missing is tried
 * again on a timer whose delay doubles while nothing comes of it. restraint.c says
 * how much may be taken, and when the guest has to get something back.
 */

#include <linux/err.h>
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <kunit/static_stub.h>

#include "blocks.h"
#include "config.h"
#include "device.h"
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
/* While reclaim keeps finding some: it takes a moment to find more. */
#define BALLOON_RETRY_PROGRESS_MS	20U

static bool balloon_moving(const struct balloon_device *bd)
{
	return bd->config.state == BALLOON_INFLATING ||
	       bd->config.state == BALLOON_DEFLATING;
}

/* Returns for how many jiffies at most the report can be left alone. */
static long balloon_report_in_time(struct balloon_device *bd)
{
	if (balloon_moving(bd) &&
	    time_before(jiffies,
			bd->config.actual_at + BALLOON_REPORT_INTERVAL))
		return BALLOON_REPORT_INTERVAL;

	balloon_actual_write(bd, balloon_actual(&bd->ledger));
	return MAX_SCHEDULE_TIMEOUT;
}

/* One line when an episode of holding starts, one when it ends. */
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
	WRITE_ONCE(bd->config.hold, BALLOON_HOLD_NONE);
}

static void balloon_retry_in(struct balloon_device *bd, unsigned int delay_ms,
			     enum balloon_hold reason)
{
	WRITE_ONCE(bd->thread.retry_delay_ms, delay_ms);
	WRITE_ONCE(bd->config.hold, reason);
	bd->thread.retry_at = jiffies + msecs_to_jiffies(delay_ms);
	balloon_expect_large_blocks(&bd->blocks);
	if (reason)
		trace_hold(bd, reason, delay_ms);
}

static void balloon_back_off(struct balloon_device *bd, bool progress,
			     enum balloon_hold reason)
{
	if (progress) {
		balloon_retry_in(bd, BALLOON_RETRY_PROGRESS_MS,
				 BALLOON_HOLD_NONE);
		return;
	}
	balloon_tell_holding(bd);
	balloon_retry_in(bd,
			 clamp(2 * bd->thread.retry_delay_ms,
			       BALLOON_RETRY_MIN_MS, BALLOON_RETRY_MAX_MS),
			 reason);
}

/* The guest needs the pages that it got back: leave it alone for a while. */
static void balloon_back_off_far(struct balloon_device *bd,
				 enum balloon_hold reason)
{
	balloon_pause(bd, reason);
	balloon_tell_holding(bd);
	balloon_retry_in(bd, bd->restraint.pause_ms, reason);
}

/* Returns for how many jiffies nothing may be taken. */
static long balloon_wait_left(const struct balloon_device *bd)
{
	long until_retry = 0;

	if (bd->thread.retry_delay_ms)
		until_retry = bd->thread.retry_at - jiffies;
	return max3(balloon_pause_left(bd), until_retry, 0L);
}

/* A new target has ended the retry timer, but does not end a pause. */
static void balloon_keep_pausing(struct balloon_device *bd)
{
	long left = balloon_pause_left(bd);

	if (left && !bd->thread.retry_delay_ms)
		balloon_retry_in(bd, jiffies_to_msecs(left),
				 bd->restraint.pause_reason);
}

/* Pages that have passed their trial are the host's. */
static int balloon_hand_over(struct balloon_device *bd, unsigned long want)
{
	unsigned long got;
	int err;

	WRITE_ONCE(bd->config.state, BALLOON_INFLATING);
	err = balloon_inflate(bd, min(want, balloon_trial_passed(bd)), &got);
	/* A page or two say nothing. */
	if (got > bd->restraint.now.total >> BALLOON_TRIAL_MIN_SHIFT)
		balloon_note_no_refault(bd);
	return err;
}

static void balloon_trial_fails(struct balloon_device *bd,
				enum balloon_hold reason)
{
	balloon_trial_refaulted(bd);
	balloon_tell_holding(bd);
	balloon_retry_in(bd, balloon_note_refault(bd), reason);
}

/* Does the guest do without the pages on trial? If not, it gets them back. */
static bool balloon_trial_goes_on(struct balloon_device *bd,
				  const struct balloon_plan *plan)
{
	if (!plan->pressed && plan->hold != BALLOON_HOLD_STALL &&
	    plan->hold != BALLOON_HOLD_REFAULT)
		return true;
	balloon_trial_fails(bd, plan->hold);
	return false;
}

/* Returns as balloon_inflate(). */
static int balloon_take(struct balloon_device *bd,
			const struct balloon_plan *plan, unsigned long *got)
{
	WRITE_ONCE(bd->config.state, BALLOON_INFLATING);
	if (!plan->on_trial)
		return balloon_inflate(bd, plan->take, got);
	balloon_expect_reclaim(bd);
	/* A message's worth, as without a trial: the plan may change after it. */
	return balloon_trial_take(bd, min3(plan->take, balloon_trial_room(bd),
					   BALLOON_TRIAL_AT_ONCE), got);
}

/* From here on functions return for how many jiffies the kthread may sleep, or 0. */
static long balloon_wait_to_grow(struct balloon_device *bd)
{
	balloon_keep_pausing(bd);
	/* The margin alone gets the host nothing. */
	if (bd->config.hold &&
	    balloon_trial_size(bd) <= balloon_trial_margin(bd))
		WRITE_ONCE(bd->config.state, BALLOON_HOLDING);
	return balloon_wait_left(bd);
}

static long balloon_grow(struct balloon_device *bd, unsigned long want,
			 const struct balloon_plan *plan)
{
	long trial_left = MAX_SCHEDULE_TIMEOUT;
	enum balloon_hold hold = plan->hold;
	unsigned long got = 0;
	int err = -ENOMEM;

	if (balloon_trial_size(bd) && balloon_trial_goes_on(bd, plan)) {
		trial_left = balloon_trial_watch(bd);
		if (!trial_left)
			return balloon_hand_over(bd, want) == -EBUSY ?
			       BALLOON_LOOK_AGAIN : 0;
		if (balloon_trial_size(bd) >= want + balloon_trial_margin(bd) ||
		    !balloon_trial_room(bd))
			return trial_left;
	}

	if (balloon_wait_left(bd))
		return min(balloon_wait_to_grow(bd), trial_left);

	if (plan->take) {
		hold = BALLOON_HOLD_ALLOCATION;
		err = balloon_take(bd, plan, &got);
	}
	if (err == -ENOMEM)
		balloon_back_off(bd, got, hold);
	else if (got)
		balloon_go_on(bd);
	return err == -EBUSY ? BALLOON_LOOK_AGAIN : 0;
}

static long balloon_shrink(struct balloon_device *bd, unsigned long want)
{
	unsigned long given;

	balloon_trial_end(bd);
	balloon_go_on(bd);
	WRITE_ONCE(bd->config.state, BALLOON_DEFLATING);
	return balloon_deflate(bd, want, &given) == -EBUSY ?
	       BALLOON_LOOK_AGAIN : 0;
}

/* The guest is about to run out of memory: give before it has to ask. */
static long balloon_ease(struct balloon_device *bd,
			 const struct balloon_plan *plan)
{
	unsigned long given;
	int err;

	/* To stop taking may be enough. */
	if (balloon_trial_size(bd)) {
		balloon_trial_fails(bd, plan->hold);
		return 0;
	}
	/* Hinted blocks go before the balloon. */
	if (balloon_hints_give(&bd->hints, plan->give))
		return 0;
	WRITE_ONCE(bd->config.state, BALLOON_DEFLATING);
	err = balloon_deflate(bd, plan->give, &given);
	if (given)
		balloon_back_off_far(bd, plan->hold);
	return err == -EBUSY ? BALLOON_LOOK_AGAIN : 0;
}

static long balloon_rest(struct balloon_device *bd, bool busy)
{
	balloon_trial_end(bd);	/* the target fell to what there is */
	balloon_go_on(bd);
	if (busy)
		return BALLOON_LOOK_AGAIN;
	WRITE_ONCE(bd->config.state, BALLOON_IDLE);
	balloon_tell_arrived(bd);
	return MAX_SCHEDULE_TIMEOUT;
}

/* Only a plan reads the guest's counters: nothing reads them without a need. */
static bool balloon_needs_plan(struct balloon_device *bd, bool below_target)
{
	if (balloon_may_have_to_give(bd))
		return true;
	return below_target &&
	       (balloon_trial_size(bd) || !balloon_wait_left(bd));
}

/**
 * balloon_step - one step towards the target, or away from it
 * @bd: the balloon
 * @busy: the host has messages that it has not acknowledged
 *
 * Context: the kthread; no lock held.
 * Return: for how many jiffies the kthread may sleep, 0 to go on.
 */
long balloon_step(struct balloon_device *bd, bool busy)
{
	unsigned long size = balloon_size(&bd->ledger);
	unsigned long target = bd->config.target;
	struct balloon_plan plan;

	if (size > target)
		return balloon_shrink(bd, size - target);
	if (balloon_needs_plan(bd, size < target)) {
		plan = balloon_plan(bd);
		if (plan.give)
			return balloon_ease(bd, &plan);
		if (size < target)
			return balloon_grow(bd, target - size, &plan);
	}
	if (size < target)
		return balloon_wait_to_grow(bd);
	if (!size)
		balloon_forget_signals(bd);
	return balloon_rest(bd, busy);
}

/*
 * A host that says nothing is waited for. Its device may have been reset behind the
 * driver's back, or be gone, and then nothing would ever come: ask its status.
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

/* Everything that can be done now. Returns as balloon_grow(). */
static long balloon_thread_pass(struct balloon_device *bd)
{
	long timeout, look_in;
	bool busy;
	int err;

	if (balloon_is_dying(bd))
		return MAX_SCHEDULE_TIMEOUT;
	if (balloon_is_broken(bd)) {
		balloon_go_on(bd);
		balloon_expect_large_blocks(&bd->blocks);
		return balloon_recover(bd);
	}
	if (test_and_clear_bit(BALLOON_CONFIG_CHANGED, &bd->flags) &&
	    balloon_target_read(bd)) {
		WRITE_ONCE(bd->thread.retry_delay_ms, 0);
		balloon_expect_large_blocks(&bd->blocks);
	}
	if (test_and_clear_bit(BALLOON_FLOOR_CHANGED, &bd->flags)) {
		balloon_end_pause(bd);
		balloon_go_on(bd);
	}
	/* First: the task that recalled the trial waits for the count. */
	if (balloon_trial_answer(bd)) {
		balloon_tell_holding(bd);
		balloon_retry_in(bd, balloon_note_refault(bd),
				 BALLOON_HOLD_STALL);
	}
	/* The guest needed its memory a moment ago: it may do so again. */
	if (test_and_clear_bit(BALLOON_GAVE_AT_OOM, &bd->flags)) {
		balloon_trial_end(bd);
		balloon_back_off_far(bd, BALLOON_HOLD_STALL);
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

/* The kthread has gone as far as it can for now. A silent host keeps no guest awake. */
static void balloon_thread_rests(struct balloon_device *bd)
{
	if (balloon_moving(bd) && !bd->thread.host_silent &&
	    !balloon_is_dying(bd))
		return;
	balloon_may_sleep(bd, BALLOON_AWAKE_TARGET);
	/* A change that came before that has to be carried out yet. */
	if (test_bit(BALLOON_CONFIG_CHANGED, &bd->flags) &&
	    !balloon_is_dying(bd))
		balloon_stay_awake(bd, BALLOON_AWAKE_TARGET);
}

/*
 * A kthread that is dying reaps nothing. It must not ask the queues: an
 * acknowledgment that stays there would keep it from its sleep.
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
			balloon_thread_rests(bd);
			balloon_thread_sleep(bd, seen, timeout);
		}
		/* On every turn: a kernel may not preempt. */
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
 * It stops at the end of the message it is working on.
 *
 * Context: remove; sleeps.
 */
void balloon_thread_stop(struct balloon_device *bd)
{
	kthread_stop(bd->thread.task);
	balloon_device_put(bd);
}
