// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's memory: floor, available and spare memory, the sparest node.
 *
 * In a guest without available memory, the first command ends in the
 * out-of-memory killer. So inflation leaves a floor of available memory alone,
 * whatever the target. The guest needs this floor to keep answering.
 */

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/nodemask.h>
#include <linux/vmstat.h>
#include <kunit/static_stub.h>

#include "device.h"
#include "guest.h"
#include "ledger.h"
#include "virtio_balloon.h"

/* Programs may need less than the size of the machine suggests. */
int balloon_floor_mib = -1;
module_param_named(floor_mib, balloon_floor_mib, int, 0444);
MODULE_PARM_DESC(floor_mib,
		 "Available memory that inflation leaves to the guest, in MiB; 0 for none, -1 (default) for what its size calls for");

/* The first piece of memory ends here. The floor has this part of it. */
#define BALLOON_FLOOR_FIRST_PIECE	(8UL << MIB_TO_PAGES_SHIFT)
#define BALLOON_FLOOR_FIRST_SHIFT	1U
/* The last piece ends at 512 GiB. */
#define BALLOON_FLOOR_LAST_SHIFT	9U

/**
 * balloon_guest_init - set the floor that the module parameter asks for
 * @guest: the guest
 *
 * Context: probe.
 */
void balloon_guest_init(struct balloon_guest *guest)
{
	int mib = balloon_floor_mib;

	guest->floor = mib < 0 ? BALLOON_FLOOR_DERIVED :
			      (unsigned long)mib << MIB_TO_PAGES_SHIFT;
}

/**
 * balloon_default_floor - available memory that inflation leaves to a guest
 * @total: guest pages of memory, those in the balloon included
 *
 * The needs of a kernel and its processes grow with the machine, but more
 * slowly. So inflation leaves a part of each piece of memory alone. Each piece
 * ends at four times the end of the piece before. Its part is half of the part
 * before:
 *
 *	=======  =====  ==============
 *	size     part   floor at size
 *	=======  =====  ==============
 *	  8 MiB  1/2       4 MiB
 *	 32 MiB  1/4      10 MiB
 *	128 MiB  1/8      22 MiB
 *	512 MiB  1/16     46 MiB
 *	  2 GiB  1/32     94 MiB
 *	  8 GiB  1/64    190 MiB
 *	 32 GiB  1/128   382 MiB
 *	128 GiB  1/256   766 MiB
 *	512 GiB  1/512  1534 MiB
 *	=======  =====  ==============
 *
 * Memory beyond that adds nothing. A guest of 1 GiB keeps 62 MiB.
 *
 * Hyper-V's driver has a function of this form for available memory, Xen's
 * driver for all memory that the guest keeps. Both keep 232 MiB of 1 GiB, and
 * end in a constant part, 1/32 of all memory: 2 TiB of 64 TiB. These functions
 * estimate the memory that a guest will come to use. The floor here only has to
 * suffice for now. si_mem_available() has already subtracted the watermarks,
 * which grow with memory. Other signals show pressure below the floor or above
 * it.
 *
 * Return: guest pages.
 */
unsigned long balloon_default_floor(unsigned long total)
{
	unsigned long floor = 0, start = 0, end = BALLOON_FLOOR_FIRST_PIECE;
	unsigned int shift;

	for (shift = BALLOON_FLOOR_FIRST_SHIFT;
	     shift <= BALLOON_FLOOR_LAST_SHIFT && total > start; shift++) {
		floor += (min(total, end) - start) >> shift;
		start = end;
		end *= 4;
	}
	return floor;
}

/**
 * balloon_guest_total - the guest's memory, including the balloon
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_guest_total(struct balloon_device *bd)
{
	unsigned long total = totalram_pages();

	return bd->deflates_on_oom ? total : total + balloon_size(&bd->ledger);
}

/**
 * balloon_floor - available memory that inflation leaves to this guest
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 * Return: guest pages, 0 if none.
 */
unsigned long balloon_floor(struct balloon_device *bd)
{
	unsigned long floor = READ_ONCE(bd->guest.floor);

	if (floor != BALLOON_FLOOR_DERIVED)
		return floor;
	return balloon_default_floor(balloon_guest_total(bd));
}

/**
 * balloon_set_floor - set the memory that inflation leaves to the guest
 * @bd: the balloon
 * @floor: guest pages, 0 for none
 *
 * The kthread follows the floor at once, even while it waits for memory.
 *
 * Context: any.
 */
void balloon_set_floor(struct balloon_device *bd, unsigned long floor)
{
	WRITE_ONCE(bd->guest.floor, floor);
	set_bit(BALLOON_FLOOR_CHANGED, &bd->flags);
	balloon_event(bd);
}

/**
 * balloon_available - memory that the guest can use without swapping
 * @bd: the balloon
 *
 * Context: process, may sleep.
 * Return: guest pages.
 */
unsigned long balloon_available(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_available, bd);

	return max(si_mem_available(), 0L);
}

/* Sums up over a node's zones: mm does not export its iterator to modules. */
static unsigned long
balloon_sum_node(int nid,
		 unsigned long (*count)(struct zone *zone, unsigned int what),
		 unsigned int what)
{
	unsigned long sum = 0;
	struct zone *zone;
	int i;

	for (i = 0; i < MAX_NR_ZONES; i++) {
		zone = &NODE_DATA(nid)->node_zones[i];
		if (populated_zone(zone))
			sum += count(zone, what);
	}
	return sum;
}

static unsigned long
balloon_sum_zones(unsigned long (*count)(struct zone *zone, unsigned int what),
		  unsigned int what)
{
	unsigned long sum = 0;
	int nid;

	for_each_online_node(nid)
		sum += balloon_sum_node(nid, count, what);
	return sum;
}

/**
 * balloon_zone_kept - memory that a zone keeps from ordinary allocations
 * @zone: the zone, populated
 * @mark: an enum zone_watermarks
 *
 * Context: any.
 * Return: guest pages: the watermark and the reserve.
 */
unsigned long balloon_zone_kept(struct zone *zone, unsigned int mark)
{
	return wmark_pages(zone, mark) + zone->lowmem_reserve[ZONE_MOVABLE];
}

/* As mm compares it with a watermark: without blocks for urgent allocations. */
static unsigned long balloon_zone_free(struct zone *zone)
{
	unsigned long urgent = READ_ONCE(zone->nr_free_highatomic);
	unsigned long free = zone_page_state(zone, NR_FREE_PAGES);

	return free - min(free, urgent);
}

/**
 * balloon_zone_spare - free memory of a zone beyond a watermark and reserve
 * @zone: the zone, populated
 * @mark: an enum zone_watermarks, as for balloon_spare()
 *
 * Tasks may take this much before reclaim begins.
 *
 * Context: any.
 * Return: guest pages.
 */
unsigned long balloon_zone_spare(struct zone *zone, unsigned int mark)
{
	unsigned long kept = balloon_zone_kept(zone, mark);
	unsigned long free = balloon_zone_free(zone);

	return free > kept ? free - kept : 0;
}

/**
 * balloon_spare - free memory beyond a watermark
 * @bd: the balloon
 * @mark: WMARK_LOW wakes kswapd, with WMARK_HIGH it sleeps again
 *
 * Context: process.
 * Return: guest pages.
 */
unsigned long balloon_spare(struct balloon_device *bd,
			    enum zone_watermarks mark)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_spare, bd, mark);

	return balloon_sum_zones(balloon_zone_spare, mark);
}

/**
 * balloon_node_spare - free memory of a node beyond a watermark
 * @nid: the node, online
 * @mark: as for balloon_spare()
 *
 * Context: process.
 * Return: guest pages, 0 if a balloon cannot hold the node's memory.
 */
unsigned long balloon_node_spare(int nid, enum zone_watermarks mark)
{
	if (!balloon_pfn_has_number(node_start_pfn(nid)))
		return 0;
	return balloon_sum_node(nid, balloon_zone_spare, mark);
}

static unsigned long balloon_zone_lack(struct zone *zone, unsigned int mark)
{
	unsigned long kept = balloon_zone_kept(zone, mark);
	unsigned long free = balloon_zone_free(zone);

	/* A zone that is all reserve never reaches its watermark. */
	if (zone_managed_pages(zone) <= kept)
		return 0;
	return kept > free ? kept - free : 0;
}

/**
 * balloon_lack - memory that zones lack to their high watermarks and reserves
 *
 * Once woken, kswapd reclaims about as much.
 *
 * Context: process.
 * Return: guest pages.
 */
unsigned long balloon_lack(void)
{
	return balloon_sum_zones(balloon_zone_lack, WMARK_HIGH);
}

/**
 * balloon_sparest_node - the node with most memory to spare
 *
 * Spare memory counts in proportion to the node's size, so that different nodes
 * run short together. Memory without a page frame number of 32 bits cannot go
 * into a balloon.
 *
 * Context: process.
 * Return: the node.
 */
int balloon_sparest_node(void)
{
	u64 spare, size, best_spare = 0, best_size = 1;
	int nid, best = numa_mem_id();

	if (nr_online_nodes == 1)
		return best;
	for_each_online_node(nid) {
		size = node_present_pages(nid);
		if (!size || !balloon_pfn_has_number(node_start_pfn(nid)))
			continue;
		spare = balloon_sum_node(nid, balloon_zone_spare, WMARK_LOW);
		if (spare * best_size > best_spare * size) {
			best = nid;
			best_spare = spare;
			best_size = size;
		}
	}
	return best;
}

/**
 * balloon_affordable - available memory beyond the floor
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 * Return: guest pages, 0 if none.
 */
unsigned long balloon_affordable(struct balloon_device *bd)
{
	unsigned long available, floor;

	floor = balloon_floor(bd);
	available = balloon_available(bd);
	return available > floor ? available - floor : 0;
}

/* Free guest pages in blocks below an order. */
static unsigned long balloon_zone_fragments(struct zone *zone,
					    unsigned int end)
{
	unsigned long nr = 0;
	unsigned int order;

	for (order = 0; order < end; order++) {
		/* A wrong value does not matter: the next look corrects it. */
		nr += data_race(zone->free_area[order].nr_free) << order;
	}
	return nr;
}

/**
 * balloon_guest_is_fragmented - is much of the free memory in small pieces?
 * @bd: the balloon
 *
 * The limit is half of the floor. If inflation goes down to the floor, the
 * other half is then in one piece.
 *
 * Context: process, takes pages_lock.
 */
bool balloon_guest_is_fragmented(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_guest_is_fragmented, bd);

	return balloon_sum_zones(balloon_zone_fragments, pageblock_order) >
	       balloon_default_floor(balloon_guest_total(bd)) / 2;
}
