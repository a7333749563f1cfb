/* SPDX-License-Identifier: GPL-2.0 */
/* Setting the device up and taking it down, by the table of its features. */
#ifndef _DRIVERS_VIRTIO_BALLOON_SETUP_H
#define _DRIVERS_VIRTIO_BALLOON_SETUP_H

#include <linux/virtio.h>

struct balloon_device;

#define BALLOON_ALWAYS		-1
/* Virtio 1.2, 5.5.2 */
#define BALLOON_MAX_QUEUES	5

/**
 * struct balloon_feature - a row of the table of features
 * @bit: the feature bit, or BALLOON_ALWAYS
 * @name: what the log calls it
 * @queue: name of the virtqueue that comes with it, NULL for none; the table has the
 *         queues in their order (virtio 1.2, 5.5.2)
 * @callback: of that virtqueue; NULL if the driver looks by itself
 * @vq: offset of the pointer to it in struct balloon_device
 * @alloc: allocates at probe, whether negotiated or not
 * @free: frees what @alloc has allocated, also after it has failed
 * @tell: tells the device what it has to know before it runs
 * @start: the device is ready; returns 0 or an errno, with nothing left to be stopped
 * @stop: waits for what runs and starts nothing new; also without a start
 * @changed: the device's configuration has changed; may run in an interrupt
 * @abandon: takes back what a device that was reset still had
 *
 * A row that has no need of a hook leaves it NULL. Hooks from @tell on are called
 * only if the feature was negotiated.
 */
struct balloon_feature {
	int bit;
	const char *name;
	const char *queue;
	vq_callback_t *callback;
	size_t vq;
	int (*alloc)(struct balloon_device *bd);
	void (*free)(struct balloon_device *bd);
	void (*tell)(struct balloon_device *bd);
	int (*start)(struct balloon_device *bd);
	void (*stop)(struct balloon_device *bd);
	void (*changed)(struct balloon_device *bd);
	void (*abandon)(struct balloon_device *bd);
};

int balloon_device_negotiate(struct balloon_device *bd);
int balloon_device_ready(struct balloon_device *bd);
void balloon_device_take_down(struct balloon_device *bd);
int balloon_features_alloc(struct balloon_device *bd);
void balloon_features_free(struct balloon_device *bd);
int balloon_features_start(struct balloon_device *bd);
void balloon_features_stop(struct balloon_device *bd);
void balloon_features_changed(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_SETUP_H */
