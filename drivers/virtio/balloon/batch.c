// SPDX-License-Identifier: GPL-2.0
/*
 * Batches: messages of page frame numbers (virtio 1.2, 5.5.6.1), and the pool
 * that they come from.
 */

#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <kunit/static_stub.h>

#include "batch.h"
#include "virtio_balloon.h"

/**
 * balloon_batches_alloc - allocate the device's batches
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0 or -ENOMEM; balloon_batches_free() cleans up after both.
 */
int balloon_batches_alloc(struct balloon_device *bd)
{
	struct balloon_batch *batch;
	unsigned int i;

	KUNIT_STATIC_STUB_REDIRECT(balloon_batches_alloc, bd);
	BUILD_BUG_ON(BALLOON_PER_GUEST_PAGE > BALLOON_SMALL_MESSAGE);

	INIT_LIST_HEAD(&bd->pool.free);
	bd->pool.batches = kcalloc(BALLOON_BATCHES, sizeof(*bd->pool.batches),
				   GFP_KERNEL);
	if (!bd->pool.batches)
		return -ENOMEM;

	for (i = 0; i < BALLOON_BATCHES; i++) {
		batch = &bd->pool.batches[i];
		batch->numbers = kcalloc(BALLOON_LARGE_MESSAGE,
					 sizeof(*batch->numbers), GFP_KERNEL);
		batch->pages = kcalloc(BALLOON_LARGE_MESSAGE /
				       BALLOON_PER_GUEST_PAGE,
				       sizeof(*batch->pages), GFP_KERNEL);
		if (!batch->numbers || !batch->pages)
			return -ENOMEM;
		list_add_tail(&batch->node, &bd->pool.free);
		bd->pool.nr_free++;
	}
	return 0;
}

/**
 * balloon_batches_free - free all batches; none may be in use
 * @pool: the pool
 *
 * Context: process.
 */
void balloon_batches_free(struct balloon_pool *pool)
{
	unsigned int i;

	if (!pool->batches)
		return;
	for (i = 0; i < BALLOON_BATCHES; i++) {
		kfree(pool->batches[i].numbers);
		kfree(pool->batches[i].pages);
	}
	kfree(pool->batches);
	pool->batches = NULL;
}

/**
 * __balloon_batch_get - get an empty batch, pages_lock held
 * @bd: the balloon
 * @reserve: as for balloon_batch_get()
 *
 * Context: pages_lock held.
 * Return: as balloon_batch_get().
 */
struct balloon_batch *__balloon_batch_get(struct balloon_device *bd,
					  unsigned int reserve)
	__must_hold(&bd->ledger.bm.pages_lock)
{
	struct balloon_batch *batch;

	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	if (bd->pool.nr_free <= reserve)
		return NULL;

	batch = list_first_entry(&bd->pool.free, struct balloon_batch, node);
	list_del_init(&batch->node);
	bd->pool.nr_free--;

	batch->limit = READ_ONCE(bd->pool.canary) == BALLOON_CANARY_ACKED ?
		       BALLOON_LARGE_MESSAGE : BALLOON_SMALL_MESSAGE;
	batch->nr_numbers = 0;
	batch->nr_pages = 0;
	batch->posted = false;
	batch->replaces = false;
	batch->canary = false;
	return batch;
}

/**
 * balloon_batch_get - get an empty batch
 * @bd: the balloon
 * @reserve: how many batches must stay free for other users
 *
 * The batch has room for BALLOON_LARGE_MESSAGE numbers once the device has
 * acknowledged the canary, before that for BALLOON_SMALL_MESSAGE.
 *
 * Context: process, takes pages_lock.
 * Return: the batch, or NULL; each acknowledged message frees a batch.
 */
struct balloon_batch *balloon_batch_get(struct balloon_device *bd,
					unsigned int reserve)
{
	struct balloon_batch *batch;

	spin_lock(&bd->ledger.bm.pages_lock);
	batch = __balloon_batch_get(bd, reserve);
	spin_unlock(&bd->ledger.bm.pages_lock);
	return batch;
}

/**
 * __balloon_batch_put - give a batch back, pages_lock held
 * @bd: the balloon
 * @batch: as for balloon_batch_put()
 *
 * Context: pages_lock held.
 */
void __balloon_batch_put(struct balloon_device *bd,
			 struct balloon_batch *batch)
	__must_hold(&bd->ledger.bm.pages_lock)
{
	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	list_add(&batch->node, &bd->pool.free);
	bd->pool.nr_free++;
	WRITE_ONCE(batch->uses, batch->uses + 1);
	WRITE_ONCE(bd->pool.nr_puts, bd->pool.nr_puts + 1);
	if (bd->pool.nr_waiters)
		wake_up(&bd->wait);
}

/**
 * balloon_batch_put - give back a batch that holds no page any more
 * @bd: the balloon
 * @batch: on no list
 *
 * Context: process, takes pages_lock.
 */
void balloon_batch_put(struct balloon_device *bd, struct balloon_batch *batch)
{
	spin_lock(&bd->ledger.bm.pages_lock);
	__balloon_batch_put(bd, batch);
	spin_unlock(&bd->ledger.bm.pages_lock);
}

/**
 * balloon_batch_room - how many more pages a batch can name
 * @batch: a batch that is being filled
 *
 * Context: any; the batch is the caller's own, or open under pages_lock.
 * Return: guest pages.
 */
unsigned int balloon_batch_room(const struct balloon_batch *batch)
{
	return (batch->limit - batch->nr_numbers) / BALLOON_PER_GUEST_PAGE;
}

/* Writes the numbers of guest page @pfn to @to. Returns the end of them. */
static __always_inline __virtio32 *
balloon_write_numbers(__virtio32 *to, bool little, unsigned long pfn)
{
	u32 number = pfn * BALLOON_PER_GUEST_PAGE;
	unsigned int part;

	for (part = 0; part < BALLOON_PER_GUEST_PAGE; part++)
		*to++ = __cpu_to_virtio32(little, number + part);
	return to;
}

/**
 * balloon_batch_name - append the numbers of guest pages
 * @bd: the balloon
 * @batch: a batch with room
 * @pages: the pages
 * @nr: how many pages
 *
 * Context: any; the batch is the caller's own, or open under pages_lock.
 */
void balloon_batch_name(struct balloon_device *bd, struct balloon_batch *batch,
			struct page **pages, unsigned int nr)
{
	__virtio32 *to = batch->numbers + batch->nr_numbers;
	bool little = virtio_is_little_endian(bd->vdev);
	unsigned int i;

	for (i = 0; i < nr; i++)
		to = balloon_write_numbers(to, little, page_to_pfn(pages[i]));
	batch->nr_numbers += nr * BALLOON_PER_GUEST_PAGE;
}

/**
 * balloon_batch_add_block - append the pages of a new block, and their numbers
 * @bd: the balloon
 * @batch: a batch with room
 * @block: the first of 1 << @order single pages
 * @order: the order of the block; page->index of each page keeps it
 *
 * Context: process; the batch is the caller's own.
 */
void balloon_batch_add_block(struct balloon_device *bd,
			     struct balloon_batch *batch, struct page *block,
			     unsigned int order)
{
	__virtio32 *to = batch->numbers + batch->nr_numbers;
	struct page **pages = batch->pages + batch->nr_pages;
	bool little = virtio_is_little_endian(bd->vdev);
	unsigned long pfn = page_to_pfn(block);
	unsigned int i, nr = 1U << order;

	for (i = 0; i < nr; i++) {
		block[i].index = order;
		pages[i] = block + i;
		to = balloon_write_numbers(to, little, pfn + i);
	}
	batch->nr_pages += nr;
	batch->nr_numbers += nr * BALLOON_PER_GUEST_PAGE;
}
