/* SPDX-License-Identifier: GPL-2.0 */
/* F_FREE_PAGE_HINT */
#ifndef _DRIVERS_VIRTIO_BALLOON_HINTING_H
#define _DRIVERS_VIRTIO_BALLOON_HINTING_H

#include <linux/types.h>
#include <linux/virtio_types.h>
#include <linux/workqueue.h>

struct balloon_device;
struct virtqueue;

enum balloon_hinting_flag {
	BALLOON_HINTING_CHANGED,	/* the host may have a new command */
	BALLOON_HINTING_STOPPING,	/* the work must end */
};

/**
 * struct balloon_hinting - the free page hinting queue (virtio 1.2, 5.5.6.6)
 * @vq: the virtqueue, or NULL if the device has none
 * @flags: bits of enum balloon_hinting_flag
 * @work: answers the host; only it touches @vq and the members below. Delayed
 *        while the host is silent, and while blocks are lent
 * @commands: the buffers of two commands: the id, and the stop
 * @posted: buffers that the host has not acknowledged
 * @silent: the host has not acknowledged @posted buffers for too long, and the
 *          log says so
 * @answered: the last command id that @work has read and answers or has
 *            answered
 */
struct balloon_hinting {
	struct virtqueue *vq;
	unsigned long flags;
	struct delayed_work work;
	__virtio32 *commands;
	unsigned int posted;
	bool silent;
	u32 answered;
};

int balloon_hinting_alloc(struct balloon_device *bd);
void balloon_hinting_free(struct balloon_device *bd);
void balloon_hinting_changed(struct balloon_device *bd);
int balloon_hinting_start(struct balloon_device *bd);
void balloon_hinting_stop(struct balloon_device *bd);
void balloon_hinting_abandon(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_HINTING_H */
