// SPDX-License-Identifier: GPL-2.0
/*
 * Inflate and deflate, a message at a time.
 *
 * ledger.h has the states of a page, virtio_balloon.h the locks.
 */

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/vmstat.h>
#include <kunit/static_stub.h>

#include "batch.h"
#include "blocks.h"
#include "guest.h"
#include "ledger.h"
#include "pages.h"
#include "queue.h"
#include "settle.h"
#include "trace.h"
#include "trial.h"
#include "virtio_balloon.h"

/* Should a batch that is being filled be posted as it is? */
static bool balloon_interrupted(struct balloon_device *bd)
{
	return test_bit(BALLOON_CONFIG_CHANGED, &bd->flags) ||
	       balloon_is_dying(bd) ||
	       test_bit(BALLOON_GAVE_AT_OOM, &bd->flags);
}

/*
 * Blocks are cheap to take. But if little memory is free in one piece, the guest needs
 * it for page tables and stacks, which are no single pages. The page allocator serves
 * single pages from memory that is in pieces already.
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

	while (batch->nr_pages < nr && !balloon_interrupted(bd)) {
		order = min_t(unsigned int, largest,
			      ilog2(nr - batch->nr_pages));
		page = balloon_trial_next(bd);
		/* mm has isolated the rest: no untried page takes its place. */
		if (!page && bd->trial.nr_passed)
			return;
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

/* Returns false if there is no unmovable page. */
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
 * The canary is a message of the large size that risks a single page. It is sent only
 * for a large balloon, and while it is unknown whether the device takes such messages.
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
 * @bd: the balloon; pages that have passed their trial go first, others come from
 *      the node that balloon_take_from() was told
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

	KUNIT_STATIC_STUB_REDIRECT(balloon_inflate, bd, want, got);

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
	balloon_counts_unlock(&bd->ledger);
	count_vm_events(BALLOON_INFLATE, nr);

	mutex_lock(&bd->balloon_lock);
	if (canary)
		WRITE_ONCE(bd->pool.canary, BALLOON_CANARY_SENT);
	balloon_queue_add(bd, &bd->queues.inflate, batch);
	if (balloon_advance(bd))
		err = -EIO;
	balloon_queues_unlock(bd);

	*got = nr;
	trace_inflate(bd, nr);
	return err;
}

/**
 * balloon_batch_taken - name the pages of a deflate, and count them
 * @bd: the balloon
 * @batch: an empty batch; its pages are LEAVING
 * @nr: how many pages were put into it
 *
 * Context: process, the batch is the caller's own.
 */
void balloon_batch_taken(struct balloon_device *bd,
			 struct balloon_batch *batch, unsigned int nr)
{
	batch->nr_pages = nr;
	balloon_batch_name(bd, batch, batch->pages, nr);
	count_vm_events(BALLOON_DEFLATE, nr);
}

/**
 * balloon_batch_take - take resident pages for a deflate
 * @bd: the balloon
 * @batch: an empty batch
 * @max: how many pages at most
 *
 * The pages are LEAVING from here on, and named in the batch. If no page's lock is
 * free, waits for the lock of one.
 *
 * Context: the kthread or teardown; takes pages_lock, may wait for a page lock.
 */
void balloon_batch_take(struct balloon_device *bd,
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
	balloon_counts_unlock(&bd->ledger);
	balloon_batch_taken(bd, batch, nr);
}

/**
 * balloon_deflate_batch - queue a deflate, and release its pages if that may be
 * @bd: the balloon
 * @batch: pages that are LEAVING
 *
 * Queue first: an inflate that names one of the pages comes after this deflate.
 *
 * Context: balloon_lock held, takes pages_lock.
 */
void balloon_deflate_batch(struct balloon_device *bd,
			   struct balloon_batch *batch)
	__must_hold(&bd->balloon_lock)
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

	KUNIT_STATIC_STUB_REDIRECT(balloon_deflate, bd, want, given);

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
	balloon_deflate_batch(bd, batch);
	err = balloon_advance(bd);
	balloon_queues_unlock(bd);

	*given = nr;
	trace_deflate(bd, nr);
	return err;
}
