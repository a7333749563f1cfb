/* SPDX-License-Identifier: GPL-2.0 */
/* Teardown: every page goes back to the guest. */
#ifndef _DRIVERS_VIRTIO_BALLOON_DRAIN_H
#define _DRIVERS_VIRTIO_BALLOON_DRAIN_H

struct balloon_device;

unsigned long balloon_want_isolated(struct balloon_device *bd);
void balloon_give_back(struct balloon_device *bd);
void balloon_release_resident(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_DRAIN_H */
