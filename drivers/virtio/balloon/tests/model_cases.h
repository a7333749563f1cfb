/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a balloon must and must not do to a guest: a table of guests, each with its
 * bounds. A policy is put into each of them, and what comes of it is measured.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_CASES_H
#define _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_CASES_H

#include "model_guest.h"

/* What one page costs a balloon: with the host, and on trial. */
#define MODEL_HOST_NS	8000U
#define MODEL_TRIAL_NS	500U

/* Before the target is set the guest runs for so long. */
#define MODEL_WARM_UP	(20 * MODEL_S)
/* At its end the accesses of so long are counted. */
#define MODEL_BEFORE	(10 * MODEL_S)

/**
 * struct model_case - a guest, and what has to hold for it
 * @name: what the log calls it
 * @mib: its size
 * @nodes: in so many nodes of the same size, 0 for one
 * @cpus: so many, 0 for two
 * @iops: of its disk
 * @hot: MiB that the first task uses; its accesses are measured
 * @pattern: of that
 * @anon: that is anonymous memory
 * @bound: the task's pages come from node 0 only
 * @threads: of the first task, 0 for one
 * @hot_ns: an access of it, 0 for 30 us
 * @cold: MiB of files that nobody uses, REST for all that is free
 * @idle: MiB of anonymous memory that nobody uses
 * @busy: MiB of anonymous memory that a second task uses
 * @limit: of a cgroup, in MiB
 * @set: MiB that its task reads at random
 * @set_ns: an access of it, 0 for 30 us
 * @stream: MiB of files that a backup reads over and over
 * @grown: MiB that the hot set has from @event on, 0 if it does not grow
 * @burst: MiB of anonymous memory that somebody allocates at @event
 * @burst_ns: for each page
 * @burst_s: for so many seconds
 * @event: seconds after the target was set
 * @swap: what swap there is
 * @swap_mib: its size
 * @left: MiB of the guest that the target leaves it, 0 for half of @hot
 * @deflates_on_oom: is offered
 * @seconds: how long it is watched, 0 for 180
 * @must_read: percent of the accesses of before, in the second half of the time
 * @must_read_at: percent, from ten seconds after @event on
 * @must_take: percent of memory that it may lack to what could be had
 * @must_reach_s: second by which it has to have that, 0 for the end
 * @pace: it may take half as long again as a balloon that nothing holds back
 * @may_swap: percent of what it takes that may be swapped out, and in again
 * @may_kill: the killer may act
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
 * struct model_result - what came of it
 * @before: accesses a second before the target was set
 * @after: in the second half of the time
 * @at: from ten seconds after the event to the end; or from then on
 * @edge: MiB that could be had for nothing, the target if that is less
 * @taken: MiB that the host had in the end
 * @reached_ms: when the host had what it must, 0 for never
 * @half_ms: when it had a half of that
 * @swapped_out: MiB since the target was set
 * @swapped_in: MiB
 * @kills: of the killer
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

#define MODEL_NR_CASES	33
extern const struct model_case model_cases[MODEL_NR_CASES];

void model_case_run(const struct model_case *row, struct model_guest *guest,
		    struct model_page **chunks, u32 nr_chunks, u64 seed,
		    struct model_driver *driver, struct model_result *result);
const char *model_case_fails(const struct model_case *row,
			     const struct model_result *result,
			     const struct model_result *unrestrained);
void model_unrestrained_init(struct model_driver *driver, u64 *busy_until);

#endif /* _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_CASES_H */
