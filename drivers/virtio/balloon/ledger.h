/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The states of the balloon's pages, and how many pages each of them has.
 *
 * A page's life
 *
 *	free --> PRIVATE --> IN_FLIGHT --> RESIDENT <--> ISOLATED
 *	  ^                                   |              |
 *	  +----------- LEAVING <--------------+--------------+
 *
 *	PRIVATE		taken from the guest, the host has not been told
 *	IN_FLIGHT	named in an inflate message that was posted and is not
 *			acknowledged; never released, never moved: a late
 *			inflate would discard the data of the next owner
 *	RESIDENT	the host has it; on the balloon mapping's list
 *	ISOLATED	the host has it; mm compaction holds it
 *	LEAVING		taken off, not yet given back to the guest; with
 *			MUST_TELL_HOST until its deflate is acknowledged
 *
 * Before PRIVATE, a page that had to be reclaimed may be on trial: it is in a
 * balloon mapping of its own and in no batch, and goes back if the guest refaults
 * (trial.c). The five states, their counts and actual leave such pages out.
 *
 * From PRIVATE on page->index is the order of the block that a page was allocated
 * in, 0 for a page that came alone or replaces a migrated one. Parts of a block
 * that are still whole go back to the guest in as few pieces as possible.
 *
 * A page that replaces a migrated one starts as PRIVATE. RESIDENT and ISOLATED
 * are counted by the balloon mapping, the others here. The five counts add up
 * to the pages that the balloon holds a reference on, those on trial aside, at
 * every moment outside of pages_lock: balloon_counts_add_up().
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_LEDGER_H
#define _DRIVERS_VIRTIO_BALLOON_LEDGER_H

#include <linux/balloon_compaction.h>
#include <linux/types.h>

struct balloon_device;

enum balloon_page_state {
	BALLOON_PAGE_PRIVATE,
	BALLOON_PAGE_IN_FLIGHT,
	BALLOON_PAGE_LEAVING,
	BALLOON_PAGE_STATES,
};

/**
 * struct balloon_ledger - the pages of the balloon, counted by state
 * @bm: the pages that the host has
 *
 * Protected by @bm.pages_lock, in guest pages:
 * @nr_pages: pages in the states that @bm does not count
 * @nr_refs: references that the balloon holds on pages
 * @nr_released: pages that have gone back to the guest so far
 * @nr_unconfirmed: pages that inflation took and the host has not acknowledged
 * @nr_canary: 1 while the canary is not acknowledged, else 0
 * @wants_isolated: the kthread waits for isolated pages to come back
 */
struct balloon_ledger {
	struct balloon_mapping bm;
	unsigned long nr_pages[BALLOON_PAGE_STATES];
	unsigned long nr_refs;
	unsigned long nr_released;
	unsigned long nr_unconfirmed;
	unsigned long nr_canary;
	bool wants_isolated;
};

bool balloon_counts_add_up(struct balloon_ledger *ledger)
	__must_hold(&ledger->bm.pages_lock);
void balloon_counts_unlock(struct balloon_ledger *ledger)
	__releases(&ledger->bm.pages_lock);
void balloon_counts_posted(struct balloon_ledger *ledger, unsigned int nr);
unsigned long balloon_size(struct balloon_ledger *ledger);
unsigned long balloon_size_roughly(struct balloon_ledger *ledger);
unsigned long balloon_actual(struct balloon_ledger *ledger);
unsigned long balloon_refs(struct balloon_ledger *ledger);
unsigned long balloon_released(struct balloon_ledger *ledger);
unsigned long balloon_leaving(struct balloon_ledger *ledger);
void balloon_adjust_managed(struct balloon_device *bd, struct page *page,
			    long nr);

#endif /* _DRIVERS_VIRTIO_BALLOON_LEDGER_H */
