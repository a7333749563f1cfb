// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that goes offline.
 *
 * mm itself moves the balloon's pages, and pages on trial, out of memory that
 * goes offline. mm cannot reach hinted blocks. The driver must free them when
 * the notifier runs, or offlining fails.
 */

#include <linux/memory.h>
#include <kunit/static_stub.h>

#include "hints.h"
#include "hotplug.h"
#include "virtio_balloon.h"

/* mm takes one range offline at a time, and always reports how that ended. */
static int balloon_memory_notify(struct notifier_block *nb,
				 unsigned long action, void *data)
{
	struct balloon_device *bd = container_of(nb, struct balloon_device,
						 hotplug.notifier);
	struct memory_notify *memory = data;

	switch (action) {
	case MEM_GOING_OFFLINE:
		balloon_hints_recall(bd, memory->start_pfn, memory->nr_pages);
		break;
	case MEM_OFFLINE:
	case MEM_CANCEL_OFFLINE:
		balloon_hints_recall_ends(&bd->hints);
		break;
	}
	return NOTIFY_OK;
}

/**
 * balloon_hotplug_start - register the notifier of memory that goes offline
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0 or the errno of register_memory_notifier().
 */
int balloon_hotplug_start(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_hotplug_start, bd);

	bd->hotplug.notifier.notifier_call = balloon_memory_notify;
	return register_memory_notifier(&bd->hotplug.notifier);
}

/**
 * balloon_hotplug_stop - wait for a running notifier and unregister it
 * @bd: the balloon, dying
 *
 * Context: remove; sleeps.
 */
void balloon_hotplug_stop(struct balloon_device *bd)
{
	unregister_memory_notifier(&bd->hotplug.notifier);
}
