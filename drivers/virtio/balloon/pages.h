/* SPDX-License-Identifier: GPL-2.0 */
/* Inflate and deflate, a message at a time. */
#ifndef _DRIVERS_VIRTIO_BALLOON_PAGES_H
#define _DRIVERS_VIRTIO_BALLOON_PAGES_H

struct balloon_batch;
struct balloon_device;

int balloon_inflate(struct balloon_device *bd, unsigned long want,
		    unsigned long *got);
int balloon_deflate(struct balloon_device *bd, unsigned long want,
		    unsigned long *given);

#endif /* _DRIVERS_VIRTIO_BALLOON_PAGES_H */
