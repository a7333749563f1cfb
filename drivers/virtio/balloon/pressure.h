/* SPDX-License-Identifier: GPL-2.0 */
/* Whether the guest is short of memory. */
#ifndef _DRIVERS_VIRTIO_BALLOON_PRESSURE_H
#define _DRIVERS_VIRTIO_BALLOON_PRESSURE_H

#include <linux/types.h>

#include "config.h"

struct balloon_control;
struct balloon_sample;

/**
 * struct balloon_pressure - signs of a shortage, look by look
 * @looks: looks in a row that found the guest short of memory
 * @looked_at: time of the last look that counts for @looks, in ms
 * @stalls: @stalls of the sample of this look
 * @windows: windows in a row in which the guest thrashed
 * @given: guest pages that it was last given for that
 */
struct balloon_pressure {
	unsigned int looks;
	u64 looked_at;
	unsigned long stalls;
	unsigned int windows;
	unsigned long given;
};

unsigned long balloon_pressure_short(struct balloon_pressure *pressure,
				     const struct balloon_sample *now,
				     bool wary, enum balloon_hold *why);
unsigned long balloon_pressure_thrash(struct balloon_pressure *pressure,
				      const struct balloon_control *control,
				      const struct balloon_sample *now,
				      enum balloon_hold *why);

#endif /* _DRIVERS_VIRTIO_BALLOON_PRESSURE_H */
