/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _LINUX_BALLOON_COMPACTION_H
#define _LINUX_BALLOON_COMPACTION_H

/*
 * Balloon mappings: how a memory balloon lets mm compaction move its pages.
 *
 * A balloon driver owns one struct balloon_mapping per device. The embedded
 * address_space carries the driver's hooks in its a_ops, and the list of the
 * pages that compaction may take. A page of the mapping is marked PG_offline
 * and movable, its page->private points back to the mapping, and it is in one
 * of two states:
 *
 *	resident	on the list
 *	isolated	off the list, in the hands of mm, until that either puts
 *			it back or replaces it by another page
 *
 * The marks are set and cleared together. They never stand on a page in any
 * other state, because memory offlining gives up at once on a PG_offline page
 * that has a reference and can not be moved.
 *
 * Locking: pages_lock protects the list, all counters and, together with the
 * page lock, which is outside of it, the marks: both are held when these change.
 * Only a page that comes from the allocator, which nobody can have locked, gets
 * them under pages_lock alone. pages_lock is only ever taken in process context
 * with interrupts enabled, is never held across an allocation or a wait, and may
 * be used by the driver for its own counters of pages, so that a page changes
 * its state and both sides' counters in one critical section.
 *
 * Lifetime: an isolated page is a pointer to the mapping held by mm. The owner
 * frees the mapping only after balloon_mapping_close(), after the last isolated
 * page has come back, and after it has locked each of its pages once more.
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
 *        page. It is called with both folios locked and must not wait but in
 *        MIGRATE_SYNC, and there for a limited time.
 * @isolate_page: may mm take this resident page? Called with the page locked,
 *                maybe before the page is on the list: nothing of it may be
 *                looked at but under pages_lock.
 * @putback_page: mm returns a page that it did not move. Called with the page
 *                locked.
 *
 * struct address_space_operations has no slots for the last two, so they
 * stand beside it, and balloon_aops() leads from one to the other.
 */
struct balloon_aops {
	const struct address_space_operations aops;
	bool (*isolate_page)(struct address_space *mapping, struct page *page);
	void (*putback_page)(struct address_space *mapping, struct page *page);
};

/**
 * struct balloon_mapping - the pages of one balloon that mm can move
 * @mapping: a_ops are the driver's hooks, gfp_mask is what its pages are
 *           allocated with
 * @pages_lock: protects everything below
 * @pages: resident pages, linked by page->lru; the newest stand last
 * @nr_resident: number of pages on @pages
 * @nr_isolated: number of pages in the hands of mm
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
 * @page: a locked page that carries the marks
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
