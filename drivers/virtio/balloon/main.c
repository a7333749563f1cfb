// SPDX-License-Identifier: GPL-2.0
/*
 * Virtio balloon driver (virtio 1.2, 5.5): module, probe, remove, freeze,
 * restore, and the lifetime of a device.
 */

#include <linux/module.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define CREATE_TRACE_POINTS
#include "trace.h"
#include "virtio_balloon.h"

static void balloon_device_release(struct kref *kref)
{
	struct balloon_device *bd = container_of(kref, struct balloon_device,
						 kref);

	balloon_hinting_free(bd);
	balloon_stats_free(bd);
	balloon_batches_free(bd);
	mutex_destroy(&bd->balloon_lock);
	kfree(bd);
}

/**
 * balloon_device_get - take a reference to hand a pointer to another
 * @bd: the balloon, of which the caller has a valid pointer
 *
 * Context: any.
 */
void balloon_device_get(struct balloon_device *bd)
{
	kref_get(&bd->kref);
}

/**
 * balloon_device_put - drop a reference
 * @bd: the balloon; not to be touched afterwards
 *
 * Context: any; no lock of the balloon's held.
 */
void balloon_device_put(struct balloon_device *bd)
{
	kref_put(&bd->kref, balloon_device_release);
}

/**
 * balloon_event - something has happened that a waiter should look at
 * @bd: the balloon
 *
 * Context: any, including interrupts.
 */
void balloon_event(struct balloon_device *bd)
{
	atomic_inc(&bd->events);
	wake_up(&bd->wait);
}

/**
 * balloon_device_fail - a device that does not answer gets no more work
 * @bd: the balloon
 *
 * The device is reset, so that it does not act late on what the caller takes
 * back. The driver is dead until it is bound again.
 *
 * Context: process; sleeps.
 */
void balloon_device_fail(struct balloon_device *bd)
{
	dev_warn(&bd->vdev->dev,
		 "the host does not answer, the balloon stops until the module is loaded again\n");
	balloon_queues_stop(bd);
	virtio_reset_device(bd->vdev);
	virtio_break_device(bd->vdev);
	balloon_event(bd);
}

/* Returns a device with one reference, or NULL. */
static struct balloon_device *balloon_device_alloc(struct virtio_device *vdev)
{
	struct balloon_device *bd;

	bd = kzalloc(sizeof(*bd), GFP_KERNEL);
	if (!bd)
		return NULL;

	kref_init(&bd->kref);
	bd->vdev = vdev;
	mutex_init(&bd->balloon_lock);
	init_rwsem(&bd->notifying);
	INIT_LIST_HEAD(&bd->unsettled);
	INIT_LIST_HEAD(&bd->pending);
	INIT_LIST_HEAD(&bd->free_batches);
	balloon_mapping_init(&bd->bm, &balloon_mapping_ops);
	balloon_restraint_init(bd);
	balloon_trial_init(bd);
	init_waitqueue_head(&bd->wait);
	atomic_set(&bd->events, 0);

	if (balloon_batches_alloc(bd) || balloon_stats_alloc(bd) ||
	    balloon_hinting_alloc(bd)) {
		balloon_device_put(bd);
		return NULL;
	}
	return bd;
}

/* Virtio 1.2, 5.5.2: a queue exists where its feature was negotiated. */
static int balloon_find_queues(struct balloon_device *bd)
{
	struct virtqueue_info info[] = {
		{ "inflate", balloon_queue_acked },
		{ "deflate", balloon_queue_acked },
		{ "stats", balloon_stats_requested },
		{ "free_page_vq", NULL },
		{ "reporting_vq", balloon_queue_acked },
	};
	struct virtqueue *vqs[ARRAY_SIZE(info)] = {};
	int err;

	if (!virtio_has_feature(bd->vdev, VIRTIO_BALLOON_F_STATS_VQ))
		info[2].name = NULL;
	if (!virtio_has_feature(bd->vdev, VIRTIO_BALLOON_F_FREE_PAGE_HINT))
		info[3].name = NULL;
	if (!virtio_has_feature(bd->vdev, VIRTIO_BALLOON_F_REPORTING))
		info[4].name = NULL;

	err = virtio_find_vqs(bd->vdev, ARRAY_SIZE(info), vqs, info, NULL);
	if (err)
		return err;
	bd->inflate.vq = vqs[0];
	bd->deflate.vq = vqs[1];
	bd->stats.vq = vqs[2];
	bd->hinting.vq = vqs[3];
	bd->reporting.vq = vqs[4];
	return 0;
}

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

/* The device is ready. Unwinds what it has started, and leaves it dying. */
static int balloon_features_start(struct balloon_device *bd)
{
	int err;

	err = balloon_hinting_start(bd);
	if (err) {
		dev_err(&bd->vdev->dev, "can not start hinting: %d\n", err);
		goto err_stop;
	}
	err = balloon_reporting_start(bd);
	if (err) {
		dev_err(&bd->vdev->dev, "can not start reporting: %d\n", err);
		goto err_stop;
	}
	balloon_stats_start(bd);
	return 0;

err_stop:
	WRITE_ONCE(bd->dying, true);
	balloon_event(bd);
	balloon_hinting_stop(bd);
	return err;
}

/*
 * From here on hooks refuse and waiters return. The driver core has removed
 * the sysfs files and turned configuration changes off before.
 */
static void balloon_quiesce(struct balloon_device *bd)
{
	WRITE_ONCE(bd->dying, true);
	balloon_mapping_close(&bd->bm);
	balloon_event(bd);
	balloon_reporting_stop(bd);
	balloon_hinting_stop(bd);
	balloon_stats_stop(bd);
}

/* Leaves nothing to shut down again, should restore fail. */
static void balloon_shut_down(struct balloon_device *bd)
{
	if (!bd->inflate.vq) {
		virtio_reset_device(bd->vdev);
		return;
	}
	balloon_give_back(bd);
	balloon_hinting_abandon(bd);

	balloon_queues_stop(bd);
	bd->vdev->config->del_vqs(bd->vdev);
	bd->inflate.vq = NULL;
	bd->deflate.vq = NULL;
	bd->stats.vq = NULL;
	bd->hinting.vq = NULL;
	bd->reporting.vq = NULL;
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

	balloon_poison_tell_costs(bd);
	err = balloon_find_queues(bd);
	if (err) {
		dev_err(&vdev->dev, "found no virtqueues: %d\n", err);
		goto err_put;
	}
	balloon_poison_tell(bd);
	virtio_device_ready(vdev);
	balloon_report_start(bd);

	err = balloon_thread_start(bd);
	if (err) {
		dev_err(&vdev->dev, "can not start vballoon: %d\n", err);
		goto err_shut_down;
	}
	err = balloon_restraint_start(bd);
	if (err) {
		dev_err(&vdev->dev,
			"can not watch for out-of-memory: %d\n", err);
		goto err_stop;
	}
	err = balloon_hotplug_start(bd);
	if (err) {
		dev_err(&vdev->dev, "can not watch memory go offline: %d\n",
			err);
		goto err_restraint;
	}
	err = balloon_features_start(bd);
	if (err)
		goto err_hotplug;
	return 0;

err_hotplug:
	balloon_hotplug_stop(bd);
err_restraint:
	balloon_restraint_stop(bd);
err_stop:
	balloon_thread_stop(bd);
err_shut_down:
	balloon_shut_down(bd);
err_put:
	vdev->priv = NULL;
	balloon_device_put(bd);
	return err;
}

static void balloon_remove(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;

	balloon_quiesce(bd);
	balloon_hotplug_stop(bd);
	balloon_restraint_stop(bd);
	balloon_thread_stop(bd);
	balloon_shut_down(bd);
	vdev->priv = NULL;
	balloon_device_put(bd);
}

static void balloon_changed(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;

	WRITE_ONCE(bd->config_changed, true);
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
	balloon_shut_down(bd);
	return 0;
}

/* The kthread is still frozen and goes on once it is thawed. */
static int balloon_restore(struct virtio_device *vdev)
{
	struct balloon_device *bd = vdev->priv;
	int err;

	err = balloon_find_queues(bd);
	if (err)
		return err;
	balloon_poison_tell(bd);
	virtio_device_ready(vdev);

	balloon_report_start(bd);
	WRITE_ONCE(bd->dead, false);
	WRITE_ONCE(bd->dying, false);
	balloon_mapping_open(&bd->bm);
	err = balloon_features_start(bd);
	if (err) {
		balloon_shut_down(bd);
		return err;
	}
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
