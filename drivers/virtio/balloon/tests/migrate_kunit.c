// SPDX-License-Identifier: GPL-2.0
/*
 * Isolation, migration and put-back by mm, together with inflation, deflation
 * and removal.
 */

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/kthread.h>
#include <linux/memory.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/prandom.h>
#include <linux/sched/signal.h>
#include <linux/virtio_ring.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>

#include "fake_host.h"

#define MUST_TELL_HOST	BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST)

static void isolate_many(struct fake_host *host, unsigned int nr)
{
	while (nr--)
		fake_host_isolate(host);
}

/* Returns how many pages mm did not migrate; they are still isolated. */
static int migrate(struct fake_host *host)
{
	int left;

	host->migrator = current;
	left = migrate_pages(&host->isolated, fake_host_migration_target,
			     fake_host_migration_unused, (unsigned long)host,
			     MIGRATE_SYNC, MR_COMPACTION, NULL);
	host->migrator = NULL;
	return left;
}

/* Calls only the hook, under the page locks that mm takes. */
static int call_migrate_hook(struct fake_host *host, struct page *dst,
			     struct page *src)
{
	struct address_space *mapping = &host->bd->ledger.bm.mapping;
	int err;

	lock_page(src);
	lock_page(dst);
	err = mapping->a_ops->migrate_folio(mapping, page_folio(dst),
					    page_folio(src), MIGRATE_SYNC_LIGHT);
	unlock_page(dst);
	unlock_page(src);
	return err;
}

static unsigned long nr_migrated(void)
{
	unsigned long events[NR_VM_EVENT_ITEMS];

	all_vm_events(events);
	return events[BALLOON_MIGRATE];
}

static void migrate_replaces_page(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_start(test, features);
	unsigned long managed, migrated = nr_migrated();
	struct balloon_device *bd = host->bd;
	struct page *old, *new;

	fake_host_reach(host, 10);
	managed = totalram_pages();
	old = fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, bd->ledger.bm.nr_isolated, 1);
	KUNIT_EXPECT_EQ(test, balloon_size(&bd->ledger), 10);
	KUNIT_EXPECT_EQ(test, balloon_actual(&bd->ledger), 10);
	fake_host_check(host);

	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&host->isolated));
	KUNIT_EXPECT_EQ(test, bd->ledger.bm.nr_isolated, 0);
	KUNIT_EXPECT_EQ(test, nr_migrated(), migrated + 1);
	KUNIT_EXPECT_FALSE(test, PageOffline(old));
	fake_host_check(host);

	fake_host_await(host, fake_host_arrived(host, 10) &&
			host->nr_inflated == 10 * BALLOON_PER_GUEST_PAGE &&
			!balloon_state_pages(bd, BALLOON_PAGE_IN_FLIGHT) &&
			!balloon_state_pages(bd, BALLOON_PAGE_LEAVING));
	new = fake_message_page(fake_host_last(host, FAKE_INFLATE), 0);
	KUNIT_EXPECT_TRUE(test, PageOffline(new));
	KUNIT_EXPECT_EQ(test, page_ref_count(new), 2);
	KUNIT_EXPECT_EQ(test, new->index, 0);
	KUNIT_EXPECT_PTR_EQ(test,
			    fake_message_page(fake_host_last(host,
							     FAKE_DEFLATE), 0),
			    old);
	KUNIT_EXPECT_EQ(test, page_ref_count(old), 1);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
	fake_host_check(host);
	fake_host_reach(host, 0);
}

static void migrate_moves_page(struct kunit *test)
{
	migrate_replaces_page(test, 0);
}

static void migrate_moves_page_must_tell_host(struct kunit *test)
{
	migrate_replaces_page(test, MUST_TELL_HOST);
}

/* Until the deflate is acknowledged, the host may discard the old page. */
static void migrate_old_page_waits_for_ack(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	struct balloon_device *bd = host->bd;
	unsigned long managed;
	struct page *old;

	fake_host_reach(host, 10);
	managed = totalram_pages();
	host->holds[FAKE_DEFLATE] = true;
	old = fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) == 1 &&
			fake_host_asleep(host));

	fake_host_look(host);
	KUNIT_EXPECT_EQ(test, fake_host_unanswered(host, FAKE_INFLATE), 0);
	KUNIT_EXPECT_EQ(test, page_ref_count(old), 2);
	KUNIT_EXPECT_EQ(test, balloon_state_pages(bd, BALLOON_PAGE_LEAVING), 1);
	KUNIT_EXPECT_EQ(test, balloon_state_pages(bd, BALLOON_PAGE_PRIVATE), 1);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed - 1);
	KUNIT_EXPECT_EQ(test, fake_host_actual(host), 10);
	fake_host_check(host);

	fake_host_answer_all(host);
	fake_host_await(host, page_ref_count(old) == 1 &&
			fake_host_arrived(host, 10));
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
}

static void migrate_old_page_released_at_once(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct page *old;

	fake_host_reach(host, 10);
	host->holds[FAKE_DEFLATE] = true;
	old = fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_EQ(test, page_ref_count(old), 1);
	fake_host_check(host);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) == 1 &&
			fake_host_asleep(host));
	fake_host_look(host);
	KUNIT_EXPECT_EQ(test, fake_host_unanswered(host, FAKE_INFLATE), 0);

	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 10));
}

/*
 * A page that pretends to be in another zone, which may be empty. The reference
 * of the test keeps mm from freeing the page to that zone.
 */
static struct page *displaced_page;
static enum zone_type displaced_from;

static enum zone_type other_zone(struct page *page)
{
	return page_zonenum(page) == ZONE_MOVABLE ? ZONE_NORMAL : ZONE_MOVABLE;
}

static struct folio *migration_target_elsewhere(struct folio *src,
						unsigned long private)
{
	struct folio *dst = fake_host_migration_target(src, private);

	if (dst) {
		displaced_page = folio_page(dst, 0);
		displaced_from = page_zonenum(displaced_page);
		set_page_zone(displaced_page, other_zone(displaced_page));
	}
	return dst;
}

static void replace_displaced_page(void *unused)
{
	if (displaced_page)
		set_page_zone(displaced_page, displaced_from);
	displaced_page = NULL;
}

/* If the hook refuses, mm tries again with another target. */
static void migration_target_elsewhere_unused(struct folio *dst,
					      unsigned long private)
{
	replace_displaced_page(NULL);
	folio_put(dst);
}

/* A migration to another zone moves managed pages between the zones. */
static void migrate_to_other_zone(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_start(test, features);
	unsigned long managed, of_from, of_to;
	struct zone *from, *to;
	struct page *old;

	/* An aborted test must repair the page before the host is destroyed. */
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action(test, replace_displaced_page, NULL));
	fake_host_reach(host, 10);
	old = fake_host_isolate(host);
	from = page_zone(old);
	to = &page_pgdat(old)->node_zones[other_zone(old)];
	managed = totalram_pages();
	of_from = zone_managed_pages(from);
	of_to = zone_managed_pages(to);

	KUNIT_EXPECT_EQ(test, 0,
			migrate_pages(&host->isolated,
				      migration_target_elsewhere,
				      migration_target_elsewhere_unused,
				      (unsigned long)host, MIGRATE_SYNC,
				      MR_COMPACTION, NULL));
	fake_host_await(host, fake_host_arrived(host, 10) &&
			page_ref_count(old) == 1);
	KUNIT_EXPECT_EQ(test, zone_managed_pages(from), of_from + 1);
	KUNIT_EXPECT_EQ(test, zone_managed_pages(to), of_to - 1);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);

	fake_host_reach(host, 0);
	KUNIT_EXPECT_EQ(test, zone_managed_pages(from), of_from + 10);
	KUNIT_EXPECT_EQ(test, zone_managed_pages(to), of_to);
}

static void migrate_to_other_zone_released_at_once(struct kunit *test)
{
	migrate_to_other_zone(test, 0);
}

static void migrate_to_other_zone_must_tell_host(struct kunit *test)
{
	migrate_to_other_zone(test, MUST_TELL_HOST);
}

/*
 * The driver has not yet posted the deflate of an old page when inflation takes
 * the same page again. The deflate must be posted before the inflate.
 */
static void migrate_open_deflate_goes_before_inflates(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	host->max_order = 0;
	host->recycles = true;
	fake_host_reach(host, 40);
	isolate_many(host, 40);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	fake_host_set_target(host, 80);
	fake_host_await(host, fake_host_arrived(host, 80));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 80 * BALLOON_PER_GUEST_PAGE);
	fake_host_check(host);
}

/* Migrates more pages than a message or the open batches can hold. */
static void migrate_moves_many_pages(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	int left;

	fake_host_reach(host, 1000);
	isolate_many(host, 900);
	KUNIT_EXPECT_EQ(test, host->bd->ledger.bm.nr_isolated, 900);
	do {
		left = migrate(host);
		KUNIT_ASSERT_GE(test, left, 0);
		fake_host_check(host);
		fake_host_await(host, fake_host_asleep(host));
	} while (left);
	fake_host_await(host, fake_host_arrived(host, 1000));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 1000 * BALLOON_PER_GUEST_PAGE);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 1000);
	fake_host_check(host);
}

static void migrate_putback_returns_page(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	unsigned int messages, references;
	struct page *page;

	fake_host_reach(host, 3);
	messages = host->queues[FAKE_DEFLATE].nr_messages;
	references = kref_read(&bd->kref);
	page = fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, kref_read(&bd->kref), references + 1);
	KUNIT_EXPECT_TRUE(test, PageOffline(page));
	KUNIT_EXPECT_FALSE(test,
			   isolate_movable_page(page, ISOLATE_UNEVICTABLE));

	putback_movable_pages(&host->isolated);
	KUNIT_EXPECT_EQ(test, kref_read(&bd->kref), references);
	KUNIT_EXPECT_EQ(test, bd->ledger.bm.nr_isolated, 0);
	KUNIT_EXPECT_EQ(test, bd->ledger.bm.nr_resident, 3);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_DEFLATE].nr_messages, messages);
	fake_host_check(host);

	/* mm can isolate the page again, and the balloon can deflate it. */
	isolate_many(host, 3);
	putback_movable_pages(&host->isolated);
	fake_host_reach(host, 0);
}

static void migrate_keeps_references(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int references;

	fake_host_reach(host, 3);
	references = kref_read(&host->bd->kref);
	isolate_many(host, 3);
	KUNIT_EXPECT_EQ(test, kref_read(&host->bd->kref), references + 3);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_EQ(test, kref_read(&host->bd->kref), references);
}

/* Only resident pages may move. */
static void migrate_refuses_page_in_flight(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct page *page;

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 1);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 1);
	page = fake_message_page(fake_host_last(host, FAKE_INFLATE), 0);
	KUNIT_EXPECT_FALSE(test,
			   isolate_movable_page(page, ISOLATE_UNEVICTABLE));
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 1));
}

/* The hook must not change ->lru and ->private of a target that it refuses. */
static void expect_hook_refuses(struct fake_host *host, struct page *src,
				int errno_expected)
{
	struct kunit *test = host->test;
	struct page *dst = fake_host_new_page(host);
	void *private = (void *)0x1234UL;
	struct list_head *lru = &dst->lru;

	KUNIT_ASSERT_NOT_NULL(test, dst);
	INIT_LIST_HEAD(lru);
	set_page_private(dst, (unsigned long)private);
	KUNIT_EXPECT_EQ(test, call_migrate_hook(host, dst, src),
			errno_expected);
	KUNIT_EXPECT_TRUE(test, list_empty(lru));
	KUNIT_EXPECT_EQ(test, page_private(dst), (unsigned long)private);
	KUNIT_EXPECT_EQ(test, page_ref_count(dst), 2);
	KUNIT_EXPECT_FALSE(test, PageOffline(dst));
	KUNIT_EXPECT_TRUE(test, PageOffline(src));
	set_page_private(dst, 0);
	put_page(dst);
	fake_host_check(host);
}

/* Migration needs no balloon_lock: the kthread holds it to settle batches. */
static void migrate_does_without_lock(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 5);
	fake_host_isolate(host);
	mutex_lock(&host->bd->balloon_lock);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&host->isolated));
	mutex_unlock(&host->bd->balloon_lock);
	fake_host_await(host, fake_host_arrived(host, 5));
	fake_host_check(host);
}

/* Takes all batches away from the driver. */
static void take_batches(struct balloon_device *bd, struct list_head *batches)
{
	struct balloon_batch *batch;

	while ((batch = balloon_batch_get(bd, 0)))
		list_add(&batch->node, batches);
}

static void give_batches(struct balloon_device *bd, struct list_head *batches)
{
	struct balloon_batch *batch, *next;

	list_for_each_entry_safe(batch, next, batches, node) {
		list_del_init(&batch->node);
		balloon_batch_put(bd, batch);
	}
	balloon_event(bd);
}

struct late_batches {
	struct delayed_work work;
	struct balloon_device *bd;
	struct list_head batches;
};

static void give_late(struct work_struct *work)
{
	struct late_batches *late = container_of(to_delayed_work(work),
						 struct late_batches, work);

	give_batches(late->bd, &late->batches);
}

/* The hook waits for a batch in MIGRATE_SYNC, but not in MIGRATE_SYNC_LIGHT. */
static void migrate_waits_where_mm_may(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct late_batches late = { .bd = host->bd };
	unsigned long since;
	struct page *page;

	INIT_LIST_HEAD(&late.batches);
	INIT_DELAYED_WORK_ONSTACK(&late.work, give_late);
	fake_host_reach(host, 5);
	page = fake_host_isolate(host);
	take_batches(host->bd, &late.batches);

	expect_hook_refuses(host, page, -EAGAIN);

	since = jiffies;
	schedule_delayed_work(&late.work, BALLOON_LOOK_AGAIN / 2);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_GE(test, jiffies - since, BALLOON_LOOK_AGAIN / 2);
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_LOOK_AGAIN);
	flush_delayed_work(&late.work);
	destroy_delayed_work_on_stack(&late.work);
	fake_host_await(host, fake_host_arrived(host, 5));
	fake_host_check(host);
}

static unsigned long migrate_in_vain(struct fake_host *host)
{
	unsigned long since = jiffies;

	KUNIT_EXPECT_EQ(host->test, migrate(host), 1);
	return jiffies - since;
}

/* A silent host delays a task once, and not for each page and each try. */
static void migrate_waits_are_bounded_per_task(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	unsigned long waited;
	LIST_HEAD(batches);

	fake_host_reach(host, 5);
	fake_host_isolate(host);
	take_batches(bd, &batches);
	waited = migrate_in_vain(host);
	KUNIT_EXPECT_GE(test, waited, BALLOON_MIGRATION_WAIT);
	KUNIT_EXPECT_LE(test, waited, BALLOON_MIGRATION_WAIT + HZ);
	KUNIT_EXPECT_LT(test, migrate_in_vain(host), HZ);

	/* Another task may wait as well, and this task may wait again later. */
	bd->migrators[0].pid++;
	KUNIT_EXPECT_GE(test, migrate_in_vain(host), BALLOON_MIGRATION_WAIT);
	schedule_timeout_uninterruptible(BALLOON_MIGRATION_WINDOW);
	KUNIT_EXPECT_GE(test, migrate_in_vain(host), BALLOON_MIGRATION_WAIT);

	give_batches(bd, &batches);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	fake_host_await(host, fake_host_arrived(host, 5));
	fake_host_check(host);
}

struct late_put {
	struct delayed_work work;
	struct balloon_device *bd;
	struct list_head *batches;
};

/* Frees batches as the kthread does after it has reaped: without an event. */
static void put_batches_late(struct work_struct *work)
{
	struct late_put *late = container_of(work, struct late_put, work.work);
	struct balloon_batch *batch, *next;

	list_for_each_entry_safe(batch, next, late->batches, node) {
		list_del_init(&batch->node);
		balloon_batch_put(late->bd, batch);
	}
}

static void migrate_wakes_as_soon_as_batch_is_free(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned long since = jiffies;
	struct late_put late = { .bd = host->bd };
	LIST_HEAD(batches);

	fake_host_reach(host, 5);
	fake_host_isolate(host);
	take_batches(host->bd, &batches);
	late.batches = &batches;
	INIT_DELAYED_WORK_ONSTACK(&late.work, put_batches_late);
	schedule_delayed_work(&late.work, HZ / 10);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_LT(test, jiffies - since, HZ / 2);
	flush_delayed_work(&late.work);
	destroy_delayed_work_on_stack(&late.work);
	fake_host_await(host, fake_host_arrived(host, 5));
}

/* alloc_contig_range() needs the old page free when migration returns. */
static void migrate_frees_old_page_must_tell_host(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	struct page *page;

	fake_host_reach(host, 5);
	page = fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
	fake_host_await(host, fake_host_arrived(host, 5));
}

/* The wait for the deflate of the old page is bounded, too. */
static void migrate_gives_up_old_page_must_tell_host(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned long since;
	struct page *page;

	fake_host_reach(host, 5);
	host->holds[FAKE_DEFLATE] = true;
	page = fake_host_isolate(host);
	since = jiffies;
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_GE(test, jiffies - since, BALLOON_MIGRATION_WAIT);
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_MIGRATION_WAIT + HZ);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 2);
	since = jiffies;
	fake_host_isolate(host);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	KUNIT_EXPECT_LT(test, jiffies - since, HZ);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 5));
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);
}

/* A task with a pending signal does not wait. */
static void migrate_does_not_wait_with_signal(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	LIST_HEAD(batches);

	fake_host_reach(host, 5);
	fake_host_isolate(host);
	take_batches(host->bd, &batches);

	allow_signal(SIGTERM);
	KUNIT_EXPECT_EQ(test, send_sig(SIGTERM, current, 1), 0);
	KUNIT_EXPECT_LT(test, migrate_in_vain(host), BALLOON_LOOK_AGAIN);
	flush_signals(current);
	disallow_signal(SIGTERM);

	give_batches(host->bd, &batches);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	fake_host_await(host, fake_host_arrived(host, 5));
	fake_host_check(host);
}

static void migrate_does_not_wait_for_batch(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	struct balloon_batch *batch;
	LIST_HEAD(batches);
	struct page *page;

	fake_host_reach(host, 5);
	page = fake_host_isolate(host);
	take_batches(bd, &batches);

	expect_hook_refuses(host, page, -EAGAIN);

	/* One batch is not enough for an inflate and a deflate. */
	batch = list_first_entry(&batches, struct balloon_batch, node);
	list_del_init(&batch->node);
	balloon_batch_put(bd, batch);
	expect_hook_refuses(host, page, -EAGAIN);

	/* The driver must not post the batch that the refused hook opened. */
	balloon_event(bd);
	fake_host_await(host, fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, bd->pool.nr_free, 1);

	give_batches(bd, &batches);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	fake_host_await(host, fake_host_arrived(host, 5));
}

/*
 * A host that is slow to acknowledge inflates stops neither migration nor
 * deflation, as long as an open batch has room.
 */
static void migrate_while_inflation_is_stuck(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int i;

	fake_host_reach(host, 100);
	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 5000);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 8 &&
			fake_host_asleep(host));
	for (i = 0; i < 50; i++) {
		fake_host_isolate(host);
		KUNIT_EXPECT_EQ(test, migrate(host), 0);
		fake_host_await(host, fake_host_asleep(host));
	}
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_DEFLATE].nr_messages, 50);
	fake_host_set_target(host, 0);
	fake_host_await(host, host->queues[FAKE_DEFLATE].nr_messages == 51 &&
			fake_host_asleep(host));
	fake_host_check(host);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 0));
}

static void migrate_while_deflation_is_stuck(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned int i;

	fake_host_reach(host, 100);
	host->holds[FAKE_DEFLATE] = true;
	for (i = 0; i < 50; i++) {
		fake_host_isolate(host);
		KUNIT_EXPECT_EQ(test, migrate(host), 0);
		fake_host_await(host, fake_host_asleep(host));
	}
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_DEFLATE].nr_messages, 1);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 100));
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_DEFLATE].nr_messages, 2);
}

/* Compaction may open deflates faster than the host answers them. */
static void migrate_inflate_waits_for_its_own_deflate(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	unsigned int i;

	fake_host_reach(host, 10);
	host->holds[FAKE_DEFLATE] = true;
	host->holds[FAKE_INFLATE] = true;
	for (i = 0; i < 2; i++) {
		fake_host_isolate(host);
		KUNIT_EXPECT_EQ(test, migrate(host), 0);
		fake_host_await(host, fake_host_asleep(host));
	}
	fake_host_look(host);
	KUNIT_EXPECT_EQ(test, fake_host_unanswered(host, FAKE_DEFLATE), 1);
	KUNIT_EXPECT_EQ(test, fake_host_unanswered(host, FAKE_INFLATE), 0);

	/* The second deflate is still open and follows the first inflate. */
	fake_host_answer(host, FAKE_DEFLATE);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) == 1 &&
			fake_host_unanswered(host, FAKE_INFLATE) == 1);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 10));
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_INFLATE].nr_messages, 3);
	fake_host_check(host);
}

static void migrate_refuses_dying_balloon(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct page *page;

	fake_host_reach(host, 5);
	page = fake_host_isolate(host);
	set_bit(BALLOON_DYING, &host->bd->flags);
	expect_hook_refuses(host, page, -EBUSY);
	clear_bit(BALLOON_DYING, &host->bd->flags);
	putback_movable_pages(&host->isolated);
}

/* A broken balloon posts no batch, so its pages would never come back. */
static void migrate_refuses_broken_balloon(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct page *page;

	fake_host_reach(host, 5);
	page = fake_host_isolate(host);
	fake_host_needs_reset(host);
	fake_host_await(host, host->bd->recovery.down);
	expect_hook_refuses(host, page, -EBUSY);
	putback_movable_pages(&host->isolated);
	fake_host_await(host, fake_host_recovered(host, 1, 5));
	fake_host_check(host);
}

/* The kthread sleeps until the put-back wakes it. */
static void deflate_waits_for_isolated_page(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	unsigned long since;

	fake_host_reach(host, 3);
	fake_host_isolate(host);
	fake_host_set_target(host, 0);
	fake_host_await(host, balloon_size(&bd->ledger) == 1 && fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, READ_ONCE(bd->config.state), BALLOON_DEFLATING);
	KUNIT_EXPECT_EQ(test, bd->ledger.bm.nr_isolated, 1);
	fake_host_check(host);

	since = jiffies;
	putback_movable_pages(&host->isolated);
	fake_host_await(host, fake_host_arrived(host, 0));
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_LOOK_AGAIN / 2);
}

/* The replacement must be inflated before it can be deflated. */
static void deflate_waits_for_migrated_page(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	unsigned long since;

	fake_host_reach(host, 3);
	fake_host_isolate(host);
	fake_host_set_target(host, 0);
	fake_host_await(host, balloon_size(&host->bd->ledger) == 1 &&
			fake_host_asleep(host));
	since = jiffies;
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	fake_host_await(host, fake_host_arrived(host, 0) &&
			!balloon_refs(&host->bd->ledger));
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_LOOK_AGAIN / 2);
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 0);
}

/* The holder of a page lock may be about to isolate the page. */
static void deflate_passes_over_locked_page(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	unsigned long since;
	struct page *page;

	fake_host_reach(host, 20);
	spin_lock(&bd->ledger.bm.pages_lock);
	page = list_last_entry(&bd->ledger.bm.pages, struct page, lru);
	spin_unlock(&bd->ledger.bm.pages_lock);

	lock_page(page);
	fake_host_reach(host, 1);
	KUNIT_EXPECT_PTR_EQ(test, balloon_resident_page(bd), page);

	fake_host_set_target(host, 0);
	fake_host_await(host, fake_host_waits_for_page(host));
	KUNIT_EXPECT_EQ(test, balloon_size(&bd->ledger), 1);
	since = jiffies;
	unlock_page(page);
	fake_host_await(host, fake_host_arrived(host, 0));
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_LOOK_AGAIN / 2);
}

/* mm isolates the page while the kthread waits for the page lock. */
static void deflate_loses_locked_page_to_isolation(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	struct page *page;

	fake_host_reach(host, 1);
	page = balloon_resident_page(bd);
	lock_page(page);
	fake_host_set_target(host, 0);
	fake_host_await(host, bd->config.target == 0 && fake_host_waits_for_page(host));

	/* The steps of isolate_movable_page() under the page lock. */
	get_page(page);
	KUNIT_EXPECT_TRUE(test,
			  page_movable_ops(page)->isolate_page(page, 0));
	SetPageIsolated(page);
	unlock_page(page);
	list_add(&page->lru, &host->isolated);
	fake_host_await(host, fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, balloon_size(&bd->ledger), 1);
	fake_host_check(host);

	putback_movable_pages(&host->isolated);
	fake_host_await(host, fake_host_arrived(host, 0));
}

/* Migration still holds the page lock of a replacement. */
static void migrate_settles_locked_page(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct fake_message *message;
	struct page *page;

	fake_host_reach(host, 100);
	host->holds[FAKE_INFLATE] = true;
	isolate_many(host, 3);
	/* Under balloon_lock, all replacements get into one message. */
	mutex_lock(&host->bd->balloon_lock);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	mutex_unlock(&host->bd->balloon_lock);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 1 &&
			fake_host_asleep(host));
	message = fake_host_last(host, FAKE_INFLATE);
	KUNIT_ASSERT_EQ(test, message->nr, 3 * BALLOON_PER_GUEST_PAGE);
	page = fake_message_page(message, BALLOON_PER_GUEST_PAGE);
	lock_page(page);
	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_INFLATE));
	fake_host_await(host, host->bd->ledger.bm.nr_resident == 99);
	KUNIT_EXPECT_FALSE(test, PageOffline(page));
	fake_host_check(host);
	unlock_page(page);
	fake_host_await(host, host->bd->ledger.bm.nr_resident == 100);
	fake_host_check(host);
}

struct remover {
	struct fake_host *host;
	struct completion done;
};

static int remover_thread(void *data)
{
	struct remover *remover = data;

	fake_host_unplug(remover->host);
	complete(&remover->done);
	return 0;
}

static void remover_start(struct remover *remover, struct fake_host *host)
{
	struct task_struct *task;

	remover->host = host;
	init_completion(&remover->done);
	task = kthread_run(remover_thread, remover, "remover");
	KUNIT_ASSERT_FALSE(host->test, IS_ERR(task));
	fake_host_await(host, READ_ONCE(host->bd->ledger.bm.closed) &&
			!task_is_running(task));
}

static void remove_waits_for_isolated_page(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);
	struct remover remover;
	unsigned long since;

	fake_host_reach(host, 30);
	isolate_many(host, 2);
	remover_start(&remover, host);
	KUNIT_EXPECT_FALSE(test, completion_done(&remover.done));
	KUNIT_EXPECT_FALSE(test,
			   isolate_movable_page(balloon_resident_page(host->bd),
						ISOLATE_UNEVICTABLE));

	/* The pages cannot be migrated any more; mm puts them back. */
	KUNIT_EXPECT_EQ(test, migrate(host), 2);
	KUNIT_EXPECT_FALSE(test, completion_done(&remover.done));
	since = jiffies;
	putback_movable_pages(&host->isolated);
	fake_host_await(host, completion_done(&remover.done));
	KUNIT_EXPECT_LT(test, jiffies - since, HZ);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

static void remove_waits_for_isolated_page_of_dead_balloon(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct remover remover;

	fake_host_reach(host, 30);
	isolate_many(host, 2);
	virtio_break_device(&host->vdev);
	remover_start(&remover, host);
	KUNIT_EXPECT_FALSE(test, completion_done(&remover.done));
	putback_movable_pages(&host->isolated);
	fake_host_await(host, completion_done(&remover.done));
}

/* Removal also posts the batches that migration has left open. */
static void remove_after_migration(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_start(test, features);

	fake_host_reach(host, 700);
	isolate_many(host, 300);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	fake_host_unplug(host);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

static void remove_drains_open_batches(struct kunit *test)
{
	remove_after_migration(test, 0);
}

static void remove_drains_open_batches_must_tell_host(struct kunit *test)
{
	remove_after_migration(test, MUST_TELL_HOST);
}

static void remove_abandons_open_batches(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 700);
	isolate_many(host, 300);
	KUNIT_EXPECT_EQ(test, migrate(host), 0);
	virtio_break_device(&host->vdev);
	fake_host_unplug(host);
}

/* KASAN makes each step ten times as slow. */
#define RANDOM_STEPS	(IS_ENABLED(CONFIG_KASAN) ? 300 : 1000)

/* Does one random step. Pages may stay isolated over several steps. */
static void random_step(struct fake_host *host, struct rnd_state *rnd)
{
	struct balloon_device *bd = host->bd;

	switch (prandom_u32_state(rnd) % 8) {
	case 0:
	case 1:
		fake_host_set_target(host, prandom_u32_state(rnd) % 1500);
		break;
	case 2:
	case 3:
		if (bd->ledger.bm.nr_resident)
			fake_host_isolate(host);
		break;
	case 4:
		migrate(host);
		break;
	case 5:
		putback_movable_pages(&host->isolated);
		break;
	case 6:
		host->holds[prandom_u32_state(rnd) % FAKE_STATS] = true;
		break;
	case 7:
		fake_host_answer_all(host);
		break;
	}
	if (prandom_u32_state(rnd) % 2)
		fake_host_await(host, fake_host_asleep(host));
	else
		schedule();
}

static void migrate_at_random(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_start(test, features);
	struct rnd_state rnd;
	unsigned int i;

	host->max_order = 0;
	host->recycles = true;
	prandom_seed_state(&rnd, 20261121 + features);
	for (i = 0; i < RANDOM_STEPS; i++) {
		random_step(host, &rnd);
		fake_host_check(host);
	}
	putback_movable_pages(&host->isolated);
	fake_host_answer_all(host);
	fake_host_reach(host, 321);
}

static void migrate_races_with_everything(struct kunit *test)
{
	migrate_at_random(test, 0);
}

static void migrate_races_with_everything_must_tell_host(struct kunit *test)
{
	migrate_at_random(test, MUST_TELL_HOST);
}

static struct kunit_case migrate_cases[] = {
	KUNIT_CASE(migrate_moves_page),
	KUNIT_CASE(migrate_moves_page_must_tell_host),
	KUNIT_CASE(migrate_old_page_waits_for_ack),
	KUNIT_CASE(migrate_old_page_released_at_once),
	KUNIT_CASE(migrate_to_other_zone_released_at_once),
	KUNIT_CASE(migrate_to_other_zone_must_tell_host),
	KUNIT_CASE(migrate_open_deflate_goes_before_inflates),
	KUNIT_CASE(migrate_moves_many_pages),
	KUNIT_CASE(migrate_putback_returns_page),
	KUNIT_CASE(migrate_keeps_references),
	KUNIT_CASE(migrate_refuses_page_in_flight),
	KUNIT_CASE(migrate_does_without_lock),
	KUNIT_CASE(migrate_does_not_wait_for_batch),
	KUNIT_CASE(migrate_waits_where_mm_may),
	KUNIT_CASE(migrate_waits_are_bounded_per_task),
	KUNIT_CASE(migrate_wakes_as_soon_as_batch_is_free),
	KUNIT_CASE(migrate_frees_old_page_must_tell_host),
	KUNIT_CASE(migrate_gives_up_old_page_must_tell_host),
	KUNIT_CASE(migrate_does_not_wait_with_signal),
	KUNIT_CASE(migrate_while_inflation_is_stuck),
	KUNIT_CASE(migrate_while_deflation_is_stuck),
	KUNIT_CASE(migrate_inflate_waits_for_its_own_deflate),
	KUNIT_CASE(migrate_refuses_dying_balloon),
	KUNIT_CASE(migrate_refuses_broken_balloon),
	KUNIT_CASE(deflate_waits_for_isolated_page),
	KUNIT_CASE(deflate_waits_for_migrated_page),
	KUNIT_CASE(deflate_passes_over_locked_page),
	KUNIT_CASE(deflate_loses_locked_page_to_isolation),
	KUNIT_CASE(migrate_settles_locked_page),
	KUNIT_CASE(remove_waits_for_isolated_page),
	KUNIT_CASE(remove_waits_for_isolated_page_of_dead_balloon),
	KUNIT_CASE(remove_drains_open_batches),
	KUNIT_CASE(remove_drains_open_batches_must_tell_host),
	KUNIT_CASE(remove_abandons_open_batches),
	KUNIT_CASE_SLOW(migrate_races_with_everything),
	KUNIT_CASE_SLOW(migrate_races_with_everything_must_tell_host),
	{}
};

static struct kunit_suite migrate_suite = {
	.name = "virtio_balloon_migrate",
	.test_cases = migrate_cases,
};

kunit_test_suite(migrate_suite);
