/* SPDX-License-Identifier: GPL-2.0 */
/* Requests of the host that keep the guest from suspending. */
#ifndef _DRIVERS_VIRTIO_BALLOON_WAKEUP_H
#define _DRIVERS_VIRTIO_BALLOON_WAKEUP_H

#include <linux/spinlock.h>

struct balloon_device;

/* Why the guest has to stay awake for a moment. */
enum balloon_awake {
	BALLOON_AWAKE_TARGET,
	BALLOON_AWAKE_STATS,
};

/**
 * struct balloon_wakeup - what the guest has to stay awake for
 * @lock: innermost; also taken in interrupts
 * @reasons: a bit for each of enum balloon_awake
 */
struct balloon_wakeup {
	spinlock_t lock;	/* innermost */
	unsigned int reasons;
};

void balloon_wakeup_start(struct balloon_device *bd);
void balloon_wakeup_stop(struct balloon_device *bd);
void balloon_stay_awake(struct balloon_device *bd, enum balloon_awake reason);
void balloon_may_sleep(struct balloon_device *bd, enum balloon_awake reason);

#endif /* _DRIVERS_VIRTIO_BALLOON_WAKEUP_H */
