/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How far the balloon may go, decided by experiment.
 *
 * balloon_experiment_step() looks at a sample of the guest's counters and says what
 * to do next. The room has no page, no virtqueue and no clock of its own: its caller
 * carries the action out and comes again.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_EXPERIMENT_H
#define _DRIVERS_VIRTIO_BALLOON_EXPERIMENT_H

#include <linux/types.h>

#include "config.h"
#include "control.h"

/* After pages went back under pressure none is taken for this time, or twice that. */
#define BALLOON_HOLD_OFF_MIN_MS	10000U
/* The shortest delay after a trial that failed. */
#define BALLOON_WAIT_MIN_MS	1000U
/* No action is due before an event. */
#define BALLOON_NEVER_MS	(~0U)

enum balloon_phase {
	BALLOON_PHASE_IDLE,	/* the target is reached */
	BALLOON_PHASE_FREE,	/* takes free memory for good */
	BALLOON_PHASE_LOOK,	/* the control: no page is on trial */
	BALLOON_PHASE_TRY,	/* the experiment: pages are on trial */
	BALLOON_PHASE_WAIT,	/* after a trial that failed */
	BALLOON_PHASE_FLOOR,	/* the guest has no more than the floor */
	BALLOON_PHASE_EASE,	/* gives: the guest is short of memory */
	BALLOON_PHASE_HOLD_OFF,	/* after that: takes nothing */
};

enum balloon_act {
	BALLOON_ACT_NONE,
	BALLOON_ACT_TAKE,	/* for good, from one node */
	BALLOON_ACT_TRY,	/* put on trial, down to the low watermark */
	BALLOON_ACT_HAND_OVER,	/* the host gets pages that are on trial */
	BALLOON_ACT_END,	/* all pages on trial go back to the guest */
	BALLOON_ACT_GIVE,	/* pages of the balloon go back to the guest */
};

/**
 * struct balloon_action - what to do next
 * @act: what
 * @pages: of how many guest pages; the caller may come again after a part of them
 * @node: the node to take them from, or NUMA_NO_NODE
 * @look_in_ms: come again then, or at once if that is 0
 * @hold: why the balloon does not grow, or gives
 * @retry_ms: how long it does not, at least
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
 * struct balloon_experiment - what is remembered between two steps
 * @control: refaults, with and without pages on trial
 * @phase: see there
 * @since: when @phase began, in ms
 * @hold: why the balloon does not grow
 * @step: guest pages that may be on trial and have not passed
 * @old: guest pages that have been on trial for half of their time
 * @passed: guest pages on trial that have passed, and are to be handed over
 * @half: the sample when @old was last set
 * @took_at: when pages were last put on trial, in ms
 * @held: the most guest pages that this trial and the balloon held
 * @grew_at: when @held last grew or pages passed, in ms
 * @calm_at: in WAIT: when the guest was first calm again, in ms, or 0
 * @cost: in WAIT: refaults by then
 * @most: in WAIT: the highest rate of them
 * @wait_ms: how long WAIT lasts from @calm_at, at least
 * @refaults: refaults in the window in which the last trial failed or passed
 * @missed: a trial failed at @missed_at, less than a minute ago
 * @missed_at: in ms
 * @short_looks: looks in a row that found the guest short of memory
 * @short_at: when the last of them was, in ms
 * @stalls: @stalls of the last look
 * @thrash: windows in a row in which the guest thrashed
 * @ease: guest pages that were last given for that
 * @give_to: in EASE: the size at which enough is given
 * @gave: pages were given at @gave_at, less than a minute ago
 * @gave_at: in ms
 * @hold_off_ms: how long HOLD_OFF lasts
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
	unsigned int short_looks;
	u64 short_at;
	unsigned long stalls;
	unsigned int thrash;
	unsigned long ease;
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
