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

/**
 * balloon_counts_unlock - drop pages_lock after pages have changed their state
 * @bd: the balloon
 *
 * Context: pages_lock held, and dropped.
 */
void balloon_counts_unlock(struct balloon_device *bd)
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
 * names counts once the canary is acknowledged: the host may never acknowledge it.
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
 * A page that replaces a migrated one counts in place of the old page from the
 * start. Compaction alone does not change the number.
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
 * balloon_leaving - pages on their way back to the guest
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
 * balloon_counts_posted - PRIVATE pages are IN_FLIGHT from here on
 * @bd: the balloon
 * @nr: guest pages
 *
 * Context: balloon_lock held, takes pages_lock.
 */
void balloon_counts_posted(struct balloon_device *bd, unsigned int nr)
{
	spin_lock(&bd->ledger.bm.pages_lock);
	bd->ledger.nr_pages[BALLOON_PAGE_PRIVATE] -= nr;
	bd->ledger.nr_pages[BALLOON_PAGE_IN_FLIGHT] += nr;
	balloon_counts_unlock(bd);
}

/**
 * balloon_size_roughly - the balloon's size without the lock, for display
 * @bd: the balloon
 *
 * Context: any.
 * Return: guest pages, off by what moves meanwhile.
 */
unsigned long balloon_size_roughly(struct balloon_device *bd)
{
	return data_race(bd->ledger.nr_refs -
			 bd->ledger.nr_pages[BALLOON_PAGE_LEAVING]);
}

/**
 * balloon_refs - references that the balloon holds on pages
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_refs(struct balloon_device *bd)
{
	unsigned long refs;

	spin_lock(&bd->ledger.bm.pages_lock);
	refs = bd->ledger.nr_refs;
	spin_unlock(&bd->ledger.bm.pages_lock);
	return refs;
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
