/* SPDX-License-Identifier: GPL-2.0 */
/* The device's configuration: the target and actual; the balloon's state. */
#ifndef _DRIVERS_VIRTIO_BALLOON_CONFIG_H
#define _DRIVERS_VIRTIO_BALLOON_CONFIG_H

#include <linux/jiffies.h>
#include <linux/types.h>

struct balloon_device;

enum balloon_state {
	BALLOON_IDLE,		/* the target is reached */
	BALLOON_INFLATING,
	BALLOON_DEFLATING,
	BALLOON_HOLDING,	/* below the target, see enum balloon_hold */
	BALLOON_RECOVERING,	/* the device is broken, and is set up again */
	BALLOON_DEAD,		/* the device cannot be set up again */
};

/* Why the balloon holds below its target. */
enum balloon_hold {
	BALLOON_HOLD_NONE,
	BALLOON_HOLD_FLOOR,	/* available memory is at the floor */
	BALLOON_HOLD_REFAULT,	/* refaults exceed the baseline's limit */
	BALLOON_HOLD_STALL,	/* allocations stall near the floor or at OOM */
	BALLOON_HOLD_ALLOCATION,	/* an allocation failed */
	BALLOON_HOLDS
};

/* The attribute group that sysfs.c fills. */
#define BALLOON_SYSFS_GROUP	"balloon"

/**
 * struct balloon_config - the configuration and the balloon's state
 * @target: guest pages that the host wants
 * @actual: balloon pages last written to the device as `actual`
 * @actual_at: time of this write, in jiffies
 * @state: the balloon's state with regard to @target
 * @hold: why the balloon holds, or held at the last try; none once it goes on
 * @hold_since: time when @hold was set, in jiffies
 * @held: jiffies for which the balloon has held so far, by reason
 *
 * The kthread owns these. Other tasks read single values for display.
 */
struct balloon_config {
	unsigned long target;
	u32 actual;
	unsigned long actual_at;
	enum balloon_state state;
	enum balloon_hold hold;
	unsigned long hold_since;
	unsigned long held[BALLOON_HOLDS];
};

void balloon_state_set(struct balloon_device *bd, enum balloon_state state);
void balloon_hold_set(struct balloon_device *bd, enum balloon_hold hold);
unsigned long balloon_held_for(const struct balloon_config *config,
			       enum balloon_hold hold);
bool balloon_target_read(struct balloon_device *bd);
void balloon_actual_write(struct balloon_device *bd, unsigned long pages);
void balloon_actual_read(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_CONFIG_H */
