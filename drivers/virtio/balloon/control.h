/* SPDX-License-Identifier: GPL-2.0 */
/* The control of an experiment: refaults without a trial. */
#ifndef _DRIVERS_VIRTIO_BALLOON_CONTROL_H
#define _DRIVERS_VIRTIO_BALLOON_CONTROL_H

#include <linux/types.h>

/* Refaults are counted in windows of this length. */
#define BALLOON_WINDOW_MS	1000U
#define BALLOON_BASELINE_MINUTES	10U

/* The limit to the memory that the driver takes for the host's target. */
enum balloon_policy {
	BALLOON_POLICY_FULL,	/* takes no memory that the guest uses */
	BALLOON_POLICY_FLOOR,	/* takes all memory above the floor */
	BALLOON_POLICY_OBEY,	/* takes all memory */
	BALLOON_POLICIES
};

/**
 * struct balloon_node - the state of a NUMA node
 * @spare: guest pages free beyond the high watermark
 * @refaults: refaults on this node so far, see struct balloon_sample
 * @before: @refaults at the start of the present window
 * @calm: next to no page refaulted in the last window
 *
 * Each sample sets @spare and @refaults. The control sets the other members.
 */
struct balloon_node {
	unsigned long spare;
	unsigned long refaults;
	unsigned long before;
	bool calm;
};

/**
 * struct balloon_sample - the state of the guest and of the balloon
 * @ms: time for which the guest has run so far; starts above 0
 * @refaults: refaults so far of guest pages that were in use when reclaim
 *            evicted them, and swap-ins
 * @reclaimed: guest pages that reclaim has freed so far, except for a cgroup's
 *             own reclaim
 * @stalls: allocations so far that had to reclaim by themselves
 * @waited_ms: time so far for which a CPU was idle while tasks waited for disks
 * @user_ms: time so far for which CPUs ran processes in user mode
 * @idle_ms: other idle time of CPUs so far
 * @used: guest pages of files and of processes
 * @lack: guest pages that zones lack to their high watermarks
 * @available: guest pages that tasks can have without swapping
 * @inactive: guest pages on inactive lists; without swap only pages of files
 * @active: the same for active lists
 * @floor: guest pages of @available that inflation leaves alone
 * @target: guest pages that the host wants
 * @size: guest pages in the balloon
 * @on_trial: guest pages on trial
 * @may_give: VIRTIO_BALLOON_F_DEFLATE_ON_OOM is negotiated
 * @policy: the administrator's choice
 *
 * The members from @refaults to @idle_ms count up and wrap around.
 */
struct balloon_sample {
	u64 ms;
	unsigned long refaults;
	unsigned long reclaimed;
	unsigned long stalls;
	unsigned long waited_ms;
	unsigned long user_ms;
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
 * @nodes: an array of the nodes, indexed by node number
 * @nr_nodes: length of @nodes
 * @from: the sample at the start of the present window
 * @rate: refaults a second in the last window
 * @waited: ms a second for which tasks waited for disks in the last window
 * @busy: processes ran for more than 6 % of a CPU's time in the last window
 * @calm: refaults and waits of the last window were within the baseline's
 *        limits
 * @foreign: refaults a second that the balloon cannot have caused, on average
 * @lowest: the lowest @rate of each of the last ten minutes
 * @least: the lowest @waited of each of these minutes
 * @minute: the present minute
 */
struct balloon_control {
	struct balloon_node *nodes;
	unsigned int nr_nodes;
	struct balloon_sample from;
	unsigned int rate;
	unsigned int waited;
	bool busy;
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
