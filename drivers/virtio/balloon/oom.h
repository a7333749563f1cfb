/* SPDX-License-Identifier: GPL-2.0 */
/* The out-of-memory notifier. */
#ifndef _DRIVERS_VIRTIO_BALLOON_OOM_H
#define _DRIVERS_VIRTIO_BALLOON_OOM_H

#include <linux/bitmap.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/notifier.h>
#include <linux/types.h>

struct balloon_device;
struct page;

/**
 * struct balloon_oom - the guest runs out of memory
 * @notifier: gives back pages on trial, hinted blocks, and the balloon's pages
 *            if the guest may have them
 * @starved: short zones that the task which ran out of memory can use; a bit
 *           for each node and zone index; under oom_lock
 * @nr_seen: guest pages that had come back when the notifier last ran; under
 *           oom_lock
 * @nr_given: guest pages of the balloon that the notifier gave so far; written
 *            under oom_lock
 */
struct balloon_oom {
	struct notifier_block notifier;
	DECLARE_BITMAP(starved, MAX_NUMNODES * MAX_NR_ZONES);
	unsigned long nr_seen;
	unsigned long nr_given;
};

bool balloon_zone_is_starved(struct balloon_device *bd,
			     const struct page *page);
int balloon_oom_start(struct balloon_device *bd);
void balloon_oom_stop(struct balloon_device *bd);
unsigned long balloon_give_at_oom(struct balloon_device *bd,
				  unsigned long want);

#endif /* _DRIVERS_VIRTIO_BALLOON_OOM_H */
