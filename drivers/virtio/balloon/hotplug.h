/* SPDX-License-Identifier: GPL-2.0 */
/* Memory that goes offline. */
#ifndef _DRIVERS_VIRTIO_BALLOON_HOTPLUG_H
#define _DRIVERS_VIRTIO_BALLOON_HOTPLUG_H

#include <linux/notifier.h>

struct balloon_device;

/**
 * struct balloon_hotplug - memory that goes offline
 * @notifier: mm calls it when memory goes offline
 */
struct balloon_hotplug {
	struct notifier_block notifier;
};

int balloon_hotplug_start(struct balloon_device *bd);
void balloon_hotplug_stop(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_HOTPLUG_H */
