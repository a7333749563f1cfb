// SPDX-License-Identifier: GPL-2.0
/*
 * How far the balloon may go, and when it gives memory back unasked.
 *
 * A guest that is left nothing is killed by its next command, whatever the
 * host's target was. So inflation leaves a floor of available memory alone:
 * that much the guest has to have to remain one that answers.
 *
 * With F_DEFLATE_ON_OOM (virtio 1.2, 5.5.3) the balloon's pages are the
 * guest's last reserve: they come back before the out-of-memory killer acts.
 */

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/nodemask.h>
#include <linux/oom.h>
#include <kunit/static_stub.h>

#include "virtio_balloon.h"

#define MIB_TO_PAGES_SHIFT	(20 - PAGE_SHIFT)

/* What one call of the out-of-memory notifier gives back, in guest pages. */
#define BALLOON_PAGES_PER_OOM	(16UL << MIB_TO_PAGES_SHIFT)

/* The size of the machine may not tell how little its programs can do with. */
int balloon_floor_mib = -1;
module_param_named(floor_mib, balloon_floor_mib, int, 0444);
MODULE_PARM_DESC(floor_mib,
		 "Available memory that inflation leaves to the guest, in MiB; 0 for none, -1 (default) for what its size calls for");

/* The first piece of the floor ends here, and takes this part of it. */
#define BALLOON_FLOOR_FIRST_PIECE	(8UL << MIB_TO_PAGES_SHIFT)
#define BALLOON_FLOOR_FIRST_SHIFT	1U
/* The last piece ends at 512 GiB. */
#define BALLOON_FLOOR_LAST_SHIFT	9U

/**
 * balloon_default_floor - available memory that inflation leaves to a guest
 * @total: guest pages of memory, those in the balloon included
 *
 * What a kernel and its processes need grows with the machine, and slower than
 * it. So of each piece of memory a part is left alone. Each piece ends at four
 * times the end of the one before and leaves half the part:
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
 * and nothing beyond. 1 GiB keeps 62 MiB.
 *
 * Hyper-V's driver has a function of this form for available memory, Xen's for
 * all that the guest is left. They keep 232 MiB of 1 GiB, and end in a constant
 * part, 1/32 of all memory: 2 TiB of 64 TiB. That makes sense for an estimate
 * of what a guest will come to use. Here it has only to be enough to go on
 * with: si_mem_available() has the watermarks taken off already, which grow
 * with memory, and what hurts below the floor or above it is noticed by other
 * signs.
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

/* The guest's memory, that in the balloon included. */
static unsigned long balloon_guest_total(struct balloon_device *bd)
{
	unsigned long total = totalram_pages();

	return bd->deflates_on_oom ? total : total + balloon_size(bd);
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
	unsigned long floor = READ_ONCE(bd->restraint.floor);

	if (floor != BALLOON_FLOOR_DERIVED)
		return floor;
	return balloon_default_floor(balloon_guest_total(bd));
}

/**
 * balloon_set_floor - have inflation leave more or less to the guest
 * @bd: the balloon
 * @floor: guest pages, 0 for none
 *
 * The kthread goes by it at once, be it about to wait for memory.
 *
 * Context: any.
 */
void balloon_set_floor(struct balloon_device *bd, unsigned long floor)
{
	WRITE_ONCE(bd->restraint.floor, floor);
	WRITE_ONCE(bd->restraint.floor_changed, true);
	balloon_event(bd);
}

/**
 * balloon_affordable - what inflation may take now
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 * Return: guest pages, 0 if none.
 */
unsigned long balloon_affordable(struct balloon_device *bd)
{
	unsigned long available, floor;

	KUNIT_STATIC_STUB_REDIRECT(balloon_affordable, bd);

	floor = balloon_floor(bd);
	available = max(si_mem_available(), 0L);
	return available > floor ? available - floor : 0;
}

/* Free guest pages in blocks of less than a pageblock. */
static unsigned long balloon_free_fragments(void)
{
	unsigned long nr = 0;
	unsigned int order;
	struct zone *zone;
	int nid, i;

	for_each_online_node(nid) {
		for (i = 0; i < MAX_NR_ZONES; i++) {
			zone = &NODE_DATA(nid)->node_zones[i];
			if (!populated_zone(zone))
				continue;
			for (order = 0; order < pageblock_order; order++)
				/* A guess that is wrong now is right soon. */
				nr += data_race(zone->free_area[order].nr_free)
				      << order;
		}
	}
	return nr;
}

/**
 * balloon_guest_is_fragmented - is much of the free memory in small pieces?
 * @bd: the balloon
 *
 * Half of the floor is much: should inflation go down to the floor, the other
 * half is in one piece.
 *
 * Context: process, takes pages_lock.
 */
bool balloon_guest_is_fragmented(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_guest_is_fragmented, bd);

	return balloon_free_fragments() >
	       balloon_default_floor(balloon_guest_total(bd)) / 2;
}

/*
 * Runs under oom_lock, in the task that found no memory: allocates nothing and
 * takes no lock that an allocation could be made under.
 */
static int balloon_oom_notify(struct notifier_block *nb, unsigned long unused,
			      void *freed)
{
	struct balloon_device *bd = container_of(nb, struct balloon_device,
						 restraint.oom_notifier);

	*(unsigned long *)freed += balloon_give_at_oom(bd,
						       BALLOON_PAGES_PER_OOM);
	return NOTIFY_OK;
}

/**
 * balloon_restraint_init - before anybody asks for the floor
 * @bd: the balloon
 *
 * Context: probe.
 */
void balloon_restraint_init(struct balloon_device *bd)
{
	int mib = balloon_floor_mib;

	bd->restraint.floor = mib < 0 ? BALLOON_FLOOR_DERIVED :
			      (unsigned long)mib << MIB_TO_PAGES_SHIFT;
}

/**
 * balloon_restraint_start - be there when the guest runs out of memory
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0 or the errno of register_oom_notifier().
 */
int balloon_restraint_start(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_restraint_start, bd);

	if (!bd->deflates_on_oom)
		return 0;
	bd->restraint.oom_notifier.notifier_call = balloon_oom_notify;
	return register_oom_notifier(&bd->restraint.oom_notifier);
}

/**
 * balloon_restraint_stop - wait for a running notifier and have it not run again
 * @bd: the balloon, dying
 *
 * Context: remove; sleeps.
 */
void balloon_restraint_stop(struct balloon_device *bd)
{
	if (bd->deflates_on_oom)
		unregister_oom_notifier(&bd->restraint.oom_notifier);
}
