/* SPDX-License-Identifier: GPL-2.0 */
/* What the guest's counters mean for the balloon. */
#ifndef _DRIVERS_VIRTIO_BALLOON_DECIDE_H
#define _DRIVERS_VIRTIO_BALLOON_DECIDE_H

#include <linux/jiffies.h>
#include <linux/types.h>

#include "config.h"

/* Counters that are older than this tell nothing about now. */
#define BALLOON_SAMPLE_STALE	(45 * HZ)

/* Pressure lasts when this many snapshots in a row show it. */
#define BALLOON_SUSTAINED	3U

/**
 * struct balloon_signals - how the guest's memory management does at one time
 * @when: in jiffies
 * @available: guest pages that can be had without swapping
 * @spare: guest pages that are free beyond what kswapd sees to
 * @total: guest pages of memory, those in the balloon included
 * @stalls: allocations that had to reclaim by themselves
 * @scanned: guest pages that reclaim has looked at
 * @reclaimed: guest pages that it got
 * @refaults: guest pages that had been reclaimed and were used again soon
 * @swapped: guest pages that were written to swap
 * @free: guest pages that are free
 * @taken: guest pages in the balloon and on trial
 *
 * From @stalls to @swapped these count since boot, and wrap around.
 */
struct balloon_signals {
	unsigned long when;
	unsigned long available;
	unsigned long spare;
	unsigned long total;
	unsigned long stalls;
	unsigned long scanned;
	unsigned long reclaimed;
	unsigned long refaults;
	unsigned long swapped;
	unsigned long free;
	unsigned long taken;
};

/**
 * struct balloon_bounds - what a decision depends on besides the signals
 * @floor: available guest pages that inflation leaves alone
 * @size: guest pages in the balloon
 * @on_trial: guest pages that will be there unless they refault
 * @target: guest pages that the host wants there
 * @pressed: snapshots in a row, this one not included, that showed pressure
 * @may_give: VIRTIO_BALLOON_F_DEFLATE_ON_OOM is negotiated
 * @giving: the decision before this one was to give
 * @answered: and that decision saw the same counters
 * @wary: it had to give pages back not long ago
 * @refaulted: pages on trial refaulted not long ago
 * @margin: guest pages that are tried beyond the target, and not handed over
 * @reclaimed: guest pages that reclaim got so lately that they cannot have refaulted
 *             yet
 * @may_refault: guest pages that reclaim got not long ago, and that had not
 *                 refaulted before these two snapshots
 * @cgroup: a memory cgroup reclaimed from itself, and refaulted, not long ago
 */
struct balloon_bounds {
	unsigned long floor;
	unsigned long size;
	unsigned long on_trial;
	unsigned long target;
	unsigned int pressed;
	bool may_give;
	bool giving;
	bool answered;
	bool wary;
	bool refaulted;
	unsigned long margin;
	unsigned long reclaimed;
	unsigned long may_refault;
	bool cgroup;
};

/**
 * struct balloon_plan - a decision
 * @take: guest pages that inflation may take now
 * @on_trial: only to see whether they refault
 * @give: guest pages that go back to the guest without the host's asking
 * @hold: why nothing is taken although the target is not reached, or why
 *        something is given
 * @pressed: the guest is short of memory
 */
struct balloon_plan {
	unsigned long take;
	bool on_trial;
	unsigned long give;
	enum balloon_hold hold;
	bool pressed;
};

unsigned long balloon_reclaimed(const struct balloon_signals *earlier,
				const struct balloon_signals *now);
unsigned long balloon_refaulted(const struct balloon_signals *earlier,
				const struct balloon_signals *now);
bool balloon_cgroup_refaults(const struct balloon_signals *earlier,
			     const struct balloon_signals *now);
struct balloon_plan balloon_decide(const struct balloon_signals *earlier,
				   const struct balloon_signals *now,
				   const struct balloon_bounds *bounds);

#endif /* _DRIVERS_VIRTIO_BALLOON_DECIDE_H */
