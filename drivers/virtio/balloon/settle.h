/* SPDX-License-Identifier: GPL-2.0 */
/* The end of a batch: its pages settle, or are released. */
#ifndef _DRIVERS_VIRTIO_BALLOON_SETTLE_H
#define _DRIVERS_VIRTIO_BALLOON_SETTLE_H

struct balloon_batch;
struct balloon_device;
struct list_head;

void balloon_batch_release(struct balloon_device *bd,
			   struct balloon_batch *batch);
int balloon_advance(struct balloon_device *bd);
void balloon_release_batches(struct balloon_device *bd,
			     struct list_head *batches);
void balloon_abandon(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_SETTLE_H */
