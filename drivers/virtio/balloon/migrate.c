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
 * Nothing here waits: not for the host, not for balloon_lock. Where a batch or
 * the lock is not to be had, mm is told to come again.
 */

#include <linux/mm.h>
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
 */
static void balloon_replace(struct balloon_device *bd, struct page *new,
			    struct page *old)
{
	struct balloon_batch *inflate = bd->inflate.open;
	struct balloon_batch *deflate = bd->deflate.open;
	bool wake = !inflate->nr_pages || !deflate->nr_numbers;

	get_page(new);
	spin_lock(&bd->bm.pages_lock);
	balloon_mapping_forget(&bd->bm, old);
	bd->nr_pages[BALLOON_PAGE_PRIVATE]++;
	if (bd->must_tell_host) {
		bd->nr_pages[BALLOON_PAGE_LEAVING]++;
		bd->nr_held++;
	}
	VM_WARN_ON_ONCE(!balloon_counts_add_up(bd));
	wake |= bd->wants_isolated;
	spin_unlock(&bd->bm.pages_lock);

	inflate->replaces = true;
	inflate->pages[inflate->nr_pages++] = new;
	balloon_batch_name(bd, inflate, new);
	balloon_batch_name(bd, deflate, old);
	if (bd->must_tell_host)
		deflate->pages[deflate->nr_pages++] = old;

	balloon_replace_managed(bd, new, old);
	if (!bd->must_tell_host)
		put_page(old);
	if (wake)
		balloon_event(bd);
}

static int balloon_migrate_folio(struct address_space *mapping,
				 struct folio *dst, struct folio *src,
				 enum migrate_mode mode)
{
	struct balloon_device *bd = to_balloon_device(mapping);
	int err = -EAGAIN;

	if (!mutex_trylock(&bd->balloon_lock))
		return -EAGAIN;

	if (READ_ONCE(bd->dying) || bd->dead ||
	    !balloon_page_has_number(folio_page(dst, 0)))
		err = -EBUSY;
	else if (balloon_queue_open(bd, &bd->inflate) &&
		 balloon_queue_open(bd, &bd->deflate))
		err = MIGRATEPAGE_SUCCESS;

	if (!err)
		balloon_replace(bd, folio_page(dst, 0), folio_page(src, 0));
	mutex_unlock(&bd->balloon_lock);
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
