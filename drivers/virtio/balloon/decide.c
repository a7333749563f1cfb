// SPDX-License-Identifier: GPL-2.0
/*
 * What the guest's counters mean for the balloon: whether to take, to hold or
 * to give. Nothing here has a state, so that every case can be put in a table.
 */

#include <linux/jiffies.h>
#include <linux/minmax.h>

#include "decide.h"
#include "virtio_balloon.h"

/* Allocations that may have to reclaim by themselves, per second... */
#define BALLOON_STALLS_PER_S	10U
/* ... and while that reclaim costs them next to nothing. */
#define BALLOON_EASY_STALLS_PER_S	100U

/* Refaults, and pages swapped, per second: this part of the guest's memory... */
#define BALLOON_REFAULTS_SHIFT		10U
/* ... and at least and at most this many guest pages. */
#define BALLOON_REFAULTS_MIN_PER_S	64UL
#define BALLOON_REFAULTS_MAX_PER_S	16384UL

/* This part of the guest's memory may be on the CPUs' own lists. */
#define BALLOON_UNSURE_SHIFT		7U

/* Reclaim is laborious if it gets less than a quarter of this many pages. */
#define BALLOON_SCAN_WORTH_A_LOOK	1024UL

/* Sums over CPUs may seem to run backwards when one of them goes offline. */
static unsigned long balloon_moved(unsigned long earlier, unsigned long now)
{
	unsigned long delta = now - earlier;

	return delta > LONG_MAX ? 0 : delta;
}

/* @per_second, at most BALLOON_REFAULTS_MAX_PER_S, times the time between the two. */
static unsigned long balloon_allowance(const struct balloon_signals *earlier,
				       const struct balloon_signals *now,
				       unsigned long per_second)
{
	unsigned long elapsed = min(now->when - earlier->when,
				    (unsigned long)BALLOON_SAMPLE_STALE);

	return max(per_second * jiffies_to_msecs(elapsed) / MSEC_PER_SEC, 1UL);
}

static unsigned long balloon_refaults_per_s(const struct balloon_signals *now)
{
	return clamp(now->total >> BALLOON_REFAULTS_SHIFT,
		     BALLOON_REFAULTS_MIN_PER_S, BALLOON_REFAULTS_MAX_PER_S);
}

static bool balloon_reclaim_is_laborious(const struct balloon_signals *earlier,
					 const struct balloon_signals *now)
{
	unsigned long scanned = balloon_moved(earlier->scanned, now->scanned);

	return scanned >= BALLOON_SCAN_WORTH_A_LOOK &&
	       balloon_moved(earlier->reclaimed, now->reclaimed) < scanned / 4;
}

static bool balloon_guest_stalls(const struct balloon_signals *earlier,
				 const struct balloon_signals *now,
				 unsigned long per_second)
{
	return balloon_moved(earlier->stalls, now->stalls) >
	       balloon_allowance(earlier, now, per_second);
}

/* Is less than twice the floor available? */
static bool balloon_near_floor(const struct balloon_signals *now,
			       const struct balloon_bounds *bounds)
{
	return now->available / 2 < bounds->floor;
}

/*
 * Refaults and swap also count what a memory cgroup does to itself under its
 * own limit, stalls and scans do not.
 */
static bool balloon_nobody_reclaims(const struct balloon_signals *earlier,
				    const struct balloon_signals *now)
{
	return earlier->stalls == now->stalls &&
	       earlier->scanned == now->scanned;
}

static bool balloon_pages_refault(const struct balloon_signals *earlier,
				  const struct balloon_signals *now,
				  unsigned long at_most)
{
	unsigned long allowance =
		balloon_allowance(earlier, now, balloon_refaults_per_s(now));
	unsigned long refaulted =
		max(balloon_moved(earlier->refaults, now->refaults),
		    balloon_moved(earlier->swapped, now->swapped));

	return min(refaulted, at_most) > allowance;
}

/*
 * A task that refaults needs a free page; a cgroup at its limit reclaims that page
 * from itself. So the pages that reclaim got, less those that are free or in the
 * balloon, bound the refaults of other tasks.
 */
static unsigned long balloon_others_got(const struct balloon_signals *earlier,
					const struct balloon_signals *now)
{
	long got = balloon_moved(earlier->reclaimed, now->reclaimed);

	got -= (long)(now->free - earlier->free);
	got -= (long)(now->taken - earlier->taken);
	return got > (long)(now->total >> BALLOON_UNSURE_SHIFT) ? got : 0;
}

/* Does this mean something? It does beside reclaim or after it, or if memory is short. */
static bool balloon_guest_refaults(const struct balloon_signals *earlier,
				   const struct balloon_signals *now,
				   const struct balloon_bounds *bounds)
{
	unsigned long others = ULONG_MAX;

	if (balloon_nobody_reclaims(earlier, now) &&
	    !balloon_near_floor(now, bounds))
		others = bounds->may_refault;
	if (bounds->cgroup)
		others = min(others, balloon_others_got(earlier, now));
	return balloon_pages_refault(earlier, now, others);
}

/**
 * balloon_cgroup_refaults - do only a memory cgroup's own pages refault?
 * @earlier: a snapshot
 * @now: a later one
 *
 * They do if no other task reclaims, nor has lately: the caller checks the latter.
 *
 * Context: any. Depends on its arguments only.
 */
bool balloon_cgroup_refaults(const struct balloon_signals *earlier,
			     const struct balloon_signals *now)
{
	return balloon_nobody_reclaims(earlier, now) &&
	       balloon_pages_refault(earlier, now, ULONG_MAX);
}

/**
 * balloon_reclaimed - what reclaim got between two snapshots
 * @earlier: a snapshot
 * @now: a later one
 *
 * Context: any. Depends on its arguments only.
 * Return: guest pages.
 */
unsigned long balloon_reclaimed(const struct balloon_signals *earlier,
				const struct balloon_signals *now)
{
	return balloon_moved(earlier->reclaimed, now->reclaimed);
}

/**
 * balloon_refaulted - pages that refaulted between two snapshots
 * @earlier: a snapshot
 * @now: a later one
 *
 * Context: any. Depends on its arguments only.
 * Return: guest pages.
 */
unsigned long balloon_refaulted(const struct balloon_signals *earlier,
				const struct balloon_signals *now)
{
	return balloon_moved(earlier->refaults, now->refaults);
}

/* A little above the floor, so that to give and to take do not alternate. */
static unsigned long balloon_wary_floor(const struct balloon_bounds *bounds)
{
	return bounds->floor + bounds->floor / 2;
}

/* Available memory that inflation leaves alone at present. */
static unsigned long balloon_floor_now(const struct balloon_bounds *bounds)
{
	return bounds->wary ? balloon_wary_floor(bounds) : bounds->floor;
}

static enum balloon_hold balloon_hold(const struct balloon_signals *earlier,
				      const struct balloon_signals *now,
				      const struct balloon_bounds *bounds)
{
	if (now->available <= balloon_floor_now(bounds))
		return BALLOON_HOLD_FLOOR;
	if (balloon_guest_stalls(earlier, now, BALLOON_EASY_STALLS_PER_S) ||
	    (balloon_guest_stalls(earlier, now, BALLOON_STALLS_PER_S) &&
	     balloon_near_floor(now, bounds)) ||
	    balloon_reclaim_is_laborious(earlier, now))
		return BALLOON_HOLD_STALL;
	if (balloon_guest_refaults(earlier, now, bounds))
		return BALLOON_HOLD_REFAULT;
	return BALLOON_HOLD_NONE;
}

/* A task that reads large files stalls, too, and gets memory. */
static bool balloon_guest_struggles(const struct balloon_signals *earlier,
				    const struct balloon_signals *now,
				    const struct balloon_bounds *bounds)
{
	return !bounds->answered &&
	       balloon_guest_stalls(earlier, now, BALLOON_STALLS_PER_S) &&
	       (balloon_near_floor(now, bounds) ||
		balloon_reclaim_is_laborious(earlier, now));
}

/* Once the balloon gives, it goes on until more than the floor is available. */
static bool balloon_guest_is_short(const struct balloon_signals *now,
				   const struct balloon_bounds *bounds)
{
	return now->available < (bounds->giving ? balloon_wary_floor(bounds) :
				 bounds->floor - bounds->floor / 4);
}

/* In proportion to the shortage; if that is unknown, to the balloon's size. */
static unsigned long balloon_to_give(const struct balloon_signals *now,
				     const struct balloon_bounds *bounds,
				     bool struggles)
{
	unsigned long give = 0;

	if (balloon_guest_is_short(now, bounds))
		give = balloon_wary_floor(bounds) - now->available;
	if (struggles)
		give = max3(give, bounds->floor / 2, bounds->size / 16 + 1);
	return min(give, bounds->size);
}

/*
 * Guest pages that inflation may take for good. Some free pages may have been in use
 * until a moment ago: all of them, if kswapd is as fast as the balloon.
 */
static unsigned long balloon_for_good(const struct balloon_signals *now,
				      const struct balloon_bounds *bounds)
{
	if (bounds->on_trial || bounds->refaulted)
		return 0;
	return now->spare - min(now->spare, bounds->reclaimed);
}

/**
 * balloon_decide - what to do in view of how the guest does
 * @earlier: a snapshot
 * @now: a later one, or the same if there is no other
 * @bounds: see there
 *
 * Takes nothing at the floor, nor while others' allocations stall, reclaim gets
 * little of what it scans, or reclaimed pages refault. Takes what is free for good,
 * and what has to be or was just reclaimed on trial. Gives, where it may, when
 * three snapshots in a row show that a quarter of the floor is gone or that
 * allocations stall with nothing to be got; and without delay when half of the
 * floor is gone. It gives back until there is one and a half times the floor.
 *
 * Context: any. Depends on its arguments only.
 */
struct balloon_plan balloon_decide(const struct balloon_signals *earlier,
				   const struct balloon_signals *now,
				   const struct balloon_bounds *bounds)
{
	enum balloon_hold hold = balloon_hold(earlier, now, bounds);
	bool struggles = balloon_guest_struggles(earlier, now, bounds);
	unsigned long for_good = balloon_for_good(now, bounds);
	unsigned long taken = bounds->size + bounds->on_trial;
	unsigned long goal = bounds->target + bounds->margin;
	struct balloon_plan plan = {};

	plan.pressed = struggles || balloon_guest_is_short(now, bounds);
	if (bounds->may_give && plan.pressed &&
	    (bounds->giving || bounds->pressed + 1 >= BALLOON_SUSTAINED ||
	     now->available < bounds->floor / 2))
		plan.give = balloon_to_give(now, bounds, struggles);

	if (bounds->size < bounds->target || plan.give)
		plan.hold = hold;
	if (bounds->size < bounds->target && taken < goal &&
	    hold == BALLOON_HOLD_NONE) {
		plan.take = min(goal - taken,
				now->available - balloon_floor_now(bounds));
		plan.on_trial = !for_good;
		if (for_good)
			plan.take = min(plan.take, for_good);
	}
	return plan;
}
