// SPDX-License-Identifier: GPL-2.0
/*
 * Setting the device up and taking it down (virtio 1.2, 3.1.1): virtqueues, features
 * and the handshake.
 */

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "config.h"
#include "device.h"
#include "settle.h"
#include "setup.h"
#include "virtio_balloon.h"

static const struct balloon_feature *
balloon_features_end(const struct balloon_device *bd)
{
	return bd->features + bd->nr_features;
}

static bool balloon_has_feature(const struct balloon_device *bd,
				const struct balloon_feature *feature)
{
	return feature->bit == BALLOON_ALWAYS ||
	       virtio_has_feature(bd->vdev, feature->bit);
}

/* Virtio 1.2, 5.5.2: a queue exists if its feature was negotiated. */
static bool balloon_has_queue(const struct balloon_device *bd,
			      const struct balloon_feature *feature)
{
	return feature->queue && balloon_has_feature(bd, feature);
}

static struct virtqueue **balloon_vq(struct balloon_device *bd,
				     const struct balloon_feature *feature)
{
	return (void *)bd + feature->vq;
}

/*
 * The table that the transport gets has no entry for a queue that does not exist:
 * some kernels mistake the entries that follow such a hole for others.
 */
static int balloon_find_queues(struct balloon_device *bd)
{
	struct virtqueue_info info[BALLOON_MAX_QUEUES] = {};
	struct virtqueue *found[BALLOON_MAX_QUEUES] = {};
	const struct balloon_feature *feature;
	unsigned int nr = 0;
	int err;

	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		if (!balloon_has_queue(bd, feature))
			continue;
		if (WARN_ON_ONCE(nr == BALLOON_MAX_QUEUES))
			return -EINVAL;
		info[nr].name = feature->queue;
		info[nr++].callback = feature->callback;
	}
	err = virtio_find_vqs(bd->vdev, nr, found, info, NULL);
	if (err)
		return err;
	nr = 0;
	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		if (balloon_has_queue(bd, feature))
			*balloon_vq(bd, feature) = found[nr++];
	}
	return 0;
}

static void balloon_forget_queues(struct balloon_device *bd)
{
	const struct balloon_feature *feature;

	bd->vdev->config->del_vqs(bd->vdev);
	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		if (feature->queue)
			*balloon_vq(bd, feature) = NULL;
	}
}

/* Tell the device what it has to know before it runs. */
static void balloon_features_tell(struct balloon_device *bd)
{
	const struct balloon_feature *feature;

	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		if (feature->tell && balloon_has_feature(bd, feature))
			feature->tell(bd);
	}
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
	balloon_features_tell(bd);
	virtio_device_ready(bd->vdev);
	balloon_actual_read(bd);
	clear_bit(BALLOON_WAS_RESET, &bd->flags);
	clear_bit(BALLOON_BROKEN, &bd->flags);
	balloon_mapping_open(&bd->ledger.bm);
	balloon_mapping_open(&bd->trial.bm);
	set_bit(BALLOON_CONFIG_CHANGED, &bd->flags);
	return 0;
}

/**
 * balloon_features_alloc - allocate what the features need
 * @bd: the balloon
 *
 * All features of the table: some rooms offer functions that work without theirs.
 *
 * Context: probe.
 * Return: 0 or -ENOMEM; balloon_features_free() cleans up after both.
 */
int balloon_features_alloc(struct balloon_device *bd)
{
	const struct balloon_feature *feature;
	int err;

	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		err = feature->alloc ? feature->alloc(bd) : 0;
		if (err)
			return err;
	}
	return 0;
}

/**
 * balloon_features_free - free what balloon_features_alloc() has allocated
 * @bd: the balloon, its features stopped
 *
 * Context: process.
 */
void balloon_features_free(struct balloon_device *bd)
{
	const struct balloon_feature *feature;

	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		if (feature->free)
			feature->free(bd);
	}
}

/* Stops the features before @end, the last one first. */
static void balloon_features_stop_before(struct balloon_device *bd,
					 const struct balloon_feature *end)
{
	while (end-- > bd->features) {
		if (end->stop && balloon_has_feature(bd, end))
			end->stop(bd);
	}
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
	const struct balloon_feature *feature;
	int err;

	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		if (!feature->start || !balloon_has_feature(bd, feature))
			continue;
		err = feature->start(bd);
		if (err) {
			dev_err(&bd->vdev->dev, "cannot start %s: %d\n",
				feature->name, err);
			balloon_features_stop_before(bd, feature);
			return err;
		}
	}
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
	balloon_features_stop_before(bd, balloon_features_end(bd));
}

/**
 * balloon_features_changed - the device's configuration has changed
 * @bd: the balloon
 *
 * Context: any, including interrupts.
 */
void balloon_features_changed(struct balloon_device *bd)
{
	const struct balloon_feature *feature;

	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		if (feature->changed && balloon_has_feature(bd, feature))
			feature->changed(bd);
	}
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
	const struct balloon_feature *feature;

	balloon_device_reset(bd);
	if (!bd->queues.inflate.vq)
		return;
	balloon_abandon(bd);
	for (feature = bd->features; feature < balloon_features_end(bd);
	     feature++) {
		if (feature->abandon && balloon_has_feature(bd, feature))
			feature->abandon(bd);
	}
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
	/* The virtio core sets a status bit after a failure. */
	__balloon_device_reset(bd);
	err = __balloon_device_negotiate(bd->vdev);
	if (err)
		__balloon_device_reset(bd);
	return err;
}
