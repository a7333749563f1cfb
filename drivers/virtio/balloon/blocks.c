// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks of guest pages: allocated and split, joined and freed.
 */

#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/page_ref.h>
#include <linux/pageblock-flags.h>
#include <kunit/static_stub.h>

#include "blocks.h"
#include "virtio_balloon.h"

/**
 * balloon_expect_large_blocks - try the largest blocks again
 * @blocks: where blocks come from
 *
 * The largest is a pageblock, or what one message can name.
 *
 * Context: the kthread, or probe before it.
 */
void balloon_expect_large_blocks(struct balloon_blocks *blocks)
{
	blocks->order =
		min_t(unsigned int, pageblock_order,
		      ilog2(BALLOON_LARGE_MESSAGE / BALLOON_PER_GUEST_PAGE));
}

/**
 * balloon_take_from - take the next pages from a node
 * @blocks: where blocks come from
 * @nid: the node
 *
 * Context: the kthread.
 */
void balloon_take_from(struct balloon_blocks *blocks, int nid)
{
	blocks->nid = nid;
}

/* Reclaim is left to kswapd: the driver competes with no task for it. */
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
 * A block comes from the chosen node, a single page from another one if necessary.
 * The driver itself never reclaims: every stall that the guest counts is another
 * task's.
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
 * A page in flight cannot move, so it is not taken from movable memory.
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
 * Undoes split_page(). It fails if another task holds a reference to one of the
 * pages, or one is poisoned: mm handles poison only in a page that is freed alone.
 */
static bool balloon_join(struct page *block, unsigned int order)
{
	unsigned int i, frozen = 0, nr = 1U << order;
	bool whole;

	/* Allocation profiling accounts for single pages. */
	if (IS_ENABLED(CONFIG_MEM_ALLOC_PROFILING))
		return false;
	while (frozen < nr && page_ref_freeze(block + frozen, 1))
		frozen++;
	/*
	 * memory_failure() sets the flag before it takes a reference. If it
	 * flags a page after this look, the page is freed as part of the block,
	 * and mm takes it off the free list again.
	 */
	whole = frozen == nr;
	for (i = 0; whole && i < nr; i++)
		whole = !PageHWPoison(block + i);
	/* Freeing clears ->mapping of the first page only; clear the rest. */
	for (i = 1; whole && i < nr; i++)
		block[i].mapping = NULL;
	/* Add, not set: soft offlining increments a count of zero. */
	for (i = 0; i < (whole ? 1 : frozen); i++)
		page_ref_inc(block + i);
	return whole;
}

/**
 * balloon_free_run - free pages that were allocated as one block, or a part of it
 * @page: the first
 * @nr: how many
 *
 * Frees them in as few pieces as possible.
 *
 * Context: process.
 */
void balloon_free_run(struct page *page, unsigned int nr)
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

/**
 * balloon_free_pages - free single pages, blocks in as few pieces as possible
 * @pages: the pages, in the order in which they were taken; reordered
 * @nr: how many
 *
 * Blocks go back as they came: mm need not put them together again, and finds them
 * where it keeps large ones.
 *
 * Context: process.
 */
void balloon_free_pages(struct page **pages, unsigned int nr)
{
	unsigned int i, length, singles = 0;
	unsigned long pfn;

	for (i = 0; i < nr; i += length) {
		length = balloon_run_length(pages + i, nr - i);
		pfn = min(page_to_pfn(pages[i]),
			  page_to_pfn(pages[i + length - 1]));
		if (length == 1)
			pages[singles++] = pages[i];
		else
			balloon_free_run(pfn_to_page(pfn), length);
	}
	release_pages(pages, singles);
}
