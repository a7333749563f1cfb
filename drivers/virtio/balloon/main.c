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
#include "virtio_balloon.h"

static int balloon_validate(struct virtio_device *vdev)
{
	if (!vdev->config->get) {
		dev_err(&vdev->dev,
			"the device has no configuration space to read a target from\n");
		return -EINVAL;
	}

	/*
	 * What the queues carry are guest-physical page frame numbers, of
	 * which no IOMMU knows (virtio 1.2, 5.5.6 and 6.1).
	 */
	if (virtio_has_feature(vdev, VIRTIO_F_ACCESS_PLATFORM))
		dev_notice(&vdev->dev,
			   "declines ACCESS_PLATFORM: a balloon deals in physical addresses; where the device insists, set iommu_platform=off\n");
	__virtio_clear_bit(vdev, VIRTIO_F_ACCESS_PLATFORM);

	/*
	 * One buffer never needs a table of descriptors, and a table would
	 * have to be allocated where nothing may be (virtio 1.2, 2.7.5.3).
	 */
	__virtio_clear_bit(vdev, VIRTIO_RING_F_INDIRECT_DESC);

	balloon_poison_validate(vdev);
	return 0;
}

/* From here on hooks refuse and waiters return. */
static void balloon_quiesce(struct balloon_device *bd)
{
	WRITE_ONCE(bd->dying, true);
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
 * The machine goes down, or another kernel takes over. Nobody needs the pages back.
 * The device must not act on what the guest leaves behind, nor the kthread go on: the
 * virtio core breaks the device a moment later, and it would be set up again.
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

static int balloon_probe(struct virtio_device *vdev)
{
	struct balloon_device *bd;
	int err;

	bd = balloon_device_alloc(vdev);
	if (!bd)
		return -ENOMEM;
	vdev->priv = bd;
	bd->must_tell_host =
		virtio_has_feature(vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
	bd->deflates_on_oom =
		virtio_has_feature(vdev, VIRTIO_BALLOON_F_DEFLATE_ON_OOM);

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
			"can not watch for out-of-memory: %d\n", err);
		goto err_shut_down;
	}
	err = balloon_restraint_start(bd);
	if (err) {
		dev_err(&vdev->dev, "can not watch for reclaim: %d\n", err);
		goto err_oom;
	}
	err = balloon_hotplug_start(bd);
	if (err) {
		dev_err(&vdev->dev, "can not watch memory go offline: %d\n",
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
		dev_err(&vdev->dev, "can not start vballoon: %d\n", err);
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

static void balloon_changed(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;

	WRITE_ONCE(bd->config_changed, true);
	balloon_stay_awake(bd, BALLOON_AWAKE_TARGET);
	balloon_event(bd);
	balloon_hinting_changed(bd);
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
 * The kthread is still frozen and goes on once it is thawed. What fails here it
 * tries again, as for a device that is broken. The core must not hear of that: it
 * would have configuration changes turned off for good.
 */
static int balloon_restore(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;
	int err;

	balloon_recovery_forget(bd);
	WRITE_ONCE(bd->broken, true);
	err = balloon_device_ready(bd);
	WRITE_ONCE(bd->dying, false);
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

static const unsigned int balloon_features[] = {
	VIRTIO_BALLOON_F_MUST_TELL_HOST,
	VIRTIO_BALLOON_F_STATS_VQ,
	VIRTIO_BALLOON_F_DEFLATE_ON_OOM,
	VIRTIO_BALLOON_F_FREE_PAGE_HINT,
	VIRTIO_BALLOON_F_PAGE_POISON,
	VIRTIO_BALLOON_F_REPORTING,
};

static struct virtio_driver balloon_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.dev_groups = balloon_groups,
	.id_table = balloon_ids,
	.feature_table = balloon_features,
	.feature_table_size = ARRAY_SIZE(balloon_features),
	.validate = balloon_validate,
	.probe = balloon_probe,
	.remove = balloon_remove,
	.config_changed = balloon_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = balloon_freeze,
	.restore = balloon_restore,
#endif
};
module_virtio_driver(balloon_driver);

MODULE_DESCRIPTION("Virtio balloon driver");
MODULE_LICENSE("GPL");
