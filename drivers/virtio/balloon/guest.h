/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's memory: floor, available and spare memory, the sparest node. */
#ifndef _DRIVERS_VIRTIO_BALLOON_GUEST_H
#define _DRIVERS_VIRTIO_BALLOON_GUEST_H

#include <linux/limits.h>
#include <linux/mmzone.h>
#include <linux/types.h>

struct balloon_device;

#define MIB_TO_PAGES_SHIFT	(20 - PAGE_SHIFT)

/* A floor that depends on the guest's size. */
#define BALLOON_FLOOR_DERIVED	ULONG_MAX

/**
 * struct balloon_guest - the memory that inflation leaves to the guest
 * @floor: available guest pages that inflation leaves alone, 0 for none, or
 *         BALLOON_FLOOR_DERIVED; probe and sysfs write it, lockless
 */
struct balloon_guest {
	unsigned long floor;
};

extern int balloon_floor_mib;

void balloon_guest_init(struct balloon_guest *guest);
unsigned long balloon_default_floor(unsigned long total);
unsigned long balloon_guest_total(struct balloon_device *bd);
unsigned long balloon_floor(struct balloon_device *bd);
void balloon_set_floor(struct balloon_device *bd, unsigned long floor);
unsigned long balloon_available(struct balloon_device *bd);
unsigned long balloon_affordable(struct balloon_device *bd);
unsigned long balloon_spare(struct balloon_device *bd,
			    enum zone_watermarks mark);
unsigned long balloon_zone_kept(struct zone *zone, unsigned int mark);
unsigned long balloon_zone_spare(struct zone *zone, unsigned int mark);
unsigned long balloon_node_spare(int nid, enum zone_watermarks mark);
unsigned long balloon_lack(void);
int balloon_sparest_node(void);
bool balloon_guest_is_fragmented(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_GUEST_H */
