/* SPDX-License-Identifier: GPL-2.0 */
/* Memory that goes offline. */
#ifndef _DRIVERS_VIRTIO_BALLOON_HOTPLUG_H
#define _DRIVERS_VIRTIO_BALLOON_HOTPLUG_H

#include <linux/notifier.h>
#include <linux/types.h>

struct balloon_device;
struct page;

/**
 * struct balloon_hotplug - memory that goes offline
 * @notifier: how mm tells of it
 * @start: page frame number of the range that is going offline
 * @nr: guest pages of that range, 0 if no memory is
 */
struct balloon_hotplug {
	struct notifier_block notifier;
	unsigned long start;
	unsigned long nr;
};

bool balloon_goes_offline(struct balloon_device *bd, const struct page *page);
int balloon_hotplug_start(struct balloon_device *bd);
void balloon_hotplug_stop(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_HOTPLUG_H */
