// SPDX-License-Identifier: GPL-2.0
/*
 * Inflate and deflate: allocate, account, release.
 *
 * virtio_balloon.h has a page's states and the locks.
 */

#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/pageblock-flags.h>
#include <linux/vmstat.h>
#include <kunit/static_stub.h>

#include "trace.h"
#include "virtio_balloon.h"

/* Guest pages that are looked at under pages_lock before it is dropped. */
#define BALLOON_LOOKS_AT_OOM	4096UL

/**
 * balloon_counts_add_up - do the page states account for every reference?
 * @bd: the balloon
 *
 * Context: pages_lock held.
 */
bool balloon_counts_add_up(struct balloon_device *bd)
	__must_hold(&bd->ledger.bm.pages_lock)
{
	unsigned long sum = bd->ledger.bm.nr_resident + bd->ledger.bm.nr_isolated;
	unsigned int state;

	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	for (state = 0; state < BALLOON_PAGE_STATES; state++)
		sum += bd->ledger.nr_pages[state];
	return sum == bd->ledger.nr_refs;
}

static void balloon_counts_unlock(struct balloon_device *bd)
	__releases(&bd->ledger.bm.pages_lock)
{
	VM_WARN_ON_ONCE(!balloon_counts_add_up(bd));
	spin_unlock(&bd->ledger.bm.pages_lock);
}

static unsigned long __balloon_size(struct balloon_device *bd)
{
	return bd->ledger.nr_refs - bd->ledger.nr_pages[BALLOON_PAGE_LEAVING] - bd->ledger.nr_canary;
}

/**
 * balloon_size - how large the balloon is, to be compared with the target
 * @bd: the balloon
 *
 * Every page that was taken and is not leaving. A page that only the canary
 * names does not count before the canary is acknowledged, as that may never
 * happen.
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_size(struct balloon_device *bd)
{
	unsigned long size;

	spin_lock(&bd->ledger.bm.pages_lock);
	size = __balloon_size(bd);
	spin_unlock(&bd->ledger.bm.pages_lock);
	return size;
}

/**
 * balloon_actual - what the host may count on (virtio 1.2, 5.5.6: actual)
 * @bd: the balloon
 *
 * The balloon's size less what inflation took and the host has not confirmed.
 * A page that replaces a migrated one stands for the other from the start, so
 * that compaction alone does not change the number.
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_actual(struct balloon_device *bd)
{
	unsigned long actual;

	spin_lock(&bd->ledger.bm.pages_lock);
	actual = __balloon_size(bd) - bd->ledger.nr_unconfirmed;
	spin_unlock(&bd->ledger.bm.pages_lock);
	return actual;
}

/**
 * balloon_adjust_managed - change what the guest counts as its memory
 * @bd: the balloon
 * @page: a page of the zone that is changed
 * @nr: guest pages that come to the guest, or leave it where negative
 *
 * Context: any.
 */
void balloon_adjust_managed(struct balloon_device *bd, struct page *page,
			    long nr)
{
	if (!bd->deflates_on_oom)
		adjust_managed_page_count(page, nr);
}

/**
 * balloon_choose_node - take the next pages where there is most to spare
 * @bd: the balloon
 *
 * Context: the kthread.
 */
void balloon_choose_node(struct balloon_device *bd)
{
	bd->blocks.nid = balloon_sparest_node();
}

/* What has to be reclaimed is left to kswapd, so that the driver is in nobody's way. */
static gfp_t balloon_gfp(struct balloon_device *bd, unsigned int order)
{
	gfp_t gfp = mapping_gfp_mask(&bd->ledger.bm.mapping) | __GFP_NOWARN |
		    __GFP_NORETRY | __GFP_NOMEMALLOC;

	return gfp & (order ? ~__GFP_RECLAIM : ~__GFP_DIRECT_RECLAIM);
}

/**
 * balloon_alloc_block - allocate a block of guest pages
 * @bd: the balloon
 * @order: its size; no memory is reclaimed for more than a single page
 *
 * A block comes from the chosen node, a single page from another one if need be.
 * Every stall that the guest counts is one of somebody else's.
 *
 * Context: process, no lock held.
 * Return: the first of 1 << @order single pages, or NULL.
 */
struct page *balloon_alloc_block(struct balloon_device *bd, unsigned int order)
{
	gfp_t gfp = balloon_gfp(bd, order) | (order ? __GFP_THISNODE : 0);
	struct page *page;

	KUNIT_STATIC_STUB_REDIRECT(balloon_alloc_block, bd, order);

	page = alloc_pages_node(bd->blocks.nid, gfp, order);
	if (page && order)
		split_page(page, order);
	return page;
}

/**
 * balloon_alloc_canary - allocate a page that may stay in flight for ever
 * @bd: the balloon
 *
 * It can not move then, so that it is not taken from memory for what can.
 *
 * Context: process, no lock held.
 * Return: a single page, or NULL.
 */
struct page *balloon_alloc_canary(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_alloc_canary, bd);

	return alloc_page(balloon_gfp(bd, 0) & ~__GFP_MOVABLE);
}

/**
 * balloon_free_block - free pages that were joined again
 * @block: the first; the others have no reference
 * @order: how many
 *
 * Context: any.
 */
void balloon_free_block(struct page *block, unsigned int order)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_free_block, block, order);
	__free_pages(block, order);
}

/*
 * Undoes split_page(), unless somebody else has a reference to one of them, or
 * one is poisoned, which mm only sees to in a page that is freed alone.
 */
static bool balloon_join(struct page *block, unsigned int order)
{
	unsigned int i, frozen = 0, nr = 1U << order;
	bool whole;

	/* Its accounts are of single pages. */
	if (IS_ENABLED(CONFIG_MEM_ALLOC_PROFILING))
		return false;
	while (frozen < nr && page_ref_freeze(block + frozen, 1))
		frozen++;
	/*
	 * memory_failure() sets the flag before it takes a reference. A page
	 * that it flags after this look is freed as part of the block, and mm
	 * takes it off the free list again.
	 */
	whole = frozen == nr;
	for (i = 0; whole && i < nr; i++)
		whole = !PageHWPoison(block + i);
	/* What mm forgets of a single page, and of a block's first. */
	for (i = 1; whole && i < nr; i++)
		block[i].mapping = NULL;
	/* By adding: soft offlining does so without having one. */
	for (i = 0; i < (whole ? 1 : frozen); i++)
		page_ref_inc(block + i);
	return whole;
}

/*
 * Free @nr pages that were allocated as one block, or a part of it, in as few
 * pieces as there can be.
 */
static void balloon_free_run(struct page *page, unsigned int nr)
{
	unsigned int order, i;

	for (; nr; nr -= 1U << order, page += 1U << order) {
		order = min_t(unsigned int, __ffs(page_to_pfn(page) |
						  1UL << MAX_PAGE_ORDER),
			      ilog2(nr));
		if (balloon_join(page, order)) {
			balloon_free_block(page, order);
			continue;
		}
		for (i = 0; i < 1U << order; i++)
			__free_page(page + i);
	}
}

/* Returns how many of @nr pages are next to each other in one block. */
static unsigned int balloon_run_length(struct page **pages, unsigned int nr)
{
	unsigned int i, before, order = pages[0]->index;
	struct page *first = pages[0];
	int step = 1;

	if (!order || nr == 1)
		return 1;
	before = page_to_pfn(first) & ((1U << order) - 1);
	if (pages[1] < first) {
		step = -1;
		nr = min(nr, before + 1);
	} else {
		nr = min(nr, (1U << order) - before);
	}
	for (i = 1; i < nr; i++)
		if (pages[i] != first + (int)i * step ||
		    pages[i]->index != order)
			break;
	return i;
}

/*
 * Blocks go back as they came: mm needs no time to put them together again,
 * and finds them where it keeps large ones.
 */
static void balloon_free_pages(struct page **pages, unsigned int nr)
{
	unsigned int i, length, singles = 0;

	for (i = 0; i < nr; i += length) {
		length = balloon_run_length(pages + i, nr - i);
		if (length == 1)
			pages[singles++] = pages[i];
		else
			balloon_free_run(pfn_to_page(min(page_to_pfn(pages[i]),
							 page_to_pfn(pages[i + length - 1]))),
					 length);
	}
	release_pages(pages, singles);
}

/* Should a batch that is being filled be posted as it is? */
static bool balloon_interrupted(struct balloon_device *bd)
{
	return READ_ONCE(bd->config_changed) || READ_ONCE(bd->dying) ||
	       READ_ONCE(bd->gave_at_oom);
}

/*
 * Blocks are cheap to take, but where little memory is free in one piece the
 * guest needs it so: page tables and stacks are no single pages. The page
 * allocator serves those from what is in pieces already.
 */
static unsigned int balloon_largest_block(struct balloon_device *bd)
{
	return balloon_guest_is_fragmented(bd) ? 0 : bd->blocks.order;
}

/* Fills @batch up to @nr guest pages. */
static void balloon_batch_fill(struct balloon_device *bd,
			       struct balloon_batch *batch, unsigned int nr)
{
	unsigned int order, largest = balloon_largest_block(bd);
	struct page *page;

	balloon_choose_node(bd);
	while (batch->nr_pages < nr && !balloon_interrupted(bd)) {
		order = min_t(unsigned int, largest,
			      ilog2(nr - batch->nr_pages));
		page = balloon_trial_next(bd);
		if (page)
			order = 0;
		else
			page = balloon_alloc_block(bd, order);
		if (page && !balloon_page_has_number(page + (1 << order) - 1)) {
			balloon_free_run(page, 1U << order);
			return;
		}
		if (!page && !order)
			return;
		if (!page) {
			largest = order - 1;
			/* Another node may have larger ones. */
			if (nr_online_nodes == 1)
				bd->blocks.order = largest;
			continue;
		}
		balloon_adjust_managed(bd, page, -(1L << order));
		balloon_batch_add_block(bd, batch, page, order);
	}
}

/* Returns false if no page that need not move is to be had. */
static bool balloon_batch_fill_canary(struct balloon_device *bd,
				      struct balloon_batch *batch)
{
	struct page *page = balloon_alloc_canary(bd);

	if (!page)
		return false;
	if (!balloon_page_has_number(page)) {
		__free_page(page);
		return false;
	}
	balloon_adjust_managed(bd, page, -1);
	balloon_batch_add_block(bd, batch, page, 0);
	/* It stands for a page that has passed its trial. */
	page = balloon_trial_next(bd);
	if (page)
		__free_page(page);
	return true;
}

/*
 * The canary is a message of the large size that risks a single page. It is
 * sent where it pays, and only while the device is not known.
 */
static bool balloon_wants_canary(struct balloon_device *bd, unsigned long want)
{
	return READ_ONCE(bd->pool.canary) == BALLOON_CANARY_UNSENT &&
	       want > BALLOON_LARGE_MESSAGE / BALLOON_PER_GUEST_PAGE;
}

static void balloon_batch_make_canary(struct balloon_device *bd,
				      struct balloon_batch *batch)
{
	batch->canary = true;
	batch->limit = BALLOON_LARGE_MESSAGE;
	while (balloon_batch_room(batch))
		balloon_batch_name(bd, batch, batch->pages, 1);
}

/**
 * balloon_inflate - take at most one message's worth of pages from the guest
 * @bd: the balloon; what has passed its trial goes first
 * @want: guest pages wanted, not 0
 * @got: guest pages taken
 *
 * Context: the kthread, no lock held; allocates.
 * Return: 0, also where less than @want was wanted at once; -ENOMEM if the
 * guest has no more, @got may still be more than 0; -EBUSY if the host has to
 * acknowledge something first; -EIO if the device is broken.
 */
int balloon_inflate(struct balloon_device *bd, unsigned long want,
		    unsigned long *got)
{
	bool canary = balloon_wants_canary(bd, want);
	struct balloon_batch *batch;
	unsigned int nr;
	int err;

	*got = 0;
	batch = balloon_batch_get(bd, BALLOON_BATCHES_FOR_MIGRATION +
				      BALLOON_BATCHES_FOR_DEFLATE);
	if (!batch)
		return -EBUSY;

	nr = canary ? 1 : min_t(unsigned long, want, balloon_batch_room(batch));
	canary = canary && balloon_batch_fill_canary(bd, batch);
	if (!canary)
		balloon_batch_fill(bd, batch, nr);
	err = batch->nr_pages < nr && !balloon_interrupted(bd) ? -ENOMEM : 0;
	if (!batch->nr_pages) {
		balloon_batch_put(bd, batch);
		return err;
	}

	nr = batch->nr_pages;
	if (canary)
		balloon_batch_make_canary(bd, batch);

	spin_lock(&bd->ledger.bm.pages_lock);
	bd->ledger.nr_pages[BALLOON_PAGE_PRIVATE] += nr;
	bd->ledger.nr_refs += nr;
	if (canary)
		bd->ledger.nr_canary = nr;
	else
		bd->ledger.nr_unconfirmed += nr;
	balloon_counts_unlock(bd);
	count_vm_events(BALLOON_INFLATE, nr);

	mutex_lock(&bd->balloon_lock);
	if (canary)
		WRITE_ONCE(bd->pool.canary, BALLOON_CANARY_SENT);
	balloon_queue_add(bd, &bd->queues.inflate, batch);
	if (balloon_queues_advance(bd))
		err = -EIO;
	balloon_queues_unlock(bd);

	*got = nr;
	trace_inflate(bd, nr);
	return err;
}

/* Inflation of the pages of @batch is not in question any more. */
static void balloon_batch_confirm(struct balloon_device *bd,
				  struct balloon_batch *batch)
{
	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	if (batch->canary)
		bd->ledger.nr_canary = 0;
	else if (!batch->replaces)
		bd->ledger.nr_unconfirmed -= batch->nr_pages;
}

/**
 * balloon_batch_posted - the pages of an inflate are in flight
 * @bd: the balloon
 * @batch: the inflate
 *
 * Context: balloon_lock held, takes pages_lock.
 */
void balloon_batch_posted(struct balloon_device *bd,
			  struct balloon_batch *batch)
	__must_hold(&bd->balloon_lock)
{
	spin_lock(&bd->ledger.bm.pages_lock);
	bd->ledger.nr_pages[BALLOON_PAGE_PRIVATE] -= batch->nr_pages;
	bd->ledger.nr_pages[BALLOON_PAGE_IN_FLIGHT] += batch->nr_pages;
	balloon_counts_unlock(bd);
}

/*
 * Migration may have yet to let go of a page it moved to: its lock is not free
 * then. Returns how many of those are left, the first of @batch.
 */
static unsigned int balloon_settle_replacements(struct balloon_device *bd,
						struct balloon_batch *batch)
{
	unsigned int i, locked = 0;
	struct page *page;

	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	for (i = 0; i < batch->nr_pages; i++) {
		page = batch->pages[i];
		if (!trylock_page(page)) {
			batch->pages[locked++] = page;
			continue;
		}
		balloon_mapping_insert(&bd->ledger.bm, page);
		unlock_page(page);
	}
	return locked;
}

/**
 * balloon_batch_settle - the pages of an acknowledged inflate become resident
 * @bd: the balloon
 * @batch: the inflate
 *
 * A replacement whose lock is taken stays in the batch, IN_FLIGHT. The lock's holder
 * may have lost its CPU: the caller tries again later.
 *
 * Context: balloon_lock held, tries page locks, takes pages_lock.
 * Return: true if the batch holds no page any more.
 */
bool balloon_batch_settle(struct balloon_device *bd,
			  struct balloon_batch *batch)
	__must_hold(&bd->balloon_lock)
{
	unsigned int locked = 0;

	spin_lock(&bd->ledger.bm.pages_lock);
	balloon_batch_confirm(bd, batch);
	if (batch->replaces)
		locked = balloon_settle_replacements(bd, batch);
	else
		balloon_mapping_insert_new(&bd->ledger.bm, batch->pages,
					   batch->nr_pages);
	bd->ledger.nr_pages[BALLOON_PAGE_IN_FLIGHT] -= batch->nr_pages - locked;
	balloon_counts_unlock(bd);

	batch->nr_pages = locked;
	return !locked;
}

/* They are the guest's again: zone by zone. */
static void balloon_pages_managed(struct balloon_device *bd,
				  struct page **pages, unsigned int nr)
{
	unsigned int i, first;
	int zone;

	for (first = 0; first < nr; first = i) {
		zone = page_zone_id(pages[first]);
		for (i = first + 1; i < nr; i++)
			if (page_zone_id(pages[i]) != zone)
				break;
		balloon_adjust_managed(bd, pages[first], i - first);
	}
}

static enum balloon_page_state
balloon_batch_state(const struct balloon_device *bd,
		    const struct balloon_batch *batch)
{
	if (batch->queue != &bd->queues.inflate)
		return BALLOON_PAGE_LEAVING;
	return batch->posted ? BALLOON_PAGE_IN_FLIGHT : BALLOON_PAGE_PRIVATE;
}

/**
 * balloon_batch_release - give the pages of a batch back to the guest
 * @bd: the balloon
 * @batch: holds no page afterwards; belongs to the deflate queue, or to the inflate
 *         queue and will never be acknowledged
 *
 * The hook or the walk that made a page LEAVING has locked it. The other pages are
 * locked here once, so that no hook that made one the replacement of a migrated
 * page is still running when the last is gone.
 *
 * Context: process; takes pages_lock. For an inflate takes page locks, so that
 * balloon_lock must not be held.
 */
void balloon_batch_release(struct balloon_device *bd,
			   struct balloon_batch *batch)
{
	enum balloon_page_state state = balloon_batch_state(bd, batch);
	unsigned int i, nr = batch->nr_pages;

	if (!nr)
		return;

	for (i = 0; state != BALLOON_PAGE_LEAVING && i < nr; i++) {
		lock_page(batch->pages[i]);
		unlock_page(batch->pages[i]);
	}
	balloon_pages_managed(bd, batch->pages, nr);

	spin_lock(&bd->ledger.bm.pages_lock);
	if (state != BALLOON_PAGE_LEAVING)
		balloon_batch_confirm(bd, batch);
	bd->ledger.nr_pages[state] -= nr;
	bd->ledger.nr_refs -= nr;
	balloon_counts_unlock(bd);

	/* Those that are LEAVING have been counted when they were taken. */
	if (state != BALLOON_PAGE_LEAVING)
		count_vm_events(BALLOON_DEFLATE, nr);
	balloon_free_pages(batch->pages, nr);
	batch->nr_pages = 0;
}

static void balloon_batch_taken(struct balloon_device *bd,
				struct balloon_batch *batch, unsigned int nr)
{
	batch->nr_pages = nr;
	balloon_batch_name(bd, batch, batch->pages, nr);
	count_vm_events(BALLOON_DEFLATE, nr);
}

/*
 * Moves up to @max resident pages into @batch, as LEAVING, and names them. Waits for
 * the lock of a page if it finds none that is free.
 */
static void balloon_batch_take(struct balloon_device *bd,
			       struct balloon_batch *batch, unsigned int max)
{
	struct balloon_mapping *bm = &bd->ledger.bm;
	unsigned int nr;

	spin_lock(&bm->pages_lock);
	nr = balloon_mapping_take(bm, batch->pages, max);
	if (!nr && bm->nr_resident)
		nr = balloon_mapping_take_locked(bm, batch->pages);
	bd->ledger.nr_pages[BALLOON_PAGE_LEAVING] += nr;
	bd->ledger.wants_isolated = !nr;
	balloon_counts_unlock(bd);
	balloon_batch_taken(bd, batch, nr);
}

static bool balloon_wanted_at_oom(const struct page *page, void *data)
{
	return balloon_zone_is_starved(data, page);
}

/*
 * The same for a task that has no memory left: waits for no page lock, and takes only
 * what that task can use. Looks at each page once, a part of them at a time.
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
		balloon_counts_unlock(bd);
		left -= min(left, BALLOON_LOOKS_AT_OOM);
		cond_resched();
	} while (!nr && left && time_before(jiffies, end));
	balloon_batch_taken(bd, batch, nr);
}

/*
 * The deflate has its turn before the pages are anybody's: whoever takes one of
 * them has it named in an inflate after it.
 */
static void balloon_queue_deflate(struct balloon_device *bd,
				  struct balloon_batch *batch)
{
	lockdep_assert_held(&bd->balloon_lock);
	balloon_queue_add(bd, &bd->queues.deflate, batch);
	if (!bd->must_tell_host)
		balloon_batch_release(bd, batch);
}

/**
 * balloon_deflate - give at most one message's worth of pages back
 * @bd: the balloon
 * @want: guest pages to give back, not 0
 * @given: guest pages given back, or about to be once the host knows
 *
 * Context: the kthread or teardown, no lock held.
 * Return: 0; -EBUSY if nothing can be done before the host acknowledges
 * something or mm returns isolated pages, both of which are events; -EIO if
 * the device is broken.
 */
int balloon_deflate(struct balloon_device *bd, unsigned long want,
		    unsigned long *given)
{
	struct balloon_batch *batch;
	unsigned int nr;
	int err;

	*given = 0;
	batch = balloon_batch_get(bd, BALLOON_BATCHES_FOR_MIGRATION);
	if (!batch)
		return -EBUSY;

	nr = min_t(unsigned long, want, balloon_batch_room(batch));
	balloon_batch_take(bd, batch, nr);
	nr = batch->nr_pages;
	if (!nr) {
		balloon_batch_put(bd, batch);
		return -EBUSY;
	}

	mutex_lock(&bd->balloon_lock);
	balloon_queue_deflate(bd, batch);
	err = balloon_queues_advance(bd);
	balloon_queues_unlock(bd);

	*given = nr;
	trace_deflate(bd, nr);
	return err;
}

/*
 * The lock's holder allocates nothing and waits for nobody, so that it lets go
 * soon; still the out-of-memory notifier's wait has an end, BALLOON_LOOK_AGAIN.
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
	/* Before they are free: inflation must not take them back. */
	WRITE_ONCE(bd->gave_at_oom, true);
	balloon_queue_deflate(bd, batch);
	return nr;
}

/**
 * balloon_leaving - what is on its way back to the guest
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_leaving(struct balloon_device *bd)
{
	unsigned long leaving;

	spin_lock(&bd->ledger.bm.pages_lock);
	leaving = bd->ledger.nr_pages[BALLOON_PAGE_LEAVING];
	spin_unlock(&bd->ledger.bm.pages_lock);
	return leaving;
}

/**
 * balloon_refs - guest pages that the balloon has a reference on
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 */
unsigned long balloon_refs(struct balloon_device *bd)
{
	unsigned long held;

	spin_lock(&bd->ledger.bm.pages_lock);
	held = bd->ledger.nr_refs;
	spin_unlock(&bd->ledger.bm.pages_lock);
	return held;
}

/*
 * A device that is broken has no claim to the pages: the kthread is about to release
 * them all, or has done so. Returns how many came back meanwhile.
 */
static unsigned long balloon_await_all_back(struct balloon_device *bd)
{
	unsigned long before = balloon_refs(bd), left;

	wait_event_timeout(bd->wait, !balloon_refs(bd) ||
			   READ_ONCE(bd->dying), BALLOON_LOOK_AGAIN);
	left = balloon_refs(bd);
	return before - min(before, left);
}

/**
 * balloon_give_at_oom - give pages back because the guest has no other
 * @bd: the balloon
 * @want: guest pages
 *
 * The deflates are queued, and posted by the kthread. With MUST_TELL_HOST the
 * pages are the guest's only once the host has acknowledged, which is waited
 * for a limited time.
 *
 * Context: the out-of-memory notifier. Allocates nothing, passes over pages
 * whose lock is taken.
 * Return: guest pages given back, or with a host that takes its time about to be.
 */
unsigned long balloon_give_at_oom(struct balloon_device *bd, unsigned long want)
{
	unsigned long nr, queued = 0;

	if (READ_ONCE(bd->broken))
		return balloon_await_all_back(bd);
	if (!balloon_lock_in_time(bd))
		return 0;
	while (queued < want && !READ_ONCE(bd->dying) && !READ_ONCE(bd->broken)) {
		nr = balloon_deflate_at_oom(bd, want - queued);
		if (!nr)
			break;
		queued += nr;
	}
	mutex_unlock(&bd->balloon_lock);
	if (!queued)
		return 0;

	trace_deflate(bd, queued);
	balloon_event(bd);
	if (bd->must_tell_host)
		wait_event_timeout(bd->wait, !balloon_leaving(bd) ||
				   READ_ONCE(bd->dying) || READ_ONCE(bd->broken),
				   BALLOON_LOOK_AGAIN);
	return queued;
}

/**
 * balloon_want_isolated - be told of each isolated page that comes back
 * @bd: the balloon
 *
 * Context: the kthread or teardown, takes pages_lock.
 * Return: guest pages that are isolated, those on trial included. Each that comes
 * back is an event.
 */
unsigned long balloon_want_isolated(struct balloon_device *bd)
{
	struct balloon_mapping *trial = &bd->trial.bm;
	unsigned long nr;

	spin_lock(&bd->ledger.bm.pages_lock);
	nr = bd->ledger.bm.nr_isolated;
	bd->ledger.wants_isolated = nr;
	spin_unlock(&bd->ledger.bm.pages_lock);

	spin_lock(&trial->pages_lock);
	nr += trial->nr_isolated;
	bd->trial.wants_isolated = trial->nr_isolated;
	spin_unlock(&trial->pages_lock);
	return nr;
}

/*
 * Isolated pages come back when their isolator is done, which may include
 * waiting for other pages' I/O: there is no bound to set, but each is an event.
 */
static void balloon_wait_isolated(struct balloon_device *bd)
{
	unsigned long nr;
	bool told = false;
	int seen;

	for (;;) {
		seen = atomic_read(&bd->events);
		nr = balloon_want_isolated(bd);
		if (!nr)
			return;
		if (!wait_event_timeout(bd->wait,
					atomic_read(&bd->events) != seen,
					10 * HZ) && !told) {
			dev_info(&bd->vdev->dev,
				 "waiting for %lu pages that mm has isolated\n",
				 nr);
			told = true;
		}
	}
}

/*
 * One step of balloon_drain(). Returns -EAGAIN while there is more to do, and -EBUSY
 * if that has to be waited for, @look_in jiffies at most.
 */
static int balloon_drain_step(struct balloon_device *bd, long *look_in)
{
	unsigned long size = balloon_size(bd), given = 0;
	bool busy;
	int err;

	if (size) {
		err = balloon_deflate(bd, size, &given);
		if (given || err == -EIO)
			return err ?: -EAGAIN;
	}

	mutex_lock(&bd->balloon_lock);
	err = balloon_queues_advance(bd);
	busy = balloon_queues_busy(bd);
	*look_in = balloon_queues_look_in(bd);
	balloon_queues_unlock(bd);
	if (err)
		return err;
	return size || busy ? -EBUSY : 0;
}

/* Deflates all, as long as the host answers. */
static void balloon_drain(struct balloon_device *bd)
{
	unsigned long acked = READ_ONCE(bd->queues.nr_acked), now_acked;
	struct balloon_patience patience;
	long look_in;
	int err, seen;

	balloon_patience_begin(&patience);
	for (;;) {
		seen = atomic_read(&bd->events);
		err = balloon_drain_step(bd, &look_in);
		cond_resched();
		if (err == -EAGAIN)
			continue;
		if (err != -EBUSY)
			return;

		now_acked = READ_ONCE(bd->queues.nr_acked);
		if (acked != now_acked) {
			acked = now_acked;
			balloon_patience_begin(&patience);
		}
		if (balloon_patience_ends(&patience)) {
			dev_warn(&bd->vdev->dev,
				 "the host does not answer, resetting the device\n");
			return;
		}

		if (balloon_queues_may_sleep(bd))
			wait_event_timeout(bd->wait,
					   atomic_read(&bd->events) != seen,
					   look_in);
	}
}

/**
 * balloon_release_resident - give resident pages back when there is nobody to tell
 * @bd: the balloon, its device reset, its mapping closed
 *
 * Pages that mm has isolated are not among them.
 *
 * Context: the kthread, or teardown after it; takes page locks and pages_lock.
 */
void balloon_release_resident(struct balloon_device *bd)
{
	struct balloon_batch *batch;

	if (!READ_ONCE(bd->ledger.bm.nr_resident))
		return;
	batch = balloon_batch_get(bd, 0);
	if (WARN_ON_ONCE(!batch))
		return;
	batch->queue = &bd->queues.deflate;
	do {
		batch->nr_numbers = 0;
		balloon_batch_take(bd, batch, balloon_batch_room(batch));
		balloon_batch_release(bd, batch);
		cond_resched();
	} while (READ_ONCE(bd->ledger.bm.nr_resident));
	balloon_batch_put(bd, batch);
}

/**
 * balloon_give_back - tell the host that the guest takes every page back
 * @bd: the balloon, dying
 *
 * As far as the host answers. What is left is released after a reset.
 *
 * Context: remove or freeze, after the kthread has stopped or is frozen.
 */
void balloon_give_back(struct balloon_device *bd)
{
	/* Closed already, but where probe unwinds. */
	balloon_mapping_close(&bd->ledger.bm);
	balloon_mapping_close(&bd->trial.bm);
	balloon_wait_isolated(bd);
	balloon_trial_end(bd);
	if (READ_ONCE(bd->broken))
		return;

	balloon_queues_discard_inflates(bd);
	balloon_drain(bd);
	balloon_report(bd, 0);
}
