/* SPDX-License-Identifier: GPL-2.0 */
/* F_PAGE_POISON */
#ifndef _DRIVERS_VIRTIO_BALLOON_POISON_H
#define _DRIVERS_VIRTIO_BALLOON_POISON_H

#include <linux/types.h>
#include <linux/virtio.h>

struct balloon_device;

bool balloon_guest_poisons(void);
void balloon_poison_validate(struct virtio_device *vdev);
void balloon_poison_tell(struct balloon_device *bd);
void balloon_poison_tell_costs(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_POISON_H */
