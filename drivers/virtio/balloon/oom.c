// SPDX-License-Identifier: GPL-2.0
/*
 * The out-of-memory notifier: the last reserve before the out-of-memory killer
 * acts.
 *
 * It runs under oom_lock, in the task that found no memory. It allocates
 * nothing, bounds every wait, and only tries balloon_lock.
 */

#include <linux/cpuset.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/oom.h>
#include <linux/vmstat.h>
#include <kunit/static_stub.h>

#include "batch.h"
#include "device.h"
#include "guest.h"
#include "hints.h"
#include "ledger.h"
#include "oom.h"
#include "pages.h"
#include "trace.h"
#include "trial.h"
#include "virtio_balloon.h"

/* One call of the out-of-memory notifier gives back this many guest pages. */
#define BALLOON_PAGES_PER_OOM	(16UL << MIB_TO_PAGES_SHIFT)
/* Runs before other notifiers: they free memory in use, and the balloon's is not. */
#define BALLOON_OOM_PRIORITY	80

/* The notifier looks at this many guest pages in one hold of pages_lock. */
#define BALLOON_LOOKS_AT_OOM	4096UL

/* Can the task that ran out of memory use pages of this node? */
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

/* Free CMA memory does not count: unmovable allocations cannot use it. */
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
 * The allocation has failed, so no zone that it may use is above its high
 * watermark. The notifier gives no pages of zones above it: a mapping's policy may
 * forbid them. If all zones are above, the allocation wanted a large block.
 */
static void balloon_find_starved_zones(struct balloon_oom *oom)
{
	unsigned long *starved = oom->starved;
	struct zone *zone;
	bool any = false;
	int nid, i;

	bitmap_zero(starved, MAX_NUMNODES * MAX_NR_ZONES);
	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			if (!populated_zone(zone) ||
			    !balloon_task_may_use(nid) ||
			    !balloon_zone_is_short(zone))
				continue;
			/* A zone of reserves only is always short. */
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
 * balloon_zone_is_starved - can the task that ran out of memory use this page?
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

static bool balloon_wanted_at_oom(const struct page *page, void *data)
{
	return balloon_zone_is_starved(data, page);
}

/*
 * Moves up to @max resident pages into @batch, as LEAVING, and names them.
 * Waits for no page lock, and takes only pages that the task can use. Looks at
 * each page once, and at BALLOON_LOOKS_AT_OOM pages under one hold of
 * pages_lock.
 */
static void balloon_batch_take_at_oom(struct balloon_device *bd,
				      struct balloon_batch *batch,
				      unsigned int max)
{
	struct balloon_mapping *bm = &bd->ledger.bm;
	unsigned long left = READ_ONCE(bm->nr_resident);
	unsigned long end = jiffies + BALLOON_LOOK_AGAIN;
	unsigned int nr;

	do {
		spin_lock(&bm->pages_lock);
		nr = balloon_mapping_take_wanted(bm, batch->pages, max,
						 BALLOON_LOOKS_AT_OOM,
						 balloon_wanted_at_oom, bd);
		bd->ledger.nr_pages[BALLOON_PAGE_LEAVING] += nr;
		balloon_counts_unlock(&bd->ledger);
		left -= min(left, BALLOON_LOOKS_AT_OOM);
		cond_resched();
	} while (!nr && left && time_before(jiffies, end));
	balloon_batch_taken(bd, batch, nr);
}

/*
 * The holder of balloon_lock allocates nothing and waits for nothing, so it
 * drops the lock soon. Still the notifier waits no longer than
 * BALLOON_LOOK_AGAIN.
 */
static bool balloon_lock_in_time(struct balloon_device *bd)
{
	unsigned long end = jiffies + BALLOON_LOOK_AGAIN;

	while (!mutex_trylock(&bd->balloon_lock)) {
		if (time_after(jiffies, end))
			return false;
		schedule_timeout_uninterruptible(1);
	}
	return true;
}

/* Queues one deflate. Returns its guest pages. */
static unsigned long balloon_deflate_at_oom(struct balloon_device *bd,
					    unsigned long want)
{
	struct balloon_batch *batch;
	unsigned long nr;

	batch = balloon_batch_get(bd, 0);
	if (!batch)
		return 0;

	nr = min_t(unsigned long, want, balloon_batch_room(batch));
	balloon_batch_take_at_oom(bd, batch, nr);
	nr = batch->nr_pages;
	if (!nr) {
		balloon_batch_put(bd, batch);
		return 0;
	}
	/* Set before the pages are free: inflation must not take them back. */
	set_bit(BALLOON_GAVE_AT_OOM, &bd->flags);
	balloon_deflate_batch(bd, batch);
	return nr;
}

/* Returns the guest pages that were queued. */
static unsigned long balloon_give_now(struct balloon_device *bd,
				      unsigned long want)
{
	unsigned long nr, queued = 0;

	if (!balloon_lock_in_time(bd))
		return 0;
	balloon_find_starved_zones(&bd->oom);
	while (queued < want && !balloon_is_dying(bd) &&
	       !balloon_is_broken(bd)) {
		nr = balloon_deflate_at_oom(bd, want - queued);
		if (!nr)
			break;
		queued += nr;
	}
	mutex_unlock(&bd->balloon_lock);
	return queued;
}

/*
 * If a slow host has all batches, and there are resident pages, waits until a batch
 * is free. Returns whether it has waited.
 */
static bool balloon_await_batch(struct balloon_device *bd)
{
	struct balloon_mapping *bm = &bd->ledger.bm;
	unsigned int puts;
	bool missing;

	spin_lock(&bm->pages_lock);
	missing = !bd->pool.nr_free && bm->nr_resident;
	puts = bd->pool.nr_puts;
	bd->pool.nr_waiters += missing;
	spin_unlock(&bm->pages_lock);
	if (!missing)
		return false;

	balloon_event(bd);
	wait_event_timeout(bd->wait,
			   READ_ONCE(bd->pool.nr_puts) != puts ||
				   balloon_is_dying(bd) ||
				   balloon_is_broken(bd),
			   BALLOON_LOOK_AGAIN);
	spin_lock(&bm->pages_lock);
	bd->pool.nr_waiters--;
	spin_unlock(&bm->pages_lock);
	return true;
}

/*
 * Waits while the kthread resets a broken device and releases all pages.
 * Returns how many guest pages came back meanwhile.
 */
static unsigned long balloon_await_all_back(struct balloon_device *bd)
{
	unsigned long before = balloon_refs(&bd->ledger), left;

	wait_event_timeout(bd->wait, !balloon_refs(&bd->ledger) ||
			   balloon_is_dying(bd), BALLOON_LOOK_AGAIN);
	left = balloon_refs(&bd->ledger);
	return before - min(before, left);
}

/**
 * balloon_give_at_oom - give pages back because the guest is out of memory
 * @bd: the balloon
 * @want: guest pages
 *
 * Without F_DEFLATE_ON_OOM only a broken device's pages go back (virtio 1.2,
 * 5.5.6).
 *
 * This function queues the deflates, and the kthread posts them. With
 * MUST_TELL_HOST the driver frees the pages only after the host has
 * acknowledged them. This function then waits for that, up to
 * BALLOON_LOOK_AGAIN.
 *
 * Context: the out-of-memory notifier. Allocates nothing, passes over pages
 * whose lock is taken.
 * Return: guest pages given back, or about to be if the host is slow.
 */
unsigned long balloon_give_at_oom(struct balloon_device *bd, unsigned long want)
{
	unsigned long queued;

	if (balloon_is_broken(bd))
		return balloon_await_all_back(bd);
	if (!bd->deflates_on_oom)
		return 0;
	queued = balloon_give_now(bd, want);
	if (!queued && balloon_await_batch(bd))
		queued = balloon_give_now(bd, want);
	if (!queued)
		return 0;

	WRITE_ONCE(bd->oom.nr_given, bd->oom.nr_given + queued);
	trace_deflate(bd, queued);
	balloon_event(bd);
	if (bd->must_tell_host)
		wait_event_timeout(bd->wait,
				   !balloon_leaving(&bd->ledger) ||
					   balloon_is_dying(bd) ||
					   balloon_is_broken(bd),
				   BALLOON_LOOK_AGAIN);
	return queued;
}

/*
 * Returns how many pages have come back since the last call, or since probe. The
 * kthread may have given them after the allocation had failed, and then mm has to
 * try again. Each page counts in one call of this function only. So mm goes on to
 * the out-of-memory killer if the task has no use for them.
 */
static unsigned long balloon_came_back(struct balloon_device *bd)
{
	unsigned long seen = bd->oom.nr_seen, all;

	all = balloon_released(&bd->ledger);
	all += READ_ONCE(bd->trial.nr_released);
	all += READ_ONCE(bd->hints.nr_released);
	bd->oom.nr_seen = all;
	return all - seen;
}

/*
 * Pages on trial go first: the host does not know of them. Hinted blocks
 * follow, then the balloon's pages, and only these by zone. If the task needs more,
 * mm calls again.
 */
static int balloon_oom_notify(struct notifier_block *nb, unsigned long unused,
			      void *freed)
{
	struct balloon_device *bd = container_of(nb, struct balloon_device,
						 oom.notifier);
	unsigned long given, came_back;

	given = balloon_trial_recall_now(bd);
	if (!given)
		given = balloon_hints_give(&bd->hints, BALLOON_PAGES_PER_OOM);
	if (!given)
		given = balloon_give_at_oom(bd, BALLOON_PAGES_PER_OOM);
	came_back = balloon_came_back(bd);
	*(unsigned long *)freed += given ?: came_back;
	return NOTIFY_OK;
}

/**
 * balloon_oom_start - give pages back before the out-of-memory killer acts
 * @bd: the balloon
 *
 * The notifier is registered whatever features are negotiated: pages on trial
 * always go back to the guest.
 *
 * Context: probe.
 * Return: 0 or the errno of register_oom_notifier().
 */
int balloon_oom_start(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_oom_start, bd);

	bd->oom.notifier.notifier_call = balloon_oom_notify;
	bd->oom.notifier.priority = BALLOON_OOM_PRIORITY;
	return register_oom_notifier(&bd->oom.notifier);
}

/**
 * balloon_oom_stop - wait for a running notifier and unregister it
 * @bd: the balloon, dying
 *
 * Context: remove; sleeps.
 */
void balloon_oom_stop(struct balloon_device *bd)
{
	unregister_oom_notifier(&bd->oom.notifier);
}
