/* SPDX-License-Identifier: GPL-2.0 */
/* Setting the device up and taking it down. */
#ifndef _DRIVERS_VIRTIO_BALLOON_SETUP_H
#define _DRIVERS_VIRTIO_BALLOON_SETUP_H

struct balloon_device;

int balloon_device_negotiate(struct balloon_device *bd);
int balloon_device_ready(struct balloon_device *bd);
int balloon_features_start(struct balloon_device *bd);
void balloon_features_stop(struct balloon_device *bd);
void balloon_device_take_down(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_SETUP_H */
