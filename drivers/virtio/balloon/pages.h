/* SPDX-License-Identifier: GPL-2.0 */
/* Inflate and deflate, a message at a time. */
#ifndef _DRIVERS_VIRTIO_BALLOON_PAGES_H
#define _DRIVERS_VIRTIO_BALLOON_PAGES_H

struct balloon_batch;
struct balloon_device;

int balloon_inflate(struct balloon_device *bd, unsigned long want,
		    unsigned long *got);
void balloon_batch_taken(struct balloon_device *bd,
			 struct balloon_batch *batch, unsigned int nr);
void balloon_batch_take(struct balloon_device *bd,
			struct balloon_batch *batch, unsigned int max);
void balloon_deflate_batch(struct balloon_device *bd,
			   struct balloon_batch *batch);
int balloon_deflate(struct balloon_device *bd, unsigned long want,
		    unsigned long *given);

#endif /* _DRIVERS_VIRTIO_BALLOON_PAGES_H */
