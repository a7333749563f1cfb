// SPDX-License-Identifier: GPL-2.0
/*
 * Blocks of free memory that the driver hints to the host (hinting.c). The
 * driver allocates a block and holds it until the host is done, or until the
 * guest needs the block.
 *
 * A block is in flight until the host acknowledges it. The driver never frees a
 * block in flight: a late hint would discard the data of the next owner. An
 * acknowledged block is lent. The shrinker, the out-of-memory notifier, the
 * hinting work and the kthread give lent blocks back.
 *
 * mm cannot move a hinted block. So the driver takes none from CMA areas, which
 * mm keeps for movable pages. The driver does take blocks of ZONE_MOVABLE,
 * because a guest may have little other memory. It frees them when that memory
 * goes offline.
 */

#include <linux/mm.h>
#include <linux/pageblock-flags.h>
#include <linux/shrinker.h>

#include "guest.h"
#include "hints.h"
#include "virtio_balloon.h"

/* mm allocates no block of this memory after MEM_GOING_OFFLINE. */
static bool balloon_hint_goes_offline(const struct balloon_hints *hints,
				      const struct page *block)
{
	return page_to_pfn(block) - READ_ONCE(hints->offline_start) <
	       READ_ONCE(hints->nr_offline);
}

/*
 * mm refuses to take memory with an unmovable page offline, and notifies no
 * driver. PG_offline pages are an exception: mm notifies their owner, which
 * must then free them.
 */
static void balloon_hint_mark(struct balloon_hints *hints,
			      struct page *block)
{
	unsigned int i, order = balloon_hint_order(block);

	for (i = 0; i < 1U << order; i++)
		__folio_set_offline(page_folio(block + i));
	spin_lock(&hints->lock);
	list_add_tail(&block->lru, &hints->in_flight);
	WRITE_ONCE(hints->nr_out, hints->nr_out + (1UL << order));
	spin_unlock(&hints->lock);
}

/* Frees a block that is on no list any more. */
static void balloon_hint_free(struct balloon_hints *hints,
			      struct page *block)
{
	unsigned int i, order = balloon_hint_order(block);

	spin_lock(&hints->lock);
	WRITE_ONCE(hints->nr_out, hints->nr_out - (1UL << order));
	spin_unlock(&hints->lock);
	for (i = 0; i < 1U << order; i++)
		__folio_clear_offline(page_folio(block + i));
	set_page_private(block, 0);
	__free_pages(block, order);

	/* After the block is free, see balloon_came_back(). */
	spin_lock(&hints->lock);
	WRITE_ONCE(hints->nr_released, hints->nr_released + (1UL << order));
	spin_unlock(&hints->lock);
}

/**
 * balloon_hints_drop - free a block that the host will not acknowledge
 * @hints: the hinted blocks
 * @block: the block, in flight, or not given to the host
 *
 * Context: process.
 */
void balloon_hints_drop(struct balloon_hints *hints, struct page *block)
{
	spin_lock(&hints->lock);
	list_del_init(&block->lru);
	spin_unlock(&hints->lock);
	balloon_hint_free(hints, block);
}

/* The shrinker reads ->nr_lent without the lock. */
static void balloon_hints_account(struct balloon_hints *hints, long nr)
{
	lockdep_assert_held(&hints->lock);
	WRITE_ONCE(hints->nr_lent, hints->nr_lent + nr);
}

/**
 * balloon_hints_give - free acknowledged blocks because the guest needs memory
 * @hints: the hinted blocks
 * @want: guest pages
 *
 * Context: process, also the out-of-memory notifier. Allocates nothing.
 * Return: guest pages freed; less than one block above @want.
 */
unsigned long balloon_hints_give(struct balloon_hints *hints,
				 unsigned long want)
{
	unsigned long given = 0;
	struct page *block;
	long nr;

	while (given < want) {
		spin_lock(&hints->lock);
		block = list_first_entry_or_null(&hints->blocks, struct page,
						 lru);
		if (block) {
			list_del(&block->lru);
			nr = 1L << balloon_hint_order(block);
			balloon_hints_account(hints, -nr);
		}
		spin_unlock(&hints->lock);
		if (!block)
			break;
		given += nr;
		balloon_hint_free(hints, block);
	}
	return given;
}

/**
 * balloon_hints_acked - the host has acknowledged a block
 * @hints: the hinted blocks
 * @block: the block
 *
 * The block is lent from here on. If its memory goes offline, the driver frees
 * the block at once.
 *
 * Context: process.
 */
void balloon_hints_acked(struct balloon_hints *hints, struct page *block)
{
	bool keep;

	spin_lock(&hints->lock);
	keep = !balloon_hint_goes_offline(hints, block);
	list_del_init(&block->lru);
	if (keep) {
		list_add_tail(&block->lru, &hints->blocks);
		balloon_hints_account(hints, 1L << balloon_hint_order(block));
	}
	spin_unlock(&hints->lock);
	if (!keep)
		balloon_hint_free(hints, block);
}

/* Is a block in flight whose memory goes offline? */
static bool balloon_hints_stay_offline(struct balloon_hints *hints)
{
	struct page *block;
	bool stay = false;

	spin_lock(&hints->lock);
	list_for_each_entry(block, &hints->in_flight, lru)
		stay |= balloon_hint_goes_offline(hints, block);
	spin_unlock(&hints->lock);
	return stay;
}

/**
 * balloon_hints_recall - give back blocks in memory that goes offline
 * @bd: the balloon
 * @start: first page frame number of the memory
 * @nr: how many guest pages go offline, not 0
 *
 * The driver frees a block in flight once the host acknowledges it. This
 * function waits for these blocks, up to BALLOON_LOOK_AGAIN: mm does not ask
 * again.
 *
 * Context: process; sleeps.
 */
void balloon_hints_recall(struct balloon_device *bd, unsigned long start,
			  unsigned long nr)
{
	struct balloon_hints *hints = &bd->hints;
	struct page *block, *next;
	LIST_HEAD(recalled);

	WRITE_ONCE(hints->offline_start, start);
	WRITE_ONCE(hints->nr_offline, nr);

	spin_lock(&hints->lock);
	list_for_each_entry_safe(block, next, &hints->blocks, lru) {
		if (!balloon_hint_goes_offline(hints, block))
			continue;
		list_move(&block->lru, &recalled);
		balloon_hints_account(hints,
				      -(1L << balloon_hint_order(block)));
	}
	spin_unlock(&hints->lock);

	list_for_each_entry_safe(block, next, &recalled, lru)
		balloon_hint_free(hints, block);

	wait_event_timeout(bd->wait, !balloon_hints_stay_offline(hints),
			   BALLOON_LOOK_AGAIN);
}

/**
 * balloon_hints_recall_ends - no memory is going offline any more
 * @hints: the hinted blocks
 *
 * Context: any.
 */
void balloon_hints_recall_ends(struct balloon_hints *hints)
{
	WRITE_ONCE(hints->nr_offline, 0);
}

/**
 * balloon_hints_lent - memory in lent blocks and in blocks in flight
 * @hints: the hinted blocks
 *
 * Context: any.
 * Return: guest pages.
 */
unsigned long balloon_hints_lent(const struct balloon_hints *hints)
{
	return READ_ONCE(hints->nr_out);
}

static struct page *balloon_hint_alloc_from(int nid, gfp_t gfp)
{
	int order = MAX_PAGE_ORDER;
	struct page *block = NULL;

	for (; !block && order >= (int)pageblock_order; order--) {
		block = alloc_pages_node(nid, gfp, order);
		if (block)
			set_page_private(block, order);
	}
	return block;
}

/*
 * Outside of ZONE_MOVABLE, mm may serve __GFP_MOVABLE from a CMA area. A zone
 * below its high watermark makes kswapd run, which takes blocks back.
 */
static bool balloon_hint_is_fair(struct page *block, gfp_t gfp)
{
	if (gfp & __GFP_MOVABLE && page_zonenum(block) != ZONE_MOVABLE)
		return false;
	return balloon_zone_spare(page_zone(block), WMARK_HIGH);
}

/* Looks before the allocation, which may zero a block only to free it again. */
static bool balloon_hint_would_be_fair(int nid, gfp_t gfp)
{
	struct zone *zone = &NODE_DATA(nid)->node_zones[gfp_zone(gfp)];

	return populated_zone(zone) &&
	       balloon_zone_spare(zone, WMARK_HIGH) > pageblock_nr_pages;
}

/* mm falls back to the next lower zone if a zone is at its low watermark. */
static struct page *balloon_hint_alloc_fairly(gfp_t gfp)
{
	static const gfp_t zones[] = {
		__GFP_HIGHMEM, __GFP_DMA32, __GFP_HIGHMEM | __GFP_MOVABLE,
	};
	struct page *block;
	unsigned int i;
	int nid;

	for_each_online_node(nid) {
		for (i = 0; i < ARRAY_SIZE(zones); i++) {
			if (!balloon_hint_would_be_fair(nid, zones[i]))
				continue;
			block = balloon_hint_alloc_from(nid, gfp | zones[i]);
			if (!block)
				continue;
			if (balloon_hint_is_fair(block, zones[i]))
				return block;
			__free_pages(block, balloon_hint_order(block));
		}
	}
	return NULL;
}

/* Only free memory counts, not reclaimable memory: a hint reclaims nothing. */
static bool balloon_can_hint(struct balloon_device *bd)
{
	return balloon_affordable(bd) &&
	       balloon_spare(bd, WMARK_HIGH) > balloon_floor(bd);
}

/**
 * balloon_hints_alloc - allocate a block to hint, if the guest can spare one
 * @bd: the balloon
 *
 * Context: process, no lock held.
 * Return: the block, in flight from here on, or NULL.
 */
struct page *balloon_hints_alloc(struct balloon_device *bd)
{
	gfp_t gfp = (GFP_USER & ~__GFP_RECLAIM) | __GFP_NOWARN | __GFP_NORETRY |
		    __GFP_NOMEMALLOC | __GFP_SKIP_ZERO | __GFP_THISNODE;
	struct page *block;

	if (!balloon_can_hint(bd))
		return NULL;
	block = balloon_hint_alloc_fairly(gfp);
	if (block)
		balloon_hint_mark(&bd->hints, block);
	return block;
}

static unsigned long balloon_hints_count(struct shrinker *shrinker,
					 struct shrink_control *sc)
{
	struct balloon_hints *hints = shrinker->private_data;

	return READ_ONCE(hints->nr_lent);
}

static unsigned long balloon_hints_scan(struct shrinker *shrinker,
					struct shrink_control *sc)
{
	struct balloon_hints *hints = shrinker->private_data;
	unsigned long given = balloon_hints_give(hints, sc->nr_to_scan);

	return given ?: SHRINK_STOP;
}

/**
 * balloon_hints_init - no block is hinted
 * @hints: the hinted blocks
 *
 * Context: probe.
 */
void balloon_hints_init(struct balloon_hints *hints)
{
	spin_lock_init(&hints->lock);
	INIT_LIST_HEAD(&hints->blocks);
	INIT_LIST_HEAD(&hints->in_flight);
}

/**
 * balloon_hints_start - register the shrinker, which gives lent blocks back
 * @hints: the hinted blocks
 *
 * Context: probe, restore, or the kthread.
 * Return: 0 or -ENOMEM.
 */
int balloon_hints_start(struct balloon_hints *hints)
{
	struct shrinker *shrinker = shrinker_alloc(0, "virtio-balloon-hints");

	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = balloon_hints_count;
	shrinker->scan_objects = balloon_hints_scan;
	shrinker->private_data = hints;
	hints->shrinker = shrinker;
	shrinker_register(shrinker);
	return 0;
}

/**
 * balloon_hints_stop - wait for a running shrinker and free it
 * @hints: the hinted blocks, after balloon_hints_start() has succeeded
 *
 * Context: remove, freeze, or the kthread; sleeps.
 */
void balloon_hints_stop(struct balloon_hints *hints)
{
	shrinker_free(hints->shrinker);
	hints->shrinker = NULL;
}
