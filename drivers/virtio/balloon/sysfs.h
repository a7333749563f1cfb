/* SPDX-License-Identifier: GPL-2.0 */
/* The sysfs files. */
#ifndef _DRIVERS_VIRTIO_BALLOON_SYSFS_H
#define _DRIVERS_VIRTIO_BALLOON_SYSFS_H

#include <linux/sysfs.h>

extern const struct attribute_group *balloon_groups[];

#endif /* _DRIVERS_VIRTIO_BALLOON_SYSFS_H */
