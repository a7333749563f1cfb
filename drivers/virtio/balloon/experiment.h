/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How far the balloon may go, decided by experiment.
 *
 * balloon_experiment_step() looks at a sample and says what to do next. It has no
 * page, no virtqueue and no clock of its own: whoever calls it does what it says, and
 * comes again.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_EXPERIMENT_H
#define _DRIVERS_VIRTIO_BALLOON_EXPERIMENT_H

#include <linux/types.h>

enum balloon_phase {
	BALLOON_PHASE_IDLE,	/* the target is reached */
	BALLOON_PHASE_FREE,	/* takes what is free, for good */
	BALLOON_PHASE_LOOK,	/* the control: nothing is on trial */
	BALLOON_PHASE_TRY,	/* the experiment: pages are on trial */
	BALLOON_PHASE_WAIT,	/* one was missed */
	BALLOON_PHASE_FLOOR,	/* the guest has no more than the floor */
	BALLOON_PHASE_EASE,	/* gives, as the guest is short of memory */
	BALLOON_PHASE_HOLD_OFF,	/* and takes nothing for a while */
};

enum balloon_act {
	BALLOON_ACT_NONE,
	BALLOON_ACT_TAKE,	/* for good, from one node */
	BALLOON_ACT_TRY,	/* put on trial, down to the low watermark */
	BALLOON_ACT_HAND_OVER,	/* what is on trial goes to the host */
	BALLOON_ACT_END,	/* what is on trial goes back */
	BALLOON_ACT_GIVE,	/* what the host has goes back */
};

/**
 * struct balloon_node_sample - how a node does
 * @spare: guest pages free beyond the high watermark
 * @regrets: as @regrets of struct balloon_sample
 */
struct balloon_node_sample {
	unsigned long spare;
	u64 regrets;
};

/**
 * struct balloon_sample - how the guest does, and the balloon
 * @ms: time that has passed for the guest
 * @regrets: refaults so far that mm's own distance test finds too early, and
 *           swap-ins: WORKINGSET_ACTIVATE_FILE and WORKINGSET_REFAULT_ANON
 * @stolen: guest pages that reclaim got so far, a cgroup's own reclaim left out
 * @stalls: allocations so far that had to reclaim by themselves
 * @free: guest pages that nobody has
 * @lack: guest pages that zones lack to their high watermarks
 * @available: guest pages that can be had without swapping
 * @inactive: guest pages on inactive lists, those of files only if there is no swap
 * @active: the same of active ones
 * @floor: of @available, to be left alone
 * @target: guest pages that the host wants
 * @size: guest pages that it has
 * @on_trial: guest pages that are on trial
 * @may_give: VIRTIO_BALLOON_F_DEFLATE_ON_OOM is negotiated
 * @nodes: each node with memory
 * @nr_nodes: their number
 *
 * From @regrets to @stalls these only grow.
 */
struct balloon_sample {
	u64 ms;
	u64 regrets;
	u64 stolen;
	u64 stalls;
	unsigned long free;
	unsigned long lack;
	unsigned long available;
	unsigned long inactive;
	unsigned long active;
	unsigned long floor;
	unsigned long target;
	unsigned long size;
	unsigned long on_trial;
	bool may_give;
	struct balloon_node_sample *nodes;
	unsigned int nr_nodes;
};

/**
 * struct balloon_action - what to do next
 * @act: what
 * @pages: of how many guest pages
 * @node: index of the node to take them from
 * @look_in_ms: come again then, or at once if that is 0
 */
struct balloon_action {
	enum balloon_act act;
	unsigned long pages;
	unsigned int node;
	unsigned int look_in_ms;
};

/* There is nothing to look for before something changes. */
#define BALLOON_NEVER_MS	(~0U)

#define BALLOON_BASELINE_MINUTES	10U
#define BALLOON_EXPERIMENT_NODES	64U

/**
 * struct balloon_experiment - what is remembered between two steps
 * @phase: see there
 * @since: when it began, in ms
 * @from: the sample that the present window began with
 * @node_from: regrets of each node then
 * @node_calm: the last window had next to none there
 * @rate: what was missed in the last window, a second
 * @calm: that is no more than ever
 * @foreign: what others than the balloon can have to do with, a second, on average
 * @lowest: the lowest such rate of each of the last ten minutes
 * @minute: which of them is the present one
 * @step: guest pages that may be on trial and have not passed
 * @old: guest pages that have been on trial for half of their time
 * @hand: guest pages on trial that have passed, and are to be handed over
 * @half: the sample of when @old became so
 * @took_at: when pages were last put on trial, in ms
 * @calm_at: in WAIT: when the guest was first calm again, in ms
 * @misses: in WAIT: what was missed by then
 * @most: in WAIT: the highest rate of it, a second
 * @wait_ms: how long WAIT lasts from there on, at least
 * @missed: a trial failed less than a minute ago, at @missed_at
 * @missed_at: in ms
 * @short_looks: looks in a row that found the guest short of memory
 * @stalls: allocations that had stalled by the last of them
 * @thrash: windows in a row in which the guest thrashed
 * @ease: guest pages that were given last because of that
 * @gave: something was given less than a minute ago, at @gave_at
 * @gave_at: in ms
 * @hold_off_ms: how long HOLD_OFF lasts
 */
struct balloon_experiment {
	enum balloon_phase phase;
	u64 since;
	struct balloon_sample from;
	u64 node_from[BALLOON_EXPERIMENT_NODES];
	bool node_calm[BALLOON_EXPERIMENT_NODES];
	unsigned int rate;
	bool calm;
	unsigned int foreign;
	unsigned int lowest[BALLOON_BASELINE_MINUTES];
	u64 minute;
	unsigned long step;
	unsigned long old;
	unsigned long hand;
	struct balloon_sample half;
	u64 took_at;
	u64 calm_at;
	u64 misses;
	unsigned int most;
	unsigned int wait_ms;
	bool missed;
	u64 missed_at;
	unsigned int short_looks;
	u64 stalls;
	unsigned int thrash;
	unsigned long ease;
	bool gave;
	u64 gave_at;
	unsigned int hold_off_ms;
};

void balloon_experiment_init(struct balloon_experiment *ex);
struct balloon_action balloon_experiment_step(struct balloon_experiment *ex,
					      const struct balloon_sample *now);
void balloon_experiment_missed(struct balloon_experiment *ex,
			       const struct balloon_sample *now);
void balloon_experiment_gave(struct balloon_experiment *ex,
			     const struct balloon_sample *now);

#endif /* _DRIVERS_VIRTIO_BALLOON_EXPERIMENT_H */
