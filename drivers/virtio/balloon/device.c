// SPDX-License-Identifier: GPL-2.0
/*
 * The device below the driver: lifetime, events, notifications, reset.
 */

#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "device.h"
#include "virtio_balloon.h"

/* The status of a device that was pulled out reads as ones: no device sets all. */
#define BALLOON_STATUS_GONE	0xff

static void balloon_device_release(struct kref *kref)
{
	struct balloon_device *bd = container_of(kref, struct balloon_device,
						 kref);

	bd->release(bd);
}

/**
 * balloon_device_free - free a device
 * @bd: the balloon, everything that its rooms have allocated freed
 *
 * Context: any; called by the function that balloon_device_alloc() was given.
 */
void balloon_device_free(struct balloon_device *bd)
{
	mutex_destroy(&bd->reset_lock);
	mutex_destroy(&bd->balloon_lock);
	kfree(bd);
}

/**
 * balloon_device_alloc - allocate a device
 * @vdev: the virtio device
 * @release: called when the last reference is dropped; ends in balloon_device_free()
 *
 * Context: probe.
 * Return: the device with one reference, or NULL.
 */
struct balloon_device *
balloon_device_alloc(struct virtio_device *vdev,
		     void (*release)(struct balloon_device *bd))
{
	struct balloon_device *bd;

	bd = kzalloc(sizeof(*bd), GFP_KERNEL);
	if (!bd)
		return NULL;

	kref_init(&bd->kref);
	bd->vdev = vdev;
	bd->release = release;
	mutex_init(&bd->balloon_lock);
	mutex_init(&bd->reset_lock);
	init_rwsem(&bd->notifying);
	init_waitqueue_head(&bd->wait);
	atomic_set(&bd->events, 0);
	return bd;
}

/**
 * balloon_device_get - take a reference to hand a pointer to another
 * @bd: the balloon, of which the caller has a valid pointer
 *
 * Context: any.
 */
void balloon_device_get(struct balloon_device *bd)
{
	kref_get(&bd->kref);
}

/**
 * balloon_device_put - drop a reference
 * @bd: the balloon; not to be touched afterwards
 *
 * Context: any; no lock of the balloon's held.
 */
void balloon_device_put(struct balloon_device *bd)
{
	kref_put(&bd->kref, balloon_device_release);
}

/**
 * balloon_event - something has happened that a waiter should look at
 * @bd: the balloon
 *
 * A waiter that reads the new count sees everything that was written before this
 * call. It reads the count with atomic_read_acquire().
 *
 * Context: any, including interrupts.
 */
void balloon_event(struct balloon_device *bd)
{
	/* Pairs with the waiters' atomic_read_acquire(). */
	smp_mb__before_atomic();
	atomic_inc(&bd->events);
	wake_up(&bd->wait);
}

/**
 * balloon_acked - the host has acknowledged a message that a task may wait for
 * @vq: the virtqueue whose callback this is
 *
 * Context: interrupt.
 */
void balloon_acked(struct virtqueue *vq)
{
	balloon_event(vq->vdev->priv);
}

/**
 * balloon_device_fail - the device has been found broken
 * @bd: the balloon
 *
 * The kthread resets the device, and sets it up again. Until then no task takes
 * pages back that the device may still act on.
 *
 * Context: any process context.
 */
void balloon_device_fail(struct balloon_device *bd)
{
	if (balloon_is_broken(bd))
		return;
	set_bit(BALLOON_BROKEN, &bd->flags);
	balloon_event(bd);
}

/**
 * balloon_patience_begin - begin to wait for a host
 * @patience: how long it is waited for
 *
 * Context: any.
 */
void balloon_patience_begin(struct balloon_patience *patience)
{
	patience->left = msecs_to_jiffies(BALLOON_HOST_PATIENCE_MS);
	patience->looked_at = jiffies;
}

/**
 * balloon_patience_ends - has the host been silent for too long?
 * @patience: how long it is still waited for
 *
 * A guest that is paused, by its host or for lack of CPUs, looks late. Time beyond
 * BALLOON_LOOK_AGAIN between two looks does not count.
 *
 * Context: any.
 */
bool balloon_patience_ends(struct balloon_patience *patience)
{
	unsigned long spent = min_t(unsigned long, BALLOON_LOOK_AGAIN,
				    jiffies - patience->looked_at);

	patience->looked_at = jiffies;
	patience->left -= min(patience->left, spent);
	return !patience->left;
}

/**
 * balloon_device_works - does the device itself say that it works?
 * @bd: the balloon
 *
 * A device that has given up asks for a reset (virtio 1.2, 2.1.1). One that was
 * reset by others has forgotten that it has a driver.
 *
 * Context: process; may sleep.
 */
bool balloon_device_works(struct balloon_device *bd)
{
	u8 status = bd->vdev->config->get_status(bd->vdev);

	return (status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/**
 * balloon_device_gone - was the device pulled out?
 * @bd: the balloon
 *
 * Context: process; may sleep.
 */
bool balloon_device_gone(struct balloon_device *bd)
{
	return bd->vdev->config->get_status(bd->vdev) == BALLOON_STATUS_GONE;
}

/**
 * __balloon_device_reset - reset the device, unless it is gone
 * @bd: the balloon, its queues not in use
 *
 * A device that is gone is not reset, as virtio would wait for it without an end.
 *
 * Context: process; sleeps.
 */
void __balloon_device_reset(struct balloon_device *bd)
{
	if (balloon_device_gone(bd))
		return;
	virtio_reset_device(bd->vdev);
	/* Not every transport waits for its interrupt handler by itself. */
	virtio_synchronize_cbs(bd->vdev);
}

/**
 * balloon_kick - notify the device, unless it is broken or about to be reset
 * @bd: the balloon
 * @vq: one of its queues; not those of page frame numbers, which queue.c notifies
 *
 * Context: process; sleeps as long as a notification takes.
 */
void balloon_kick(struct balloon_device *bd, struct virtqueue *vq)
{
	down_read(&bd->notifying);
	if (!balloon_is_broken(bd))
		virtqueue_kick(vq);
	up_read(&bd->notifying);
}

/**
 * balloon_nudge - notify the device of buffers that it may have overlooked
 * @bd: the balloon
 * @vq: as for balloon_kick()
 *
 * Context: as for balloon_kick().
 */
void balloon_nudge(struct balloon_device *bd, struct virtqueue *vq)
{
	down_read(&bd->notifying);
	if (!balloon_is_broken(bd))
		virtqueue_notify(vq);
	up_read(&bd->notifying);
}

/* Both queues are left alone from here on. */
static void balloon_device_break(struct balloon_device *bd)
{
	mutex_lock(&bd->balloon_lock);
	set_bit(BALLOON_BROKEN, &bd->flags);
	mutex_unlock(&bd->balloon_lock);
	/* Wait for tasks that are about to notify the host. */
	down_write(&bd->notifying);
	up_write(&bd->notifying);
}

/**
 * balloon_device_reset - end the device's claim to anything of the guest's
 * @bd: the balloon
 *
 * The queues are left alone from here on.
 *
 * Context: process; sleeps.
 */
void balloon_device_reset(struct balloon_device *bd)
{
	mutex_lock(&bd->reset_lock);
	if (!test_bit(BALLOON_WAS_RESET, &bd->flags)) {
		balloon_device_break(bd);
		__balloon_device_reset(bd);
		set_bit(BALLOON_WAS_RESET, &bd->flags);
	}
	mutex_unlock(&bd->reset_lock);
	balloon_event(bd);
}
