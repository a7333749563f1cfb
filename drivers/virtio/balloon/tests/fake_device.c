// SPDX-License-Identifier: GPL-2.0
/*
 * The fake host's device: configuration, status, virtqueues.
 *
 * Any task of the driver may notify the host, but not while it holds
 * balloon_lock or page locks. A host may handle all posted messages before the
 * notification returns.
 */

#include <linux/string.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"
#include "fake_host_parts.h"

/**
 * fake_host_needs_reset - ask the driver for a reset (virtio 1.2, 2.1.1)
 * @host: the host
 */
void fake_host_needs_reset(struct fake_host *host)
{
	host->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio_config_changed(&host->vdev);
}

/* Does the current task hold @lock? Other tasks may hold it. */
static bool fake_host_holds(struct mutex *lock)
{
	return (atomic_long_read(&lock->owner) & ~7UL) ==
	       (unsigned long)current;
}

static bool fake_host_notify(struct virtqueue *vq)
{
	struct fake_host *host = to_fake_host(vq->vdev);
	struct balloon_device *bd = vq->vdev->priv;
	unsigned int i;

	KUNIT_EXPECT_FALSE_MSG(host->test, fake_host_holds(&bd->balloon_lock),
			       "the host is notified under balloon_lock");
	KUNIT_EXPECT_PTR_NE_MSG(host->test, host->migrator, current,
				"the host is notified under page locks");
	if (host->deaf)
		return false;

	mutex_lock(&host->lock);
	for (i = 0; i < FAKE_QUEUES; i++)
		host->queues[i].nr_kicks += host->queues[i].vq == vq;
	if (host->misses)
		host->misses--;
	else
		__fake_host_look(host);
	mutex_unlock(&host->lock);
	return true;
}

static void fake_host_get(struct virtio_device *vdev, unsigned int offset,
			  void *buf, unsigned int len)
{
	struct fake_host *host = to_fake_host(vdev);

	if (offset + len > sizeof(host->config)) {
		KUNIT_FAIL(host->test, "read behind the configuration");
		return;
	}
	memcpy(buf, (void *)&host->config + offset, len);
}

static void fake_host_set(struct virtio_device *vdev, unsigned int offset,
			  const void *buf, unsigned int len)
{
	struct fake_host *host = to_fake_host(vdev);

	if (len != sizeof(__le32)) {
		KUNIT_FAIL(host->test, "a field is written in parts");
		return;
	}
	switch (offset) {
	case offsetof(struct virtio_balloon_config, actual):
		host->nr_reports++;
		break;
	case offsetof(struct virtio_balloon_config, poison_val):
		KUNIT_EXPECT_TRUE(host->test, vdev->features &
				  BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON));
		KUNIT_EXPECT_FALSE_MSG(host->test, host->status &
				       VIRTIO_CONFIG_S_DRIVER_OK,
				       "the poison value comes too late");
		host->nr_poison_vals++;
		break;
	default:
		KUNIT_FAIL(host->test, "offset %u is read-only", offset);
		return;
	}
	memcpy((void *)&host->config + offset, buf, len);
}

static u8 fake_host_get_status(struct virtio_device *vdev)
{
	struct fake_host *host = to_fake_host(vdev);

	return host->pulled ? U8_MAX : host->status;
}

static void fake_host_set_status(struct virtio_device *vdev, u8 status)
{
	struct fake_host *host = to_fake_host(vdev);

	if (host->insists & ~vdev->features)
		status &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	host->status = status;
}

/*
 * The host forgets all messages and its model. Until the reset, it may still
 * take the pages of an inflate.
 */
static void fake_host_reset(struct virtio_device *vdev)
{
	struct fake_host *host = to_fake_host(vdev);
	struct fake_message *message;
	unsigned long number;
	void *state;

	KUNIT_EXPECT_FALSE_MSG(host->test, host->pulled,
			       "a device that is gone would never be reset");
	mutex_lock(&host->lock);
	xa_for_each(&host->model, number, state)
		if (xa_to_value(state) == FAKE_POSTED)
			fake_host_expect_held(host, number);
	host->status = 0;
	host->nr_resets++;
	host->nr_inflated_at_reset = host->nr_inflated;
	host->nr_inflated = 0;
	host->takes_large = false;
	xa_destroy(&host->model);
	list_for_each_entry(message, &host->log, node) {
		if (!message->answered)
			fake_host_expect_lent(host, message);
		message->answered = true;
	}
	mutex_unlock(&host->lock);
}

/**
 * fake_host_forget_driver - reset the device without telling the driver
 * @host: the host
 */
void fake_host_forget_driver(struct fake_host *host)
{
	fake_host_reset(&host->vdev);
	host->nr_resets--;	/* the driver has not reset the device */
}

static u64 fake_host_get_features(struct virtio_device *vdev)
{
	return to_fake_host(vdev)->features;
}

static int fake_host_finalize_features(struct virtio_device *vdev)
{
	vring_transport_features(vdev);
	return 0;
}

static void fake_host_del_vqs(struct virtio_device *vdev)
{
	struct fake_host *host = to_fake_host(vdev);
	unsigned int i;

	KUNIT_EXPECT_FALSE_MSG(host->test, !host->pulled &&
			       host->status & VIRTIO_CONFIG_S_DRIVER_OK,
			       "queues go while the device may use them");
	for (i = 0; i < FAKE_QUEUES; i++) {
		if (host->queues[i].vq)
			vring_del_virtqueue(host->queues[i].vq);
		host->queues[i].vq = NULL;
	}
}

static int fake_queue_init(struct fake_host *host, struct fake_queue *q,
			   unsigned int index,
			   const struct virtqueue_info *info)
{
	int err;

	q->vq = vring_create_virtqueue(index, host->ring_size, SMP_CACHE_BYTES,
				       &host->vdev, true, false, info->ctx,
				       fake_host_notify, info->callback,
				       info->name);
	if (!q->vq)
		return -ENOMEM;

	err = vringh_init_iotlb(&q->vrh, host->vdev.features, host->ring_size,
				true,
				(void *)(unsigned long)
				virtqueue_get_desc_addr(q->vq),
				(void *)(unsigned long)
				virtqueue_get_avail_addr(q->vq),
				(void *)(unsigned long)
				virtqueue_get_used_addr(q->vq));
	vringh_set_iotlb(&q->vrh, host->iotlb, &host->iotlb_lock);
	return err;
}

static enum fake_queue_index fake_queue_index(struct fake_host *host,
					      const char *name)
{
	static const char * const names[] = {
		[FAKE_INFLATE]		= "inflate",
		[FAKE_DEFLATE]		= "deflate",
		[FAKE_STATS]		= "stats",
		[FAKE_HINTING]		= "free_page_vq",
		[FAKE_REPORTING]	= "reporting_vq",
	};
	int index = match_string(names, ARRAY_SIZE(names), name);

	KUNIT_EXPECT_GE_MSG(host->test, index, 0, "%s", name);
	return max(index, 0);
}

/*
 * A queue exists only if its feature is negotiated, and only existing queues
 * have an index. An entry without a name crashes some kernels later.
 */
static int fake_host_find_vqs(struct virtio_device *vdev, unsigned int nvqs,
			      struct virtqueue *vqs[],
			      struct virtqueue_info infos[],
			      struct irq_affinity *desc)
{
	struct fake_host *host = to_fake_host(vdev);
	int err = host->find_vqs_err;
	struct fake_queue *q;
	unsigned int i;

	KUNIT_EXPECT_LE(host->test, nvqs, FAKE_QUEUES);
	for (i = 0; i < nvqs && !err; i++) {
		vqs[i] = NULL;
		KUNIT_EXPECT_NOT_NULL(host->test, infos[i].name);
		if (!infos[i].name)
			continue;
		q = &host->queues[fake_queue_index(host, infos[i].name)];
		err = fake_queue_init(host, q, i, &infos[i]);
		vqs[i] = q->vq;
	}
	if (err)
		fake_host_del_vqs(vdev);
	return err;
}

const struct virtio_config_ops fake_host_ops = {
	.get = fake_host_get,
	.set = fake_host_set,
	.get_status = fake_host_get_status,
	.set_status = fake_host_set_status,
	.reset = fake_host_reset,
	.find_vqs = fake_host_find_vqs,
	.del_vqs = fake_host_del_vqs,
	.get_features = fake_host_get_features,
	.finalize_features = fake_host_finalize_features,
};

/**
 * fake_host_set_target - set another target
 * @host: the host
 * @guest_pages: the target in guest pages
 */
void fake_host_set_target(struct fake_host *host, unsigned long guest_pages)
{
	host->config.num_pages =
		cpu_to_le32(guest_to_balloon_pages(guest_pages));
	virtio_config_changed(&host->vdev);
}

/**
 * fake_host_set_command - ask for hints, or end them
 * @host: the host
 * @id: the command id
 */
void fake_host_set_command(struct fake_host *host, u32 id)
{
	host->config.free_page_hint_cmd_id = cpu_to_le32(id);
	virtio_config_changed(&host->vdev);
}

/**
 * fake_host_actual - the size that the driver has reported
 * @host: the host
 *
 * Return: guest pages.
 */
unsigned long fake_host_actual(struct fake_host *host)
{
	return balloon_to_guest_pages(le32_to_cpu(host->config.actual));
}
