// SPDX-License-Identifier: GPL-2.0
/*
 * The guest of the fake host: stubs for its memory, and helpers that act as mm.
 */

#include <linux/memory.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/vmstat.h>

#include "fake_host.h"
#include "fake_host_parts.h"

/*
 * Returns a page of the test that the driver has released, or NULL. Each call
 * looks at some pages and the next one goes on from there: a large balloon has
 * many.
 */
static struct page *fake_host_recycled(struct fake_host *host)
{
	unsigned int looks = 512;
	struct page *page;

	while (looks--) {
		page = xa_find(&host->taken, &host->recycle_from, ULONG_MAX,
			       XA_PRESENT);
		host->recycle_from = page ? host->recycle_from + 1 : 0;
		if (page && page_ref_count(page) == 1)
			return page;
	}
	return NULL;
}

static struct page *fake_host_new_block(struct fake_host *host,
					unsigned int order)
{
	struct page *block;
	unsigned int i;

	block = alloc_pages(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN |
			    __GFP_NORETRY, order);
	if (!block)
		return NULL;
	if (order)
		split_page(block, order);
	for (i = 0; i < 1U << order; i++) {
		block[i].index = 3; /* left by its last user */
		xa_store(&host->taken, page_to_pfn(block + i), block + i,
			 GFP_KERNEL);
	}
	return block;
}

/**
 * fake_host_new_page - allocate a page that the test watches like the balloon's
 * @host: the host
 *
 * Return: a page with two references: the host's and the caller's.
 */
struct page *fake_host_new_page(struct fake_host *host)
{
	struct page *page = fake_host_new_block(host, 0);

	KUNIT_EXPECT_NOT_NULL(host->test, page);
	if (page)
		get_page(page);
	return page;
}

/* Stands in for balloon_alloc_block(). */
struct page *fake_host_alloc_block(struct balloon_device *bd,
				   unsigned int order)
{
	struct fake_host *host = to_fake_host(bd->vdev);
	struct page *block = NULL;
	unsigned int i;

	KUNIT_EXPECT_FALSE_MSG(host->test, mutex_is_locked(&bd->balloon_lock),
			       "memory is allocated under balloon_lock");
	if (host->on_alloc)
		host->on_alloc(host, order);
	if (order > host->max_order || 1UL << order > host->spare) {
		host->nr_refusals[order]++;
		return NULL;
	}

	if (host->recycles && !order)
		block = fake_host_recycled(host);
	if (!block)
		block = fake_host_new_block(host, order);
	if (!block)
		return NULL;

	for (i = 0; i < 1U << order; i++)
		get_page(block + i);
	host->nr_allocs[order]++;
	host->spare -= 1UL << order;
	return block;
}

/* Stands in for balloon_alloc_canary(). */
struct page *fake_host_alloc_canary(struct balloon_device *bd)
{
	return fake_host_alloc_block(bd, 0);
}

/* Stands in for balloon_zone_is_starved(): the real guest has free memory. */
bool fake_host_is_starved(struct balloon_device *bd,
			  const struct page *page)
{
	struct fake_host *host = to_fake_host(bd->vdev);

	return !host->is_starved || host->is_starved(page);
}

/* Stands in for balloon_guest_is_fragmented(). */
bool fake_host_is_fragmented(struct balloon_device *bd)
{
	return to_fake_host(bd->vdev)->fragmented;
}

/* Stands in for balloon_available(). */
unsigned long fake_host_available(struct balloon_device *bd)
{
	unsigned long available = READ_ONCE(to_fake_host(bd->vdev)->available);
	unsigned long taken = balloon_size(&bd->ledger) + balloon_trial_size(bd);

	to_fake_host(bd->vdev)->nr_looks++;
	return available - min(available, taken);
}

/* Stands in for balloon_spare(). No zone is below its low watermark. */
unsigned long fake_host_spare(struct balloon_device *bd,
			      enum zone_watermarks mark)
{
	return to_fake_host(bd->vdev)->full && mark == WMARK_HIGH ? 0 :
	       ULONG_MAX / 8;
}

/* Stands in for balloon_sample_read(). Each node has the same to spare. */
void fake_host_read_sample(struct balloon_device *bd,
			   struct balloon_sample *sample)
{
	struct fake_host *host = to_fake_host(bd->vdev);
	unsigned int nid;
	u64 ms = sample->ms;

	if (host->pause)
		schedule_timeout_uninterruptible(host->pause);
	*sample = host->sample;
	sample->ms = ms;
	sample->available = fake_host_available(bd) +
			    balloon_leaving(&bd->ledger);
	sample->floor = balloon_floor(bd);
	sample->target = bd->config.target;
	sample->size = balloon_size(&bd->ledger);
	sample->on_trial = balloon_trial_size(bd);
	sample->may_give = bd->deflates_on_oom;
	sample->used -= sample->size + sample->on_trial;
	for (nid = 0; nid < nr_node_ids; nid++) {
		bd->restraint.experiment.control.nodes[nid].spare =
			fake_host_spare(bd, WMARK_HIGH);
		bd->restraint.experiment.control.nodes[nid].refaults = sample->refaults;
	}
	host->nr_samples++;
}

/* Returns the page that has been resident for the longest time. */
struct page *balloon_resident_page(struct balloon_device *bd)
{
	struct page *page;

	spin_lock(&bd->ledger.bm.pages_lock);
	page = list_first_entry_or_null(&bd->ledger.bm.pages, struct page, lru);
	spin_unlock(&bd->ledger.bm.pages_lock);
	return page;
}

/**
 * fake_host_isolate - have mm isolate a page of the balloon
 * @host: the host, whose balloon is not empty
 *
 * Return: the page, which has been resident for the longest time.
 */
struct page *fake_host_isolate(struct fake_host *host)
{
	struct page *page = balloon_resident_page(host->bd);

	KUNIT_ASSERT_NOT_NULL(host->test, page);
	KUNIT_ASSERT_TRUE(host->test,
			  isolate_movable_page(page, ISOLATE_UNEVICTABLE));
	list_add_tail(&page->lru, &host->isolated);
	return page;
}

/**
 * fake_host_migration_target - allocate the target of a migration
 * @src: the page to migrate
 * @private: the host
 *
 * For migrate_pages().
 */
struct folio *fake_host_migration_target(struct folio *src,
					 unsigned long private)
{
	struct page *page = fake_host_new_page((struct fake_host *)private);

	return page ? page_folio(page) : NULL;
}

/**
 * fake_host_migration_unused - free a target that mm did not use
 * @dst: the target
 * @private: the host
 */
void fake_host_migration_unused(struct folio *dst, unsigned long private)
{
	folio_put(dst);
}

/**
 * fake_host_put_on_trial - make the driver put pages on trial
 * @host: the host, its balloon at the target; its guest is full from now on
 * @guest_pages: how many guest pages
 */
void fake_host_put_on_trial(struct fake_host *host, unsigned long guest_pages)
{
	host->full = true;
	fake_host_set_target(host, balloon_size(&host->bd->ledger) + guest_pages);
	fake_host_await(host, balloon_trial_size(host->bd) == guest_pages);
}

/**
 * fake_host_take_offline - call the driver's memory notifier as mm does
 * @host: the host
 * @action: MEM_GOING_OFFLINE, and then MEM_OFFLINE or MEM_CANCEL_OFFLINE
 * @page: the first page of the memory
 * @guest_pages: its size in guest pages
 */
void fake_host_take_offline(struct fake_host *host, unsigned long action,
			    struct page *page, unsigned long guest_pages)
{
	struct notifier_block *nb = &host->bd->hotplug.notifier;
	struct memory_notify memory = {
		.start_pfn = page_to_pfn(page),
		.nr_pages = guest_pages,
	};

	KUNIT_EXPECT_EQ(host->test, nb->notifier_call(nb, action, &memory),
			NOTIFY_OK);
}

/**
 * fake_host_events - read an event counter of this kernel
 * @item: a counter of /proc/vmstat
 */
unsigned long fake_host_events(enum vm_event_item item)
{
	unsigned long events[NR_VM_EVENT_ITEMS];

	all_vm_events(events);
	return events[item];
}

/**
 * fake_host_got - how many pages the driver has allocated so far
 * @host: the host
 *
 * Return: guest pages.
 */
unsigned long fake_host_got(struct fake_host *host)
{
	unsigned long pages = 0;
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		pages += host->nr_allocs[order] << order;
	return pages;
}
