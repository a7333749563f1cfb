/* SPDX-License-Identifier: GPL-2.0 */
/* Blocks of free memory that are hinted to the host. */
#ifndef _DRIVERS_VIRTIO_BALLOON_HINTS_H
#define _DRIVERS_VIRTIO_BALLOON_HINTS_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/spinlock.h>

struct balloon_device;
struct shrinker;

/**
 * struct balloon_hints - hinted blocks
 * @shrinker: gives acknowledged blocks back when the guest needs them
 * @offline_start: first page frame number of memory that goes offline; lockless
 * @nr_offline: guest pages that go offline, or 0; lockless
 * @lock: protects the members below; taken in process context; innermost
 * @blocks: blocks that the host has acknowledged, linked by page->lru;
 *          page->private is a block's order
 * @in_flight: blocks that the host has not acknowledged, or that the driver is
 *             about to post
 * @nr_lent: guest pages on @blocks
 * @nr_out: guest pages on @blocks and on @in_flight
 * @nr_released: guest pages that have gone back so far; also read without the
 *               lock
 */
struct balloon_hints {
	struct shrinker *shrinker;
	unsigned long offline_start;
	unsigned long nr_offline;

	spinlock_t lock;	/* innermost */
	struct list_head blocks;
	struct list_head in_flight;
	unsigned long nr_lent;
	unsigned long nr_out;
	unsigned long nr_released;
};

static inline unsigned int balloon_hint_order(const struct page *block)
{
	return page_private(block);
}

void balloon_hints_init(struct balloon_hints *hints);
int balloon_hints_start(struct balloon_hints *hints);
void balloon_hints_stop(struct balloon_hints *hints);
struct page *balloon_hints_alloc(struct balloon_device *bd);
void balloon_hints_acked(struct balloon_hints *hints, struct page *block);
void balloon_hints_drop(struct balloon_hints *hints, struct page *block);
unsigned long balloon_hints_give(struct balloon_hints *hints,
				 unsigned long want);
unsigned long balloon_hints_lent(const struct balloon_hints *hints);
void balloon_hints_recall(struct balloon_device *bd, unsigned long start,
			  unsigned long nr);
void balloon_hints_recall_ends(struct balloon_hints *hints);

#endif /* _DRIVERS_VIRTIO_BALLOON_HINTS_H */
