/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of guests, each with bounds to the effects of a balloon. A test puts
 * a policy into each guest and measures the effects.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_CASES_H
#define _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_CASES_H

#include "model_guest.h"

/* The cost of a page for a balloon: with the host, and on trial. */
#define MODEL_HOST_NS	8000U
#define MODEL_TRIAL_NS	500U

/* The guest runs for this time before the target is set. */
#define MODEL_WARM_UP	(20 * MODEL_S)
/* Accesses are counted in this last part of MODEL_WARM_UP. */
#define MODEL_BEFORE	(10 * MODEL_S)

/**
 * struct model_case - a guest, and the bounds for it
 * @name: name in the log
 * @mib: size of the guest in MiB
 * @nodes: number of nodes of the same size, 0 for one
 * @cpus: number of CPUs, 0 for two
 * @iops: requests that the disk serves in a second
 * @hot: MiB that the first task uses; its accesses are measured
 * @pattern: order of these accesses
 * @anon: the first task uses anonymous memory
 * @bound: the first task's pages come from node 0 only
 * @threads: threads of the first task, 0 for one
 * @hot_ns: time of an access of the first task, 0 for 30 us
 * @cold: MiB of files that no task uses, REST for all that is free
 * @idle: MiB of anonymous memory that no task uses
 * @busy: MiB of anonymous memory that a second task uses
 * @limit: limit of a cgroup, in MiB
 * @set: MiB that the cgroup's task reads at random
 * @set_ns: time of an access of the cgroup's task, 0 for 30 us
 * @stream: MiB of files that a backup reads over and over
 * @grown: MiB that the hot set has from @event on, 0 if it does not grow
 * @burst: MiB of anonymous memory that a process allocates at @event
 * @burst_ns: time of an access of this process
 * @burst_s: seconds until this process ends
 * @event: seconds from the target to the event
 * @swap: kind of swap
 * @swap_mib: size of swap in MiB
 * @left: MiB that the target leaves to the guest, 0 for half of @hot
 * @deflates_on_oom: F_DEFLATE_ON_OOM is offered
 * @seconds: duration after the target was set, 0 for 180
 * @must_read: least accesses in the second half of the time, in percent of
 *             those before the target
 * @must_read_at: the same from ten seconds after @event on
 * @must_take: percent of the guest's memory by which the host may get less than
 *             it could have at no cost
 * @must_reach_s: second by which the host must have this memory, 0 for the end
 * @pace: the driver may take half as long again as a balloon without restraint
 * @may_swap: percent of the memory taken that may be swapped out, and in again
 * @may_kill: the out-of-memory killer may act
 * @unsolved: the driver does not keep within the bounds yet
 */
struct model_case {
	const char *name;
	u16 mib;
	u8 nodes;
	u8 cpus;
	u32 iops;
	u16 hot;
	enum model_pattern pattern;
	bool anon;
	bool bound;
	u8 threads;
	u32 hot_ns;
	u16 cold;
	u16 idle;
	u16 busy;
	u16 limit;
	u16 set;
	u32 set_ns;
	u16 stream;
	u16 grown;
	u16 burst;
	u32 burst_ns;
	u16 burst_s;
	u16 event;
	enum model_swap swap;
	u16 swap_mib;
	u16 left;
	bool deflates_on_oom;
	u16 seconds;

	u8 must_read;
	u8 must_read_at;
	u8 must_take;
	u16 must_reach_s;
	bool pace;
	u8 may_swap;
	bool may_kill;
	bool unsolved;
};

#define REST	0xffff

/**
 * struct model_result - the effects of a policy
 * @before: accesses a second before the target was set
 * @after: accesses a second in the second half of the time
 * @at: from ten seconds after the event to the end; or from then on
 * @edge: MiB that the host could have at no cost, or the target if that is less
 * @taken: MiB that the host had in the end
 * @reached_ms: time when the host had the memory that it must get, 0 for never
 * @half_ms: time when the host had half of that memory
 * @swapped_out: MiB since the target was set
 * @swapped_in: MiB since the target was set
 * @kills: processes that the out-of-memory killer has killed
 * @stalls: direct reclaims
 */
struct model_result {
	u32 before;
	u32 after;
	u32 at;
	u32 edge;
	u32 taken;
	u32 reached_ms;
	u32 half_ms;
	u32 swapped_out;
	u32 swapped_in;
	u32 kills;
	u32 stalls;
};

#define MODEL_NR_CASES	36
extern const struct model_case model_cases[MODEL_NR_CASES];

void model_case_run(const struct model_case *row, struct model_guest *guest,
		    struct model_page **chunks, u32 nr_chunks, u64 seed,
		    struct model_driver *driver, struct model_result *result);
const char *model_case_fails(const struct model_case *row,
			     const struct model_result *result,
			     const struct model_result *unrestrained);
void model_unrestrained_init(struct model_driver *driver, u64 *busy_until);

#endif /* _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_CASES_H */
