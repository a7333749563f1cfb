// SPDX-License-Identifier: GPL-2.0
/*
 * The end of a batch. The pages of an acknowledged inflate settle: they become
 * RESIDENT. Those of an acknowledged deflate, or of a batch whose device was reset,
 * are released. ledger.h has the rules of each state.
 */

#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/vmstat.h>

#include "batch.h"
#include "blocks.h"
#include "ledger.h"
#include "queue.h"
#include "settle.h"
#include "virtio_balloon.h"

/*
 * The pages of @batch are no longer unconfirmed: the host has acknowledged them, or
 * never will.
 */
static void balloon_batch_confirm(struct balloon_device *bd,
				  struct balloon_batch *batch)
{
	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	if (batch->canary)
		bd->ledger.nr_canary = 0;
	else if (!batch->replaces)
		bd->ledger.nr_unconfirmed -= batch->nr_pages;
}

/*
 * Migration holds the lock of a page that it moves to. Such pages stay in @batch,
 * and move to its start. Returns how many stay.
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

/*
 * The pages of an acknowledged inflate become resident. A replacement whose lock is
 * taken stays in the batch, IN_FLIGHT. The task that holds the lock may have lost
 * its CPU: the caller tries again later.
 *
 * Returns whether the batch holds no page any more.
 */
static bool balloon_batch_settle(struct balloon_device *bd,
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
	balloon_counts_unlock(&bd->ledger);

	batch->nr_pages = locked;
	return !locked;
}

/* Count the pages as the guest's again, zone by zone. */
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
 * Locks each page once that is not LEAVING. Migration holds the lock of a
 * replacement, so its hook has ended before the page is freed. The lock of a LEAVING
 * page was taken when the page left the mapping.
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
	balloon_counts_unlock(&bd->ledger);

	/* balloon_batch_taken() has counted LEAVING pages. */
	if (state != BALLOON_PAGE_LEAVING)
		count_vm_events(BALLOON_DEFLATE, nr);
	balloon_free_pages(batch->pages, nr);
	batch->nr_pages = 0;

	/* After the pages are free, see balloon_came_back(). */
	spin_lock(&bd->ledger.bm.pages_lock);
	bd->ledger.nr_released += nr;
	spin_unlock(&bd->ledger.bm.pages_lock);
}

static void balloon_settle(struct balloon_device *bd, struct list_head *acked)
	__must_hold(&bd->balloon_lock)
{
	struct balloon_batch *batch, *next;

	list_for_each_entry_safe(batch, next, acked, node) {
		list_del_init(&batch->node);
		if (batch->queue == &bd->queues.deflate) {
			balloon_batch_release(bd, batch);
		} else if (!balloon_batch_settle(bd, batch)) {
			list_add_tail(&batch->node, &bd->queues.unsettled);
			continue;
		}
		balloon_batch_put(bd, batch);
	}
	/* The out-of-memory notifier may wait for pages that were just released. */
	if (bd->deflates_on_oom && bd->must_tell_host)
		wake_up(&bd->wait);
}

/**
 * balloon_advance - settle what is acknowledged, post what may be posted
 * @bd: the balloon
 *
 * Context: balloon_lock held, to be dropped with balloon_queues_unlock(); tries
 * page locks, takes pages_lock.
 * Return: 0, or -EIO if the device is broken and no more will be done.
 */
int balloon_advance(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock)
{
	LIST_HEAD(acked);

	lockdep_assert_held(&bd->balloon_lock);
	if (balloon_is_broken(bd))
		return -EIO;
	balloon_queues_reap(bd, &acked);
	balloon_settle(bd, &acked);
	return balloon_queues_post(bd);
}

/**
 * balloon_release_batches - give the pages of batches back, which then are free
 * @bd: the balloon
 * @batches: inflates that will never be acknowledged, or deflates
 *
 * Context: process, balloon_lock not held; takes page locks and pages_lock.
 */
void balloon_release_batches(struct balloon_device *bd,
			     struct list_head *batches)
{
	struct balloon_batch *batch, *next;

	list_for_each_entry_safe(batch, next, batches, node) {
		list_del_init(&batch->node);
		balloon_batch_release(bd, batch);
		balloon_batch_put(bd, batch);
		cond_resched();
	}
}

/**
 * balloon_abandon - give back the pages that a device which was reset still had
 * @bd: the balloon, its device reset, its mapping closed
 *
 * Context: process; takes balloon_lock, pages_lock, and page locks after it.
 */
void balloon_abandon(struct balloon_device *bd)
{
	LIST_HEAD(abandoned);

	balloon_queues_abandon(bd, &abandoned);
	balloon_release_batches(bd, &abandoned);
}
