// SPDX-License-Identifier: GPL-2.0
/*
 * The hooks through which mm moves the balloon's pages.
 *
 * mm/migrate.c calls them with the page locked. From isolation until mm drops its
 * reference, mm keeps the page on a list of its own (page->lru). So the driver puts
 * the old page on no list; its number goes into a batch. mm drops one reference on
 * each of the two pages. So the balloon takes one on the new page, and drops its own
 * on the old page itself.
 *
 * Asynchronous migration waits for nothing. Migration in MIGRATE_SYNC (offlining,
 * alloc_contig_range(), compaction on request) may wait for the host: for a free
 * batch, and with MUST_TELL_HOST until the old page is free. Each task may do so
 * for BALLOON_MIGRATION_WAIT within BALLOON_MIGRATION_WINDOW. The kthread does the
 * work meanwhile: a hook runs with page locks held, under which no host is notified.
 *
 * If there is no free batch, the hook returns -EAGAIN. mm tries again at once, ten
 * times, and then leaves the page in its place.
 */

#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/vmstat.h>

#include "batch.h"
#include "device.h"
#include "ledger.h"
#include "migrate.h"
#include "queue.h"
#include "trace.h"
#include "virtio_balloon.h"

/**
 * struct balloon_leave - what a migrated page's release waits for
 * @batch: the deflate that names the page
 * @uses: its @uses until the deflate is acknowledged
 */
struct balloon_leave {
	struct balloon_batch *batch;
	unsigned int uses;
};

static bool balloon_isolate_page(struct address_space *mapping,
				 struct page *page)
{
	struct balloon_device *bd = to_balloon_device(mapping);
	bool isolated;

	spin_lock(&bd->ledger.bm.pages_lock);
	isolated = balloon_mapping_isolate(&bd->ledger.bm, page);
	if (isolated)
		balloon_device_get(bd);
	spin_unlock(&bd->ledger.bm.pages_lock);
	return isolated;
}

static void balloon_putback_page(struct address_space *mapping,
				 struct page *page)
{
	struct balloon_device *bd = to_balloon_device(mapping);
	bool wanted;

	spin_lock(&bd->ledger.bm.pages_lock);
	balloon_mapping_putback(&bd->ledger.bm, page);
	wanted = bd->ledger.wants_isolated;
	spin_unlock(&bd->ledger.bm.pages_lock);

	if (wanted)
		balloon_event(bd);
	balloon_device_put(bd);
}

/*
 * With MUST_TELL_HOST the old page comes back to the guest when it is released, after
 * the acknowledgment.
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
			    struct page *old, struct balloon_leave *leave)
{
	struct balloon_batch *inflate = bd->queues.inflate.open;
	struct balloon_batch *deflate = bd->queues.deflate.open;
	bool first = !inflate->nr_pages || !deflate->nr_numbers;

	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	get_page(new);
	balloon_mapping_forget(&bd->ledger.bm, old);
	bd->ledger.nr_pages[BALLOON_PAGE_PRIVATE]++;
	if (bd->must_tell_host) {
		bd->ledger.nr_pages[BALLOON_PAGE_LEAVING]++;
		bd->ledger.nr_refs++;
	}
	VM_WARN_ON_ONCE(!balloon_counts_add_up(&bd->ledger));

	new->index = 0;
	inflate->replaces = true;
	inflate->pages[inflate->nr_pages++] = new;
	balloon_batch_name(bd, inflate, &new, 1);
	balloon_batch_name(bd, deflate, &old, 1);
	if (bd->must_tell_host)
		deflate->pages[deflate->nr_pages++] = old;
	leave->batch = deflate;
	leave->uses = deflate->uses;
	return first || bd->ledger.wants_isolated;
}

/* Returns 0 with both batches open, or -EAGAIN if there is no room in one. */
static int balloon_may_replace(struct balloon_device *bd, struct page *new)
{
	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	if (balloon_is_dying(bd) || balloon_is_broken(bd) ||
	    !balloon_page_has_number(new))
		return -EBUSY;
	if (!balloon_queue_open(bd, &bd->queues.inflate) ||
	    !balloon_queue_open(bd, &bd->queues.deflate))
		return -EAGAIN;
	return 0;
}

/* Returns as balloon_may_replace(). */
static int balloon_try_replace(struct balloon_device *bd, struct page *new,
			       struct page *old, struct balloon_leave *leave)
{
	bool wake = false;
	int err;

	spin_lock(&bd->ledger.bm.pages_lock);
	err = balloon_may_replace(bd, new);
	if (!err)
		wake = balloon_replace(bd, new, old, leave);
	spin_unlock(&bd->ledger.bm.pages_lock);
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
 * The allowance of this task. If there are more tasks than places, a task takes the
 * place whose window ends first.
 */
static struct balloon_migrator *balloon_migrator(struct balloon_device *bd)
{
	struct balloon_migrator *found = bd->migrators, *m;

	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	for (m = bd->migrators; m < bd->migrators + BALLOON_MIGRATORS; m++) {
		if (m->pid == current->pid) {
			found = m;
			break;
		}
		if (time_before(m->until, found->until))
			found = m;
	}
	if (found->pid != current->pid || time_after(jiffies, found->until)) {
		found->pid = current->pid;
		found->until = jiffies + BALLOON_MIGRATION_WINDOW;
		found->left = BALLOON_MIGRATION_WAIT;
	}
	return found;
}

static bool balloon_migration_ends(struct balloon_device *bd)
{
	return balloon_is_dying(bd) || balloon_is_broken(bd);
}

/* Returns how long the task may wait; what it does wait is to be taken off. */
static long balloon_wait_begins(struct balloon_device *bd)
{
	long left;

	spin_lock(&bd->ledger.bm.pages_lock);
	left = balloon_migrator(bd)->left;
	bd->pool.nr_waiters++;
	spin_unlock(&bd->ledger.bm.pages_lock);
	return left;
}

static void balloon_wait_ends(struct balloon_device *bd, unsigned long since)
{
	struct balloon_migrator *m;

	spin_lock(&bd->ledger.bm.pages_lock);
	m = balloon_migrator(bd);
	m->left -= min_t(unsigned long, jiffies - since, m->left);
	bd->pool.nr_waiters--;
	spin_unlock(&bd->ledger.bm.pages_lock);
}

/* Waits for a free batch. Returns as balloon_may_replace(). */
static int balloon_replace_waiting(struct balloon_device *bd, struct page *new,
				   struct page *old,
				   struct balloon_leave *leave)
{
	unsigned long since = jiffies;
	long left = balloon_wait_begins(bd);
	unsigned int puts;
	int err;

	for (;;) {
		puts = READ_ONCE(bd->pool.nr_puts);
		err = balloon_try_replace(bd, new, old, leave);
		if (err != -EAGAIN || !left)
			break;
		balloon_event(bd);	/* the kthread closes what is open */
		left = wait_event_timeout(bd->wait,
					  READ_ONCE(bd->pool.nr_puts) != puts ||
					  balloon_migration_ends(bd), left);
	}
	balloon_wait_ends(bd, since);
	return err;
}

/* alloc_contig_range() looks for the old page directly after the migration. */
static void balloon_await_release(struct balloon_device *bd,
				  const struct balloon_leave *leave)
{
	unsigned long since = jiffies;
	long left = balloon_wait_begins(bd);

	wait_event_timeout(bd->wait,
			   READ_ONCE(leave->batch->uses) != leave->uses ||
			   balloon_migration_ends(bd), left);
	balloon_wait_ends(bd, since);
}

static int balloon_migrate_folio(struct address_space *mapping,
				 struct folio *dst, struct folio *src,
				 enum migrate_mode mode)
{
	struct balloon_device *bd = to_balloon_device(mapping);
	struct page *new = folio_page(dst, 0), *old = folio_page(src, 0);
	bool may_wait = mode == MIGRATE_SYNC && !signal_pending(current);
	struct balloon_leave leave;
	int err;

	/*
	 * mm tries each page in MIGRATE_ASYNC first. That would leave the old
	 * page in use after a migration that may wait for it.
	 */
	if (bd->must_tell_host && mode == MIGRATE_ASYNC)
		return -EAGAIN;

	err = balloon_try_replace(bd, new, old, &leave);
	if (err == -EAGAIN && may_wait)
		err = balloon_replace_waiting(bd, new, old, &leave);
	if (err)
		return err;
	if (bd->must_tell_host && may_wait)
		balloon_await_release(bd, &leave);

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
