// SPDX-License-Identifier: GPL-2.0
/*
 * Virtio balloon driver (virtio 1.2, 5.5): module, probe, remove, freeze and
 * restore.
 */

#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define CREATE_TRACE_POINTS
#include "trace.h"
#include "batch.h"
#include "device.h"
#include "drain.h"
#include "guest.h"
#include "hinting.h"
#include "hotplug.h"
#include "migrate.h"
#include "oom.h"
#include "poison.h"
#include "queue.h"
#include "recovery.h"
#include "reporting.h"
#include "restraint.h"
#include "setup.h"
#include "stats.h"
#include "sysfs.h"
#include "thread.h"
#include "trial.h"
#include "virtio_balloon.h"
#include "wakeup.h"

#define BALLOON_VQ(member)	.vq = offsetof(struct balloon_device, member)

static const struct balloon_feature balloon_features[] = {
	{
		.bit = BALLOON_ALWAYS,
		.name = "inflation",
		.queue = "inflate",
		.callback = balloon_acked,
		BALLOON_VQ(queues.inflate.vq),
	}, {
		.bit = BALLOON_ALWAYS,
		.name = "deflation",
		.queue = "deflate",
		.callback = balloon_acked,
		BALLOON_VQ(queues.deflate.vq),
	}, {
		.bit = VIRTIO_BALLOON_F_STATS_VQ,
		.name = "statistics",
		.queue = "stats",
		.callback = balloon_stats_requested,
		BALLOON_VQ(stats.vq),
		.alloc = balloon_stats_alloc,
		.free = balloon_stats_free,
		.start = balloon_stats_start,
		.stop = balloon_stats_stop,
		.abandon = balloon_stats_abandon,
	}, {
		.bit = VIRTIO_BALLOON_F_FREE_PAGE_HINT,
		.name = "hinting",
		.queue = "free_page_vq",
		BALLOON_VQ(hinting.vq),
		.alloc = balloon_hinting_alloc,
		.free = balloon_hinting_free,
		.start = balloon_hinting_start,
		.stop = balloon_hinting_stop,
		.changed = balloon_hinting_changed,
		.abandon = balloon_hinting_abandon,
	}, {
		.bit = VIRTIO_BALLOON_F_REPORTING,
		.name = "reporting",
		.queue = "reporting_vq",
		.callback = balloon_acked,
		BALLOON_VQ(reporting.vq),
		.start = balloon_reporting_start,
		.stop = balloon_reporting_stop,
	}, {
		.bit = VIRTIO_BALLOON_F_PAGE_POISON,
		.name = "page poison",
		.tell = balloon_poison_tell,
	}, {
		.bit = VIRTIO_BALLOON_F_MUST_TELL_HOST,
		.name = "must tell host",
	}, {
		.bit = VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
		.name = "deflate on out-of-memory",
	},
};

static int balloon_validate(struct virtio_device *vdev)
{
	if (!vdev->config->get) {
		dev_err(&vdev->dev,
			"the device has no configuration space to read a target from\n");
		return -EINVAL;
	}

	/*
	 * The queues carry guest-physical page frame numbers, which no IOMMU
	 * translates (virtio 1.2, 5.5.6 and 6.1).
	 */
	if (virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))
		dev_notice(&vdev->dev,
			   "declines ACCESS_PLATFORM: a balloon deals in physical addresses; where the device insists, set iommu_platform=off\n");
	__virtio_clear_bit(vdev, VIRTIO_F_ACCESS_PLATFORM);

	/*
	 * Each message is a single descriptor. A table of descriptors would
	 * have to be allocated, for numbers under balloon_lock, and for hints
	 * when the guest has no memory to spare (virtio 1.2, 2.7.5.3).
	 */
	__virtio_clear_bit(vdev, VIRTIO_RING_F_INDIRECT_DESC);

	balloon_poison_validate(vdev);
	return 0;
}

/* From here on hooks refuse and waiters return. */
static void balloon_quiesce(struct balloon_device *bd)
{
	set_bit(BALLOON_DYING, &bd->flags);
	balloon_mapping_close(&bd->ledger.bm);
	balloon_mapping_close(&bd->trial.bm);
	balloon_event(bd);
}

/* Leaves nothing to shut down again, should restore fail. */
static void balloon_shut_down(struct balloon_device *bd)
{
	balloon_give_back(bd);
	balloon_device_take_down(bd);
	balloon_release_resident(bd);
}

/*
 * The machine goes down, or another kernel takes over: the guest needs no pages back.
 * The device must not act on what the guest leaves behind. The kthread must not go on:
 * the virtio core breaks the device a moment later, and the kthread would set it up
 * again.
 */
static int balloon_reboots(struct notifier_block *nb, unsigned long action,
			   void *data)
{
	struct balloon_device *bd = container_of(nb, struct balloon_device,
						 reboot);

	balloon_quiesce(bd);
	balloon_device_reset(bd);
	return NOTIFY_DONE;
}

/* Frees what balloon_create() has allocated, with the last reference. */
static void balloon_destroy(struct balloon_device *bd)
{
	balloon_features_free(bd);
	balloon_batches_free(&bd->pool);
	balloon_device_free(bd);
}

static struct balloon_device *balloon_create(struct virtio_device *vdev)
{
	struct balloon_device *bd;

	bd = balloon_device_alloc(vdev, balloon_destroy);
	if (!bd)
		return NULL;
	bd->features = balloon_features;
	bd->nr_features = ARRAY_SIZE(balloon_features);
	bd->must_tell_host =
		virtio_has_feature(vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
	bd->deflates_on_oom =
		virtio_has_feature(vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	balloon_mapping_init(&bd->ledger.bm, &balloon_mapping_ops);
	balloon_queues_init(&bd->queues);
	balloon_guest_init(&bd->guest);
	balloon_trial_init(bd);
	if (balloon_batches_alloc(bd) || balloon_features_alloc(bd)) {
		balloon_device_put(bd);
		return NULL;
	}
	return bd;
}

static int balloon_probe(struct virtio_device *vdev)
{
	struct balloon_device *bd;
	int err;

	bd = balloon_create(vdev);
	if (!bd)
		return -ENOMEM;
	vdev->priv = bd;

	balloon_wakeup_start(bd);
	balloon_poison_tell_costs(bd);
	err = balloon_device_ready(bd);
	if (err) {
		dev_err(&vdev->dev, "found no virtqueues: %d\n", err);
		goto err_put;
	}

	err = balloon_oom_start(bd);
	if (err) {
		dev_err(&vdev->dev,
			"cannot watch for out-of-memory: %d\n", err);
		goto err_shut_down;
	}
	err = balloon_restraint_start(bd);
	if (err) {
		dev_err(&vdev->dev, "cannot watch for reclaim: %d\n", err);
		goto err_oom;
	}
	err = balloon_hotplug_start(bd);
	if (err) {
		dev_err(&vdev->dev, "cannot watch memory go offline: %d\n",
			err);
		goto err_restraint;
	}
	bd->reboot.notifier_call = balloon_reboots;
	err = register_reboot_notifier(&bd->reboot);
	if (err)
		goto err_hotplug;
	err = balloon_features_start(bd);
	if (err)
		goto err_reboot;
	/* Last: it sets a broken device up again, features included. */
	err = balloon_thread_start(bd);
	if (err) {
		dev_err(&vdev->dev, "cannot start vballoon: %d\n", err);
		goto err_features;
	}
	return 0;

err_features:
	balloon_quiesce(bd);
	balloon_features_stop(bd);
err_reboot:
	unregister_reboot_notifier(&bd->reboot);
err_hotplug:
	balloon_hotplug_stop(bd);
err_restraint:
	balloon_restraint_stop(bd);
err_oom:
	balloon_oom_stop(bd);
err_shut_down:
	balloon_shut_down(bd);
err_put:
	balloon_wakeup_stop(bd);
	vdev->priv = NULL;
	balloon_device_put(bd);
	return err;
}

/*
 * The driver core has removed the sysfs files and turned configuration changes off
 * before.
 */
static void balloon_remove(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;

	unregister_reboot_notifier(&bd->reboot);
	/* The kthread first: it may be about to set a broken device up again. */
	balloon_quiesce(bd);
	balloon_thread_stop(bd);
	balloon_features_stop(bd);
	balloon_hotplug_stop(bd);
	balloon_restraint_stop(bd);
	balloon_oom_stop(bd);
	balloon_shut_down(bd);
	balloon_wakeup_stop(bd);
	vdev->priv = NULL;
	balloon_device_put(bd);
}

/*
 * The host has changed the target or a command. A guest in s2idle stays awake until
 * the driver has followed, see wakeup.c.
 */
static void balloon_changed(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;

	set_bit(BALLOON_CONFIG_CHANGED, &bd->flags);
	balloon_stay_awake(bd, BALLOON_AWAKE_TARGET);
	balloon_event(bd);
	balloon_features_changed(bd);
}

#ifdef CONFIG_PM_SLEEP
/*
 * The host may forget its balloon while the guest sleeps: all pages go back to
 * the guest before, and are taken again after.
 */
static int balloon_freeze(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;

	balloon_quiesce(bd);
	balloon_features_stop(bd);
	balloon_shut_down(bd);
	return 0;
}

/*
 * The kthread is still frozen and goes on once it is thawed. It tries again what
 * fails here, as for a device that is broken. The core must not hear of a failure: it
 * would turn configuration changes off for good.
 */
static int balloon_restore(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;
	int err;

	balloon_recovery_forget(&bd->recovery);
	set_bit(BALLOON_BROKEN, &bd->flags);
	err = balloon_device_ready(bd);
	clear_bit(BALLOON_DYING, &bd->flags);
	if (!err)
		err = balloon_features_start(bd);
	/* Never cleared here: a feature may have found the device broken by now. */
	if (err)
		balloon_device_fail(bd);
	balloon_changed(vdev);
	return 0;
}
#endif

static const struct virtio_device_id balloon_ids[] = {
	{ VIRTIO_ID_BALLOON, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, balloon_ids);

/* The feature bits of the table, for the virtio core. */
static unsigned int balloon_feature_bits[ARRAY_SIZE(balloon_features)];

static struct virtio_driver balloon_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.dev_groups = balloon_groups,
	.id_table = balloon_ids,
	.feature_table = balloon_feature_bits,
	.validate = balloon_validate,
	.probe = balloon_probe,
	.remove = balloon_remove,
	.config_changed = balloon_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = balloon_freeze,
	.restore = balloon_restore,
#endif
};

static int __init balloon_init(void)
{
	unsigned int i, nr = 0;

	for (i = 0; i < ARRAY_SIZE(balloon_features); i++) {
		if (balloon_features[i].bit != BALLOON_ALWAYS)
			balloon_feature_bits[nr++] = balloon_features[i].bit;
	}
	balloon_driver.feature_table_size = nr;
	return register_virtio_driver(&balloon_driver);
}
module_init(balloon_init);

static void __exit balloon_exit(void)
{
	unregister_virtio_driver(&balloon_driver);
}
module_exit(balloon_exit);

MODULE_DESCRIPTION("Virtio balloon driver");
MODULE_LICENSE("GPL");
