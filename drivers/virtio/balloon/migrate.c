// SPDX-License-Identifier: GPL-2.0
/*
 * The hooks through which mm moves the balloon's pages.
 *
 * mm/migrate.c calls them with the page locked and keeps an isolated page on a
 * list of its own (page->lru), from the moment that it is isolated until it
 * drops its reference: the old page goes on no list of ours, its number goes
 * into a batch. mm drops one reference on each of the two pages, so the
 * balloon takes one on the new page and decides itself about its own on the
 * old one.
 *
 * Nothing waits here, not for the host, not for balloon_lock, unless mm says that
 * its user waits anyway (MIGRATE_SYNC): memory goes offline, is allocated in one
 * piece, or is compacted on request. Where no batch is to be had mm is told to
 * come again, and does so at once, ten times, and then leaves the page where it
 * is. A host that is slower than mm would keep most of them there.
 */

#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmstat.h>

#include "trace.h"
#include "virtio_balloon.h"

static bool balloon_isolate_page(struct address_space *mapping,
				 struct page *page)
{
	struct balloon_device *bd = to_balloon_device(mapping);
	bool isolated;

	spin_lock(&bd->bm.pages_lock);
	isolated = balloon_mapping_isolate(&bd->bm, page);
	if (isolated)
		balloon_device_get(bd);
	spin_unlock(&bd->bm.pages_lock);
	return isolated;
}

static void balloon_putback_page(struct address_space *mapping,
				 struct page *page)
{
	struct balloon_device *bd = to_balloon_device(mapping);
	bool wanted;

	spin_lock(&bd->bm.pages_lock);
	balloon_mapping_putback(&bd->bm, page);
	wanted = bd->wants_isolated;
	spin_unlock(&bd->bm.pages_lock);

	if (wanted)
		balloon_event(bd);
	balloon_device_put(bd);
}

/*
 * Where the old page waits for its acknowledgment, its memory comes back to
 * the guest when it is released.
 */
static void balloon_replace_managed(struct balloon_device *bd,
				    struct page *new, struct page *old)
{
	if (!bd->must_tell_host && page_zone(new) == page_zone(old))
		return;
	balloon_adjust_managed(bd, new, -1);
	if (!bd->must_tell_host)
		balloon_adjust_managed(bd, old, 1);
}

/*
 * The balloon's reference moves from @old to @new. With MUST_TELL_HOST the one
 * on @old is kept until the deflate is acknowledged (virtio 1.2, 5.5.6.1).
 *
 * Returns whether the kthread has to know.
 */
static bool balloon_replace(struct balloon_device *bd, struct page *new,
			    struct page *old)
{
	struct balloon_batch *inflate = bd->inflate.open;
	struct balloon_batch *deflate = bd->deflate.open;
	bool first = !inflate->nr_pages || !deflate->nr_numbers;

	lockdep_assert_held(&bd->bm.pages_lock);
	get_page(new);
	balloon_mapping_forget(&bd->bm, old);
	bd->nr_pages[BALLOON_PAGE_PRIVATE]++;
	if (bd->must_tell_host) {
		bd->nr_pages[BALLOON_PAGE_LEAVING]++;
		bd->nr_held++;
	}
	VM_WARN_ON_ONCE(!balloon_counts_add_up(bd));

	new->index = 0;
	inflate->replaces = true;
	inflate->pages[inflate->nr_pages++] = new;
	balloon_batch_name(bd, inflate, &new, 1);
	balloon_batch_name(bd, deflate, &old, 1);
	if (bd->must_tell_host)
		deflate->pages[deflate->nr_pages++] = old;
	return first || bd->wants_isolated;
}

/* Returns 0 with both batches open, or -EAGAIN if there is no room in one. */
static int balloon_may_replace(struct balloon_device *bd, struct page *new)
{
	lockdep_assert_held(&bd->bm.pages_lock);
	if (READ_ONCE(bd->dying) || READ_ONCE(bd->dead) ||
	    !balloon_page_has_number(new))
		return -EBUSY;
	if (!balloon_queue_open(bd, &bd->inflate) ||
	    !balloon_queue_open(bd, &bd->deflate))
		return -EAGAIN;
	return 0;
}

/* Returns as balloon_may_replace(). */
static int balloon_try_replace(struct balloon_device *bd, struct page *new,
			       struct page *old)
{
	bool wake = false;
	int err;

	spin_lock(&bd->bm.pages_lock);
	err = balloon_may_replace(bd, new);
	if (!err)
		wake = balloon_replace(bd, new, old);
	spin_unlock(&bd->bm.pages_lock);
	if (err)
		return err;

	balloon_replace_managed(bd, new, old);
	if (!bd->must_tell_host)
		put_page(old);
	if (wake)
		balloon_event(bd);
	return 0;
}

/*
 * A wait in vain is the last one until the host acknowledges something, so that
 * a host which is gone delays one page of many.
 */
static bool balloon_may_wait(struct balloon_device *bd, enum migrate_mode mode)
{
	return mode == MIGRATE_SYNC && !signal_pending(current) &&
	       READ_ONCE(bd->waited_in_vain) != READ_ONCE(bd->nr_acked);
}

/* Does the kthread's part of the work too, rather than to wait for it as well. */
static int balloon_replace_waiting(struct balloon_device *bd, struct page *new,
				   struct page *old)
{
	unsigned long end = jiffies + BALLOON_LOOK_AGAIN;
	int err, seen;
	bool armed;

	for (;;) {
		seen = atomic_read(&bd->events);
		if (!balloon_lock_in_time(bd))
			return -EAGAIN;
		balloon_queues_advance(bd);
		err = balloon_try_replace(bd, new, old);
		armed = err != -EAGAIN || balloon_queues_arm(bd);
		if (err == -EAGAIN && time_after(jiffies, end))
			WRITE_ONCE(bd->waited_in_vain, bd->nr_acked);
		balloon_queues_unlock(bd);
		if (err != -EAGAIN) {
			/* The host may have to be told of what was posted. */
			balloon_event(bd);
			return err;
		}
		if (time_after(jiffies, end))
			return err;
		if (armed)
			wait_event_timeout(bd->wait,
					   atomic_read(&bd->events) != seen,
					   BALLOON_LOOK_AGAIN);
	}
}

static int balloon_migrate_folio(struct address_space *mapping,
				 struct folio *dst, struct folio *src,
				 enum migrate_mode mode)
{
	struct balloon_device *bd = to_balloon_device(mapping);
	struct page *new = folio_page(dst, 0), *old = folio_page(src, 0);
	int err = balloon_try_replace(bd, new, old);

	if (err == -EAGAIN && balloon_may_wait(bd, mode))
		err = balloon_replace_waiting(bd, new, old);
	if (err)
		return err;

#ifdef CONFIG_BALLOON_COMPACTION
	count_vm_event(BALLOON_MIGRATE);
#endif
	trace_migrate(bd, 1);
	balloon_device_put(bd);
	return MIGRATEPAGE_SUCCESS;
}

const struct balloon_aops balloon_mapping_ops = {
	.aops.migrate_folio = balloon_migrate_folio,
	.isolate_page = balloon_isolate_page,
	.putback_page = balloon_putback_page,
};
