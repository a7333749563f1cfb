/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_BALLOON_COMPACTION_H
#define _LINUX_BALLOON_COMPACTION_H

/*
 * Balloon mappings: how a memory balloon lets mm compaction move its pages.
 *
 * A balloon driver owns a struct balloon_mapping, with the pages that
 * compaction may take. The a_ops of the embedded address_space are the driver's
 * hooks. A page of the mapping has two marks: it is PG_offline and movable, and
 * its page->private points to the mapping. Such a page is in one of two states:
 *
 *	resident	on the mapping's list
 *	isolated	off the list; mm holds the page until it puts the page
 *			back or replaces it by another one
 *
 * The marks are set and cleared together, and pages in other states have none.
 * Memory offlining gives up at once on a PG_offline page that has a reference
 * and is not movable.
 *
 * Locking: pages_lock protects the list and all counters. The page lock is
 * taken before pages_lock. The marks change only under both locks. A new page
 * from the allocator is an exception: it has no other user, and pages_lock is
 * enough.
 *
 * pages_lock is taken only in process context with interrupts enabled. No
 * holder of pages_lock allocates or waits. A driver may protect its own
 * counters of pages by pages_lock too. A page then changes its state and all
 * counters in one critical section.
 *
 * Lifetime: mm reaches the mapping through every isolated page. Before its
 * owner frees a mapping, the owner calls balloon_mapping_close() and waits
 * until the last isolated page has come back. It then locks each of its pages
 * once more.
 */

#include <linux/compiler.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/migrate.h>
#include <linux/mm_types.h>
#include <linux/pagemap.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

/**
 * struct balloon_aops - a balloon driver's address_space operations
 * @aops: mapping->a_ops points here; @aops.migrate_folio moves an isolated
 *        page. mm calls it with both folios locked. It may wait only in
 *        MIGRATE_SYNC, and only for a limited time.
 * @isolate_page: returns whether mm may take this resident page. mm calls it
 *                with the page locked, maybe before the page is on the list.
 *                The hook must look at the page only under pages_lock.
 * @putback_page: mm returns a page that it did not move. mm calls it with the
 *                page locked.
 *
 * struct address_space_operations has no members for isolation and put-back, so
 * this struct adds them. balloon_aops() returns this struct for a mapping.
 */
struct balloon_aops {
	const struct address_space_operations aops;
	bool (*isolate_page)(struct address_space *mapping, struct page *page);
	void (*putback_page)(struct address_space *mapping, struct page *page);
};

/**
 * struct balloon_mapping - the pages of one balloon that mm can move
 * @mapping: a_ops are the driver's hooks; the driver allocates pages with its
 *           gfp_mask
 * @pages_lock: protects the members below
 * @pages: resident pages, linked by page->lru; the newest stand last
 * @nr_resident: number of pages on @pages
 * @nr_isolated: number of isolated pages
 * @closed: isolation is refused
 */
struct balloon_mapping {
	struct address_space mapping;
	spinlock_t pages_lock;	/* inside of the page lock */
	struct list_head pages;
	unsigned long nr_resident;
	unsigned long nr_isolated;
	bool closed;
};

static inline struct balloon_mapping *
to_balloon_mapping(struct address_space *mapping)
{
	return container_of(mapping, struct balloon_mapping, mapping);
}

static inline const struct balloon_aops *
balloon_aops(const struct address_space *mapping)
{
	return container_of(mapping->a_ops, struct balloon_aops, aops);
}

/**
 * balloon_page_mapping - the balloon mapping that a marked page belongs to
 * @page: a locked page that has the marks
 */
static inline struct balloon_mapping *balloon_page_mapping(struct page *page)
{
	return (struct balloon_mapping *)page_private(page);
}

void balloon_mapping_init(struct balloon_mapping *bm,
			  const struct balloon_aops *ops);
void balloon_mapping_open(struct balloon_mapping *bm);
void balloon_mapping_close(struct balloon_mapping *bm);

void balloon_mapping_insert(struct balloon_mapping *bm, struct page *page)
	__must_hold(&bm->pages_lock);
void balloon_mapping_insert_new(struct balloon_mapping *bm,
				struct page **pages, unsigned int nr)
	__must_hold(&bm->pages_lock);
bool balloon_mapping_isolate(struct balloon_mapping *bm, struct page *page)
	__must_hold(&bm->pages_lock);
void balloon_mapping_putback(struct balloon_mapping *bm, struct page *page)
	__must_hold(&bm->pages_lock);
void balloon_mapping_forget(struct balloon_mapping *bm, struct page *page)
	__must_hold(&bm->pages_lock);
unsigned int balloon_mapping_take(struct balloon_mapping *bm,
				  struct page **pages, unsigned int max)
	__must_hold(&bm->pages_lock);
unsigned int
balloon_mapping_take_wanted(struct balloon_mapping *bm, struct page **pages,
			    unsigned int max, unsigned long looks,
			    bool (*wanted)(const struct page *page, void *data),
			    void *data)
	__must_hold(&bm->pages_lock);
unsigned int balloon_mapping_take_locked(struct balloon_mapping *bm,
					 struct page **pages)
	__must_hold(&bm->pages_lock);

#endif /* _LINUX_BALLOON_COMPACTION_H */
