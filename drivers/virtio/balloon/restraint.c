// SPDX-License-Identifier: GPL-2.0
/*
 * Restraint: samples the guest's counters for experiment.c.
 *
 * Inflation leaves a floor of available memory alone (guest.c). Above the
 * floor, experiment.c decides how much memory the driver takes.
 *
 * With F_DEFLATE_ON_OOM (virtio 1.2, 5.5.3) the balloon's pages are the guest's
 * last reserve. They go back under lasting pressure, and at the latest before
 * the out-of-memory killer acts (oom.c). Without this feature the guest gets
 * back only pages that the host has asked for.
 */

#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/kernel_stat.h>
#include <linux/math64.h>
#include <linux/memcontrol.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/percpu.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/tick.h>
#include <linux/vmstat.h>
#include <kunit/static_stub.h>

#include "device.h"
#include "experiment.h"
#include "guest.h"
#include "ledger.h"
#include "restraint.h"
#include "trial.h"
#include "virtio_balloon.h"

/* The kthread looks at the guest this often while it may have to give pages. */
#define BALLOON_LOOK_RESTING	HZ
#define BALLOON_LOOK_PRESSED	(HZ / 10)
/*
 * If the kthread wakes up later than it meant to by more than this, the guest
 * did not run: it was paused, or had no CPU.
 */
#define BALLOON_LATE		(HZ / 10)

/* Returns a node's counter, with the counts that CPUs have yet to add to it. */
static unsigned long balloon_node_count(int nid, enum node_stat_item item)
{
	struct pglist_data *pgdat = NODE_DATA(nid);
	long count = atomic_long_read(&pgdat->vm_stat[item]);
#ifdef CONFIG_SMP
	int cpu;

	for_each_online_cpu(cpu) {
		/* A count may change: the next sample gets the rest. */
		count += data_race(per_cpu_ptr(pgdat->per_cpu_nodestats,
					       cpu)->vm_node_stat_diff[item]);
	}
#endif
	return max(count, 0L);
}

/* Does the multi-gen LRU reclaim? An administrator may change this any time. */
static bool balloon_has_generations(int nid)
{
	bool has = false;
#ifdef CONFIG_LRU_GEN
	const struct mem_cgroup *root;

	if (mem_cgroup_disabled())
		return READ_ONCE(NODE_DATA(nid)->__lruvec.lrugen.enabled);
#ifdef CONFIG_MEMCG
	/* A kthread is in the root cgroup. */
	rcu_read_lock();
	root = mem_cgroup_from_task(current);
	has = root &&
	      READ_ONCE(root->nodeinfo[nid]->lruvec.lrugen.enabled);
	rcu_read_unlock();
#endif
#endif
	return has;
}

/*
 * Returns the counter of refaults of pages that were in use when evicted. The
 * classic LRU tells these pages by the distance of the refault. The multi-gen
 * LRU only counts all refaults of pages that it still remembers.
 */
static enum node_stat_item balloon_refault_item(int nid)
{
	return balloon_has_generations(nid) ? WORKINGSET_REFAULT_FILE :
					      WORKINGSET_ACTIVATE_FILE;
}

static void balloon_sample_events(struct balloon_sample *sample)
{
#ifdef CONFIG_VM_EVENT_COUNTERS
	unsigned long events[NR_VM_EVENT_ITEMS];
	unsigned int zone;

	all_vm_events(events);
	sample->stalls = 0;
	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		sample->stalls += events[ALLOCSTALL_NORMAL - ZONE_NORMAL + zone];
	sample->reclaimed = events[PGSTEAL_KSWAPD] + events[PGSTEAL_DIRECT];
#endif
}

/*
 * Counts the time for which CPUs run processes, and for which a CPU is idle while
 * a task waits for a disk. A module has no better sign of lost time: the kernel
 * does not export PSI.
 */
static void balloon_sample_times(struct balloon_sample *sample)
{
	u64 waited, waits = 0, idles = 0, users = 0;
	int cpu;

	/* CPUs that went offline keep their times. */
	for_each_possible_cpu(cpu) {
		users += kcpustat_cpu(cpu).cpustat[CPUTIME_USER] +
			 kcpustat_cpu(cpu).cpustat[CPUTIME_NICE];
		/* The idle time of a CPU that is offline goes on. */
		waited = cpu_online(cpu) ? get_cpu_iowait_time_us(cpu, NULL) :
					   -1ULL;
		/* With periodic ticks there are only these times. */
		if (waited == -1ULL) {
			waits += kcpustat_cpu(cpu).cpustat[CPUTIME_IOWAIT];
			idles += kcpustat_cpu(cpu).cpustat[CPUTIME_IDLE];
			continue;
		}
		waits += waited * NSEC_PER_USEC;
		idles += get_cpu_idle_time_us(cpu, NULL) * NSEC_PER_USEC;
	}
	sample->waited_ms = div_u64(waits, NSEC_PER_MSEC);
	sample->user_ms = div_u64(users, NSEC_PER_MSEC);
	sample->idle_ms = div_u64(idles, NSEC_PER_MSEC);
}

/* A page in the swap cache may also be mapped. */
static unsigned long balloon_node_used(int nid)
{
	unsigned long used = balloon_node_count(nid, NR_FILE_PAGES) +
			     balloon_node_count(nid, NR_ANON_MAPPED);

#ifdef CONFIG_SWAP
	used -= balloon_node_count(nid, NR_SWAPCACHE);
#endif
	return used;
}

static void balloon_sample_nodes(struct balloon_device *bd,
				 struct balloon_sample *sample, bool count)
{
	struct balloon_node *nodes = bd->restraint.experiment.control.nodes;
	unsigned long used = 0;
	int nid;

	if (count)
		sample->refaults = 0;
	for (nid = 0; nid < nr_node_ids; nid++) {
		nodes[nid].spare = 0;
		if (!node_online(nid))
			continue;
		nodes[nid].spare = balloon_node_spare(nid, WMARK_HIGH);
		if (!count)
			continue;
		used += balloon_node_used(nid);
		nodes[nid].refaults =
			balloon_node_count(nid, balloon_refault_item(nid)) +
			balloon_node_count(nid, WORKINGSET_REFAULT_ANON);
		sample->refaults += nodes[nid].refaults;
	}
	if (count)
		sample->used = used;
}

/*
 * The multi-gen LRU does not move pages that are read until it tries to evict
 * them. So its lists tell nothing about use: three eighths of their pages count
 * as inactive.
 */
static void balloon_sample_lists(struct balloon_sample *sample)
{
	sample->inactive = global_node_page_state(NR_INACTIVE_FILE);
	sample->active = global_node_page_state(NR_ACTIVE_FILE);
	if (get_nr_swap_pages()) {
		sample->inactive += global_node_page_state(NR_INACTIVE_ANON);
		sample->active += global_node_page_state(NR_ACTIVE_ANON);
	}
	if (balloon_has_generations(first_online_node)) {
		sample->inactive = (sample->inactive + sample->active) / 8 * 3;
		sample->active = 0;
	}
}

/**
 * balloon_sample_read - take a sample for experiment.c
 * @bd: the balloon
 * @sample: the last sample, with a new time
 *
 * Counters that are summed over CPUs are read only once a jiffy.
 *
 * Context: the kthread, may sleep; takes pages_lock.
 */
void balloon_sample_read(struct balloon_device *bd,
			 struct balloon_sample *sample)
{
	bool count = time_before(bd->restraint.counted_at, jiffies);

	KUNIT_STATIC_STUB_REDIRECT(balloon_sample_read, bd, sample);

	bd->restraint.counted_at = jiffies;
	if (count) {
		balloon_sample_events(sample);
		balloon_sample_times(sample);
	}
	balloon_sample_nodes(bd, sample, count);
	balloon_sample_lists(sample);
	sample->lack = balloon_lack();
	/*
	 * With MUST_TELL_HOST the host has yet to acknowledge the leaving
	 * pages.
	 */
	sample->available = balloon_available(bd) + balloon_leaving(&bd->ledger);
	sample->policy = READ_ONCE(bd->restraint.policy);
	sample->floor = sample->policy == BALLOON_POLICY_OBEY ?
			0 : balloon_floor(bd);
	sample->target = bd->config.target;
	sample->size = balloon_size(&bd->ledger);
	sample->on_trial = balloon_trial_size(bd);
	sample->may_give = bd->deflates_on_oom;
}

/*
 * Pages refault only while the guest runs. If a look comes late, the host has
 * paused the guest, or the guest had no CPU.
 */
static void balloon_sample(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;

	restraint->ran += min(jiffies - restraint->looked_at,
			      restraint->look_in + BALLOON_LATE);
	restraint->looked_at = jiffies;
	restraint->look_in = 0;
	restraint->now.ms = jiffies64_to_msecs(restraint->ran);
	clear_bit(BALLOON_RECLAIMS, &bd->flags);
	balloon_sample_read(bd, &restraint->now);
}

/**
 * balloon_restrain - sample the guest's counters and decide on an action
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 * Return: the action, see experiment.h.
 */
struct balloon_action balloon_restrain(struct balloon_device *bd)
{
	balloon_sample(bd);
	return balloon_experiment_step(&bd->restraint.experiment,
				       &bd->restraint.now);
}

/**
 * balloon_set_policy - set the administrator's policy
 * @bd: the balloon
 * @policy: the policy
 *
 * The kthread follows the policy at once, even while it waits.
 *
 * Context: any.
 */
void balloon_set_policy(struct balloon_device *bd, enum balloon_policy policy)
{
	WRITE_ONCE(bd->restraint.policy, policy);
	set_bit(BALLOON_FLOOR_CHANGED, &bd->flags);
	balloon_event(bd);
}

/**
 * balloon_restraint_slept - the kthread is about to sleep
 * @bd: the balloon
 * @timeout: the longest sleep, in jiffies
 *
 * Context: the kthread.
 */
void balloon_restraint_slept(struct balloon_device *bd, long timeout)
{
	unsigned long look_in = bd->restraint.look_in + timeout;

	bd->restraint.look_in = min_t(unsigned long, look_in,
				      MAX_SCHEDULE_TIMEOUT);
}

/**
 * balloon_note_recall - the out-of-memory notifier has ended a trial
 * @bd: the balloon
 * @recalled: guest pages that were on trial
 *
 * The task that found no memory needs the pages on trial, so the trial has
 * failed.
 *
 * Context: the kthread; takes pages_lock.
 * Return: the shortest time until the next trial, in ms.
 */
unsigned int balloon_note_recall(struct balloon_device *bd,
				 unsigned long recalled)
{
	balloon_sample(bd);
	bd->restraint.now.on_trial = recalled;
	return balloon_experiment_missed(&bd->restraint.experiment,
					 &bd->restraint.now, BALLOON_HOLD_STALL);
}

/**
 * balloon_note_oom - the out-of-memory notifier has given pages
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 * Return: time for which the balloon takes no page, in ms.
 */
unsigned int balloon_note_oom(struct balloon_device *bd)
{
	balloon_sample(bd);
	return balloon_experiment_gave(&bd->restraint.experiment,
				       &bd->restraint.now, BALLOON_HOLD_STALL);
}

/**
 * balloon_may_have_to_give - are there pages that may go back unasked?
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 */
bool balloon_may_have_to_give(struct balloon_device *bd)
{
	return bd->deflates_on_oom && balloon_size(&bd->ledger);
}

/**
 * balloon_look_at_guest_in - time until the next look at the guest
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 * Return: jiffies.
 */
long balloon_look_at_guest_in(struct balloon_device *bd)
{
	const struct balloon_experiment *ex = &bd->restraint.experiment;

	if (!balloon_may_have_to_give(bd))
		return MAX_SCHEDULE_TIMEOUT;
	return ex->pressure.looks || test_bit(BALLOON_RECLAIMS, &bd->flags) ?
	       BALLOON_LOOK_PRESSED : BALLOON_LOOK_RESTING;
}

/*
 * Shrinks nothing, and tells the kthread that reclaim has begun: the next look
 * at the guest cannot wait for a second. Runs in the task that reclaims.
 */
static unsigned long balloon_reclaim_begins(struct shrinker *shrinker,
					    struct shrink_control *sc)
{
	struct balloon_device *bd = shrinker->private_data;

	/* Test before writing: all tasks that reclaim share the line. */
	if (balloon_size_roughly(&bd->ledger) &&
	    !test_bit(BALLOON_RECLAIMS, &bd->flags) &&
	    !test_and_set_bit(BALLOON_RECLAIMS, &bd->flags))
		balloon_event(bd);
	return SHRINK_EMPTY;
}

static unsigned long balloon_shrinks_nothing(struct shrinker *shrinker,
					     struct shrink_control *sc)
{
	return SHRINK_STOP;
}

static int balloon_watch_reclaim(struct balloon_device *bd)
{
	struct shrinker *shrinker;

	if (!bd->deflates_on_oom)
		return 0;
	shrinker = shrinker_alloc(0, "virtio-balloon-pressure");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = balloon_reclaim_begins;
	shrinker->scan_objects = balloon_shrinks_nothing;
	shrinker->private_data = bd;
	bd->restraint.shrinker = shrinker;
	shrinker_register(shrinker);
	return 0;
}

/**
 * balloon_restraint_start - start sampling, and watch for reclaim
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0 or -ENOMEM.
 */
int balloon_restraint_start(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;
	struct balloon_node *nodes;
	int err;

	KUNIT_STATIC_STUB_REDIRECT(balloon_restraint_start, bd);

	nodes = kcalloc(nr_node_ids, sizeof(*nodes), GFP_KERNEL);
	if (!nodes)
		return -ENOMEM;
	balloon_experiment_init(&restraint->experiment, nodes, nr_node_ids);
	restraint->looked_at = jiffies;
	restraint->counted_at = jiffies - 1;
	/* A sample's time is above 0. */
	restraint->ran = HZ;
	/* The first window begins here. */
	balloon_restrain(bd);
	err = balloon_watch_reclaim(bd);
	if (err)
		kfree(nodes);
	return err;
}

/**
 * balloon_restraint_stop - stop watching for reclaim
 * @bd: the balloon, dying
 *
 * Context: remove; sleeps.
 */
void balloon_restraint_stop(struct balloon_device *bd)
{
	shrinker_free(bd->restraint.shrinker);
	kfree(bd->restraint.experiment.control.nodes);
}
