/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Two units: guest pages of PAGE_SIZE, in which the driver counts, and balloon
 * pages of 4 KiB, in which the device counts. A guest page is named by
 * BALLOON_PER_GUEST_PAGE consecutive page frame numbers (virtio 1.2, 5.5.6).
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_UNITS_H
#define _DRIVERS_VIRTIO_BALLOON_UNITS_H

#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/types.h>
#include <linux/virtio_balloon.h>

#define BALLOON_PER_GUEST_PAGE	(1U << (PAGE_SHIFT - VIRTIO_BALLOON_PFN_SHIFT))

/* Whole guest pages in @balloon_pages; a remainder cannot be reached. */
static inline unsigned long balloon_to_guest_pages(u32 balloon_pages)
{
	return balloon_pages / BALLOON_PER_GUEST_PAGE;
}

static inline u32 guest_to_balloon_pages(unsigned long guest_pages)
{
	return min_t(u64, (u64)guest_pages * BALLOON_PER_GUEST_PAGE, U32_MAX);
}

/* Numbers have 32 bits: memory from 16 TiB on cannot go into a balloon. */
static inline bool balloon_pfn_has_number(unsigned long pfn)
{
	return (u64)pfn * BALLOON_PER_GUEST_PAGE +
	       BALLOON_PER_GUEST_PAGE - 1 <= U32_MAX;
}

static inline bool balloon_page_has_number(struct page *page)
{
	return balloon_pfn_has_number(page_to_pfn(page));
}

static inline unsigned long guest_pages_to_kib(unsigned long guest_pages)
{
	return guest_pages << (PAGE_SHIFT - 10);
}

/* Rounded up. */
static inline unsigned long kib_to_guest_pages(unsigned long kib)
{
	return kib / (PAGE_SIZE >> 10) + !!(kib % (PAGE_SIZE >> 10));
}

#endif /* _DRIVERS_VIRTIO_BALLOON_UNITS_H */
