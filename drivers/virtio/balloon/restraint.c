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

#include <linux/math.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/oom.h>
#include <kunit/static_stub.h>

#include "virtio_balloon.h"

#define MIB_TO_PAGES_SHIFT	(20 - PAGE_SHIFT)

/* What one call of the out-of-memory notifier gives back, in guest pages. */
#define BALLOON_PAGES_PER_OOM	(16UL << MIB_TO_PAGES_SHIFT)

/**
 * balloon_floor - available memory that inflation leaves to the guest
 * @total: guest pages of memory, those in the balloon included
 *
 * 2 MiB times the root of the guest's size in MiB: what a kernel and its
 * processes need grows with the machine, and much slower than it. 64 MiB of
 * 1 GiB, 128 MiB of 4 GiB, 512 MiB of 64 GiB.
 *
 * Return: guest pages.
 */
unsigned long balloon_floor(unsigned long total)
{
	return (2 * int_sqrt(total >> MIB_TO_PAGES_SHIFT)) << MIB_TO_PAGES_SHIFT;
}

/* The guest's memory, that in the balloon included. */
static unsigned long balloon_guest_total(struct balloon_device *bd)
{
	unsigned long total = totalram_pages();

	return bd->deflates_on_oom ? total : total + balloon_size(bd);
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

	floor = balloon_floor(balloon_guest_total(bd));
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
	       balloon_floor(balloon_guest_total(bd)) / 2;
}

/*
 * Runs under oom_lock, in the task that found no memory: allocates nothing and
 * takes no lock that an allocation could be made under.
 */
static int balloon_oom_notify(struct notifier_block *nb, unsigned long unused,
			      void *freed)
{
	struct balloon_device *bd = container_of(nb, struct balloon_device,
						 oom_notifier);

	*(unsigned long *)freed += balloon_give_at_oom(bd,
						       BALLOON_PAGES_PER_OOM);
	return NOTIFY_OK;
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
	bd->oom_notifier.notifier_call = balloon_oom_notify;
	return register_oom_notifier(&bd->oom_notifier);
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
		unregister_oom_notifier(&bd->oom_notifier);
}
