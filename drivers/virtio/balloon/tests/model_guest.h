/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of a guest's memory, for tests of a policy in a closed loop.
 *
 * The model has a clock of its own, and uses only a few bytes of memory for
 * each page. A model page is a page of 4 KiB. Nothing is scaled: on a slow
 * disk, a policy sees only a few events a second. Each access, each reclaimed
 * page and each miss takes place one by one.
 *
 * The model follows mm in all things that a balloon can notice:
 *
 * - zones with min, low and high watermarks and a reserve; kswapd per node,
 *   which runs from low to high; direct reclaim at min, counted as a stall;
 * - active and inactive lists of file and anonymous pages for each node and
 *   cgroup, balanced by cost and by the inactive ratio, as by the classic LRU;
 * - shadow entries: each hit counts as WORKINGSET_REFAULT, and as
 *   WORKINGSET_ACTIVATE if the distance is within the workingset's size;
 * - node counters that are folded by threshold, and once a second;
 * - a cgroup at its limit reclaims from itself, which no global counter shows;
 * - disks that serve one request after another: a task that misses a page waits
 *   for it.
 *
 * The model leaves out dirty file pages, mapped files, slab, huge pages, MGLRU,
 * compaction and the page allocator's per-CPU lists.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_GUEST_H
#define _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_GUEST_H

#include <linux/bits.h>
#include <linux/types.h>

#define MODEL_NODES	2U
#define MODEL_ZONES	2U	/* DMA32 and Normal */
#define MODEL_CGROUPS	2U	/* 0 is the root */
#define MODEL_LRUVECS	(MODEL_NODES * MODEL_CGROUPS)
#define MODEL_SETS	10U
#define MODEL_TASKS	8U
#define MODEL_THREADS	8U

#define MODEL_MIB(mib)	((u32)(mib) << 8)	/* in pages */
#define MODEL_S		1000000000ULL		/* in ns, as all time here */
#define MODEL_MS	1000000ULL
#define MODEL_STEP	(10 * MODEL_MS)

enum model_lru {
	MODEL_INACTIVE_ANON,
	MODEL_ACTIVE_ANON,
	MODEL_INACTIVE_FILE,
	MODEL_ACTIVE_FILE,
	MODEL_LRUS,
};

/* Node counters, which a reader sees late. */
enum model_item {
	MODEL_REFAULT_ANON,
	MODEL_REFAULT_FILE,
	MODEL_ACTIVATE_ANON,
	MODEL_ACTIVATE_FILE,
	MODEL_ITEMS,
};

enum model_swap {
	MODEL_NO_SWAP,
	MODEL_SWAP_DISK,
	MODEL_SWAP_ZRAM,
};

enum model_pattern {
	MODEL_RANDOM,
	MODEL_LOOP,
	MODEL_ONCE,	/* one pass, then the task ends */
};

struct model_page {
	u32 next;
	u32 prev;
	u32 shadow;	/* age at eviction */
	u8 flags;
	u8 lruvec;
	u8 zone;
	u8 set;
};

/* Pages of one file, or of one process. */
struct model_set {
	u32 first;
	u32 nr;
	u32 resident;
	bool anon;
	u8 cgroup;
	s8 node;	/* the only node, or -1 */
};

/* A disk or a swap device: serves one request after another. */
struct model_disk {
	u64 request_ns;
	u64 busy_until;
	u64 requests;
};

/**
 * struct model_task - a task that uses the pages of a set
 * @set: the set
 * @pattern: the order of accesses
 * @threads: number of threads
 * @access_ns: time of an access without a miss; sets the rate
 * @readahead: pages that one request reads
 * @start: time when the task begins
 * @end: time when the task ends, and frees its set if that is anonymous; 0 for
 *       never
 * @grow_at: time when the set grows, 0 for never
 * @grow_to: size of the set from @grow_at on
 * @ready: time when each thread goes on
 * @pos: position in the set, for a loop
 * @accesses: accesses so far
 * @misses: accesses so far that had to wait for a disk
 * @done: the task has ended
 */
struct model_task {
	u8 set;
	enum model_pattern pattern;
	u8 threads;
	u64 access_ns;
	u32 readahead;
	u64 start;
	u64 end;
	u64 grow_at;
	u32 grow_to;

	u64 ready[MODEL_THREADS];
	u32 pos;
	u64 accesses;
	u64 misses;
	bool done;
};

struct model_zone {
	u32 managed;
	u32 free;
	u32 min;
	u32 low;
	u32 high;
	u32 reserve;
	u32 held;	/* by the balloon, also on trial */
};

struct model_lruvec {
	u32 size[MODEL_LRUS];
	u32 due[MODEL_LRUS];
	u32 age;		/* of this lruvec and those below */
	u32 charged;
	/* For an lruvec that is the target of reclaim. */
	u64 cost[2];		/* anon, file */
	u64 activated[2];
	u64 seen[2];		/* @activated when reclaim last ended */
};

struct model_node {
	struct model_zone zones[MODEL_ZONES];
	bool kswapd;
	u8 kswapd_failures;
	u64 kswapd_debt;
	u64 exact[MODEL_ITEMS];
	u64 visible[MODEL_ITEMS];
};

struct model_guest;

/**
 * struct model_driver - the policy under test
 * @run: called once a step
 * @oom: a task found no memory; returns pages that were given back
 * @reclaims: kswapd or a task begins to reclaim
 * @target: pages that the host wants
 * @deflates_on_oom: the host allows pages to go back unasked
 * @size: pages that the host has
 * @private: the policy's own data
 */
struct model_driver {
	void (*run)(struct model_guest *guest);
	u32 (*oom)(struct model_guest *guest);
	void (*reclaims)(struct model_guest *guest);
	u32 target;
	bool deflates_on_oom;
	u32 size;
	void *private;
};

/**
 * struct model_guest - the guest
 * @now: time since boot
 * @folded_at: when all node counters were last folded
 * @fold_at: most that a node counter may lack before it is folded earlier
 * @disk: holds all files
 * @swap: the device for anonymous pages
 * @swap_kind: the kind of @swap
 * @swap_free: free pages of @swap
 * @limit: limit of each cgroup, in pages; 0 for none
 * @total: pages, without those of the kernel itself
 * @stalls: ALLOCSTALL
 * @waited_ns: time for which tasks waited for disks
 * @user_ns: time for which tasks ran in user mode
 * @scanned: PGSCAN of kswapd and direct reclaim
 * @stolen: PGSTEAL of both
 * @swapped_out: PSWPOUT
 * @swapped_in: PSWPIN
 * @kills: processes that the out-of-memory killer has killed
 */
struct model_guest {
	struct model_page **chunks;
	u32 nr_pages;	/* page numbers in use */
	u32 max_pages;

	u64 now;
	u64 folded_at;
	u32 fold_at;
	u64 random;
	u8 nr_nodes;
	u8 nr_sets;
	u8 nr_tasks;
	struct model_node nodes[MODEL_NODES];
	struct model_lruvec lruvecs[MODEL_LRUVECS];
	struct model_set sets[MODEL_SETS];
	struct model_task tasks[MODEL_TASKS];
	u32 limit[MODEL_CGROUPS];
	u32 total;

	struct model_disk disk;
	struct model_disk swap;
	enum model_swap swap_kind;
	u32 swap_free;
	u32 zram_thirds;

	u64 stalls;
	u64 waited_ns;
	u64 user_ns;
	u64 scanned;
	u64 stolen;
	u64 swapped_out;
	u64 swapped_in;
	u32 kills;

	struct model_driver *driver;
};

/* Page numbers in one chunk of 4 MiB. */
#define MODEL_CHUNK_SHIFT	18
#define MODEL_CHUNK		BIT(MODEL_CHUNK_SHIFT)

void model_guest_init(struct model_guest *guest, struct model_page **chunks,
		      u32 nr_chunks, u32 mib, u8 nr_nodes, u32 kernel_mib,
		      u32 iops, u64 seed);
u8 model_guest_set(struct model_guest *guest, u32 pages, u32 max, bool anon,
		   u8 cgroup, s8 node);
struct model_task *model_guest_task(struct model_guest *guest, u8 set,
				    enum model_pattern pattern, u8 threads,
				    u64 access_ns);
void model_guest_cpus(struct model_guest *guest, u32 cpus);
void model_guest_swap(struct model_guest *guest, enum model_swap kind,
		      u32 pages, u32 iops);
void model_guest_fill(struct model_guest *guest, u8 set, u32 pages);
void model_guest_step(struct model_guest *guest);

u32 model_guest_free(const struct model_guest *guest);
u32 model_guest_available(const struct model_guest *guest);
u32 model_guest_spare(const struct model_guest *guest, u32 nid, bool high);
u32 model_guest_lack(const struct model_guest *guest);
u64 model_guest_count(const struct model_guest *guest, enum model_item item);
u32 model_guest_sparest_node(const struct model_guest *guest);
u32 model_guest_take(struct model_guest *guest, u32 nid, u32 pages,
		     bool stops_at_low);
u32 model_guest_take_hard(struct model_guest *guest, u32 pages, u64 *cost);
void model_guest_give(struct model_guest *guest, u32 pages);

#endif /* _DRIVERS_VIRTIO_BALLOON_TESTS_MODEL_GUEST_H */
