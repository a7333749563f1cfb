// SPDX-License-Identifier: GPL-2.0
/*
 * The kthread: moves the balloon towards the host's target.
 *
 * There is no hard limit. What was got is kept, and what is missing is tried
 * again on a timer whose delay doubles while nothing comes of it.
 */

#include <linux/err.h>
#include <linux/freezer.h>
#include <linux/kthread.h>
#include <linux/pageblock-flags.h>
#include <linux/virtio_config.h>
#include <kunit/static_stub.h>

#include "trace.h"
#include "virtio_balloon.h"

/* The largest block that one message can name, up to a pageblock. */
static unsigned int balloon_max_order(void)
{
	return min_t(unsigned int, pageblock_order,
		     ilog2(BALLOON_LARGE_MESSAGE / BALLOON_PER_GUEST_PAGE));
}

/* A device that has given up says so by a change of its configuration. */
static bool balloon_device_needs_reset(struct balloon_device *bd)
{
	return bd->vdev->config->get_status(bd->vdev) &
	       VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* Virtio 1.2, 5.5.4: the configuration is little-endian, always. */
static void balloon_read_target(struct balloon_device *bd)
{
	unsigned long target;
	u32 num_pages;

	if (balloon_device_needs_reset(bd)) {
		WRITE_ONCE(bd->dead, true);
		return;
	}

	virtio_cread_le(bd->vdev, struct virtio_balloon_config, num_pages,
			&num_pages);
	target = balloon_to_guest_pages(num_pages);
	if (target == bd->target)
		return;

	WRITE_ONCE(bd->target, target);
	WRITE_ONCE(bd->retry_delay_ms, 0);
	bd->order = balloon_max_order();
}

/**
 * balloon_report - tell the host the balloon's size (virtio 1.2, 5.5.6)
 * @bd: the balloon
 * @pages: guest pages
 *
 * Context: the kthread, or teardown after it; may sleep.
 */
void balloon_report(struct balloon_device *bd, unsigned long pages)
{
	u32 actual = guest_to_balloon_pages(pages);

	if (actual == bd->reported)
		return;
	virtio_cwrite_le(bd->vdev, struct virtio_balloon_config, actual,
			 &actual);
	bd->reported = actual;
	bd->reported_at = jiffies;
}

static bool balloon_moving(const struct balloon_device *bd)
{
	return bd->state == BALLOON_INFLATING || bd->state == BALLOON_DEFLATING;
}

/* Returns for how many jiffies at most the report can be left alone. */
static long balloon_report_in_time(struct balloon_device *bd)
{
	if (balloon_moving(bd) &&
	    time_before(jiffies, bd->reported_at + BALLOON_REPORT_INTERVAL))
		return BALLOON_REPORT_INTERVAL;

	balloon_report(bd, balloon_actual(bd));
	return MAX_SCHEDULE_TIMEOUT;
}

/* One line when an episode of waiting starts, one when it ends. */
static void balloon_tell_waiting(struct balloon_device *bd)
{
	if (bd->told_waiting)
		return;
	bd->told_waiting = true;
	dev_info_ratelimited(&bd->vdev->dev,
			     "no memory to spare at %lu of %lu KiB, trying again from time to time\n",
			     guest_pages_to_kib(balloon_size(bd)),
			     guest_pages_to_kib(bd->target));
}

static void balloon_tell_arrived(struct balloon_device *bd)
{
	if (!bd->told_waiting)
		return;
	bd->told_waiting = false;
	dev_info_ratelimited(&bd->vdev->dev, "reached the target of %lu KiB\n",
			     guest_pages_to_kib(bd->target));
}

static void balloon_retry_in(struct balloon_device *bd, unsigned int delay_ms)
{
	WRITE_ONCE(bd->retry_delay_ms, delay_ms);
	bd->retry_at = jiffies + msecs_to_jiffies(delay_ms);
	bd->order = balloon_max_order();
	balloon_tell_waiting(bd);
	trace_wait(bd, delay_ms);
}

static void balloon_back_off(struct balloon_device *bd, bool progress)
{
	unsigned int delay_ms = BALLOON_RETRY_MIN_MS;

	if (bd->retry_delay_ms && !progress)
		delay_ms = min(2 * bd->retry_delay_ms, BALLOON_RETRY_MAX_MS);
	balloon_retry_in(bd, delay_ms);
}

/* Both return for how many jiffies the kthread may sleep, 0 to go on. */
static long balloon_grow(struct balloon_device *bd, unsigned long want)
{
	unsigned long affordable, got = 0;
	long left = bd->retry_at - jiffies;
	int err = -ENOMEM;

	if (bd->retry_delay_ms && left > 0) {
		WRITE_ONCE(bd->state, BALLOON_WAITING);
		return left;
	}

	WRITE_ONCE(bd->state, BALLOON_INFLATING);
	affordable = balloon_affordable(bd);
	if (affordable)
		err = balloon_inflate(bd, min(want, affordable), &got);
	if (err == -ENOMEM)
		balloon_back_off(bd, got);
	else if (got)
		WRITE_ONCE(bd->retry_delay_ms, 0);
	return err == -EBUSY ? BALLOON_LOOK_AGAIN : 0;
}

static long balloon_shrink(struct balloon_device *bd, unsigned long want)
{
	unsigned long given;

	WRITE_ONCE(bd->retry_delay_ms, 0);
	WRITE_ONCE(bd->state, BALLOON_DEFLATING);
	return balloon_deflate(bd, want, &given) == -EBUSY ?
	       BALLOON_LOOK_AGAIN : 0;
}

static long balloon_rest(struct balloon_device *bd, bool busy)
{
	WRITE_ONCE(bd->retry_delay_ms, 0);
	if (busy)
		return BALLOON_LOOK_AGAIN;
	WRITE_ONCE(bd->state, BALLOON_IDLE);
	balloon_tell_arrived(bd);
	return MAX_SCHEDULE_TIMEOUT;
}

/**
 * balloon_report_start - learn what the device was told last
 * @bd: the balloon
 *
 * The device remembers what an earlier driver has written, be it that of a
 * kernel which crashed.
 *
 * Context: probe or restore.
 */
void balloon_report_start(struct balloon_device *bd)
{
	virtio_cread_le(bd->vdev, struct virtio_balloon_config, actual,
			&bd->reported);
	bd->reported_at = jiffies;
}

/* Everything that can be done now. Returns as balloon_grow(). */
static long balloon_thread_pass(struct balloon_device *bd)
{
	unsigned long size;
	long timeout;
	bool busy;
	int err;

	if (READ_ONCE(bd->dying))
		return MAX_SCHEDULE_TIMEOUT;
	if (xchg(&bd->config_changed, false))
		balloon_read_target(bd);
	if (xchg(&bd->restraint.floor_changed, false))
		WRITE_ONCE(bd->retry_delay_ms, 0);
	/* The guest needed its memory a moment ago: it may do so again. */
	if (xchg(&bd->gave_at_oom, false))
		balloon_retry_in(bd, BALLOON_RETRY_AFTER_OOM_MS);

	mutex_lock(&bd->balloon_lock);
	err = balloon_queues_advance(bd);
	busy = balloon_queues_busy(bd);
	mutex_unlock(&bd->balloon_lock);
	if (err) {
		WRITE_ONCE(bd->state, BALLOON_DEAD);
		return MAX_SCHEDULE_TIMEOUT;
	}

	size = balloon_size(bd);
	if (size < bd->target)
		timeout = balloon_grow(bd, bd->target - size);
	else if (size > bd->target)
		timeout = balloon_shrink(bd, size - bd->target);
	else
		timeout = balloon_rest(bd, busy);

	if (busy)
		timeout = min(timeout, BALLOON_LOOK_AGAIN);
	return min(timeout, balloon_report_in_time(bd));
}

static void balloon_thread_sleep(struct balloon_device *bd, int seen,
				 long timeout)
{
	bool armed;

	mutex_lock(&bd->balloon_lock);
	armed = balloon_queues_arm(bd);
	mutex_unlock(&bd->balloon_lock);
	if (armed)
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
		seen = atomic_read(&bd->events);
		timeout = balloon_thread_pass(bd);
		if (timeout)
			balloon_thread_sleep(bd, seen, timeout);
		else
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

	bd->order = balloon_max_order();
	bd->config_changed = true;
	balloon_device_get(bd);
	bd->thread = kthread_run(balloon_thread, bd, "vballoon");
	if (IS_ERR(bd->thread)) {
		balloon_device_put(bd);
		return PTR_ERR(bd->thread);
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
	kthread_stop(bd->thread);
	balloon_device_put(bd);
}
