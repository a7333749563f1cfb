/* SPDX-License-Identifier: GPL-2.0 */
/* F_STATS_VQ */
#ifndef _DRIVERS_VIRTIO_BALLOON_STATS_H
#define _DRIVERS_VIRTIO_BALLOON_STATS_H

#include <linux/types.h>
#include <linux/virtio_balloon.h>
#include <linux/workqueue.h>

struct balloon_device;
struct virtqueue;

/**
 * struct balloon_stats - the statistics queue (virtio 1.2, 5.5.6.3)
 * @vq: the virtqueue, or NULL if the device has none
 * @started: @work may run
 * @work: posts the first statistics and answers the host; only it touches @vq
 *        and the members below
 * @buffer: VIRTIO_BALLOON_S_NR statistics; the host owns it except inside @work
 * @posted: the host has the buffer or has returned it
 */
struct balloon_stats {
	struct virtqueue *vq;
	bool started;
	struct work_struct work;
	struct virtio_balloon_stat *buffer;
	bool posted;
};

int balloon_stats_alloc(struct balloon_device *bd);
void balloon_stats_free(struct balloon_device *bd);
void balloon_stats_requested(struct virtqueue *vq);
int balloon_stats_start(struct balloon_device *bd);
void balloon_stats_stop(struct balloon_device *bd);
void balloon_stats_abandon(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_STATS_H */
