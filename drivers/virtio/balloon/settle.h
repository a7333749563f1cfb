/* SPDX-License-Identifier: GPL-2.0 */
/* What becomes of the pages of a batch: they settle, or are released. */
#ifndef _DRIVERS_VIRTIO_BALLOON_SETTLE_H
#define _DRIVERS_VIRTIO_BALLOON_SETTLE_H

#include <linux/types.h>

struct balloon_batch;
struct balloon_device;

void balloon_batch_posted(struct balloon_device *bd,
			  struct balloon_batch *batch);
bool balloon_batch_settle(struct balloon_device *bd,
			  struct balloon_batch *batch);
void balloon_batch_release(struct balloon_device *bd,
			   struct balloon_batch *batch);

#endif /* _DRIVERS_VIRTIO_BALLOON_SETTLE_H */
