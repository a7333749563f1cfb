// SPDX-License-Identifier: GPL-2.0
/*
 * The states of the balloon's pages, and how many pages each of them has.
 *
 * ledger.h explains the states. Every change of state or of a count is made under
 * pages_lock, and balloon_counts_unlock() checks that the counts add up.
 */

#include <linux/mm.h>

#include "ledger.h"
#include "virtio_balloon.h"

/**
 * balloon_counts_add_up - do the page states account for every reference?
 * @ledger: the ledger
 *
 * Context: pages_lock held.
 */
bool balloon_counts_add_up(struct balloon_ledger *ledger)
	__must_hold(&ledger->bm.pages_lock)
{
	unsigned long sum = ledger->bm.nr_resident + ledger->bm.nr_isolated;
	unsigned int state;

	lockdep_assert_held(&ledger->bm.pages_lock);
	for (state = 0; state < BALLOON_PAGE_STATES; state++)
		sum += ledger->nr_pages[state];
	return sum == ledger->nr_refs;
}

/**
 * balloon_counts_unlock - drop pages_lock after pages have changed their state
 * @ledger: the ledger
 *
 * Context: pages_lock held, and dropped.
 */
void balloon_counts_unlock(struct balloon_ledger *ledger)
	__releases(&ledger->bm.pages_lock)
{
	VM_WARN_ON_ONCE(!balloon_counts_add_up(ledger));
	spin_unlock(&ledger->bm.pages_lock);
}

static unsigned long balloon_read(struct balloon_ledger *ledger,
				  const unsigned long *count)
{
	unsigned long value;

	spin_lock(&ledger->bm.pages_lock);
	value = *count;
	spin_unlock(&ledger->bm.pages_lock);
	return value;
}

static unsigned long __balloon_size(struct balloon_ledger *ledger)
{
	return ledger->nr_refs - ledger->nr_pages[BALLOON_PAGE_LEAVING] -
	       ledger->nr_canary;
}

/**
 * balloon_size - how large the balloon is, to be compared with the target
 * @ledger: the ledger
 *
 * Every page that was taken and is not leaving. A page that only the canary
 * names counts once the canary is acknowledged: the host may never acknowledge it.
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_size(struct balloon_ledger *ledger)
{
	unsigned long size;

	spin_lock(&ledger->bm.pages_lock);
	size = __balloon_size(ledger);
	spin_unlock(&ledger->bm.pages_lock);
	return size;
}

/**
 * balloon_actual - what the host may count on (virtio 1.2, 5.5.6: actual)
 * @ledger: the ledger
 *
 * The balloon's size less what inflation took and the host has not confirmed.
 * A page that replaces a migrated one counts in place of the old page from the
 * start. Compaction alone does not change the number.
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_actual(struct balloon_ledger *ledger)
{
	unsigned long actual;

	spin_lock(&ledger->bm.pages_lock);
	actual = __balloon_size(ledger) - ledger->nr_unconfirmed;
	spin_unlock(&ledger->bm.pages_lock);
	return actual;
}

/**
 * balloon_leaving - pages on their way back to the guest
 * @ledger: the ledger
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_leaving(struct balloon_ledger *ledger)
{
	return balloon_read(ledger, &ledger->nr_pages[BALLOON_PAGE_LEAVING]);
}

/**
 * balloon_counts_posted - PRIVATE pages are IN_FLIGHT from here on
 * @ledger: the ledger
 * @nr: guest pages
 *
 * Context: balloon_lock held, takes pages_lock.
 */
void balloon_counts_posted(struct balloon_ledger *ledger, unsigned int nr)
{
	spin_lock(&ledger->bm.pages_lock);
	ledger->nr_pages[BALLOON_PAGE_PRIVATE] -= nr;
	ledger->nr_pages[BALLOON_PAGE_IN_FLIGHT] += nr;
	balloon_counts_unlock(ledger);
}

/**
 * balloon_size_roughly - the balloon's size without the lock, for display
 * @ledger: the ledger
 *
 * Context: any.
 * Return: guest pages, off by what moves meanwhile.
 */
unsigned long balloon_size_roughly(struct balloon_ledger *ledger)
{
	/* For display: it may be off by what moves meanwhile. */
	return data_race(ledger->nr_refs -
			 ledger->nr_pages[BALLOON_PAGE_LEAVING]);
}

/**
 * balloon_refs - references that the balloon holds on pages
 * @ledger: the ledger
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_refs(struct balloon_ledger *ledger)
{
	return balloon_read(ledger, &ledger->nr_refs);
}

/**
 * balloon_released - pages that have gone back to the guest so far
 * @ledger: the ledger
 *
 * Context: process, takes pages_lock.
 * Return: guest pages; wraps around.
 */
unsigned long balloon_released(struct balloon_ledger *ledger)
{
	return balloon_read(ledger, &ledger->nr_released);
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
