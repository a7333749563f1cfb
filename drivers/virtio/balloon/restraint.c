// SPDX-License-Identifier: GPL-2.0
/*
 * How far the balloon may go, and when it gives memory back unasked.
 *
 * A guest that is left nothing is killed by its next command, whatever the
 * host's target was. So inflation leaves a floor of available memory alone:
 * that much the guest has to have to remain one that answers.
 *
 * Above the floor it goes gently: free memory first, then what kswapd finds,
 * on trial (trial.c), for as long as that does not hurt. decide.c says what
 * hurts.
 *
 * With F_DEFLATE_ON_OOM (virtio 1.2, 5.5.3) the balloon's pages are the
 * guest's last reserve: they come back under lasting pressure, and at the
 * latest before the out-of-memory killer acts. Without it nothing is given that
 * the host has not asked for.
 */

#include <linux/cpuset.h>
#include <linux/mempolicy.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/nodemask.h>
#include <linux/oom.h>
#include <linux/shrinker.h>
#include <linux/vmstat.h>
#include <kunit/static_stub.h>

#include "virtio_balloon.h"

/* The longest pause after pages went back under pressure. */
#define BALLOON_PAUSE_MAX_MS	(20 * MSEC_PER_SEC)

/* The guest's counters are read this often while the balloon rests. */
#define BALLOON_SAMPLE_RESTING	HZ

/* The longest delay after a trial that ended in refaults. */
#define BALLOON_MISSED_MAX_MS	(10 * MSEC_PER_SEC)

/* What one call of the out-of-memory notifier gives back, in guest pages. */
#define BALLOON_PAGES_PER_OOM	(16UL << MIB_TO_PAGES_SHIFT)
/* Before other notifiers: what they free is in use, what a balloon holds is not. */
#define BALLOON_OOM_PRIORITY	80

/* The size of the machine may not tell how little its programs can do with. */
int balloon_floor_mib = -1;
module_param_named(floor_mib, balloon_floor_mib, int, 0444);
MODULE_PARM_DESC(floor_mib,
		 "Available memory that inflation leaves to the guest, in MiB; 0 for none, -1 (default) for what its size calls for");

/* The first piece of the floor ends here, and takes this part of it. */
#define BALLOON_FLOOR_FIRST_PIECE	(8UL << MIB_TO_PAGES_SHIFT)
#define BALLOON_FLOOR_FIRST_SHIFT	1U
/* The last piece ends at 512 GiB. */
#define BALLOON_FLOOR_LAST_SHIFT	9U

/**
 * balloon_default_floor - available memory that inflation leaves to a guest
 * @total: guest pages of memory, those in the balloon included
 *
 * What a kernel and its processes need grows with the machine, and slower than
 * it. So of each piece of memory a part is left alone. Each piece ends at four
 * times the end of the one before and leaves half the part:
 *
 *	=======  =====  ==============
 *	size     part   floor at size
 *	=======  =====  ==============
 *	  8 MiB  1/2       4 MiB
 *	 32 MiB  1/4      10 MiB
 *	128 MiB  1/8      22 MiB
 *	512 MiB  1/16     46 MiB
 *	  2 GiB  1/32     94 MiB
 *	  8 GiB  1/64    190 MiB
 *	 32 GiB  1/128   382 MiB
 *	128 GiB  1/256   766 MiB
 *	512 GiB  1/512  1534 MiB
 *	=======  =====  ==============
 *
 * and nothing beyond. 1 GiB keeps 62 MiB.
 *
 * Hyper-V's driver has a function of this form for available memory, Xen's for
 * all that the guest is left. They keep 232 MiB of 1 GiB, and end in a constant
 * part, 1/32 of all memory: 2 TiB of 64 TiB. That makes sense for an estimate
 * of what a guest will come to use. Here it has only to be enough to go on
 * with: si_mem_available() has the watermarks taken off already, which grow
 * with memory, and what hurts below the floor or above it is noticed by other
 * signs.
 *
 * Return: guest pages.
 */
unsigned long balloon_default_floor(unsigned long total)
{
	unsigned long floor = 0, start = 0, end = BALLOON_FLOOR_FIRST_PIECE;
	unsigned int shift;

	for (shift = BALLOON_FLOOR_FIRST_SHIFT;
	     shift <= BALLOON_FLOOR_LAST_SHIFT && total > start; shift++) {
		floor += (min(total, end) - start) >> shift;
		start = end;
		end *= 4;
	}
	return floor;
}

/* The guest's memory, that in the balloon included. */
unsigned long balloon_guest_total(struct balloon_device *bd)
{
	unsigned long total = totalram_pages();

	return bd->deflates_on_oom ? total : total + balloon_size(bd);
}

/**
 * balloon_floor - available memory that inflation leaves to this guest
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 * Return: guest pages, 0 if none.
 */
unsigned long balloon_floor(struct balloon_device *bd)
{
	unsigned long floor = READ_ONCE(bd->guest.floor);

	if (floor != BALLOON_FLOOR_DERIVED)
		return floor;
	return balloon_default_floor(balloon_guest_total(bd));
}

/**
 * balloon_set_floor - have inflation leave more or less to the guest
 * @bd: the balloon
 * @floor: guest pages, 0 for none
 *
 * The kthread goes by it at once, be it about to wait for memory.
 *
 * Context: any.
 */
void balloon_set_floor(struct balloon_device *bd, unsigned long floor)
{
	WRITE_ONCE(bd->guest.floor, floor);
	WRITE_ONCE(bd->restraint.floor_changed, true);
	balloon_event(bd);
}

/**
 * balloon_available - what the guest could use without swapping
 * @bd: the balloon
 *
 * Context: process, may sleep.
 * Return: guest pages.
 */
unsigned long balloon_available(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_available, bd);

	return max(si_mem_available(), 0L);
}

/* The sum over a node's zones: mm's own iterator is not for modules. */
static unsigned long
balloon_sum_node(int nid,
		 unsigned long (*count)(struct zone *zone, unsigned int what),
		 unsigned int what)
{
	unsigned long sum = 0;
	struct zone *zone;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		zone = &NODE_DATA(nid)->node_zones[i];
		if (populated_zone(zone))
			sum += count(zone, what);
	}
	return sum;
}

static unsigned long
balloon_sum_zones(unsigned long (*count)(struct zone *zone, unsigned int what),
		  unsigned int what)
{
	unsigned long sum = 0;
	int nid;

	for_each_online_node(nid)
		sum += balloon_sum_node(nid, count, what);
	return sum;
}

unsigned long balloon_zone_kept(struct zone *zone, unsigned int mark)
{
	return wmark_pages(zone, mark) + zone->lowmem_reserve[ZONE_MOVABLE];
}

/**
 * balloon_zone_spare - what is free in a zone beyond a watermark and its reserve
 * @zone: the zone, populated
 * @mark: an enum zone_watermarks, as for balloon_spare()
 *
 * Anybody may take so much before reclaim begins.
 *
 * Context: any.
 * Return: guest pages.
 */
unsigned long balloon_zone_spare(struct zone *zone, unsigned int mark)
{
	unsigned long kept = balloon_zone_kept(zone, mark);
	unsigned long free = zone_page_state(zone, NR_FREE_PAGES);

	return free > kept ? free - kept : 0;
}

/**
 * balloon_spare - what is free beyond a watermark
 * @bd: the balloon
 * @mark: WMARK_LOW wakes kswapd, with WMARK_HIGH it sleeps again
 *
 * Context: process.
 * Return: guest pages.
 */
unsigned long balloon_spare(struct balloon_device *bd,
			    enum zone_watermarks mark)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_spare, bd, mark);

	return balloon_sum_zones(balloon_zone_spare, mark);
}

/**
 * balloon_sparest_node - the node that can best do without memory
 *
 * In proportion to its size, so that nodes that differ run short together. Memory
 * that has no number can not go into a balloon.
 *
 * Context: process.
 * Return: the node.
 */
int balloon_sparest_node(void)
{
	u64 spare, size, best_spare = 0, best_size = 1;
	int nid, best = numa_mem_id();

	if (nr_online_nodes == 1)
		return best;
	for_each_online_node(nid) {
		size = node_present_pages(nid);
		if (!size || !balloon_pfn_has_number(node_start_pfn(nid)))
			continue;
		spare = balloon_sum_node(nid, balloon_zone_spare, WMARK_LOW);
		if (spare * best_size > best_spare * size) {
			best = nid;
			best_spare = spare;
			best_size = size;
		}
	}
	return best;
}

static void balloon_signals_read_events(struct balloon_signals *signals)
{
#ifdef CONFIG_VM_EVENT_COUNTERS
	unsigned long events[NR_VM_EVENT_ITEMS];
	unsigned int zone;

	all_vm_events(events);
	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		signals->stalls += events[ALLOCSTALL_NORMAL - ZONE_NORMAL +
					  zone];
	signals->scanned = events[PGSCAN_KSWAPD] + events[PGSCAN_DIRECT];
	signals->reclaimed = events[PGSTEAL_KSWAPD] + events[PGSTEAL_DIRECT];
	signals->swapped = events[PSWPOUT];
#endif
}

/**
 * balloon_signals_read - take a snapshot
 * @bd: the balloon
 * @signals: where to
 *
 * Context: process, may sleep; takes pages_lock.
 */
void balloon_signals_read(struct balloon_device *bd,
			  struct balloon_signals *signals)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_signals_read, bd, signals);

	*signals = (struct balloon_signals) {
		.when = jiffies,
		.available = balloon_available(bd),
		.spare = balloon_spare(bd, WMARK_HIGH),
		.total = balloon_guest_total(bd),
		.refaults = global_node_page_state(WORKINGSET_REFAULT_ANON) +
			    global_node_page_state(WORKINGSET_REFAULT_FILE),
		.free = global_zone_page_state(NR_FREE_PAGES),
		.taken = balloon_size(bd) + balloon_trial_size(bd),
	};
	balloon_signals_read_events(signals);
}

/* Returns whether there is a new snapshot. */
static bool balloon_sample(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;
	struct balloon_signals *now = &restraint->now;
	unsigned long interval = BALLOON_SAMPLE_MOVING;

	if (bd->config.state == BALLOON_IDLE && !restraint->pressed &&
	    !READ_ONCE(restraint->reclaims))
		interval = BALLOON_SAMPLE_RESTING;
	if (restraint->sampled && time_before(jiffies, now->when + interval)) {
		now->available = balloon_available(bd);
		now->spare = balloon_spare(bd, WMARK_HIGH);
		return false;
	}

	WRITE_ONCE(restraint->reclaims, false);
	restraint->earlier = *now;
	balloon_signals_read(bd, now);
	if (!restraint->sampled ||
	    now->when - restraint->earlier.when > BALLOON_SAMPLE_STALE)
		restraint->earlier = *now;
	restraint->sampled = true;
	return true;
}

/* It was the cgroup that missed what was on trial before. */
static void balloon_notice_cgroup(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;

	if (!restraint->cgroup) {
		restraint->missed = false;
		restraint->missed_ms = 0;
		bd->trial.limit = BALLOON_TRIAL_NO_LIMIT;
	}
	restraint->cgroup = true;
	restraint->cgroup_at = jiffies;
}

static void balloon_notice_reclaim(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;
	unsigned long got = balloon_reclaimed(&restraint->earlier,
					      &restraint->now);

	restraint->may_be_missed -= min(restraint->may_be_missed,
					restraint->refaulted);
	restraint->may_be_missed = min(restraint->may_be_missed + got,
				       restraint->now.total);
	restraint->refaulted = balloon_refaulted(&restraint->earlier,
						 &restraint->now);
	if (!got)
		return;
	restraint->reclaimed = min(restraint->reclaimed + got,
				   BALLOON_RECLAIMED_ANY);
	restraint->reclaimed_at = jiffies;
}

/*
 * Pages are missed a while after they were reclaimed, and then nobody need
 * reclaim any more. But each is missed once, and a cgroup's again and again.
 */
static bool balloon_is_cgroup(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;

	return (restraint->cgroup ||
		restraint->refaulted > restraint->may_be_missed) &&
	       balloon_cgroup_misses(&restraint->earlier, &restraint->now);
}

/* How things stand that are remembered for a while. */
static void balloon_remember(struct balloon_device *bd, bool is_new)
{
	struct balloon_restraint *restraint = &bd->restraint;

	if (restraint->gave &&
	    time_after(jiffies, restraint->gave_at + BALLOON_WARY))
		restraint->gave = false;
	if (restraint->missed &&
	    time_after(jiffies, restraint->missed_at + BALLOON_WARY))
		restraint->missed = false;
	if (restraint->cgroup &&
	    time_after(jiffies, restraint->cgroup_at + BALLOON_WARY))
		restraint->cgroup = false;
	if (restraint->reclaimed &&
	    time_after(jiffies, restraint->reclaimed_at + BALLOON_RECLAIM_FRESH))
		restraint->reclaimed = 0;
	if (restraint->may_be_missed &&
	    time_after(jiffies, restraint->reclaimed_at + BALLOON_WARY))
		restraint->may_be_missed = 0;

	if (!is_new)
		return;
	balloon_notice_reclaim(bd);
	if (balloon_is_cgroup(bd))
		balloon_notice_cgroup(bd);
}

/**
 * balloon_plan - look how the guest does and decide what to do
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 */
struct balloon_plan balloon_plan(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;
	bool is_new = balloon_sample(bd);
	struct balloon_bounds bounds = {
		.floor = balloon_floor(bd),
		.size = balloon_size(bd),
		.on_trial = balloon_trial_size(bd),
		.target = bd->config.target,
		.pressed = restraint->pressed -
			   (!is_new && restraint->pressed),
		.may_give = bd->deflates_on_oom,
		.giving = restraint->giving,
		.answered = !is_new,
	};
	struct balloon_plan plan;

	balloon_remember(bd, is_new);
	bounds.wary = restraint->gave;
	bounds.missed = restraint->missed;
	bounds.margin = balloon_trial_margin(bd);
	bounds.cgroup = restraint->cgroup;
	bounds.reclaimed = restraint->reclaimed;
	bounds.may_be_missed = restraint->may_be_missed;
	/* With MUST_TELL_HOST the host has yet to let go of it. */
	restraint->now.available += balloon_leaving(bd);

	plan = balloon_decide(&restraint->earlier, &restraint->now, &bounds);
	restraint->giving = plan.give;
	if (restraint->missed && plan.hold == BALLOON_HOLD_REFAULT)
		restraint->missed_at = jiffies;
	if (is_new)
		restraint->pressed = plan.pressed ?
			min(restraint->pressed + 1, BALLOON_SUSTAINED) : 0;
	return plan;
}

/**
 * balloon_forget_signals - the balloon is empty and stays so
 * @bd: the balloon
 *
 * Context: the kthread.
 */
void balloon_forget_signals(struct balloon_device *bd)
{
	bd->restraint.sampled = false;
	bd->restraint.giving = false;
	bd->restraint.pressed = 0;
}

/**
 * balloon_pause - pages went back under pressure: take none for a while
 * @bd: the balloon
 * @reason: what the pressure was
 *
 * A first time is followed by BALLOON_PAUSE_MIN_MS without inflation, those
 * soon after it by longer ones. So the balloon turns round a bounded number of
 * times a minute, whatever the guest and the host do.
 *
 * Context: the kthread.
 */
void balloon_pause(struct balloon_device *bd, enum balloon_hold reason)
{
	struct balloon_restraint *restraint = &bd->restraint;

	if (!restraint->gave)
		restraint->pause_ms = BALLOON_PAUSE_MIN_MS;
	else if (!restraint->pauses)
		restraint->pause_ms = min(2 * restraint->pause_ms,
					     BALLOON_PAUSE_MAX_MS);
	restraint->pause_reason = reason;
	restraint->gave = true;
	restraint->gave_at = jiffies;
	restraint->pauses = true;
	restraint->pause_end = jiffies +
				  msecs_to_jiffies(restraint->pause_ms);
}

/**
 * balloon_end_pause - the administrator knows better
 * @bd: the balloon
 *
 * Context: the kthread.
 */
void balloon_end_pause(struct balloon_device *bd)
{
	bd->restraint.pauses = false;
	bd->restraint.gave = false;
}

/**
 * balloon_missed - somebody misses what was on trial
 * @bd: the balloon
 *
 * From here on what is free is to be taken on trial, too: it may be what was
 * just given back.
 *
 * Context: the kthread.
 * Return: milliseconds until the next trial may begin.
 */
unsigned int balloon_missed(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;

	restraint->missed = true;
	restraint->missed_at = jiffies;
	restraint->giving = false;	/* that may have been enough */
	restraint->missed_ms = clamp(2 * restraint->missed_ms,
				     BALLOON_MISSED_MIN_MS,
				     BALLOON_MISSED_MAX_MS);
	return restraint->missed_ms;
}

/**
 * balloon_not_missed - a trial ended well
 * @bd: the balloon
 *
 * Context: the kthread.
 */
void balloon_not_missed(struct balloon_device *bd)
{
	bd->restraint.missed_ms = 0;
}

/**
 * balloon_expect_reclaim - kswapd is about to be woken
 * @bd: the balloon
 *
 * What is free from here on, it may have reclaimed, before the next snapshot shows
 * that.
 *
 * Context: the kthread.
 */
void balloon_expect_reclaim(struct balloon_device *bd)
{
	bd->restraint.reclaimed = BALLOON_RECLAIMED_ANY;
	bd->restraint.reclaimed_at = jiffies;
}

/**
 * balloon_pause_left - for how long is nothing to be taken yet?
 * @bd: the balloon
 *
 * Context: the kthread.
 * Return: jiffies, 0 if it is over.
 */
long balloon_pause_left(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;
	long left = restraint->pause_end - jiffies;

	if (left <= 0)
		restraint->pauses = false;
	return restraint->pauses ? left : 0;
}

/**
 * balloon_may_have_to_give - is there something that the guest may get back?
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 */
bool balloon_may_have_to_give(struct balloon_device *bd)
{
	return bd->deflates_on_oom && balloon_size(bd);
}

/**
 * balloon_look_at_guest_in - when to see to it that the guest does not run short
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 * Return: jiffies.
 */
long balloon_look_at_guest_in(struct balloon_device *bd)
{
	if (!balloon_may_have_to_give(bd))
		return MAX_SCHEDULE_TIMEOUT;
	return bd->restraint.pressed || READ_ONCE(bd->restraint.reclaims) ?
	       BALLOON_SAMPLE_MOVING : BALLOON_SAMPLE_RESTING;
}

/**
 * balloon_affordable - what is available beyond the floor
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 * Return: guest pages, 0 if none.
 */
unsigned long balloon_affordable(struct balloon_device *bd)
{
	unsigned long available, floor;

	floor = balloon_floor(bd);
	available = balloon_available(bd);
	return available > floor ? available - floor : 0;
}

/* Free guest pages in blocks below an order. */
static unsigned long balloon_zone_fragments(struct zone *zone,
					    unsigned int end)
{
	unsigned long nr = 0;
	unsigned int order;

	for (order = 0; order < end; order++) {
		/* A guess that is wrong now is right soon. */
		nr += data_race(zone->free_area[order].nr_free) << order;
	}
	return nr;
}

/**
 * balloon_guest_is_fragmented - is much of the free memory in small pieces?
 * @bd: the balloon
 *
 * Half of the floor is much: should inflation go down to the floor, the other
 * half is in one piece.
 *
 * Context: process, takes pages_lock.
 */
bool balloon_guest_is_fragmented(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_guest_is_fragmented, bd);

	return balloon_sum_zones(balloon_zone_fragments, pageblock_order) >
	       balloon_default_floor(balloon_guest_total(bd)) / 2;
}

/* Can the task that runs out of memory have pages of this node? */
static bool balloon_task_may_use(int nid)
{
#ifdef CONFIG_NUMA
	const struct mempolicy *policy = current->mempolicy;

	if (policy && policy->mode == MPOL_BIND &&
	    !node_isset(nid, policy->nodes))
		return false;
#endif
	return node_isset(nid, cpuset_current_mems_allowed);
}

/* Memory of CMA areas is not free to those that need memory which stays. */
static bool balloon_zone_is_short(struct zone *zone)
{
	return balloon_zone_spare(zone, WMARK_HIGH) <=
	       zone_page_state(zone, NR_FREE_CMA_PAGES);
}

static unsigned int balloon_zone_bit(int nid, unsigned int zone)
{
	return nid * MAX_NR_ZONES + zone;
}

/*
 * The allocation has failed at the high watermark of each zone that it may use. So a
 * zone above that is none of them, be it for a policy that is not the task's but of
 * a part of its memory. If all zones are above, it was for a large block.
 */
static void balloon_find_starved_zones(struct balloon_device *bd)
{
	unsigned long *starved = bd->oom.starved;
	struct zone *zone;
	bool any = false;
	int nid, i;

	bitmap_zero(starved, MAX_NUMNODES * MAX_NR_ZONES);
	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			if (!populated_zone(zone) || !balloon_task_may_use(nid) ||
			    !balloon_zone_is_short(zone))
				continue;
			/* A zone that is all reserve says nothing. */
			any |= zone_managed_pages(zone) >
			       balloon_zone_kept(zone, WMARK_HIGH);
			__set_bit(balloon_zone_bit(nid, i), starved);
		}
	}
	if (any)
		return;
	for_each_online_node(nid)
		if (balloon_task_may_use(nid))
			bitmap_set(starved, balloon_zone_bit(nid, 0),
				   MAX_NR_ZONES);
}

/**
 * balloon_zone_is_starved - is this page of use to the task that has no memory?
 * @bd: the balloon
 * @page: the page
 *
 * Context: the out-of-memory notifier.
 */
bool balloon_zone_is_starved(struct balloon_device *bd, const struct page *page)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_zone_is_starved, bd, page);

	return test_bit(balloon_zone_bit(page_to_nid(page), page_zonenum(page)),
			bd->oom.starved);
}

/*
 * Runs under oom_lock, in the task that found no memory: allocates nothing and
 * takes no lock that an allocation could be made under.
 *
 * What the host has not been told of goes first, then what it has only been shown.
 * If more is needed mm calls again.
 */
static int balloon_oom_notify(struct notifier_block *nb, unsigned long unused,
			      void *freed)
{
	struct balloon_device *bd = container_of(nb, struct balloon_device,
						 oom.notifier);
	unsigned long given;

	given = balloon_trial_recall_now(bd);
	if (!given)
		given = balloon_hinting_give(bd, BALLOON_PAGES_PER_OOM);
	if (!given && (bd->deflates_on_oom || READ_ONCE(bd->broken))) {
		balloon_find_starved_zones(bd);
		given = balloon_give_at_oom(bd, BALLOON_PAGES_PER_OOM);
	}
	*(unsigned long *)freed += given;
	return NOTIFY_OK;
}

/*
 * Nothing is shrunk here. Reclaim has begun: the next look at how the guest does
 * can not wait for a second. Runs in whichever task reclaims.
 */
static unsigned long balloon_reclaim_begins(struct shrinker *shrinker,
					    struct shrink_control *sc)
{
	struct balloon_device *bd = shrinker->private_data;

	/* Look before writing: the line is shared by all that reclaim. */
	if (balloon_size_roughly(bd) && !READ_ONCE(bd->restraint.reclaims) &&
	    !xchg(&bd->restraint.reclaims, true))
		balloon_event(bd);
	return SHRINK_EMPTY;
}

static unsigned long balloon_shrinks_nothing(struct shrinker *shrinker,
					     struct shrink_control *sc)
{
	return SHRINK_STOP;
}

/**
 * balloon_guest_init - before anybody asks for the floor
 * @bd: the balloon
 *
 * Context: probe.
 */
void balloon_guest_init(struct balloon_device *bd)
{
	int mib = balloon_floor_mib;

	bd->guest.floor = mib < 0 ? BALLOON_FLOOR_DERIVED :
			      (unsigned long)mib << MIB_TO_PAGES_SHIFT;
}

/**
 * balloon_restraint_start - be there when the guest runs out of memory
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0, -ENOMEM, or the errno of register_oom_notifier().
 */
int balloon_restraint_start(struct balloon_device *bd)
{
	struct shrinker *shrinker = NULL;
	int err;

	KUNIT_STATIC_STUB_REDIRECT(balloon_restraint_start, bd);

	if (bd->deflates_on_oom) {
		shrinker = shrinker_alloc(0, "virtio-balloon-pressure");
		if (!shrinker)
			return -ENOMEM;
		shrinker->count_objects = balloon_reclaim_begins;
		shrinker->scan_objects = balloon_shrinks_nothing;
		shrinker->private_data = bd;
		bd->restraint.shrinker = shrinker;
	}

	/* Always: what is on trial is the guest's whatever the host offers. */
	bd->oom.notifier.notifier_call = balloon_oom_notify;
	bd->oom.notifier.priority = BALLOON_OOM_PRIORITY;
	err = register_oom_notifier(&bd->oom.notifier);
	if (err) {
		shrinker_free(shrinker);
		return err;
	}
	if (shrinker)
		shrinker_register(shrinker);
	return 0;
}

/**
 * balloon_restraint_stop - wait for what is running and have it not run again
 * @bd: the balloon, dying
 *
 * Context: remove; sleeps.
 */
void balloon_restraint_stop(struct balloon_device *bd)
{
	shrinker_free(bd->restraint.shrinker);
	unregister_oom_notifier(&bd->oom.notifier);
}
