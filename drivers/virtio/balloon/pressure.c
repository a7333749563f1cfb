// SPDX-License-Identifier: GPL-2.0
/*
 * Whether the guest is short of memory, and how many pages it then gets back.
 */

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "control.h"
#include "pressure.h"

/*
 * The driver gives pages if the guest thrashes in this many windows in a row,
 * or is short of memory in as many looks in a row.
 */
#define SUSTAINED	3U
/*
 * Near the floor the guest is short of memory if more allocations than this
 * stall between two looks.
 */
#define STALLS_PER_LOOK	1U
/* If more memory than this is spare, thrash has another cause. */
#define SPARE_MIN	(SZ_4M >> PAGE_SHIFT)
/* Two looks count as two if this time is between them. */
#define LOOK_MS		100U

/**
 * balloon_pressure_short - pages for a guest that has less than the floor
 * @pressure: what the last looks found
 * @now: a sample
 * @wary: pages were given a short time ago
 * @why: is set to the sign of the shortage, if there is one
 *
 * Context: any.
 * Return: guest pages, 0 if the guest is not short of memory.
 */
unsigned long balloon_pressure_short(struct balloon_pressure *pressure,
				     const struct balloon_sample *now,
				     bool wary, enum balloon_hold *why)
{
	unsigned long enough = now->floor + now->floor / 2;
	bool stalls = now->available / 2 < now->floor &&
		      now->stalls - pressure->stalls > STALLS_PER_LOOK;
	bool is_short = now->available < now->floor - now->floor / 4;
	bool lasts;

	/*
	 * Pressure has to last: looks that follow each other at once count as
	 * one.
	 */
	if (now->ms - pressure->looked_at >= LOOK_MS) {
		pressure->looks = stalls || is_short ? pressure->looks + 1 : 0;
		pressure->looked_at = now->ms;
		pressure->stalls = now->stalls;
	}
	lasts = pressure->looks >= SUSTAINED && (stalls || is_short);
	if (!lasts && now->available >= now->floor / 2 &&
	    !(wary && now->available < now->floor))
		return 0;
	*why = stalls && !is_short ? BALLOON_HOLD_STALL : BALLOON_HOLD_FLOOR;
	return max(enough - min(enough, now->available), now->floor / 2);
}

/**
 * balloon_pressure_thrash - pages for a guest that thrashes
 * @pressure: what the last windows found
 * @control: the control, at the end of a window
 * @now: a sample
 * @why: is set to the sign of thrash, if there is one
 *
 * MemAvailable contains a page cache that thrashes, so it does not count here. The
 * number of pages doubles from window to window.
 *
 * Context: any.
 * Return: guest pages, 0 if the guest does not thrash.
 */
unsigned long balloon_pressure_thrash(struct balloon_pressure *pressure,
				      const struct balloon_control *control,
				      const struct balloon_sample *now,
				      enum balloon_hold *why)
{
	unsigned long spare = 0;
	unsigned int nid;

	for (nid = 0; nid < control->nr_nodes; nid++)
		spare += control->nodes[nid].spare;
	if (!balloon_control_thrashes(control) || spare > SPARE_MIN) {
		pressure->windows = 0;
		pressure->given = 0;
		return 0;
	}
	if (++pressure->windows < SUSTAINED)
		return 0;
	pressure->given = max(2 * pressure->given, now->size / 16 + 1);
	*why = BALLOON_HOLD_REFAULT;
	return pressure->given;
}
