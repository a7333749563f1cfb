// SPDX-License-Identifier: GPL-2.0
/*
 * The device below the driver: lifetime, virtqueues, reset, and setting it up
 * (virtio 1.2, 3.1.1).
 */

#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio_balloon.h"

/* What a device that was pulled out reads as. No device sets all of these bits. */
#define BALLOON_STATUS_GONE	0xff

static void balloon_device_release(struct kref *kref)
{
	struct balloon_device *bd = container_of(kref, struct balloon_device,
						 kref);

	balloon_hinting_free(bd);
	balloon_stats_free(bd);
	balloon_batches_free(bd);
	mutex_destroy(&bd->reset_lock);
	mutex_destroy(&bd->balloon_lock);
	kfree(bd);
}

/**
 * balloon_device_alloc - allocate a device
 * @vdev: the virtio device
 *
 * Context: probe.
 * Return: the device with one reference, or NULL.
 */
struct balloon_device *balloon_device_alloc(struct virtio_device *vdev)
{
	struct balloon_device *bd;

	bd = kzalloc(sizeof(*bd), GFP_KERNEL);
	if (!bd)
		return NULL;

	kref_init(&bd->kref);
	bd->vdev = vdev;
	mutex_init(&bd->balloon_lock);
	mutex_init(&bd->reset_lock);
	init_rwsem(&bd->notifying);
	INIT_LIST_HEAD(&bd->queues.unsettled);
	INIT_LIST_HEAD(&bd->queues.pending);
	INIT_LIST_HEAD(&bd->pool.free);
	balloon_mapping_init(&bd->ledger.bm, &balloon_mapping_ops);
	balloon_guest_init(bd);
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
 * balloon_device_fail - the device has been found broken
 * @bd: the balloon
 *
 * The kthread resets the device, and sets it up again. Until then nobody takes
 * back what the device may still act on.
 *
 * Context: any process context.
 */
void balloon_device_fail(struct balloon_device *bd)
{
	if (READ_ONCE(bd->broken))
		return;
	WRITE_ONCE(bd->broken, true);
	balloon_event(bd);
}

/**
 * balloon_patience_begin - begin to wait for a host
 * @patience: how long it is waited for
 *
 * Context: any.
 */
void balloon_patience_begin(struct balloon_patience *patience)
{
	patience->left = msecs_to_jiffies(BALLOON_HOST_PATIENCE_MS);
	patience->looked_at = jiffies;
}

/**
 * balloon_patience_ends - has the host been silent for too long?
 * @patience: how long it is still waited for
 *
 * A guest that is paused, by its host or for want of CPUs, looks late. What is beyond
 * BALLOON_LOOK_AGAIN between two looks does not count.
 *
 * Context: any.
 */
bool balloon_patience_ends(struct balloon_patience *patience)
{
	unsigned long spent = min_t(unsigned long, BALLOON_LOOK_AGAIN,
				    jiffies - patience->looked_at);

	patience->looked_at = jiffies;
	patience->left -= min(patience->left, spent);
	return !patience->left;
}

/**
 * balloon_device_works - does the device itself say that it works?
 * @bd: the balloon
 *
 * A device that has given up asks for a reset (virtio 1.2, 2.1.1). One that was
 * reset by others has forgotten that it has a driver.
 *
 * Context: process; may sleep.
 */
bool balloon_device_works(struct balloon_device *bd)
{
	u8 status = bd->vdev->config->get_status(bd->vdev);

	return (status & VIRTIO_CONFIG_S_DRIVER_OK) &&
	       !(status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/**
 * balloon_device_gone - was the device pulled out?
 * @bd: the balloon
 *
 * Context: process; may sleep.
 */
bool balloon_device_gone(struct balloon_device *bd)
{
	return bd->vdev->config->get_status(bd->vdev) == BALLOON_STATUS_GONE;
}

static void __balloon_device_reset(struct balloon_device *bd)
{
	if (balloon_device_gone(bd))
		return;
	virtio_reset_device(bd->vdev);
	/* Not every transport waits for its interrupt handler by itself. */
	virtio_synchronize_cbs(bd->vdev);
}

/**
 * balloon_kick - notify the device, unless it is broken or about to be reset
 * @bd: the balloon
 * @vq: one of its queues; not those of page frame numbers, which queue.c notifies
 *
 * Context: process; sleeps as long as a notification takes.
 */
void balloon_kick(struct balloon_device *bd, struct virtqueue *vq)
{
	down_read(&bd->notifying);
	if (!READ_ONCE(bd->broken))
		virtqueue_kick(vq);
	up_read(&bd->notifying);
}

/**
 * balloon_nudge - notify the device of what it may have overlooked
 * @bd: the balloon
 * @vq: as for balloon_kick()
 *
 * Context: as for balloon_kick().
 */
void balloon_nudge(struct balloon_device *bd, struct virtqueue *vq)
{
	down_read(&bd->notifying);
	if (!READ_ONCE(bd->broken))
		virtqueue_notify(vq);
	up_read(&bd->notifying);
}

/**
 * balloon_device_reset - end the device's claim to anything of the guest's
 * @bd: the balloon
 *
 * The queues are left alone from here on. A device that is gone is not reset, as
 * it would be waited for without an end.
 *
 * Context: process; sleeps.
 */
void balloon_device_reset(struct balloon_device *bd)
{
	mutex_lock(&bd->reset_lock);
	if (!READ_ONCE(bd->was_reset)) {
		balloon_queues_stop(bd);
		__balloon_device_reset(bd);
		WRITE_ONCE(bd->was_reset, true);
	}
	mutex_unlock(&bd->reset_lock);
	balloon_event(bd);
}

/* A queue that comes with a feature; the first two come always. */
struct balloon_vq {
	const char *name;
	vq_callback_t *callback;
	struct virtqueue **vq;
	int feature;
};

#define BALLOON_VQ_ALWAYS	-1

static bool balloon_has_vq(struct balloon_device *bd,
			   const struct balloon_vq *vq)
{
	return vq->feature == BALLOON_VQ_ALWAYS ||
	       virtio_has_feature(bd->vdev, vq->feature);
}

/*
 * Virtio 1.2, 5.5.2: a queue exists if its feature was negotiated. The table that
 * the transport gets has no entry for a queue that does not exist: some kernels
 * mistake the entries that follow such a hole for others.
 */
static int balloon_find_queues(struct balloon_device *bd)
{
	const struct balloon_vq vqs[] = {
		{ "inflate", balloon_queue_acked, &bd->queues.inflate.vq,
		  BALLOON_VQ_ALWAYS },
		{ "deflate", balloon_queue_acked, &bd->queues.deflate.vq,
		  BALLOON_VQ_ALWAYS },
		{ "stats", balloon_stats_requested, &bd->stats.vq,
		  VIRTIO_BALLOON_F_STATS_VQ },
		{ "free_page_vq", NULL, &bd->hinting.vq,
		  VIRTIO_BALLOON_F_FREE_PAGE_HINT },
		{ "reporting_vq", balloon_queue_acked, &bd->reporting.vq,
		  VIRTIO_BALLOON_F_REPORTING },
	};
	struct virtqueue_info info[ARRAY_SIZE(vqs)] = {};
	struct virtqueue *found[ARRAY_SIZE(vqs)] = {};
	unsigned int i, nr = 0;
	int err;

	for (i = 0; i < ARRAY_SIZE(vqs); i++) {
		if (!balloon_has_vq(bd, &vqs[i]))
			continue;
		info[nr].name = vqs[i].name;
		info[nr++].callback = vqs[i].callback;
	}
	err = virtio_find_vqs(bd->vdev, nr, found, info, NULL);
	if (err)
		return err;
	for (i = 0, nr = 0; i < ARRAY_SIZE(vqs); i++) {
		if (balloon_has_vq(bd, &vqs[i]))
			*vqs[i].vq = found[nr++];
	}
	return 0;
}

static void balloon_forget_queues(struct balloon_device *bd)
{
	bd->vdev->config->del_vqs(bd->vdev);
	bd->queues.inflate.vq = NULL;
	bd->queues.deflate.vq = NULL;
	bd->stats.vq = NULL;
	bd->hinting.vq = NULL;
	bd->reporting.vq = NULL;
}

/**
 * balloon_device_ready - find the virtqueues and let the device run
 * @bd: the balloon, its features negotiated
 *
 * Context: probe, restore, or the kthread; sleeps.
 * Return: 0 or an errno of the transport.
 */
int balloon_device_ready(struct balloon_device *bd)
{
	int err;

	err = balloon_find_queues(bd);
	if (err) {
		__balloon_device_reset(bd);
		return err;
	}
	balloon_poison_tell(bd);
	virtio_device_ready(bd->vdev);
	balloon_report_start(bd);
	WRITE_ONCE(bd->was_reset, false);
	WRITE_ONCE(bd->broken, false);
	balloon_mapping_open(&bd->ledger.bm);
	balloon_mapping_open(&bd->trial.bm);
	WRITE_ONCE(bd->config_changed, true);
	return 0;
}

/**
 * balloon_features_start - have the features work that were negotiated
 * @bd: the balloon, its device ready
 *
 * Context: probe, restore, or the kthread; sleeps.
 * Return: 0 or an errno; nothing is left to be stopped then.
 */
int balloon_features_start(struct balloon_device *bd)
{
	int err;

	err = balloon_hinting_start(bd);
	if (err) {
		dev_err(&bd->vdev->dev, "can not start hinting: %d\n", err);
		return err;
	}
	err = balloon_reporting_start(bd);
	if (err) {
		dev_err(&bd->vdev->dev, "can not start reporting: %d\n", err);
		balloon_hinting_stop(bd);
		return err;
	}
	balloon_stats_start(bd);
	return 0;
}

/**
 * balloon_features_stop - have the features stop
 * @bd: the balloon, dying, or its device reset
 *
 * Context: remove, freeze, or the kthread; waits for callbacks that run.
 */
void balloon_features_stop(struct balloon_device *bd)
{
	balloon_reporting_stop(bd);
	balloon_hinting_stop(bd);
	balloon_stats_stop(bd);
}

/**
 * balloon_device_take_down - have neither pages in the balloon nor virtqueues
 * @bd: the balloon, its features stopped, pages given back as far as the host
 *      was told
 *
 * Context: remove, freeze, or the kthread; sleeps.
 */
void balloon_device_take_down(struct balloon_device *bd)
{
	balloon_device_reset(bd);
	/* A question that came while the statistics were stopped has no answer. */
	balloon_may_sleep(bd, BALLOON_AWAKE_STATS);
	if (!bd->queues.inflate.vq)
		return;
	balloon_queues_abandon(bd);
	balloon_hinting_abandon(bd);
	balloon_forget_queues(bd);
}

/* The features are those of probe. */
static int __balloon_device_negotiate(struct virtio_device *vdev)
{
	int err;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
	err = vdev->config->finalize_features(vdev);
	if (err)
		return err;
	/* A legacy device knows nothing of this step (virtio 1.2, 3.1.2). */
	if (!virtio_has_feature(vdev, VIRTIO_F_VERSION_1))
		return 0;
	virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENODEV;
	return 0;
}

/**
 * balloon_device_negotiate - go through the handshake with the device again
 * @bd: the balloon, its device reset and taken down
 *
 * Context: the kthread; sleeps.
 * Return: 0, -ENODEV if the device is gone or refuses the features, or an errno
 * of the transport.
 */
int balloon_device_negotiate(struct balloon_device *bd)
{
	int err;

	if (balloon_device_gone(bd))
		return -ENODEV;
	/* Others may have set bits since, as the core does after a failure. */
	__balloon_device_reset(bd);
	err = __balloon_device_negotiate(bd->vdev);
	if (err)
		__balloon_device_reset(bd);
	return err;
}
