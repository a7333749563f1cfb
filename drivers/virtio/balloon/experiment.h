/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Decides by experiment how large the balloon may grow.
 *
 * balloon_experiment_step() reads a sample of the guest's counters and returns
 * the next action. This file has no page, no virtqueue and no clock. The
 * kthread carries the action out and calls again.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_EXPERIMENT_H
#define _DRIVERS_VIRTIO_BALLOON_EXPERIMENT_H

#include <linux/types.h>

#include "config.h"
#include "control.h"
#include "pressure.h"

/*
 * After the driver gave pages back under pressure, it takes none for this time.
 * If it also gave some in the last minute, it takes none for twice this time.
 */
#define BALLOON_HOLD_OFF_MIN_MS	10000U
/* The shortest delay after a failed trial. */
#define BALLOON_WAIT_MIN_MS	1000U
/* No action is due before an event. */
#define BALLOON_NEVER_MS	(~0U)

enum balloon_phase {
	BALLOON_PHASE_IDLE,	/* the target is reached */
	BALLOON_PHASE_FREE,	/* takes free memory for good */
	BALLOON_PHASE_LOOK,	/* the control: no page is on trial */
	BALLOON_PHASE_TRY,	/* the experiment: pages are on trial */
	BALLOON_PHASE_WAIT,	/* after a trial that failed, or was given up */
	BALLOON_PHASE_FLOOR,	/* available memory is at the floor */
	BALLOON_PHASE_EASE,	/* gives pages: the guest is short of memory */
	BALLOON_PHASE_HOLD_OFF,	/* takes nothing after EASE */
};

enum balloon_act {
	BALLOON_ACT_NONE,
	BALLOON_ACT_TAKE,	/* take pages for good, from one node */
	BALLOON_ACT_TRY,	/* put pages on trial, down to WMARK_LOW */
	BALLOON_ACT_HAND_OVER,	/* the host gets pages that have passed */
	BALLOON_ACT_END,	/* all pages on trial go back to the guest */
	BALLOON_ACT_GIVE,	/* pages of the balloon go back to the guest */
};

/**
 * struct balloon_action - the next action of the kthread
 * @act: the kind of action
 * @pages: guest pages to move; the kthread may call again after a part of them
 * @node: the node to take the pages from, or NUMA_NO_NODE
 * @look_in_ms: longest delay until the next step; 0 for none
 * @hold: why the balloon does not grow, or gives pages
 * @retry_ms: shortest time for which the balloon does not grow
 */
struct balloon_action {
	enum balloon_act act;
	unsigned long pages;
	int node;
	unsigned int look_in_ms;
	enum balloon_hold hold;
	unsigned int retry_ms;
};

/**
 * struct balloon_experiment - the state between two steps
 * @control: refaults, with and without pages on trial
 * @phase: see enum balloon_phase
 * @since: time when @phase began, in ms
 * @hold: why the balloon does not grow
 * @step: most guest pages that may be on trial and have not passed
 * @old: guest pages that have been on trial for half of their time
 * @passed: guest pages on trial that have passed; the host gets them next
 * @half: the sample when @old was last set
 * @took_at: time when pages were last put on trial, in ms
 * @held: most guest pages that this trial and the balloon held together
 * @grew_at: time when @held last grew or pages passed, in ms
 * @calm_at: in WAIT: time when the guest was first calm again, in ms, or 0
 * @cost: in WAIT: refaults until @calm_at
 * @most: in WAIT: highest rate of refaults until @calm_at
 * @wait_ms: shortest duration of WAIT from @calm_at on
 * @refaults: refaults in the window in which the last trial failed or passed
 * @missed: a trial failed at @missed_at, less than a minute ago
 * @missed_at: time when a trial last failed, in ms
 * @pressure: signs that the guest is short of memory
 * @give_to: in EASE: the balloon's size at which it has given enough
 * @gave: pages were given at @gave_at, less than a minute ago
 * @gave_at: time when pages were last given, in ms
 * @hold_off_ms: duration of HOLD_OFF
 */
struct balloon_experiment {
	struct balloon_control control;
	enum balloon_phase phase;
	u64 since;
	enum balloon_hold hold;
	unsigned long step;
	unsigned long old;
	unsigned long passed;
	struct balloon_sample half;
	u64 took_at;
	unsigned long held;
	u64 grew_at;
	u64 calm_at;
	unsigned long cost;
	unsigned int most;
	unsigned int wait_ms;
	unsigned long refaults;
	bool missed;
	u64 missed_at;
	struct balloon_pressure pressure;
	unsigned long give_to;
	bool gave;
	u64 gave_at;
	unsigned int hold_off_ms;
};

void balloon_experiment_init(struct balloon_experiment *ex,
			     struct balloon_node *nodes, unsigned int nr_nodes);
struct balloon_action balloon_experiment_step(struct balloon_experiment *ex,
					      const struct balloon_sample *now);
void balloon_experiment_handed_over(struct balloon_experiment *ex,
				    unsigned long pages);
void balloon_experiment_given(struct balloon_experiment *ex,
			      unsigned long pages);
void balloon_experiment_rest(struct balloon_experiment *ex);
void balloon_experiment_forgive(struct balloon_experiment *ex);
unsigned int balloon_experiment_missed(struct balloon_experiment *ex,
				       const struct balloon_sample *now,
				       enum balloon_hold why);
unsigned int balloon_experiment_gave(struct balloon_experiment *ex,
				     const struct balloon_sample *now,
				     enum balloon_hold why);

#endif /* _DRIVERS_VIRTIO_BALLOON_EXPERIMENT_H */
