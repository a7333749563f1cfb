/* SPDX-License-Identifier: GPL-2.0 */
/* Recovery of a broken device. */
#ifndef _DRIVERS_VIRTIO_BALLOON_RECOVERY_H
#define _DRIVERS_VIRTIO_BALLOON_RECOVERY_H

#include <linux/types.h>

struct balloon_device;

/**
 * struct balloon_recovery - recovery of a broken device
 * @down: the device is not set up
 * @lost: the driver has given up and will not set the device up
 * @told: the log has the line of this episode
 * @nr_tries: tries to set the device up since it broke
 * @delay_ms: delay before the next try
 * @try_at: time of the next try, in jiffies
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
