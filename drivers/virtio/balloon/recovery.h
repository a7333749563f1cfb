/* SPDX-License-Identifier: GPL-2.0 */
/* A device that is broken is set up again. */
#ifndef _DRIVERS_VIRTIO_BALLOON_RECOVERY_H
#define _DRIVERS_VIRTIO_BALLOON_RECOVERY_H

#include <linux/types.h>

struct balloon_device;

/**
 * struct balloon_recovery - from a broken device to one that works
 * @down: the device is not set up
 * @lost: and will not be
 * @told: the log has the line of this episode
 * @nr_tries: tries to set the device up since it broke
 * @delay_ms: how long the next try waits
 * @try_at: when that is, in jiffies
 * @ready_at: when the device was last set up, in jiffies
 */
struct balloon_recovery {
	bool down;
	bool lost;
	bool told;
	unsigned int nr_tries;
	unsigned int delay_ms;
	unsigned long try_at;
	unsigned long ready_at;
};

long balloon_recover(struct balloon_device *bd);
void balloon_recovery_forget(struct balloon_recovery *recovery);

#endif /* _DRIVERS_VIRTIO_BALLOON_RECOVERY_H */
