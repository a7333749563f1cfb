/* SPDX-License-Identifier: GPL-2.0 */
/* F_FREE_PAGE_HINT */
#ifndef _DRIVERS_VIRTIO_BALLOON_HINTING_H
#define _DRIVERS_VIRTIO_BALLOON_HINTING_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/virtio_types.h>
#include <linux/workqueue.h>

struct balloon_device;
struct shrinker;
struct virtqueue;

enum balloon_hinting_flag {
	BALLOON_HINTING_CHANGED,	/* the host may have a new command */
	BALLOON_HINTING_STOPPING,	/* the work is to end */
};

/**
 * struct balloon_hinting - the free page hinting queue (virtio 1.2, 5.5.6.6)
 * @vq: the virtqueue, or NULL if the device has none
 * @shrinker: gives hinted blocks back when the guest needs them
 * @flags: bits of enum balloon_hinting_flag
 * @work: answers the host; the only one to touch @vq and the members up to
 *        @lock. Delayed while the host is silent
 * @commands: what the device reads: the id of the command, and the stop
 * @posted: buffers that the host has not acknowledged
 * @silent: the host has left them so for too long, and the log says so
 * @answered: the last command id that was seen, answered or being answered
 * @offline_start: page frame number of memory that goes offline; lockless
 * @nr_offline: guest pages of it, 0 if no memory does; lockless
 * @lock: protects the members below; taken in process context, nothing inside of it
 * @blocks: blocks that the host has acknowledged, by page->lru, their order in
 *          page->private
 * @nr_lent: guest pages on @blocks
 * @in_flight: blocks that the host has not acknowledged, or is about to get
 * @nr_out: guest pages on @blocks and on @in_flight
 */
struct balloon_hinting {
	struct virtqueue *vq;
	struct shrinker *shrinker;
	unsigned long flags;

	struct delayed_work work;
	__virtio32 *commands;
	unsigned int posted;
	bool silent;
	u32 answered;

	unsigned long offline_start;
	unsigned long nr_offline;

	spinlock_t lock;	/* innermost */
	struct list_head blocks;
	struct list_head in_flight;
	unsigned long nr_lent;
	unsigned long nr_out;
};

int balloon_hinting_alloc(struct balloon_device *bd);
void balloon_hinting_free(struct balloon_device *bd);
void balloon_hinting_changed(struct balloon_device *bd);
void balloon_hinting_recall(struct balloon_device *bd, unsigned long start,
			    unsigned long nr);
void balloon_hinting_recall_ends(struct balloon_device *bd);
unsigned long balloon_hinting_give(struct balloon_device *bd,
				   unsigned long want);
unsigned long balloon_hinting_lent(struct balloon_device *bd);
int balloon_hinting_start(struct balloon_device *bd);
void balloon_hinting_stop(struct balloon_device *bd);
void balloon_hinting_abandon(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_HINTING_H */
