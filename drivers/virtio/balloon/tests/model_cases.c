// SPDX-License-Identifier: GPL-2.0
/*
 * The table of guests. model_cases.h describes its columns.
 */

#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>

#include "model_cases.h"

#define KERNEL_MIB	64U
#define SYSTEM_MIB	48U	/* of services; always in use */
#define DEFAULT_NS	30000U
#define MUST_RECOVER	(10 * MODEL_S)
#define NEVER		(~0ULL)

/* A task reads a hot set at random. The target leaves half of the set. */
#define HOT(_name, _mib, _hot, _iops, ...)				\
	{ .name = _name, .mib = _mib, .hot = _hot, .iops = _iops,	\
	  .must_read = 95, .must_take = 5, __VA_ARGS__ }

const struct model_case model_cases[MODEL_NR_CASES] = {
	HOT("1 GiB, hot set, 150 IOPS", 1024, 500, 150),
	HOT("1 GiB, hot set, 3000 IOPS", 1024, 500, 3000),
	HOT("2 GiB, hot set, 150 IOPS", 2048, 1000, 150),
	HOT("2 GiB, hot set, 200 IOPS", 2048, 1000, 200),
	HOT("2 GiB, hot set, 3000 IOPS", 2048, 1000, 3000),
	HOT("2 GiB, hot set, 100000 IOPS", 2048, 1000, 100000),
	HOT("8 GiB, hot set, 150 IOPS", 8192, 4000, 150),
	HOT("8 GiB, hot set, 3000 IOPS", 8192, 4000, 3000),
	HOT("16 GiB, hot set, 3000 IOPS", 16384, 8000, 3000),
	HOT("16 GiB, hot set, 100000 IOPS, eight threads", 16384, 8000, 100000,
	    .threads = 8, .hot_ns = 100000),
	HOT("2 GiB, hot set and cold cache, 150 IOPS", 2048, 700, 150,
	    .cold = REST),
	HOT("2 GiB, hot set and cold cache, 3000 IOPS", 2048, 700, 3000,
	    .cold = REST),
	HOT("8 GiB, hot set and cold cache, 3000 IOPS", 8192, 3000, 3000,
	    .cold = REST),
	HOT("2 GiB, loop that fits, 100000 IOPS", 2048, 1000, 100000,
	    .pattern = MODEL_LOOP, .hot_ns = 3000),
	HOT("2 GiB, loop that just fits, 3000 IOPS", 2048, 1600, 3000,
	    .pattern = MODEL_LOOP, .hot_ns = 3000),
	HOT("2 GiB, slow loop that just fits, 100000 IOPS", 2048, 1600, 100000,
	    .pattern = MODEL_LOOP, .hot_ns = 6000),
	HOT("4 GiB, slow loop and cold cache, 100000 IOPS", 4096, 2200, 100000,
	    .pattern = MODEL_LOOP, .hot_ns = 4500, .cold = REST),
	HOT("2 GiB, cgroup at its limit, 3000 IOPS", 2048, 800, 3000,
	    .limit = 128, .set = 512),
	HOT("2 GiB, cgroup at its limit, 100000 IOPS", 2048, 800, 100000,
	    .threads = 4, .limit = 128, .set = 512),
	{ .name = "two nodes, one thrashes, the other is free", .mib = 2048,
	  .nodes = 2, .iops = 3000, .hot = 1500, .bound = true, .left = 748,
	  .must_take = 5, .must_reach_s = 30 },
	{ .name = "two nodes, one thrashes, 100000 IOPS", .mib = 2048,
	  .nodes = 2, .iops = 100000, .hot = 1500, .bound = true, .left = 748,
	  .must_take = 5, .must_reach_s = 30 },
	{ .name = "4 GiB, backup reads again, 3000 IOPS", .mib = 4096,
	  .iops = 3000, .hot = 200, .stream = 8000, .left = 1024,
	  .must_read = 90, .must_take = 2, .must_reach_s = 60 },
	{ .name = "16 GiB, backup reads again, 3000 IOPS", .mib = 16384,
	  .iops = 3000, .hot = 200, .stream = 20000, .left = 10240,
	  .must_read = 90, .must_take = 2, .must_reach_s = 60 },
	{ .name = "4 GiB, cold cache, 1 GiB", .mib = 4096, .iops = 3000,
	  .hot = 50, .hot_ns = MODEL_MS, .cold = REST, .left = 3072, .seconds = 60,
	  .must_take = 1, .pace = true },
	{ .name = "4 GiB, cold cache, 3 GiB", .mib = 4096, .iops = 3000,
	  .hot = 50, .hot_ns = MODEL_MS, .cold = REST, .left = 1024, .seconds = 60,
	  .must_take = 1, .pace = true },
	{ .name = "4 GiB, busy process beside a cold cache, 3 GiB", .mib = 4096,
	  .iops = 3000, .hot = 50, .cold = REST, .left = 1024, .seconds = 60,
	  .must_take = 1, .must_reach_s = 30 },
	{ .name = "16 GiB, cold cache, 12 GiB", .mib = 16384, .iops = 100000,
	  .hot = 50, .cold = REST, .left = 4096, .seconds = 120,
	  .must_take = 1, .pace = true },
	{ .name = "8 GiB, cold cache, 400 refaults a second", .mib = 8192,
	  .cpus = 8, .iops = 3000, .hot = 100, .cold = REST, .left = 2048,
	  .limit = 64, .set = 128, .set_ns = 1250000, .must_take = 5,
	  .must_reach_s = 60, .unsolved = true },
	{ .name = "4 GiB, idle processes, swap on a disk", .mib = 4096,
	  .iops = 3000, .hot = 300, .idle = 2000, .left = 1536,
	  .swap = MODEL_SWAP_DISK, .swap_mib = 4096, .must_read = 90,
	  .must_take = 20, .may_swap = 125, .seconds = 240 },
	{ .name = "4 GiB, idle processes, zram", .mib = 4096,
	  .iops = 3000, .hot = 300, .idle = 2000, .left = 1536,
	  .swap = MODEL_SWAP_ZRAM, .swap_mib = 4096, .must_read = 90,
	  .must_take = 25, .may_swap = 175 },
	{ .name = "4 GiB, busy processes, swap on a disk", .mib = 4096,
	  .iops = 3000, .hot = 2000, .anon = true, .left = 1024,
	  .swap = MODEL_SWAP_DISK, .swap_mib = 4096, .must_read = 90,
	  .must_take = 10, .may_swap = 25 },
	{ .name = "2 GiB, hot set grows, 3000 IOPS", .mib = 2048,
	  .iops = 3000, .hot = 400, .grown = 1200, .event = 60, .left = 700,
	  .deflates_on_oom = true, .must_read_at = 50, .seconds = 240 },
	{ .name = "2 GiB, hot set grows, 100000 IOPS", .mib = 2048,
	  .iops = 100000, .hot = 400, .grown = 1200, .event = 60, .left = 700,
	  .deflates_on_oom = true, .must_read_at = 50, .seconds = 120 },
	{ .name = "4 GiB, database, 3000 IOPS", .mib = 4096, .iops = 3000,
	  .hot = 1500, .busy = 512, .threads = 4, .hot_ns = 100000,
	  .left = 1024, .must_read = 90, .must_take = 5 },
	{ .name = "4 GiB, fork of a store", .mib = 4096, .iops = 3000,
	  .hot = 1500, .anon = true, .burst = 1500, .burst_ns = 20000,
	  .burst_s = 30, .event = 60, .left = 1800, .deflates_on_oom = true,
	  .must_read = 90 },
	{ .name = "2 GiB, burst of 1 GiB", .mib = 2048, .iops = 3000,
	  .hot = 300, .burst = 1024, .burst_ns = 2000, .burst_s = 20,
	  .event = 60, .left = 512, .deflates_on_oom = true, .must_read = 90 },
};

static u32 target(const struct model_case *row)
{
	return row->mib - (row->left ?: row->hot / 2);
}

/* This balloon takes all that it can get, as the kernel's own driver does. */
static void unrestrained_run(struct model_guest *guest)
{
	struct model_driver *driver = guest->driver;
	u64 *busy_until = driver->private, cost;
	u32 got, want;

	while (*busy_until < guest->now) {
		want = min(driver->target - min(driver->target, driver->size),
			   256U);
		cost = MODEL_HOST_NS;
		got = want ? model_guest_take_hard(guest, want, &cost) : 0;
		driver->size += got;
		*busy_until = max(*busy_until + cost + got * MODEL_HOST_NS,
				  guest->now - MODEL_STEP);
		if (got < want || !want)
			*busy_until = guest->now + 200 * MODEL_MS;
	}
}

/**
 * model_unrestrained_init - set up a balloon that takes all it can get
 * @driver: the policy to fill in
 * @busy_until: memory for the policy
 */
void model_unrestrained_init(struct model_driver *driver, u64 *busy_until)
{
	*busy_until = 0;
	*driver = (struct model_driver) {
		.run = unrestrained_run,
		.private = busy_until,
	};
}

static void add_set(struct model_guest *guest, const struct model_case *row)
{
	u8 set;

	set = model_guest_set(guest, MODEL_MIB(row->set), 0, false, 1, -1);
	model_guest_task(guest, set, MODEL_RANDOM, 1,
			 row->set_ns ?: DEFAULT_NS);
	guest->limit[1] = MODEL_MIB(row->limit);
	model_guest_fill(guest, set, MODEL_MIB(min(row->limit, row->set)));
}

/* The accesses of the first task are measured. */
static void set_up(struct model_guest *guest, const struct model_case *row)
{
	u64 from = guest->now + MODEL_WARM_UP;
	struct model_task *task;
	u8 set, hot, system, idle = 0;
	u32 room;

	hot = model_guest_set(guest, MODEL_MIB(row->hot),
			      MODEL_MIB(row->grown), row->anon, 0,
			      row->bound ? 0 : -1);
	task = model_guest_task(guest, hot, row->pattern, row->threads ?: 1,
				row->hot_ns ?: DEFAULT_NS);
	if (row->grown) {
		task->grow_at = from + row->event * MODEL_S;
		task->grow_to = MODEL_MIB(row->grown);
	}
	system = model_guest_set(guest, MODEL_MIB(SYSTEM_MIB), 0, true, 0, -1);
	model_guest_task(guest, system, MODEL_RANDOM, 1, MODEL_MS / 4);
	model_guest_fill(guest, system, MODEL_MIB(SYSTEM_MIB));
	if (row->busy) {
		set = model_guest_set(guest, MODEL_MIB(row->busy), 0, true, 0,
				      -1);
		model_guest_task(guest, set, MODEL_RANDOM, 1, DEFAULT_NS);
		model_guest_fill(guest, set, MODEL_MIB(row->busy));
	}
	if (row->idle) {
		idle = model_guest_set(guest, MODEL_MIB(row->idle), 0, true, 0,
				       -1);
		model_guest_fill(guest, idle, MODEL_MIB(row->idle));
	}
	if (row->set)
		add_set(guest, row);
	if (row->stream) {
		set = model_guest_set(guest, MODEL_MIB(row->stream), 0, false,
				      0, -1);
		model_guest_task(guest, set, MODEL_LOOP, 1, 1000);
	}
	if (row->burst) {
		set = model_guest_set(guest, MODEL_MIB(row->burst), 0, true, 0,
				      -1);
		task = model_guest_task(guest, set, MODEL_LOOP, 1,
					row->burst_ns);
		task->start = from + row->event * MODEL_S;
		task->end = task->start + row->burst_s * MODEL_S;
	}
	if (row->cold) {
		room = model_guest_free(guest) - MODEL_MIB(row->hot) -
		       MODEL_MIB(row->limit);
		room -= min(room, MODEL_MIB(row->mib / 32 + 16));
		room = row->cold == REST ? room :
					   min(room, MODEL_MIB(row->cold));
		set = model_guest_set(guest, room, 0, false, 0, -1);
		model_guest_fill(guest, set, room);
	}
	model_guest_fill(guest, hot,
			 min(MODEL_MIB(row->hot),
			     model_guest_spare(guest, 0, true) +
			     (row->bound ? 0 : guest->total)));
}

/*
 * Returns the MiB that the host could have at no cost: all memory that no task
 * uses, except for the memory that zones keep free.
 */
static u32 edge(const struct model_guest *guest, const struct model_case *row)
{
	u32 used = row->hot + SYSTEM_MIB + row->busy + row->limit, kept = 0;
	u32 total = guest->total >> 8, nid, z;

	for (nid = 0; nid < guest->nr_nodes; nid++)
		for (z = 0; z < MODEL_ZONES; z++)
			kept += guest->nodes[nid].zones[z].high +
				guest->nodes[nid].zones[z].reserve;
	if (!row->swap)
		used += row->idle;
	else if (row->swap == MODEL_SWAP_ZRAM)
		used += row->idle / 3;
	if (row->bound) {
		used = SYSTEM_MIB;
		total /= 2;
		kept /= 2;
	}
	used += kept >> 8;
	return min(target(row), total - min(total, used));
}

/* Sets the target, and measures the effects. */
static void watch(const struct model_case *row, struct model_guest *guest,
		  struct model_result *result)
{
	struct model_driver *driver = guest->driver;
	const struct model_task *task = &guest->tasks[0];
	u64 start = guest->now, length = (row->seconds ?: 180) * MODEL_S;
	u64 half = start + length / 2, end = start + length, recovered = NEVER;
	u64 out = guest->swapped_out, in = guest->swapped_in;
	u64 at_half = 0, at_event = 0, stalls = guest->stalls;
	u32 wanted;

	if (row->event)
		recovered = start + row->event * MODEL_S + MUST_RECOVER;
	result->edge = edge(guest, row);
	wanted = result->edge - min(result->edge,
				    row->mib * row->must_take / 100);
	driver->target = MODEL_MIB(target(row));
	while (guest->now < end) {
		if (guest->now == half)
			at_half = task->accesses;
		if (guest->now == recovered)
			at_event = task->accesses;
		model_guest_step(guest);
		result->taken = driver->size >> 8;
		if (!result->reached_ms && result->taken >= wanted)
			result->reached_ms = div_u64(guest->now - start,
						     MODEL_MS);
		if (!result->half_ms && result->taken >= wanted / 2)
			result->half_ms = div_u64(guest->now - start, MODEL_MS);
	}
	result->after = div64_u64((task->accesses - at_half) * MODEL_S,
				  end - half);
	if (row->event)
		result->at = div64_u64((task->accesses - at_event) * MODEL_S,
				       end - recovered);
	result->swapped_out = (guest->swapped_out - out) >> 8;
	result->swapped_in = (guest->swapped_in - in) >> 8;
	result->kills = guest->kills;
	result->stalls = guest->stalls - stalls;
}

/**
 * model_case_run - put a policy into a guest
 * @row: the case
 * @guest: memory for the guest
 * @chunks: memory for the guest's pages
 * @nr_chunks: number of chunks
 * @seed: seed of random numbers, not 0
 * @driver: the policy
 * @result: the effects
 */
void model_case_run(const struct model_case *row, struct model_guest *guest,
		    struct model_page **chunks, u32 nr_chunks, u64 seed,
		    struct model_driver *driver, struct model_result *result)
{
	u64 start, before = 0;

	*result = (struct model_result) {};
	model_guest_init(guest, chunks, nr_chunks, row->mib, row->nodes ?: 1,
			 KERNEL_MIB, row->iops, seed);
	model_guest_cpus(guest, row->cpus ?: 2);
	if (row->swap)
		model_guest_swap(guest, row->swap, MODEL_MIB(row->swap_mib),
				 row->iops);
	set_up(guest, row);
	driver->deflates_on_oom = row->deflates_on_oom;
	guest->driver = driver;
	for (start = guest->now; guest->now < start + MODEL_WARM_UP;) {
		if (guest->now == start + MODEL_WARM_UP - MODEL_BEFORE)
			before = guest->tasks[0].accesses;
		model_guest_step(guest);
	}
	result->before = div64_u64((guest->tasks[0].accesses - before) * MODEL_S,
				   MODEL_BEFORE);
	watch(row, guest, result);
}

/**
 * model_case_fails - compare the effects of a policy with the bounds
 * @row: the case
 * @result: the effects
 * @unrestrained: the effects of a balloon that takes all it can get, if
 *                @row->pace
 *
 * Return: the bound that does not hold, as text, or NULL.
 */
const char *model_case_fails(const struct model_case *row,
			     const struct model_result *result,
			     const struct model_result *unrestrained)
{
	u32 wanted = result->edge - min(result->edge,
					row->mib * row->must_take / 100);

	if (result->kills && !row->may_kill)
		return "a process was killed";
	if ((u64)result->after * 100 < (u64)result->before * row->must_read)
		return "reads are slower";
	if ((u64)result->at * 100 < (u64)result->before * row->must_read_at)
		return "reads stay slow after what happened";
	if (row->must_take && result->taken < wanted)
		return "too little was taken";
	if (row->must_reach_s &&
	    (!result->reached_ms ||
	     result->reached_ms > row->must_reach_s * 1000U))
		return "it came too late";
	if (row->pace && unrestrained &&
	    result->reached_ms > unrestrained->reached_ms * 3 / 2)
		return "it is too slow";
	if (row->may_swap &&
	    (result->swapped_out * 100 > result->taken * row->may_swap ||
	     result->swapped_in * 100 > result->taken * row->may_swap / 4 + 1600))
		return "it swaps";
	return NULL;
}
