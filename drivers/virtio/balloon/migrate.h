/* SPDX-License-Identifier: GPL-2.0 */
/* The balloon mapping's hooks, through which mm moves the balloon's pages. */
#ifndef _DRIVERS_VIRTIO_BALLOON_MIGRATE_H
#define _DRIVERS_VIRTIO_BALLOON_MIGRATE_H

#include <linux/balloon_compaction.h>
#include <linux/jiffies.h>
#include <linux/types.h>

/* Tasks that migrate in MIGRATE_SYNC at the same time are few. */
#define BALLOON_MIGRATORS	4U
/* Each waits for the host no longer than this... */
#define BALLOON_MIGRATION_WAIT		(5 * HZ)
/* ... within this time. */
#define BALLOON_MIGRATION_WINDOW	(30 * HZ)

/**
 * struct balloon_migrator - how long one task may still wait for the host
 * @pid: the task
 * @until: when it gets a new allowance, in jiffies
 * @left: what is left of the present one, in jiffies
 */
struct balloon_migrator {
	pid_t pid;
	unsigned long until;
	long left;
};

extern const struct balloon_aops balloon_mapping_ops;

#endif /* _DRIVERS_VIRTIO_BALLOON_MIGRATE_H */
