// SPDX-License-Identifier: GPL-2.0
/*
 * Balloon mappings: they let mm compaction move the pages of a memory balloon.
 *
 * include/linux/balloon_compaction.h describes the states, the locks and the
 * rules of lifetime.
 */

#include <linux/balloon_compaction.h>
#include <linux/export.h>
#include <linux/lockdep.h>
#include <linux/mm.h>

/*
 * The bridge from mm to a balloon's hooks. All balloons share this struct
 * movable_operations, which mm finds at a movable page. page->private points to
 * the page's balloon mapping, and the a_ops of that mapping are the hooks.
 */
static bool balloon_bridge_isolate(struct page *page, isolate_mode_t mode)
{
	struct address_space *mapping = &balloon_page_mapping(page)->mapping;

	return balloon_aops(mapping)->isolate_page(mapping, page);
}

static int balloon_bridge_migrate(struct page *dst, struct page *src,
				  enum migrate_mode mode)
{
	struct address_space *mapping = &balloon_page_mapping(src)->mapping;

	return mapping->a_ops->migrate_folio(mapping, page_folio(dst),
					     page_folio(src), mode);
}

static void balloon_bridge_putback(struct page *page)
{
	struct address_space *mapping = &balloon_page_mapping(page)->mapping;

	balloon_aops(mapping)->putback_page(mapping, page);
}

static const struct movable_operations balloon_bridge = {
	.isolate_page = balloon_bridge_isolate,
	.migrate_page = balloon_bridge_migrate,
	.putback_page = balloon_bridge_putback,
};

/*
 * Pages are movable only with CONFIG_BALLOON_COMPACTION. No task reads a
 * balloon's page, and zeroing would make the page resident on the host.
 */
static gfp_t balloon_default_gfp_mask(void)
{
	return (IS_ENABLED(CONFIG_BALLOON_COMPACTION) ? GFP_HIGHUSER_MOVABLE :
							GFP_HIGHUSER) |
	       __GFP_SKIP_ZERO;
}

/**
 * balloon_mapping_init - set up an empty mapping, open for isolation
 * @bm: the mapping, in memory of any content
 * @ops: the hooks; they must outlive @bm
 *
 * Context: any.
 */
void balloon_mapping_init(struct balloon_mapping *bm,
			  const struct balloon_aops *ops)
{
	memset(bm, 0, sizeof(*bm));
	address_space_init_once(&bm->mapping);
	bm->mapping.a_ops = &ops->aops;
	mapping_set_gfp_mask(&bm->mapping, balloon_default_gfp_mask());
	spin_lock_init(&bm->pages_lock);
	INIT_LIST_HEAD(&bm->pages);
}
EXPORT_SYMBOL_GPL(balloon_mapping_init);

/**
 * balloon_mapping_open - allow isolation again after balloon_mapping_close()
 * @bm: the mapping
 *
 * Context: process, takes pages_lock.
 */
void balloon_mapping_open(struct balloon_mapping *bm)
{
	spin_lock(&bm->pages_lock);
	bm->closed = false;
	spin_unlock(&bm->pages_lock);
}
EXPORT_SYMBOL_GPL(balloon_mapping_open);

/**
 * balloon_mapping_close - refuse isolation from here on
 * @bm: the mapping
 *
 * Pages that are already isolated still come back through the hooks. The number
 * of isolated pages does not grow any more.
 *
 * Context: process, takes pages_lock.
 */
void balloon_mapping_close(struct balloon_mapping *bm)
{
	spin_lock(&bm->pages_lock);
	bm->closed = true;
	spin_unlock(&bm->pages_lock);
}
EXPORT_SYMBOL_GPL(balloon_mapping_close);

/* As page_folio(), but does not look for a head: balloon pages are single. */
static __always_inline struct folio *balloon_page_folio(struct page *page)
{
	return container_of(page, struct folio, page);
}

/*
 * mm may find the page movable without the page lock, and must then find its
 * mapping. So page->private is set before page->mapping. __SetPageMovable() has
 * no such barrier, and expects a locked page.
 *
 * PG_offline is set last. scan_movable_pages() takes no lock. It tests whether
 * the page is movable, and then gives up if the page is PG_offline. A page that
 * gets its marks between the two tests still stops it: offlining must be tried
 * again.
 */
static __always_inline void balloon_page_mark(struct balloon_mapping *bm,
					      struct page *page)
{
	unsigned long movable = (unsigned long)&balloon_bridge |
				PAGE_MAPPING_MOVABLE;

	set_page_private(page, (unsigned long)bm);
	if (IS_ENABLED(CONFIG_BALLOON_COMPACTION))
		/* pairs with the smp_rmb()s of isolate_movable_page() */
		smp_store_release(&page->mapping, (void *)movable);
	smp_wmb(); /* for scan_movable_pages(), which has no barrier */
	__folio_set_offline(balloon_page_folio(page));
}

/*
 * As __ClearPageMovable(), without a function call for each page: the page
 * keeps PAGE_MAPPING_MOVABLE until it is freed.
 */
static __always_inline void balloon_page_unmark(struct page *page)
{
	set_page_private(page, 0);
	if (IS_ENABLED(CONFIG_BALLOON_COMPACTION))
		WRITE_ONCE(page->mapping, (void *)PAGE_MAPPING_MOVABLE);
	__folio_clear_offline(balloon_page_folio(page));
}

/**
 * balloon_mapping_insert - make a page resident
 * @bm: the mapping
 * @page: a locked page that is on no list and has no marks
 *
 * Context: page lock and pages_lock held.
 */
void balloon_mapping_insert(struct balloon_mapping *bm, struct page *page)
{
	lockdep_assert_held(&bm->pages_lock);
	VM_WARN_ON_ONCE_PAGE(!PageLocked(page), page);
	balloon_page_mark(bm, page);
	list_add_tail(&page->lru, &bm->pages);
	bm->nr_resident++;
}
EXPORT_SYMBOL_GPL(balloon_mapping_insert);

/**
 * balloon_mapping_insert_new - make new pages from the allocator resident
 * @bm: the mapping
 * @pages: pages that are on no list, have no marks, and have no other user
 * @nr: how many pages
 *
 * The caller needs no page lock. mm may lock a page for a moment, and finds
 * that the page is not movable. If mm finds the marks, its hook waits for
 * pages_lock. The pages are linked by hand: with checked lists, list_add_tail()
 * is a function call for each page.
 *
 * Context: pages_lock held.
 */
void balloon_mapping_insert_new(struct balloon_mapping *bm,
				struct page **pages, unsigned int nr)
{
	struct list_head *last = bm->pages.prev;
	struct page *page;
	unsigned int i;

	lockdep_assert_held(&bm->pages_lock);
	for (i = 0; i < nr; i++) {
		page = pages[i];
		VM_WARN_ON_ONCE_PAGE(PageOffline(page), page);
		balloon_page_mark(bm, page);
		page->lru.prev = last;
		WRITE_ONCE(last->next, &page->lru);
		last = &page->lru;
	}
	WRITE_ONCE(last->next, &bm->pages);
	bm->pages.prev = last;
	bm->nr_resident += nr;
}
EXPORT_SYMBOL_GPL(balloon_mapping_insert_new);

/**
 * balloon_mapping_isolate - hand a resident page over to mm
 * @bm: the mapping
 * @page: a locked page, resident
 *
 * Context: page lock and pages_lock held.
 * Return: false once the mapping is closed.
 */
bool balloon_mapping_isolate(struct balloon_mapping *bm, struct page *page)
{
	lockdep_assert_held(&bm->pages_lock);
	if (bm->closed)
		return false;
	list_del(&page->lru);
	bm->nr_resident--;
	bm->nr_isolated++;
	return true;
}
EXPORT_SYMBOL_GPL(balloon_mapping_isolate);

/**
 * balloon_mapping_putback - make an isolated page resident again
 * @bm: the mapping
 * @page: a locked page, isolated
 *
 * mm clears PG_isolated after the put-back hook, still under the page lock.
 * Until mm drops the page lock, balloon_mapping_take() passes over the page.
 *
 * Context: page lock and pages_lock held.
 */
void balloon_mapping_putback(struct balloon_mapping *bm, struct page *page)
{
	lockdep_assert_held(&bm->pages_lock);
	list_add_tail(&page->lru, &bm->pages);
	bm->nr_isolated--;
	bm->nr_resident++;
}
EXPORT_SYMBOL_GPL(balloon_mapping_putback);

/**
 * balloon_mapping_forget - another page has replaced an isolated one
 * @bm: the mapping
 * @page: a locked page, isolated; loses its marks and stays on mm's list
 *
 * Context: page lock and pages_lock held.
 */
void balloon_mapping_forget(struct balloon_mapping *bm, struct page *page)
{
	lockdep_assert_held(&bm->pages_lock);
	balloon_page_unmark(page);
	bm->nr_isolated--;
}
EXPORT_SYMBOL_GPL(balloon_mapping_forget);

/* Takes the last @nr pages, from @first to the end, off the list. */
static void balloon_mapping_cut(struct balloon_mapping *bm,
				struct list_head *first, unsigned int nr)
{
	LIST_HEAD(rest);

	list_cut_before(&rest, &bm->pages, first);
	INIT_LIST_HEAD(&bm->pages);
	list_splice(&rest, &bm->pages);
	bm->nr_resident -= nr;
}

static __always_inline unsigned int
__balloon_mapping_take(struct balloon_mapping *bm, struct page **pages,
		       unsigned int max, unsigned long walk,
		       bool (*wanted)(const struct page *page, void *data),
		       void *data)
{
	struct list_head *first = &bm->pages;
	unsigned int taken = 0;
	struct folio *folio;
	struct page *page;

	lockdep_assert_held(&bm->pages_lock);
	walk = min(walk, bm->nr_resident);
	while (taken < max && walk--) {
		page = list_entry(first->prev, struct page, lru);
		folio = balloon_page_folio(page);
		if ((wanted && !wanted(page, data)) || !folio_trylock(folio)) {
			list_move(&page->lru, &bm->pages);
			continue;
		}
		balloon_page_unmark(page);
		folio_unlock(folio);
		first = &page->lru;
		pages[taken++] = page;
	}
	if (taken)
		balloon_mapping_cut(bm, first, taken);
	return taken;
}

/**
 * balloon_mapping_take - take resident pages out of the mapping
 * @bm: the mapping
 * @pages: where to store them, the newest first
 * @max: guest pages of PAGE_SIZE wanted
 *
 * The walk passes over a locked page and moves it to the head of the list. So
 * the next walk begins with other pages.
 *
 * Context: pages_lock held; does not sleep.
 * Return: guest pages stored. Less than @max does not mean that the list is
 * empty, see balloon_mapping_take_locked().
 */
unsigned int balloon_mapping_take(struct balloon_mapping *bm,
				  struct page **pages, unsigned int max)
{
	return __balloon_mapping_take(bm, pages, max, ULONG_MAX, NULL, NULL);
}
EXPORT_SYMBOL_GPL(balloon_mapping_take);

/**
 * balloon_mapping_take_wanted - take resident pages of the caller's choice
 * @bm: the mapping
 * @pages: where to store them, the newest first
 * @max: guest pages of PAGE_SIZE wanted
 * @looks: guest pages to look at
 * @wanted: returns whether the caller wants a page; called for each page
 * @data: passed to @wanted
 *
 * The walk passes over an unwanted page as over a locked one. So the next call
 * begins with other pages.
 *
 * Context: pages_lock held; does not sleep.
 * Return: guest pages stored.
 */
unsigned int
balloon_mapping_take_wanted(struct balloon_mapping *bm, struct page **pages,
			    unsigned int max, unsigned long looks,
			    bool (*wanted)(const struct page *page, void *data),
			    void *data)
{
	return __balloon_mapping_take(bm, pages, max, looks, wanted, data);
}
EXPORT_SYMBOL_GPL(balloon_mapping_take_wanted);

/**
 * balloon_mapping_take_locked - wait for a page lock and take the page
 * @bm: the mapping
 * @pages: where to store the page
 *
 * For a caller that has found only locked pages. This function waits for the
 * lock of one page. The holder of the lock may isolate the page, or another
 * task may take it, before this function gets the lock.
 *
 * Context: pages_lock held, is dropped and taken again; sleeps.
 * Return: 1, or 0 if the page is not resident any more.
 */
unsigned int balloon_mapping_take_locked(struct balloon_mapping *bm,
					 struct page **pages)
	__must_hold(&bm->pages_lock)
{
	unsigned int taken = 0;
	struct page *page;

	lockdep_assert_held(&bm->pages_lock);
	page = list_first_entry_or_null(&bm->pages, struct page, lru);
	if (!page)
		return 0;

	get_page(page);
	spin_unlock(&bm->pages_lock);
	lock_page(page);
	spin_lock(&bm->pages_lock);

	/* Another task may have taken the page, or mm may have isolated it. */
	if (balloon_page_mapping(page) == bm && !PageIsolated(page)) {
		list_del(&page->lru);
		bm->nr_resident--;
		balloon_page_unmark(page);
		pages[taken++] = page;
	}
	unlock_page(page);
	put_page(page);
	return taken;
}
EXPORT_SYMBOL_GPL(balloon_mapping_take_locked);
