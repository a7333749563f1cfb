// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting, F_REPORTING (virtio 1.2, 5.5.6.7).
 *
 * mm's page reporting isolates free blocks, passes them to the report callback,
 * and takes them back when the callback returns. The host may discard the
 * blocks at any time until it has acknowledged the report. So the callback
 * returns only after the acknowledgment, or when the device cannot act any
 * more.
 */

#include <linux/mm.h>
#include <linux/page_reporting.h>
#include <linux/sizes.h>
#include <linux/suspend.h>
#include <linux/virtio_config.h>
#include <kunit/static_stub.h>

#include "device.h"
#include "reporting.h"
#include "virtio_balloon.h"

/* The host may only pause: log the silence once, and go on waiting. */
static void balloon_report_is_silent(struct balloon_device *bd)
{
	if (!balloon_device_works(bd))
		balloon_device_fail(bd);
	if (bd->reporting.told_silent)
		return;
	bd->reporting.told_silent = true;
	dev_info(&bd->vdev->dev,
		 "the host does not answer a report of free pages, no other is made until it does\n");
}

/*
 * Only an acknowledgment or a reset keeps the host from acting on the report
 * late. The kthread resets a device that fails. During teardown the kthread has
 * ended, so this function resets the device itself.
 */
static int balloon_report_await(struct balloon_device *bd)
{
	struct virtqueue *vq = bd->reporting.vq;
	struct balloon_patience patience;
	bool silent = false;
	unsigned int unused_length;
	int seen;

	balloon_patience_begin(&patience);
	for (;;) {
		seen = atomic_read_acquire(&bd->events);
		if (test_bit(BALLOON_WAS_RESET, &bd->flags))
			return -EIO;
		if (virtqueue_get_buf(vq, &unused_length))
			return 0;
		if (virtqueue_is_broken(vq))
			balloon_device_fail(bd);
		if (balloon_is_dying(bd) &&
		    (silent || balloon_is_broken(bd))) {
			balloon_device_reset(bd);
			continue;
		}
		if (silent && READ_ONCE(bd->reporting.suspends))
			balloon_device_fail(bd);
		wait_event_timeout(bd->wait, atomic_read(&bd->events) != seen,
				   BALLOON_LOOK_AGAIN);
		if (!silent && balloon_patience_ends(&patience)) {
			balloon_report_is_silent(bd);
			silent = true;
		}
	}
}

/*
 * The freezer stops mm's reporting worker only between two reports. A silent
 * host would keep the guest from suspending, so the device is reset then.
 */
static int balloon_reporting_suspends(struct notifier_block *nb,
				      unsigned long action, void *data)
{
	struct balloon_device *bd = container_of(nb, struct balloon_device,
						 reporting.pm);
	bool begins = action == PM_SUSPEND_PREPARE ||
		      action == PM_HIBERNATION_PREPARE;

	WRITE_ONCE(bd->reporting.suspends, begins);
	if (begins)
		balloon_event(bd);
	return NOTIFY_OK;
}

/*
 * Each block is one descriptor, so posting allocates nothing. After an error mm
 * keeps the blocks for a later report.
 */
static int balloon_report_blocks(struct page_reporting_dev_info *info,
				 struct scatterlist *sg, unsigned int nents)
{
	struct balloon_device *bd = container_of(info, struct balloon_device,
						 reporting.info);
	int err;

	if (balloon_is_dying(bd) || balloon_is_broken(bd))
		return -ENODEV;

	err = virtqueue_add_inbuf(bd->reporting.vq, sg, nents, bd, GFP_NOWAIT);
	if (err) {
		if (virtqueue_is_broken(bd->reporting.vq))
			balloon_device_fail(bd);
		return err;
	}
	balloon_kick(bd, bd->reporting.vq);
	return balloon_report_await(bd);
}

/**
 * balloon_reporting_start - report free blocks from here on
 * @bd: the balloon, its device ready
 *
 * The balloon also works without reporting. mm accepts only one reporter at a
 * time, and the ring may be too small for a report.
 *
 * Context: probe, restore, or the kthread.
 * Return: 0, also if the driver does not report, or an errno.
 */
int balloon_reporting_start(struct balloon_device *bd)
{
	int err;

	KUNIT_STATIC_STUB_REDIRECT(balloon_reporting_start, bd);

	if (!bd->reporting.vq)
		return 0;
	if (virtqueue_get_vring_size(bd->reporting.vq) <
	    PAGE_REPORTING_CAPACITY) {
		dev_info(&bd->vdev->dev,
			 "no free page reporting: the queue takes less than %d blocks\n",
			 PAGE_REPORTING_CAPACITY);
		return 0;
	}

	bd->reporting.info.report = balloon_report_blocks;
	/*
	 * mm's default is a pageblock: 512 MiB with 64 KiB pages, seldom free.
	 */
	if (IS_ENABLED(CONFIG_ARM64_64K_PAGES))
		bd->reporting.info.order = get_order(SZ_2M);
	err = page_reporting_register(&bd->reporting.info);
	if (err == -EBUSY) {
		dev_info(&bd->vdev->dev,
			 "no free page reporting: another device does it\n");
		return 0;
	}
	if (err)
		return err;
	bd->reporting.registered = true;
	bd->reporting.suspends = false;
	bd->reporting.pm.notifier_call = balloon_reporting_suspends;
	register_pm_notifier(&bd->reporting.pm);
	return 0;
}

/**
 * balloon_reporting_stop - wait for a running report and stop reporting
 * @bd: the balloon, dying
 *
 * Context: remove or freeze; sleeps up to BALLOON_HOST_PATIENCE_MS for a silent
 * host.
 */
void balloon_reporting_stop(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_reporting_stop, bd);

	if (!bd->reporting.registered)
		return;
	page_reporting_unregister(&bd->reporting.info);
	unregister_pm_notifier(&bd->reporting.pm);
	bd->reporting.registered = false;
}
