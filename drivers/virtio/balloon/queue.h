/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The two queues of page frame numbers: inflate and deflate.
 *
 * Batches of both queues are posted in the order in which they were closed, and
 * an inflate only once every deflate before it is acknowledged: inflation may take
 * the page that was just given back. Before an inflate is closed the open deflate
 * is closed.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_QUEUE_H
#define _DRIVERS_VIRTIO_BALLOON_QUEUE_H

#include <linux/list.h>
#include <linux/types.h>

#include "batch.h"

struct balloon_device;
struct virtqueue;

/**
 * struct balloon_queue - one of the two queues of page frame numbers
 * @vq: the virtqueue
 * @open: the batch that migration appends to, or NULL; under pages_lock
 * @posted: messages that the host has not acknowledged
 * @unkicked: messages posted since a notification was last prepared
 * @notify: a notification is prepared, for when balloon_lock is dropped
 */
struct balloon_queue {
	struct virtqueue *vq;
	struct balloon_batch *open;
	unsigned int posted;
	unsigned int unkicked;
	bool notify;
};

/**
 * struct balloon_queues - both of them; under balloon_lock
 * @inflate: the inflate queue
 * @deflate: the deflate queue
 * @pending: closed batches of both, in the order to be posted; under pages_lock
 * @unsettled: acknowledged inflates that still hold a page whose lock migration has
 * @nr_acked: messages that the host has acknowledged so far; read without
 *            balloon_lock, too
 */
struct balloon_queues {
	struct balloon_queue inflate;
	struct balloon_queue deflate;
	struct list_head pending;
	struct list_head unsettled;
	unsigned long nr_acked;
};

void balloon_queues_init(struct balloon_queues *queues);
void balloon_queue_add(struct balloon_device *bd, struct balloon_queue *q,
		       struct balloon_batch *batch);
struct balloon_batch *balloon_queue_open(struct balloon_device *bd,
					 struct balloon_queue *q);
void balloon_queues_reap(struct balloon_device *bd, struct list_head *acked);
int balloon_queues_post(struct balloon_device *bd);
bool balloon_queues_busy(struct balloon_device *bd);
long balloon_queues_look_in(struct balloon_device *bd);
bool balloon_queues_arm(struct balloon_device *bd);
bool balloon_queues_may_sleep(struct balloon_device *bd);
void balloon_queues_unlock(struct balloon_device *bd);
void balloon_queues_discard_inflates(struct balloon_device *bd,
				     struct list_head *discarded);
void balloon_queues_abandon(struct balloon_device *bd,
			    struct list_head *abandoned);

#endif /* _DRIVERS_VIRTIO_BALLOON_QUEUE_H */
