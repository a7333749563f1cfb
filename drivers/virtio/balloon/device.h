/* SPDX-License-Identifier: GPL-2.0 */
/* The device below the driver: lifetime, events, notifications, reset. */
#ifndef _DRIVERS_VIRTIO_BALLOON_DEVICE_H
#define _DRIVERS_VIRTIO_BALLOON_DEVICE_H

#include <linux/jiffies.h>
#include <linux/types.h>
#include <linux/virtio.h>

struct balloon_device;

/* A wait for the host looks this often whether the device is broken. */
#define BALLOON_LOOK_AGAIN	HZ

/* Teardown resets a device whose host acknowledges nothing for this long. */
#define BALLOON_HOST_PATIENCE_MS	(10 * MSEC_PER_SEC)

/* Bits of balloon_device.flags, read and changed without a lock. */
enum balloon_flag {
	/* The target has to be read again. */
	BALLOON_CONFIG_CHANGED,
	/* No new work; waits end. */
	BALLOON_DYING,
	/*
	 * The device is broken, or not set up; its queues are left alone. Set
	 * under balloon_lock before the virtqueues go.
	 */
	BALLOON_BROKEN,
	/* The device has no claim to anything; set under reset_lock. */
	BALLOON_WAS_RESET,
	/* Pages went back because the guest ran out of memory. */
	BALLOON_GAVE_AT_OOM,
	/* The floor or the policy is another; the kthread should look at it. */
	BALLOON_FLOOR_CHANGED,
	/* The guest has begun to reclaim memory. */
	BALLOON_RECLAIMS,
};

/**
 * struct balloon_patience - for how long a silent host is still waited for
 * @left: in jiffies
 * @looked_at: when @left was last reduced, in jiffies
 */
struct balloon_patience {
	unsigned long left;
	unsigned long looked_at;
};

struct balloon_device *
balloon_device_alloc(struct virtio_device *vdev,
		     void (*release)(struct balloon_device *bd));
void balloon_device_free(struct balloon_device *bd);
void balloon_device_get(struct balloon_device *bd);
void balloon_device_put(struct balloon_device *bd);
void balloon_event(struct balloon_device *bd);
void balloon_acked(struct virtqueue *vq);
void balloon_device_fail(struct balloon_device *bd);
void balloon_patience_begin(struct balloon_patience *patience);
bool balloon_patience_ends(struct balloon_patience *patience);
bool balloon_device_works(struct balloon_device *bd);
bool balloon_device_gone(struct balloon_device *bd);
void balloon_kick(struct balloon_device *bd, struct virtqueue *vq);
void balloon_nudge(struct balloon_device *bd, struct virtqueue *vq);
void __balloon_device_reset(struct balloon_device *bd);
void balloon_device_reset(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_DEVICE_H */
