/* SPDX-License-Identifier: GPL-2.0 */
/* The kthread "vballoon". */
#ifndef _DRIVERS_VIRTIO_BALLOON_THREAD_H
#define _DRIVERS_VIRTIO_BALLOON_THREAD_H

#include <linux/jiffies.h>
#include <linux/types.h>

struct balloon_device;
struct task_struct;

/* The shortest delay between tries to get memory. */
#define BALLOON_RETRY_MIN_MS	100U

/* While moving, the driver writes `actual` no more often than this. */
#define BALLOON_REPORT_INTERVAL	msecs_to_jiffies(10)

/**
 * struct balloon_thread - the kthread and its timers
 * @task: the kthread
 *
 * The kthread owns these. Other tasks read single values for display:
 * @retry_at: time of the next try in jiffies, if @retry_delay_ms is not 0
 * @retry_delay_ms: current back-off, 0 while the kthread waits for no time
 * @told_holding: the log has the line about this hold
 * @looked_acked: count of acknowledged messages when the host last made
 *                progress, or had nothing to do
 * @looked_at: time of that, or when the device's status was last read, in
 *             jiffies
 * @host_silent: the host has made no progress for BALLOON_LOOK_AGAIN
 */
struct balloon_thread {
	struct task_struct *task;
	unsigned long retry_at;
	unsigned int retry_delay_ms;
	bool told_holding;
	unsigned long looked_acked;
	unsigned long looked_at;
	bool host_silent;
};

long balloon_step(struct balloon_device *bd, bool busy);
int balloon_thread_start(struct balloon_device *bd);
void balloon_thread_stop(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_THREAD_H */
