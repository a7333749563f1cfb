/* SPDX-License-Identifier: GPL-2.0 */
/* How far the balloon may go. */
#ifndef _DRIVERS_VIRTIO_BALLOON_RESTRAINT_H
#define _DRIVERS_VIRTIO_BALLOON_RESTRAINT_H

#include <linux/jiffies.h>
#include <linux/limits.h>
#include <linux/types.h>

#include "config.h"
#include "decide.h"
#include "trial.h"

struct balloon_device;
struct shrinker;

/*
 * Inflation pauses this long after pages went back under pressure, and longer if
 * that follows another time by less than BALLOON_WARY. Memory that becomes free is
 * still taken within half a minute.
 */
#define BALLOON_PAUSE_MIN_MS	(10 * MSEC_PER_SEC)
#define BALLOON_WARY		(60 * HZ)

/* The guest's counters are read at most this often while the balloon moves. */
#define BALLOON_SAMPLE_MOVING	(HZ / 10)

/* Pages that were reclaimed, and are free, count as tried after this time. */
#define BALLOON_RECLAIM_FRESH	(2 * BALLOON_TRIAL_PERIOD)
/* More than there is memory; can be added to. */
#define BALLOON_RECLAIMED_ANY	(ULONG_MAX / 2)

/* The shortest delay after a trial that ended in refaults. */
#define BALLOON_REFAULT_MIN_MS	500U

/**
 * struct balloon_restraint - how far the balloon may go
 * @shrinker: sets BALLOON_RECLAIMS; NULL without VIRTIO_BALLOON_F_DEFLATE_ON_OOM
 *
 * The kthread's own:
 * @earlier: the snapshot before the last
 * @now: the last snapshot; only its @available and @spare are newer than that
 * @sampled: both are there
 * @pressed: snapshots in a row that showed pressure
 * @giving: the last decision was to give
 * @pauses: inflation pauses until @pause_end, whatever the target
 * @pause_end: in jiffies
 * @pause_ms: how long the last pause was, or is
 * @pause_reason: why
 * @gave: pages went back under pressure at @gave_at, less than BALLOON_WARY ago
 * @gave_at: in jiffies
 * @refaulted: a trial ended in refaults, at @refaulted_at, less than BALLOON_WARY ago
 * @refaulted_at: in jiffies; or when refaults have kept the balloon from growing since
 * @refault_ms: the delay after it; it doubles until a trial ends well
 * @reclaimed: guest pages that reclaim got since it was last quiet for
 *             BALLOON_RECLAIM_FRESH
 * @reclaimed_at: when it last got some, or was about to, in jiffies
 * @may_refault: guest pages that it got since it was last quiet for BALLOON_WARY,
 *                 less those that had refaulted before the last two snapshots
 * @nr_refaulted: guest pages that refaulted between those
 * @cgroup: at @cgroup_at, less than BALLOON_WARY ago, pages refaulted that only a
 *          memory cgroup can have reclaimed
 * @cgroup_at: in jiffies
 */
struct balloon_restraint {
	struct shrinker *shrinker;

	struct balloon_signals earlier;
	struct balloon_signals now;
	bool sampled;
	unsigned int pressed;
	bool giving;
	bool pauses;
	unsigned long pause_end;
	unsigned int pause_ms;
	enum balloon_hold pause_reason;
	bool gave;
	unsigned long gave_at;
	bool refaulted;
	unsigned long refaulted_at;
	unsigned int refault_ms;
	unsigned long reclaimed;
	unsigned long reclaimed_at;
	unsigned long may_refault;
	unsigned long nr_refaulted;
	bool cgroup;
	unsigned long cgroup_at;
};

void balloon_signals_read(struct balloon_device *bd,
			  struct balloon_signals *signals);
struct balloon_plan balloon_plan(struct balloon_device *bd);
void balloon_forget_signals(struct balloon_device *bd);
void balloon_pause(struct balloon_device *bd, enum balloon_hold reason);
void balloon_end_pause(struct balloon_device *bd);
long balloon_pause_left(const struct balloon_device *bd);
unsigned int balloon_note_refault(struct balloon_device *bd);
void balloon_note_no_refault(struct balloon_device *bd);
void balloon_expect_reclaim(struct balloon_device *bd);
bool balloon_may_have_to_give(struct balloon_device *bd);
long balloon_look_at_guest_in(struct balloon_device *bd);
int balloon_restraint_start(struct balloon_device *bd);
void balloon_restraint_stop(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_RESTRAINT_H */
