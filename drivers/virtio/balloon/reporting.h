/* SPDX-License-Identifier: GPL-2.0 */
/* F_REPORTING */
#ifndef _DRIVERS_VIRTIO_BALLOON_REPORTING_H
#define _DRIVERS_VIRTIO_BALLOON_REPORTING_H

#include <linux/notifier.h>
#include <linux/page_reporting.h>
#include <linux/types.h>

struct balloon_device;
struct virtqueue;

/**
 * struct balloon_reporting - the reporting queue (virtio 1.2, 5.5.6.7)
 * @vq: the virtqueue, or NULL if the device has none; only the report callback
 *      touches it, and mm runs one callback at a time
 * @info: the driver's registration with mm's page reporting
 * @registered: @info is registered
 * @told_silent: the log says that the host is silent
 * @pm: the kernel calls it when the guest is about to suspend
 * @suspends: the guest is about to suspend
 */
struct balloon_reporting {
	struct virtqueue *vq;
	struct page_reporting_dev_info info;
	bool registered;
	bool told_silent;
	struct notifier_block pm;
	bool suspends;
};

int balloon_reporting_start(struct balloon_device *bd);
void balloon_reporting_stop(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_REPORTING_H */
