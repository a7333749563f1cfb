/* SPDX-License-Identifier: GPL-2.0 */
/* The control of an experiment: how many pages refault anyway. */
#ifndef _DRIVERS_VIRTIO_BALLOON_CONTROL_H
#define _DRIVERS_VIRTIO_BALLOON_CONTROL_H

#include <linux/types.h>

/* Refaults are counted in windows of this length. */
#define BALLOON_WINDOW_MS	1000U
#define BALLOON_BASELINE_MINUTES	10U

/* What the balloon does to a guest for the host's target. */
enum balloon_policy {
	BALLOON_POLICY_FULL,	/* takes no memory that the guest uses */
	BALLOON_POLICY_FLOOR,	/* takes all memory above the floor */
	BALLOON_POLICY_OBEY,	/* takes all memory */
	BALLOON_POLICIES
};

/**
 * struct balloon_node - how a node does
 * @spare: guest pages free beyond the high watermark
 * @refaults: as @refaults of struct balloon_sample
 * @before: @refaults at the start of the present window
 * @calm: next to no page refaulted in the last window
 *
 * A sample has the first two; the control keeps the others.
 */
struct balloon_node {
	unsigned long spare;
	unsigned long refaults;
	unsigned long before;
	bool calm;
};

/**
 * struct balloon_sample - how the guest and the balloon do
 * @ms: time for which the guest ran so far; starts above 0
 * @refaults: guest pages so far that were in use when reclaim got them, and swap-ins
 * @reclaimed: guest pages that reclaim got so far, a cgroup's own reclaim left out
 * @stalls: allocations so far that had to reclaim by themselves
 * @waited_ms: time so far for which tasks waited for disks, and a CPU was idle for it
 * @idle_ms: time so far for which CPUs were idle otherwise
 * @used: guest pages of files and of processes
 * @lack: guest pages that zones lack to their high watermarks
 * @available: guest pages that tasks can have without swapping
 * @inactive: guest pages on inactive lists, those of files only if there is no swap
 * @active: the same of active lists
 * @floor: of @available, to be left alone
 * @target: guest pages that the host wants
 * @size: guest pages in the balloon
 * @on_trial: guest pages on trial
 * @may_give: VIRTIO_BALLOON_F_DEFLATE_ON_OOM is negotiated
 * @policy: what the administrator has chosen
 *
 * From @refaults to @idle_ms these count up, and wrap around.
 */
struct balloon_sample {
	u64 ms;
	unsigned long refaults;
	unsigned long reclaimed;
	unsigned long stalls;
	unsigned long waited_ms;
	unsigned long idle_ms;
	unsigned long used;
	unsigned long lack;
	unsigned long available;
	unsigned long inactive;
	unsigned long active;
	unsigned long floor;
	unsigned long target;
	unsigned long size;
	unsigned long on_trial;
	bool may_give;
	enum balloon_policy policy;
};

/**
 * struct balloon_control - refaults, window by window
 * @nodes: each node, by number
 * @nr_nodes: their count
 * @from: the sample at the start of the present window
 * @rate: refaults a second in the last window
 * @waited: ms a second for which tasks waited for disks in it
 * @calm: both are no more than the baseline allows
 * @foreign: refaults a second that the balloon cannot have caused, on average
 * @lowest: the lowest @rate of each of the last ten minutes
 * @least: the lowest @waited of each of them
 * @minute: the present one of these minutes
 */
struct balloon_control {
	struct balloon_node *nodes;
	unsigned int nr_nodes;
	struct balloon_sample from;
	unsigned int rate;
	unsigned int waited;
	bool calm;
	unsigned int foreign;
	unsigned int lowest[BALLOON_BASELINE_MINUTES];
	unsigned int least[BALLOON_BASELINE_MINUTES];
	u64 minute;
};

void balloon_control_init(struct balloon_control *control,
			  struct balloon_node *nodes, unsigned int nr_nodes);
bool balloon_control_is_stale(const struct balloon_control *control,
			      const struct balloon_sample *now);
unsigned int balloon_control_left_ms(const struct balloon_control *control,
				     const struct balloon_sample *now);
void balloon_control_begin(struct balloon_control *control,
			   const struct balloon_sample *now);
void balloon_control_begin_anew(struct balloon_control *control,
				const struct balloon_sample *now);
void balloon_control_end(struct balloon_control *control,
			 const struct balloon_sample *now);
unsigned long balloon_control_refaults(const struct balloon_control *control,
				       const struct balloon_sample *now);
unsigned int balloon_control_baseline(const struct balloon_control *control);
bool balloon_control_thrashes(const struct balloon_control *control);
bool balloon_control_hurts(const struct balloon_control *control,
			   const struct balloon_sample *now,
			   unsigned long on_trial);

#endif /* _DRIVERS_VIRTIO_BALLOON_CONTROL_H */
