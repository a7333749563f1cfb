// SPDX-License-Identifier: GPL-2.0
/*
 * Setting the device up and taking it down (virtio 1.2, 3.1.1): virtqueues, features
 * and the handshake.
 */

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "virtio_balloon.h"

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
		{ "inflate", balloon_acked, &bd->queues.inflate.vq,
		  BALLOON_VQ_ALWAYS },
		{ "deflate", balloon_acked, &bd->queues.deflate.vq,
		  BALLOON_VQ_ALWAYS },
		{ "stats", balloon_stats_requested, &bd->stats.vq,
		  VIRTIO_BALLOON_F_STATS_VQ },
		{ "free_page_vq", NULL, &bd->hinting.vq,
		  VIRTIO_BALLOON_F_FREE_PAGE_HINT },
		{ "reporting_vq", balloon_acked, &bd->reporting.vq,
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
	balloon_actual_read(bd);
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
	balloon_abandon(bd);
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
