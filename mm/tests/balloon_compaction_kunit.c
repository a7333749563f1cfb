// SPDX-License-Identifier: GPL-2.0
/*
 * Balloon mappings without a driver. mm's own functions isolate, migrate and
 * put back pages, through the hooks of a balloon that has no host.
 */

#include <kunit/test.h>
#include <linux/balloon_compaction.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/slab.h>

#define NR_PAGES	8U
#define PATTERN		0xa5

/**
 * struct toy_balloon - a minimal balloon driver
 * @bm: its pages
 * @pages: all pages of the test, which has a reference of its own to each
 * @nr_pages: number of pages in @pages
 * @migrate_err: error that the migrate hook returns, or 0 to migrate
 * @refuses: the isolate hook refuses
 * @nr_isolate: calls of the isolate hook
 * @nr_migrate: calls of the migrate hook
 * @nr_putback: calls of the put-back hook
 */
struct toy_balloon {
	struct balloon_mapping bm;
	struct page *pages[8 * NR_PAGES];
	unsigned int nr_pages;
	int migrate_err;
	bool refuses;
	unsigned int nr_isolate;
	unsigned int nr_migrate;
	unsigned int nr_putback;
};

static struct toy_balloon *to_toy(struct address_space *mapping)
{
	return container_of(to_balloon_mapping(mapping), struct toy_balloon,
			    bm);
}

static bool toy_isolate_page(struct address_space *mapping, struct page *page)
{
	struct toy_balloon *toy = to_toy(mapping);
	bool isolated;

	toy->nr_isolate++;
	if (toy->refuses)
		return false;
	spin_lock(&toy->bm.pages_lock);
	isolated = balloon_mapping_isolate(&toy->bm, page);
	spin_unlock(&toy->bm.pages_lock);
	return isolated;
}

/* This balloon has no host to tell, so the new page is resident at once. */
static int toy_migrate_folio(struct address_space *mapping, struct folio *dst,
			     struct folio *src, enum migrate_mode mode)
{
	struct toy_balloon *toy = to_toy(mapping);

	toy->nr_migrate++;
	if (toy->migrate_err)
		return toy->migrate_err;

	folio_get(dst);
	spin_lock(&toy->bm.pages_lock);
	balloon_mapping_forget(&toy->bm, folio_page(src, 0));
	balloon_mapping_insert(&toy->bm, folio_page(dst, 0));
	spin_unlock(&toy->bm.pages_lock);
	folio_put(src);
	return MIGRATEPAGE_SUCCESS;
}

static void toy_putback_page(struct address_space *mapping, struct page *page)
{
	struct toy_balloon *toy = to_toy(mapping);

	toy->nr_putback++;
	spin_lock(&toy->bm.pages_lock);
	balloon_mapping_putback(&toy->bm, page);
	spin_unlock(&toy->bm.pages_lock);
}

static const struct balloon_aops toy_aops = {
	.aops.migrate_folio = toy_migrate_folio,
	.isolate_page = toy_isolate_page,
	.putback_page = toy_putback_page,
};

/* Returns a page with two references: the test's and the caller's. */
static struct page *toy_new_page(struct toy_balloon *toy)
{
	struct page *page;

	if (toy->nr_pages == ARRAY_SIZE(toy->pages))
		return NULL;
	page = alloc_page(mapping_gfp_mask(&toy->bm.mapping));
	if (!page)
		return NULL;
	toy->pages[toy->nr_pages++] = page;
	get_page(page);
	return page;
}

static unsigned int toy_take(struct toy_balloon *toy, struct page **pages,
			     unsigned int max)
{
	unsigned int taken;

	spin_lock(&toy->bm.pages_lock);
	taken = balloon_mapping_take(&toy->bm, pages, max);
	spin_unlock(&toy->bm.pages_lock);
	return taken;
}

static void toy_insert(struct toy_balloon *toy, struct page *page)
{
	lock_page(page);
	spin_lock(&toy->bm.pages_lock);
	balloon_mapping_insert(&toy->bm, page);
	spin_unlock(&toy->bm.pages_lock);
	unlock_page(page);
}

static struct toy_balloon *toy_create(struct kunit *test)
{
	struct toy_balloon *toy = kunit_kzalloc(test, sizeof(*toy), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, toy);
	balloon_mapping_init(&toy->bm, &toy_aops);
	return toy;
}

static void toy_fill(struct kunit *test, struct toy_balloon *toy)
{
	struct page **pages = toy->pages + toy->nr_pages;
	unsigned int i;

	for (i = 0; i < NR_PAGES; i++)
		KUNIT_ASSERT_NOT_NULL(test, toy_new_page(toy));
	spin_lock(&toy->bm.pages_lock);
	balloon_mapping_insert_new(&toy->bm, pages, 3);
	balloon_mapping_insert_new(&toy->bm, pages + 3, 0);
	balloon_mapping_insert_new(&toy->bm, pages + 3, NR_PAGES - 3);
	spin_unlock(&toy->bm.pages_lock);
}

static bool has_marks(struct toy_balloon *toy, struct page *page)
{
	return PageOffline(page) && __PageMovable(page) &&
	       page_movable_ops(page) && balloon_page_mapping(page) == &toy->bm;
}

/* __PageMovable() stays true until the page is freed. */
static bool has_no_marks(struct page *page)
{
	return !PageOffline(page) && !page_private(page) &&
	       !(__PageMovable(page) && page_movable_ops(page));
}

/* The counters must match the list and the marks. */
static void toy_check(struct kunit *test, struct toy_balloon *toy)
{
	unsigned int i, listed = 0, marked = 0;
	struct page *page;

	spin_lock(&toy->bm.pages_lock);
	list_for_each_entry(page, &toy->bm.pages, lru)
		listed++;
	spin_unlock(&toy->bm.pages_lock);

	for (i = 0; i < toy->nr_pages; i++) {
		KUNIT_EXPECT_NE(test, has_marks(toy, toy->pages[i]),
				has_no_marks(toy->pages[i]));
		marked += has_marks(toy, toy->pages[i]);
	}
	KUNIT_EXPECT_EQ(test, listed, toy->bm.nr_resident);
	KUNIT_EXPECT_EQ(test, marked,
			toy->bm.nr_resident + toy->bm.nr_isolated);
}

/* Takes all pages out and checks that only the test has references. */
static void toy_empty(struct kunit *test, struct toy_balloon *toy)
{
	struct page *page;
	unsigned int i;

	toy_check(test, toy);
	while (toy_take(toy, &page, 1))
		put_page(page);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, 0);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_isolated, 0);
	for (i = 0; i < toy->nr_pages; i++) {
		KUNIT_EXPECT_EQ(test, page_ref_count(toy->pages[i]), 1);
		KUNIT_EXPECT_TRUE(test, has_no_marks(toy->pages[i]));
		KUNIT_EXPECT_FALSE(test, PageIsolated(toy->pages[i]));
		put_page(toy->pages[i]);
	}
	toy->nr_pages = 0;
}

static bool isolate(struct page *page, struct list_head *list)
{
	if (!isolate_movable_page(page, ISOLATE_UNEVICTABLE))
		return false;
	list_add_tail(&page->lru, list);
	return true;
}

static struct folio *toy_migration_target(struct folio *src, unsigned long toy)
{
	struct page *page = toy_new_page((struct toy_balloon *)toy);

	return page ? page_folio(page) : NULL;
}

static void toy_migration_target_unused(struct folio *dst, unsigned long toy)
{
	folio_put(dst);
}

/* Returns how many pages mm did not migrate; they are still on @list. */
static int migrate(struct toy_balloon *toy, struct list_head *list)
{
	return migrate_pages(list, toy_migration_target,
			     toy_migration_target_unused, (unsigned long)toy,
			     MIGRATE_SYNC, MR_COMPACTION, NULL);
}

static void mapping_starts_empty(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct address_space *mapping = &toy->bm.mapping;
	struct page *page;

	KUNIT_EXPECT_PTR_EQ(test, mapping->a_ops, &toy_aops.aops);
	KUNIT_EXPECT_PTR_EQ(test, balloon_aops(mapping), &toy_aops);
	KUNIT_EXPECT_PTR_EQ(test, to_balloon_mapping(mapping), &toy->bm);
	KUNIT_EXPECT_TRUE(test,
			  mapping_gfp_mask(mapping) ==
			  (GFP_HIGHUSER_MOVABLE | __GFP_SKIP_ZERO));
	KUNIT_EXPECT_EQ(test, toy_take(toy, &page, 1), 0);
	toy_check(test, toy);
}

/* Frees @page, allocates it again, and returns its contents. */
static const u8 *allocate_again(struct kunit *test, struct page *page,
				gfp_t gfp)
{
	struct page *again;

	memset(page_address(page), PATTERN, PAGE_SIZE);
	__free_page(page);
	again = alloc_page(gfp);
	KUNIT_ASSERT_NOT_NULL(test, again);
	KUNIT_EXPECT_PTR_EQ(test, again, page);
	return page_address(again);
}

/* The balloon's allocation leaves the contents; another one zeroes them. */
static void pages_are_not_zeroed(struct kunit *test)
{
	gfp_t gfp = mapping_gfp_mask(&toy_create(test)->bm.mapping) &
		    ~__GFP_HIGHMEM;
	bool zeroes = static_key_enabled(&init_on_alloc);
	struct page *page;
	const u8 *contents;

	if (want_init_on_free())
		kunit_skip(test, "the kernel zeroes all that is freed");
	page = alloc_page(gfp);
	KUNIT_ASSERT_NOT_NULL(test, page);
	static_branch_enable(&init_on_alloc);
	migrate_disable();	/* each CPU has free pages of its own */
	contents = allocate_again(test, page, gfp);
	KUNIT_EXPECT_NULL(test, memchr_inv(contents, PATTERN, PAGE_SIZE));
	contents = allocate_again(test, page, gfp & ~__GFP_SKIP_ZERO);
	KUNIT_EXPECT_NULL(test, memchr_inv(contents, 0, PAGE_SIZE));
	migrate_enable();
	if (!zeroes)
		static_branch_disable(&init_on_alloc);
	__free_page(page);
}

static void insert_marks_pages(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	unsigned int i;

	toy_fill(test, toy);
	for (i = 0; i < NR_PAGES; i++)
		KUNIT_EXPECT_TRUE(test, has_marks(toy, toy->pages[i]));
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, NR_PAGES);
	toy_empty(test, toy);
}

static void take_gives_newest_first(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *pages[NR_PAGES];
	unsigned int i;

	toy_fill(test, toy);
	KUNIT_EXPECT_EQ(test, toy_take(toy, pages, NR_PAGES - 2), NR_PAGES - 2);
	for (i = 0; i < NR_PAGES - 2; i++) {
		KUNIT_EXPECT_PTR_EQ(test, pages[i],
				    toy->pages[NR_PAGES - 1 - i]);
		KUNIT_EXPECT_TRUE(test, has_no_marks(pages[i]));
		put_page(pages[i]);
	}
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, 2);
	toy_empty(test, toy);
}

static void take_gives_no_more_than_there_is(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *pages[2 * NR_PAGES];
	unsigned int i;

	toy_fill(test, toy);
	KUNIT_EXPECT_EQ(test, toy_take(toy, pages, ARRAY_SIZE(pages)),
			NR_PAGES);
	for (i = 0; i < NR_PAGES; i++)
		put_page(pages[i]);
	toy_empty(test, toy);
}

/* The walk moves the locked page away: the next walk begins with others. */
static void take_passes_over_locked_page(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *locked, *pages[NR_PAGES];
	unsigned int i;

	toy_fill(test, toy);
	locked = toy->pages[NR_PAGES - 1];
	lock_page(locked);
	KUNIT_EXPECT_EQ(test, toy_take(toy, pages, 1), 1);
	KUNIT_EXPECT_PTR_EQ(test, pages[0], toy->pages[NR_PAGES - 2]);
	KUNIT_EXPECT_PTR_EQ(test, locked,
			    list_first_entry(&toy->bm.pages, struct page, lru));
	put_page(pages[0]);

	KUNIT_EXPECT_EQ(test, toy_take(toy, pages, NR_PAGES), NR_PAGES - 2);
	for (i = 0; i < NR_PAGES - 2; i++)
		put_page(pages[i]);
	KUNIT_EXPECT_TRUE(test, has_marks(toy, locked));
	/* Only the locked page is left: the walk must end. */
	KUNIT_EXPECT_EQ(test, toy_take(toy, pages, NR_PAGES), 0);
	unlock_page(locked);
	toy_empty(test, toy);
}

static void take_passes_over_locked_page_on_its_way(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *locked, *pages[NR_PAGES];
	unsigned int i;

	toy_fill(test, toy);
	locked = toy->pages[NR_PAGES - 2];
	lock_page(locked);
	KUNIT_EXPECT_EQ(test, toy_take(toy, pages, 2), 2);
	KUNIT_EXPECT_PTR_EQ(test, pages[0], toy->pages[NR_PAGES - 1]);
	KUNIT_EXPECT_PTR_EQ(test, pages[1], toy->pages[NR_PAGES - 3]);
	put_page(pages[0]);
	put_page(pages[1]);
	KUNIT_EXPECT_EQ(test, list_count_nodes(&toy->bm.pages), NR_PAGES - 2);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, NR_PAGES - 2);

	KUNIT_EXPECT_EQ(test, toy_take(toy, pages, NR_PAGES), NR_PAGES - 3);
	for (i = 0; i < NR_PAGES - 3; i++)
		put_page(pages[i]);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&toy->bm.pages));
	unlock_page(locked);
	toy_empty(test, toy);
}

struct toy_taker {
	struct toy_balloon *toy;
	struct page *page;
	unsigned int taken;
	struct completion done;
};

static int toy_taker_thread(void *data)
{
	struct toy_taker *taker = data;
	struct toy_balloon *toy = taker->toy;

	spin_lock(&toy->bm.pages_lock);
	taker->taken = balloon_mapping_take_locked(&toy->bm, &taker->page);
	spin_unlock(&toy->bm.pages_lock);
	complete(&taker->done);
	return 0;
}

/* Starts a thread that takes a page; returns when it waits for the lock. */
static void toy_taker_start(struct kunit *test, struct toy_taker *taker,
			    struct toy_balloon *toy)
{
	unsigned long deadline = jiffies + 10 * HZ;
	struct task_struct *task;

	taker->toy = toy;
	init_completion(&taker->done);
	task = kthread_run(toy_taker_thread, taker, "toy-taker");
	KUNIT_ASSERT_FALSE(test, IS_ERR(task));
	while (task_is_running(task) && time_before(jiffies, deadline))
		schedule_timeout_uninterruptible(1);
	KUNIT_EXPECT_FALSE(test, completion_done(&taker->done));
}

static void take_locked_waits(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct toy_taker taker;

	toy_fill(test, toy);
	lock_page(toy->pages[0]);
	toy_taker_start(test, &taker, toy);
	KUNIT_EXPECT_EQ(test, page_ref_count(toy->pages[0]), 3);
	unlock_page(toy->pages[0]);
	wait_for_completion(&taker.done);

	KUNIT_EXPECT_EQ(test, taker.taken, 1);
	KUNIT_EXPECT_PTR_EQ(test, taker.page, toy->pages[0]);
	KUNIT_EXPECT_EQ(test, page_ref_count(toy->pages[0]), 2);
	put_page(taker.page);
	toy_empty(test, toy);
}

static void take_locked_of_nothing(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *page;

	spin_lock(&toy->bm.pages_lock);
	KUNIT_EXPECT_EQ(test, balloon_mapping_take_locked(&toy->bm, &page), 0);
	spin_unlock(&toy->bm.pages_lock);
}

/* The holder of the page lock isolates the page, so mm keeps it. */
static void take_locked_loses_to_isolation(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *page;
	struct toy_taker taker;
	LIST_HEAD(list);

	toy_fill(test, toy);
	page = toy->pages[0];
	lock_page(page);
	toy_taker_start(test, &taker, toy);

	/* The steps of isolate_movable_page() under the page lock. */
	get_page(page);
	KUNIT_EXPECT_TRUE(test, page_movable_ops(page)->isolate_page(page, 0));
	SetPageIsolated(page);
	list_add(&page->lru, &list);
	unlock_page(page);
	wait_for_completion(&taker.done);
	KUNIT_EXPECT_EQ(test, taker.taken, 0);
	KUNIT_EXPECT_TRUE(test, has_marks(toy, page));
	KUNIT_EXPECT_EQ(test, toy->bm.nr_isolated, 1);

	putback_movable_pages(&list);
	toy_empty(test, toy);
}

/* The test takes the page out before the waiter gets the lock. */
static void take_locked_loses_to_take(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *page, *other;
	struct toy_taker taker;

	page = toy_new_page(toy);
	KUNIT_ASSERT_NOT_NULL(test, page);
	toy_insert(toy, page);
	lock_page(page);
	toy_taker_start(test, &taker, toy);

	/* The waiter does not run before this task sleeps. */
	unlock_page(page);
	KUNIT_EXPECT_EQ(test, toy_take(toy, &other, 1), 1);
	KUNIT_EXPECT_PTR_EQ(test, other, page);
	put_page(other);
	wait_for_completion(&taker.done);
	KUNIT_EXPECT_EQ(test, taker.taken, 0);
	toy_empty(test, toy);
}

static void isolate_takes_page_off_the_list(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *pages[NR_PAGES];
	unsigned int i;
	LIST_HEAD(list);

	toy_fill(test, toy);
	KUNIT_EXPECT_TRUE(test, isolate(toy->pages[3], &list));
	KUNIT_EXPECT_EQ(test, toy->nr_isolate, 1);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_isolated, 1);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, NR_PAGES - 1);
	KUNIT_EXPECT_TRUE(test, has_marks(toy, toy->pages[3]));
	toy_check(test, toy);

	/* A second isolation of the page fails. */
	KUNIT_EXPECT_FALSE(test, isolate(toy->pages[3], &list));
	KUNIT_EXPECT_EQ(test, toy->nr_isolate, 1);

	KUNIT_EXPECT_EQ(test, toy_take(toy, pages, NR_PAGES), NR_PAGES - 1);
	for (i = 0; i < NR_PAGES - 1; i++) {
		KUNIT_EXPECT_PTR_NE(test, pages[i], toy->pages[3]);
		put_page(pages[i]);
	}
	putback_movable_pages(&list);
	toy_empty(test, toy);
}

static void isolate_asks_the_hook(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	LIST_HEAD(list);

	toy_fill(test, toy);
	toy->refuses = true;
	KUNIT_EXPECT_FALSE(test, isolate(toy->pages[0], &list));
	KUNIT_EXPECT_EQ(test, toy->nr_isolate, 1);
	KUNIT_EXPECT_FALSE(test, PageIsolated(toy->pages[0]));
	toy_check(test, toy);
	toy_empty(test, toy);
}

static void isolate_refused_once_closed(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	LIST_HEAD(list);

	toy_fill(test, toy);
	KUNIT_EXPECT_TRUE(test, isolate(toy->pages[0], &list));
	balloon_mapping_close(&toy->bm);
	KUNIT_EXPECT_FALSE(test, isolate(toy->pages[1], &list));
	/* The page that is already isolated still comes back. */
	putback_movable_pages(&list);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, NR_PAGES);

	balloon_mapping_open(&toy->bm);
	KUNIT_EXPECT_TRUE(test, isolate(toy->pages[1], &list));
	putback_movable_pages(&list);
	toy_empty(test, toy);
}

static void isolate_refused_for_page_taken(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *page;
	LIST_HEAD(list);

	toy_fill(test, toy);
	KUNIT_EXPECT_EQ(test, toy_take(toy, &page, 1), 1);
	KUNIT_EXPECT_FALSE(test, isolate(page, &list));
	KUNIT_EXPECT_EQ(test, toy->nr_isolate, 0);
	put_page(page);
	toy_empty(test, toy);
}

static void putback_returns_pages(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	unsigned int i;
	LIST_HEAD(list);

	toy_fill(test, toy);
	for (i = 0; i < NR_PAGES; i++)
		KUNIT_EXPECT_TRUE(test, isolate(toy->pages[i], &list));
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, 0);
	toy_check(test, toy);

	putback_movable_pages(&list);
	KUNIT_EXPECT_EQ(test, toy->nr_putback, NR_PAGES);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_isolated, 0);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, NR_PAGES);
	for (i = 0; i < NR_PAGES; i++) {
		KUNIT_EXPECT_FALSE(test, PageIsolated(toy->pages[i]));
		KUNIT_EXPECT_EQ(test, page_ref_count(toy->pages[i]), 2);
	}
	toy_empty(test, toy);
}

static void migrate_replaces_pages(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	unsigned int i;
	LIST_HEAD(list);

	toy_fill(test, toy);
	for (i = 0; i < NR_PAGES; i++)
		KUNIT_EXPECT_TRUE(test, isolate(toy->pages[i], &list));
	KUNIT_EXPECT_EQ(test, migrate(toy, &list), 0);
	KUNIT_EXPECT_TRUE(test, list_empty(&list));
	KUNIT_EXPECT_EQ(test, toy->nr_migrate, NR_PAGES);
	KUNIT_EXPECT_EQ(test, toy->nr_pages, 2 * NR_PAGES);
	for (i = 0; i < NR_PAGES; i++) {
		KUNIT_EXPECT_TRUE(test, has_no_marks(toy->pages[i]));
		KUNIT_EXPECT_EQ(test, page_ref_count(toy->pages[i]), 1);
		KUNIT_EXPECT_TRUE(test,
				  has_marks(toy, toy->pages[NR_PAGES + i]));
	}
	toy_empty(test, toy);
}

static void migrate_again_and_again(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	struct page *page;
	unsigned int i;
	LIST_HEAD(list);

	page = toy_new_page(toy);
	KUNIT_ASSERT_NOT_NULL(test, page);
	toy_insert(toy, page);
	for (i = 0; i < 10; i++) {
		KUNIT_EXPECT_TRUE(test, isolate(toy->pages[i], &list));
		KUNIT_EXPECT_EQ(test, migrate(toy, &list), 0);
	}
	KUNIT_EXPECT_EQ(test, toy->nr_pages, 11);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, 1);
	toy_empty(test, toy);
}

static void migrate_may_be_refused(struct kunit *test)
{
	struct toy_balloon *toy = toy_create(test);
	LIST_HEAD(list);

	toy_fill(test, toy);
	toy->migrate_err = -EAGAIN;
	KUNIT_EXPECT_TRUE(test, isolate(toy->pages[0], &list));
	KUNIT_EXPECT_EQ(test, migrate(toy, &list), 1);
	/* mm tries several times before it gives up. */
	KUNIT_EXPECT_GT(test, toy->nr_migrate, 1);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_isolated, 1);
	toy_check(test, toy);

	putback_movable_pages(&list);
	KUNIT_EXPECT_EQ(test, toy->nr_putback, 1);
	KUNIT_EXPECT_EQ(test, toy->bm.nr_resident, NR_PAGES);
	toy_empty(test, toy);
}

/* All balloons share one bridge; page->private selects the balloon. */
static void bridge_tells_balloons_apart(struct kunit *test)
{
	struct toy_balloon *one = toy_create(test), *two = toy_create(test);
	LIST_HEAD(list);

	toy_fill(test, one);
	toy_fill(test, two);
	KUNIT_EXPECT_TRUE(test, isolate(one->pages[0], &list));
	KUNIT_EXPECT_TRUE(test, isolate(one->pages[1], &list));
	KUNIT_EXPECT_TRUE(test, isolate(two->pages[0], &list));
	KUNIT_EXPECT_EQ(test, one->bm.nr_isolated, 2);
	KUNIT_EXPECT_EQ(test, two->bm.nr_isolated, 1);
	two->migrate_err = -EAGAIN;
	KUNIT_EXPECT_EQ(test, migrate(one, &list), 1);
	KUNIT_EXPECT_EQ(test, one->bm.nr_isolated, 0);
	KUNIT_EXPECT_EQ(test, one->nr_migrate, 2);

	putback_movable_pages(&list);
	KUNIT_EXPECT_EQ(test, one->nr_putback, 0);
	KUNIT_EXPECT_EQ(test, two->nr_putback, 1);
	toy_empty(test, one);
	toy_empty(test, two);
}

static struct kunit_case balloon_compaction_cases[] = {
	KUNIT_CASE(mapping_starts_empty),
	KUNIT_CASE(pages_are_not_zeroed),
	KUNIT_CASE(insert_marks_pages),
	KUNIT_CASE(take_gives_newest_first),
	KUNIT_CASE(take_gives_no_more_than_there_is),
	KUNIT_CASE(take_passes_over_locked_page),
	KUNIT_CASE(take_passes_over_locked_page_on_its_way),
	KUNIT_CASE(take_locked_waits),
	KUNIT_CASE(take_locked_of_nothing),
	KUNIT_CASE(take_locked_loses_to_isolation),
	KUNIT_CASE(take_locked_loses_to_take),
	KUNIT_CASE(isolate_takes_page_off_the_list),
	KUNIT_CASE(isolate_asks_the_hook),
	KUNIT_CASE(isolate_refused_once_closed),
	KUNIT_CASE(isolate_refused_for_page_taken),
	KUNIT_CASE(putback_returns_pages),
	KUNIT_CASE(migrate_replaces_pages),
	KUNIT_CASE(migrate_again_and_again),
	KUNIT_CASE(migrate_may_be_refused),
	KUNIT_CASE(bridge_tells_balloons_apart),
	{}
};

static struct kunit_suite balloon_compaction_suite = {
	.name = "balloon_compaction",
	.test_cases = balloon_compaction_cases,
};

kunit_test_suite(balloon_compaction_suite);

MODULE_DESCRIPTION("KUnit tests of balloon mappings");
MODULE_LICENSE("GPL");
