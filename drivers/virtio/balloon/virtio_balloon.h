/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The map of the virtio balloon driver: the device, its locks and references.
 *
 * Each room is a .c file with a header of its own: its struct, its constants that
 * others need, and what it offers. struct balloon_device puts the rooms' structs
 * together. ledger.h has the states of a page.
 *
 * Locks, outermost first
 *
 *	balloon_lock	mutex: virtqueues, and batches that are posted. Under it
 *			the driver allocates nothing, notifies no host, and waits
 *			neither for a host nor for a page lock. Migration never
 *			takes it. The out-of-memory notifier only tries it.
 *	notifying	rwsem: read from before balloon_lock is dropped until
 *			the host has been notified, and while other queues notify
 *			it; written to wait for that before the device is reset,
 *			or the virtqueues go
 *	page lock	with pages_lock: the marks of a page, see
 *			<linux/balloon_compaction.h>; under balloon_lock it is
 *			only tried
 *	pages_lock	spinlock of ledger.bm: list, counters and marks of pages,
 *			and batches that are free, open or pending
 *	hints.lock	spinlock: hinted blocks; with no other lock
 *
 * References
 *
 *	one for the driver bound to the device, from probe to remove
 *	one for the kthread, dropped by the task that has stopped it
 *	one for every ISOLATED page, as mm holds a pointer to the mapping
 *
 * A waiter for the host looks again at least every BALLOON_LOOK_AGAIN: a device
 * that breaks wakes no task.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_H
#define _DRIVERS_VIRTIO_BALLOON_H

#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/balloon_compaction.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/rwsem.h>
#include <linux/types.h>
#include <linux/virtio.h>
#include <linux/virtio_balloon.h>
#include <linux/wait.h>

#include "batch.h"
#include "blocks.h"
#include "config.h"
#include "device.h"
#include "guest.h"
#include "hinting.h"
#include "hints.h"
#include "hotplug.h"
#include "ledger.h"
#include "migrate.h"
#include "oom.h"
#include "queue.h"
#include "recovery.h"
#include "reporting.h"
#include "restraint.h"
#include "stats.h"
#include "thread.h"
#include "trial.h"
#include "units.h"
#include "wakeup.h"

/**
 * struct balloon_device - a virtio balloon
 *
 * Set before the device is ready and constant from there on:
 * @kref: references as listed above
 * @vdev: the device; its driver data points back here
 * @release: frees the rooms and this
 * @features: the table of features
 * @nr_features: its rows
 * @must_tell_host: VIRTIO_BALLOON_F_MUST_TELL_HOST is negotiated
 * @deflates_on_oom: VIRTIO_BALLOON_F_DEFLATE_ON_OOM is negotiated; without it
 *                   the balloon's pages do not count as the guest's memory
 * @reboot: how the kernel tells that the machine goes down
 *
 * Lockless:
 * @flags: bits of enum balloon_flag
 * @events: counts everything that the kthread should look at; a waiter takes its
 *          value first, then looks, then sleeps until it has changed
 * @wait: where waiters sleep
 *
 * @balloon_lock: see above
 * @notifying: see above
 * @reset_lock: mutex, outside of balloon_lock: one reset at a time
 *
 * The rooms, see the header of each:
 * @ledger: the page states and their counts
 * @pool: the batches
 * @queues: inflate and deflate
 * @config: the target, actual, what becomes of the target
 * @guest: what is left to the guest
 * @wakeup: what the guest has to stay awake for
 * @blocks: where the next block comes from
 * @trial: pages on trial
 * @hints: blocks that are hinted
 * @migrators: how long tasks that migrate have waited; under pages_lock
 * @restraint: how far the balloon may go
 * @hinting: the hinting queue
 * @reporting: the reporting queue
 * @stats: the statistics queue
 * @hotplug: memory that goes offline
 * @oom: the out-of-memory notifier
 * @recovery: from a broken device to one that works
 * @thread: the kthread and its timers
 */
struct balloon_device {
	struct kref kref;
	struct virtio_device *vdev;
	void (*release)(struct balloon_device *bd);
	const struct balloon_feature *features;
	unsigned int nr_features;
	bool must_tell_host;
	bool deflates_on_oom;
	struct notifier_block reboot;

	unsigned long flags;
	atomic_t events;
	wait_queue_head_t wait;

	struct mutex balloon_lock;	/* outside of page locks */
	struct rw_semaphore notifying;	/* inside of balloon_lock */
	struct mutex reset_lock;	/* outside of balloon_lock */

	struct balloon_ledger ledger;
	struct balloon_pool pool;
	struct balloon_queues queues;
	struct balloon_config config;
	struct balloon_guest guest;
	struct balloon_wakeup wakeup;
	struct balloon_blocks blocks;
	struct balloon_trial trial;
	struct balloon_hints hints;
	struct balloon_migrator migrators[BALLOON_MIGRATORS];
	struct balloon_restraint restraint;
	struct balloon_hinting hinting;
	struct balloon_reporting reporting;
	struct balloon_stats stats;
	struct balloon_hotplug hotplug;
	struct balloon_oom oom;
	struct balloon_recovery recovery;
	struct balloon_thread thread;
};

static inline bool balloon_is_dying(const struct balloon_device *bd)
{
	return test_bit(BALLOON_DYING, &bd->flags);
}

static inline bool balloon_is_broken(const struct balloon_device *bd)
{
	return test_bit(BALLOON_BROKEN, &bd->flags);
}

static inline struct balloon_device *
to_balloon_device(struct address_space *mapping)
{
	return container_of(to_balloon_mapping(mapping), struct balloon_device,
			    ledger.bm);
}

#endif /* _DRIVERS_VIRTIO_BALLOON_H */
