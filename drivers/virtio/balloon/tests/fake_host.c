// SPDX-License-Identifier: GPL-2.0
/*
 * A fake host; fake_host.h says what it is for.
 *
 * Notifications are of any task of the driver's, never of one that holds its
 * balloon_lock: a host may handle all that was posted before it lets go of the
 * guest. Nor are they of one that holds page locks. An expectation that fails does
 * not end the task it fails in, which may be the driver's.
 */

#include <kunit/device.h>
#include <kunit/resource.h>
#include <kunit/static_stub.h>
#include <linux/memory.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <linux/uio.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"

/* What the model says of a page frame number that it knows. */
enum fake_number {
	FAKE_POSTED = 1,	/* named in an inflate */
	FAKE_INFLATED,		/* the host has it */
	FAKE_DEFLATING,		/* named in a deflate */
};

static enum fake_number fake_number(struct fake_host *host, u32 number)
{
	void *entry = xa_load(&host->model, number);

	return entry ? xa_to_value(entry) : 0;
}

static void fake_number_set(struct fake_host *host, u32 number,
			    enum fake_number state)
{
	void *old = xa_store(&host->model, number, xa_mk_value(state),
			     GFP_ATOMIC);

	KUNIT_EXPECT_FALSE(host->test, xa_is_err(old));
}

/* Fails the test unless the balloon holds the page that @number names. */
static void fake_host_expect_held(struct fake_host *host, u32 number)
{
	unsigned long pfn = number / BALLOON_PER_GUEST_PAGE;
	int others = xa_load(&host->taken, pfn) ? 1 : 0;

	KUNIT_EXPECT_GT_MSG(host->test, page_ref_count(pfn_to_page(pfn)),
			    others, "the balloon has let go of %x", number);
}

static bool fake_message_is_canary(const struct fake_message *message)
{
	return message->queue == FAKE_INFLATE &&
	       message->nr > BALLOON_PER_GUEST_PAGE &&
	       message->numbers[0] ==
	       message->numbers[BALLOON_PER_GUEST_PAGE];
}

/* How many different numbers a message names, all at its start. */
static unsigned int fake_message_distinct(const struct fake_message *message)
{
	return fake_message_is_canary(message) ? BALLOON_PER_GUEST_PAGE :
						 message->nr;
}

static void fake_host_expect_size(struct fake_host *host,
				  const struct fake_message *message)
{
	struct kunit *test = host->test;
	unsigned int i;

	KUNIT_EXPECT_GT(test, message->nr, 0);
	KUNIT_EXPECT_LE(test, message->nr, BALLOON_LARGE_MESSAGE);
	if (fake_message_is_canary(message)) {
		host->nr_canaries++;
		KUNIT_EXPECT_EQ(test, message->nr, BALLOON_LARGE_MESSAGE);
		for (i = BALLOON_PER_GUEST_PAGE; i < message->nr; i++)
			KUNIT_EXPECT_EQ(test, message->numbers[i],
					message->numbers[i %
							 BALLOON_PER_GUEST_PAGE]);
		return;
	}
	if (!host->takes_large)
		KUNIT_EXPECT_LE_MSG(test, message->nr, BALLOON_SMALL_MESSAGE,
				    "a large message that no canary vouches for");
}

static void fake_host_take_inflate(struct fake_host *host,
				   const struct fake_message *message)
{
	struct kunit *test = host->test;
	unsigned int i;

	KUNIT_EXPECT_EQ_MSG(test, fake_host_unanswered(host, FAKE_DEFLATE), 0,
			    "an inflate was posted before all deflates were acknowledged");
	for (i = 0; i < fake_message_distinct(message); i++) {
		u32 number = message->numbers[i];

		KUNIT_EXPECT_EQ_MSG(test, fake_number(host, number), 0,
				    "%x is inflated twice", number);
		fake_host_expect_held(host, number);
		fake_number_set(host, number, FAKE_POSTED);
	}
}

static void fake_host_take_deflate(struct fake_host *host,
				   const struct fake_message *message)
{
	struct kunit *test = host->test;
	unsigned int i;

	for (i = 0; i < message->nr; i++) {
		u32 number = message->numbers[i];

		KUNIT_EXPECT_EQ_MSG(test, fake_number(host, number),
				    FAKE_INFLATED,
				    "%x is deflated and was not inflated",
				    number);
		fake_number_set(host, number, FAKE_DEFLATING);
	}
}

/*
 * A hinted block is the driver's, a reported one mm's: it is isolated, in no free
 * list, and has no owner.
 */
static void fake_host_expect_lent(struct fake_host *host,
				  const struct fake_message *message)
{
	unsigned int i;

	if (!message->writable)
		return;
	for (i = 0; i < message->nr; i++) {
		struct page *page = message->blocks[i].page;

		KUNIT_EXPECT_FALSE_MSG(host->test, PageBuddy(page),
				       "block %lx is free before the acknowledgment",
				       page_to_pfn(page));
		if (message->queue == FAKE_HINTING)
			KUNIT_EXPECT_GT_MSG(host->test, page_ref_count(page), 1,
					    "block %lx was given back before the acknowledgment",
					    page_to_pfn(page));
	}
}

/* The host's reference shows when the driver gives a block back. */
static void fake_host_take_hint(struct fake_host *host,
				const struct fake_message *message)
{
	struct page *page = message->blocks[0].page;
	void *old;

	KUNIT_EXPECT_EQ(host->test, message->nr, 1);
	get_page(page);
	old = xa_store(&host->taken, page_to_pfn(page), page, GFP_ATOMIC);
	KUNIT_EXPECT_NULL(host->test, old);
}

static void fake_host_take(struct fake_host *host, struct fake_message *message)
{
	list_add_tail(&message->node, &host->log);
	host->queues[message->queue].nr_messages++;
	if (message->queue == FAKE_STATS)
		return;
	if (message->queue == FAKE_HINTING && message->writable)
		fake_host_take_hint(host, message);
	fake_host_expect_lent(host, message);
	if (message->queue == FAKE_HINTING || message->queue == FAKE_REPORTING)
		return;

	fake_host_expect_size(host, message);
	if (message->queue == FAKE_INFLATE)
		fake_host_take_inflate(host, message);
	else
		fake_host_take_deflate(host, message);
	if (host->drops_above && message->nr > host->drops_above)
		message->dropped = true;
}

/* The host does what the message says. */
static void fake_host_obey(struct fake_host *host,
			   const struct fake_message *message)
{
	bool must_tell = virtio_has_feature(&host->vdev,
					    VIRTIO_BALLOON_F_MUST_TELL_HOST);
	unsigned int i;

	fake_host_expect_lent(host, message);
	if (message->queue != FAKE_INFLATE && message->queue != FAKE_DEFLATE)
		return;

	for (i = 0; i < fake_message_distinct(message); i++) {
		u32 number = message->numbers[i];

		if (message->queue == FAKE_INFLATE) {
			fake_host_expect_held(host, number);
			fake_number_set(host, number, FAKE_INFLATED);
			host->nr_inflated++;
		} else {
			if (must_tell)
				fake_host_expect_held(host, number);
			xa_erase(&host->model, number);
			host->nr_inflated--;
		}
	}
	if (fake_message_is_canary(message))
		host->takes_large = true;
}

static void fake_host_interrupt(struct fake_queue *q)
{
	if (vringh_need_notify_iotlb(&q->vrh) > 0)
		vring_interrupt(0, q->vq);
}

static void fake_host_give(struct fake_host *host, struct fake_message *message)
{
	struct fake_queue *q = &host->queues[message->queue];

	fake_host_obey(host, message);
	message->answered = true;
	KUNIT_EXPECT_EQ(host->test, 0,
			vringh_complete_iotlb(&q->vrh, message->head,
					      host->answer_length));
	fake_host_interrupt(q);
}

static void fake_message_read(struct fake_host *host, struct fake_queue *q,
			      struct fake_message *message,
			      struct vringh_kiov *from, size_t bytes)
{
	unsigned int i;
	ssize_t got;

	/* An identity map: the address in the ring is the physical one. */
	message->data = phys_to_virt((unsigned long)from->iov[0].iov_base);
	got = vringh_iov_pull_iotlb(&q->vrh, from, message->numbers, bytes);
	KUNIT_EXPECT_EQ(host->test, got, (ssize_t)bytes);

	message->nr = bytes;
	if (message->queue == FAKE_STATS)
		return;
	KUNIT_EXPECT_EQ(host->test, bytes % sizeof(__virtio32), 0);
	message->nr = bytes / sizeof(__virtio32);
	for (i = 0; i < message->nr; i++)
		message->numbers[i] =
			vringh32_to_cpu(&q->vrh, (__force __virtio32)
					message->numbers[i]);
}

static void fake_message_list_blocks(struct fake_message *message,
				     const struct vringh_kiov *to)
{
	unsigned int i;

	message->writable = true;
	message->nr = to->used;
	for (i = 0; i < to->used; i++) {
		message->blocks[i].page =
			pfn_to_page(PHYS_PFN((unsigned long)to->iov[i].iov_base));
		message->blocks[i].length = to->iov[i].iov_len;
	}
}

/* Memory that may be written to is what two of the queues are for. */
static void fake_host_expect_direction(struct fake_host *host,
				       enum fake_queue_index index,
				       const struct vringh_kiov *from,
				       const struct vringh_kiov *to)
{
	bool writes = index == FAKE_REPORTING ||
		      (index == FAKE_HINTING && to->used);

	KUNIT_EXPECT_EQ(host->test, !!to->used, writes);
	KUNIT_EXPECT_EQ(host->test, !!from->used, !writes);
}

/* Returns the next message that the driver has put into the ring, or NULL. */
static struct fake_message *fake_queue_next(struct fake_host *host,
					    enum fake_queue_index index)
{
	struct fake_queue *q = &host->queues[index];
	struct kvec piece, pieces[FAKE_MAX_BLOCKS];
	struct fake_message *message;
	struct vringh_kiov from, to;
	size_t bytes;
	u16 head;
	int ret;

	vringh_kiov_init(&from, &piece, 1);
	vringh_kiov_init(&to, pieces, ARRAY_SIZE(pieces));
	ret = vringh_getdesc_iotlb(&q->vrh, &from, &to, &head, GFP_ATOMIC);
	KUNIT_EXPECT_GE(host->test, ret, 0);
	if (ret <= 0)
		return NULL;

	fake_host_expect_direction(host, index, &from, &to);
	bytes = vringh_kiov_length(&from);
	message = kzalloc(max(struct_size(message, numbers,
					  DIV_ROUND_UP(bytes, sizeof(u32))),
			      struct_size(message, blocks, to.used)),
			  GFP_ATOMIC);
	if (message) {
		message->queue = index;
		message->head = head;
		if (to.used)
			fake_message_list_blocks(message, &to);
		else
			fake_message_read(host, q, message, &from, bytes);
	} else {
		KUNIT_FAIL(host->test, "no memory for the host's log");
	}
	vringh_kiov_cleanup(&from);
	vringh_kiov_cleanup(&to);
	return message;
}

static void fake_queue_empty(struct fake_host *host,
			     enum fake_queue_index index)
{
	struct fake_message *message;

	while ((message = fake_queue_next(host, index))) {
		fake_host_take(host, message);
		if (index == FAKE_STATS && host->stats_at_once) {
			host->stats_at_once--;
			fake_host_give(host, message);
		} else if (!host->holds[index] && !message->dropped) {
			fake_host_give(host, message);
		}
	}
	vringh_notify_enable_iotlb(&host->queues[index].vrh);
}

/* Deflates first: what a test asserts about their order shows at once. */
static void __fake_host_look(struct fake_host *host)
{
	static const enum fake_queue_index order[] = {
		FAKE_DEFLATE, FAKE_INFLATE, FAKE_STATS, FAKE_HINTING,
		FAKE_REPORTING,
	};
	unsigned int i;

	lockdep_assert_held(&host->lock);
	if (host->gone || !(host->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return;

	for (i = 0; i < ARRAY_SIZE(order); i++)
		if (host->queues[order[i]].vq)
			fake_queue_empty(host, order[i]);
}

/**
 * fake_host_look - read the rings without having been notified
 * @host: the host
 */
void fake_host_look(struct fake_host *host)
{
	mutex_lock(&host->lock);
	__fake_host_look(host);
	mutex_unlock(&host->lock);
}

static struct fake_message *__fake_host_find(struct fake_host *host,
					     enum fake_queue_index queue,
					     bool newest)
{
	struct fake_message *message, *found = NULL;

	list_for_each_entry(message, &host->log, node) {
		if (message->queue != queue || message->answered ||
		    message->dropped)
			continue;
		found = message;
		if (!newest)
			break;
	}
	return found;
}

static bool __fake_host_answer(struct fake_host *host,
			       enum fake_queue_index queue, bool newest)
{
	struct fake_message *message;

	mutex_lock(&host->lock);
	__fake_host_look(host);
	message = __fake_host_find(host, queue, newest);
	if (message)
		fake_host_give(host, message);
	mutex_unlock(&host->lock);
	return message;
}

/**
 * fake_host_answer - answer the oldest message of a queue
 * @host: the host
 * @queue: the queue
 *
 * Return: false if there is none.
 */
bool fake_host_answer(struct fake_host *host, enum fake_queue_index queue)
{
	return __fake_host_answer(host, queue, false);
}

/**
 * fake_host_answer_newest - answer the newest message of a queue
 * @host: the host
 * @queue: the queue
 *
 * Return: false if there is none.
 */
bool fake_host_answer_newest(struct fake_host *host,
			     enum fake_queue_index queue)
{
	return __fake_host_answer(host, queue, true);
}

/**
 * fake_host_answer_all - answer all that moves pages, now and from here on
 * @host: the host
 */
void fake_host_answer_all(struct fake_host *host)
{
	host->holds[FAKE_DEFLATE] = false;
	host->holds[FAKE_INFLATE] = false;
	while (fake_host_answer(host, FAKE_DEFLATE))
		;
	while (fake_host_answer(host, FAKE_INFLATE))
		;
}

/**
 * fake_host_answer_wrong_id - say that a buffer was used which was not posted
 * @host: the host
 * @queue: the queue
 * @head: what to name
 */
void fake_host_answer_wrong_id(struct fake_host *host,
			       enum fake_queue_index queue, u16 head)
{
	struct fake_queue *q = &host->queues[queue];

	mutex_lock(&host->lock);
	KUNIT_EXPECT_EQ(host->test, 0,
			vringh_complete_iotlb(&q->vrh, head, 0));
	fake_host_interrupt(q);
	mutex_unlock(&host->lock);
}

/**
 * fake_host_needs_reset - give up on itself (virtio 1.2, 2.1.1)
 * @host: the host
 */
void fake_host_needs_reset(struct fake_host *host)
{
	host->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio_config_changed(&host->vdev);
}

/**
 * fake_host_recovered - has the driver set the device up again, and moved?
 * @host: the host
 * @resets: what nr_resets was before
 * @guest_pages: its target
 */
bool fake_host_recovered(struct fake_host *host, unsigned int resets,
			 unsigned long guest_pages)
{
	return host->nr_resets > resets &&
	       fake_host_arrived(host, guest_pages) &&
	       host->nr_inflated == guest_pages * BALLOON_PER_GUEST_PAGE;
}

/**
 * fake_host_message - a message from the log
 * @host: the host
 * @queue: where it arrived
 * @index: which of the queue's, from 0
 *
 * Return: the message, or NULL. The log keeps it as long as the host lives.
 */
struct fake_message *fake_host_message(struct fake_host *host,
				       enum fake_queue_index queue,
				       unsigned int index)
{
	struct fake_message *message, *found = NULL;

	mutex_lock(&host->lock);
	list_for_each_entry(message, &host->log, node) {
		if (message->queue == queue && !index--) {
			found = message;
			break;
		}
	}
	mutex_unlock(&host->lock);
	return found;
}

/**
 * fake_host_last - the newest message of a queue
 * @host: the host
 * @queue: the queue, at which one has arrived
 */
struct fake_message *fake_host_last(struct fake_host *host,
				    enum fake_queue_index queue)
{
	unsigned int nr = host->queues[queue].nr_messages;

	KUNIT_ASSERT_GT(host->test, nr, 0);
	return fake_host_message(host, queue, nr - 1);
}

/**
 * fake_host_unanswered - how many messages of a queue the host has
 * @host: the host
 * @queue: the queue
 *
 * Return: messages, those not counted that it has lost.
 */
unsigned int fake_host_unanswered(struct fake_host *host,
				  enum fake_queue_index queue)
{
	struct fake_message *message;
	unsigned int nr = 0;

	list_for_each_entry(message, &host->log, node)
		nr += message->queue == queue && !message->answered &&
		      !message->dropped;
	return nr;
}

/**
 * fake_message_page - a page that a message names
 * @message: the message
 * @index: which page frame number
 */
struct page *fake_message_page(struct fake_message *message,
			       unsigned int index)
{
	return pfn_to_page(message->numbers[index] / BALLOON_PER_GUEST_PAGE);
}

/* Does this very task hold it? What others do is of no concern. */
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
 * It forgets all messages, and everything that it was told. Until then it may
 * still take what an inflate names.
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
 * fake_host_forget_driver - reset itself without a word
 * @host: the host
 */
void fake_host_forget_driver(struct fake_host *host)
{
	fake_host_reset(&host->vdev);
	host->nr_resets--;	/* not the driver's doing */
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
 * A queue whose feature is not negotiated is not there, and has no index: the device
 * counts those that it has. An entry without a name crashes some kernels later.
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

static const struct virtio_config_ops fake_host_ops = {
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

/*
 * A page of ours that the driver has released, or NULL. It looks round and
 * round, at some of them each time: not all for each page of a large balloon.
 */
static struct page *fake_host_recycled(struct fake_host *host)
{
	unsigned int looks = 512;
	struct page *page;

	while (looks--) {
		page = xa_find(&host->taken, &host->recycle_from, ULONG_MAX,
			       XA_PRESENT);
		host->recycle_from = page ? host->recycle_from + 1 : 0;
		if (page && page_ref_count(page) == 1)
			return page;
	}
	return NULL;
}

static struct page *fake_host_new_block(struct fake_host *host,
					unsigned int order)
{
	struct page *block;
	unsigned int i;

	block = alloc_pages(GFP_HIGHUSER_MOVABLE | __GFP_NOWARN |
			    __GFP_NORETRY, order);
	if (!block)
		return NULL;
	if (order)
		split_page(block, order);
	for (i = 0; i < 1U << order; i++) {
		block[i].index = 3; /* its last user's */
		xa_store(&host->taken, page_to_pfn(block + i), block + i,
			 GFP_KERNEL);
	}
	return block;
}

/**
 * fake_host_new_page - a page that is watched as those of the balloon are
 * @host: the host
 *
 * Return: a page with a reference for the caller, besides the host's.
 */
struct page *fake_host_new_page(struct fake_host *host)
{
	struct page *page = fake_host_new_block(host, 0);

	KUNIT_EXPECT_NOT_NULL(host->test, page);
	if (page)
		get_page(page);
	return page;
}

/* Stands in for balloon_alloc_block(). */
static struct page *fake_host_alloc_block(struct balloon_device *bd,
					  unsigned int order)
{
	struct fake_host *host = to_fake_host(bd->vdev);
	struct page *block = NULL;
	unsigned int i;

	KUNIT_EXPECT_FALSE_MSG(host->test, mutex_is_locked(&bd->balloon_lock),
			       "memory is allocated under balloon_lock");
	if (host->on_alloc)
		host->on_alloc(host, order);
	if (order > host->max_order || 1UL << order > host->spare) {
		host->nr_refusals[order]++;
		return NULL;
	}

	if (host->recycles && !order)
		block = fake_host_recycled(host);
	if (!block)
		block = fake_host_new_block(host, order);
	if (!block)
		return NULL;

	for (i = 0; i < 1U << order; i++)
		get_page(block + i);
	host->nr_allocs[order]++;
	host->spare -= 1UL << order;
	return block;
}

/* Stands in for balloon_alloc_canary(). */
static struct page *fake_host_alloc_canary(struct balloon_device *bd)
{
	return fake_host_alloc_block(bd, 0);
}

/* Stands in for balloon_zone_is_starved(): this guest has plenty, in truth. */
static bool fake_host_is_starved(struct balloon_device *bd,
				 const struct page *page)
{
	struct fake_host *host = to_fake_host(bd->vdev);

	return !host->is_starved || host->is_starved(page);
}

/* Stands in for balloon_guest_is_fragmented(). */
static bool fake_host_is_fragmented(struct balloon_device *bd)
{
	return to_fake_host(bd->vdev)->fragmented;
}

/* Stands in for balloon_available(). */
static unsigned long fake_host_available(struct balloon_device *bd)
{
	unsigned long available = READ_ONCE(to_fake_host(bd->vdev)->available);
	unsigned long taken = balloon_size(&bd->ledger) + balloon_trial_size(bd);

	to_fake_host(bd->vdev)->nr_looks++;
	return available - min(available, taken);
}

/* Stands in for balloon_spare(). kswapd is fast. */
static unsigned long fake_host_spare(struct balloon_device *bd,
				     enum zone_watermarks mark)
{
	return to_fake_host(bd->vdev)->full && mark == WMARK_HIGH ? 0 :
	       ULONG_MAX / 8;
}

/* Stands in for balloon_signals_read(). */
static void fake_host_read_signals(struct balloon_device *bd,
				   struct balloon_signals *signals)
{
	struct fake_host *host = to_fake_host(bd->vdev);

	if (host->pause)
		schedule_timeout_uninterruptible(host->pause);
	*signals = host->signals;
	signals->when = jiffies;
	signals->available = fake_host_available(bd);
	signals->spare = fake_host_spare(bd, WMARK_HIGH);
	signals->total = totalram_pages();
	host->nr_samples++;
}

/* Nobody but us has what the driver once had. */
static void fake_host_expect_released(struct fake_host *host)
{
	unsigned long pfn;
	struct page *page;

	xa_for_each(&host->taken, pfn, page) {
		KUNIT_EXPECT_EQ_MSG(host->test, page_ref_count(page), 1,
				    "page %lx was not released exactly once",
				    pfn);
		KUNIT_EXPECT_FALSE(host->test, PageOffline(page));
		KUNIT_EXPECT_EQ(host->test, page_private(page), 0);
		put_page(page);
	}
	xa_destroy(&host->taken);
}

static void fake_host_vdev_release(struct device *dev)
{
	complete(&to_fake_host(dev_to_virtio(dev))->released);
}

static void fake_host_destroy(void *data)
{
	struct fake_host *host = data;
	struct fake_message *message, *next;

	/* Where a test was aborted, removal would wait for them. */
	putback_movable_pages(&host->isolated);
	if (host->plugged)
		fake_host_unplug(host);
	list_for_each_entry_safe(message, next, &host->log, node)
		kfree(message);
	xa_destroy(&host->model);
	vhost_iotlb_free(host->iotlb);
	mutex_destroy(&host->lock);
	kfree(host);
}

/**
 * fake_host_create - a host that is friendly, modern, and not plugged in
 * @test: the test; the host goes with it
 */
struct fake_host *fake_host_create(struct kunit *test)
{
	static unsigned int nr_hosts;
	struct fake_host *host;
	struct device *parent;
	char name[20];

	snprintf(name, sizeof(name), "fake-host-%u", nr_hosts++);
	parent = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, parent);
	host = kzalloc(sizeof(*host), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, host);
	host->vdev.dev.parent = parent;
	host->test = test;
	host->features = BIT_ULL(VIRTIO_F_VERSION_1);
	host->ring_size = 128;
	host->spare = ULONG_MAX;
	host->available = ULONG_MAX / 8;
	host->max_order = NR_PAGE_ORDERS;
	/* It returns statistics when it wants new ones, not at once. */
	host->holds[FAKE_STATS] = true;
	init_completion(&host->released);
	mutex_init(&host->lock);
	spin_lock_init(&host->iotlb_lock);
	INIT_LIST_HEAD(&host->log);
	INIT_LIST_HEAD(&host->isolated);
	xa_init(&host->model);
	xa_init(&host->taken);
	host->iotlb = vhost_iotlb_alloc(2, 0);
	if (!host->iotlb) {
		kfree(host);
		KUNIT_FAIL_AND_ABORT(test, "no memory for the IOTLB");
	}
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, fake_host_destroy,
						  host));
	return host;
}

static unsigned long fake_host_target(struct fake_host *host)
{
	return balloon_to_guest_pages(le32_to_cpu(host->config.num_pages));
}

/*
 * The reference shows at the end that it is the last one. With a target of 0,
 * the stubs work in the kthread from its first allocation on.
 */
static bool fake_host_adopt(struct fake_host *host)
{
	if (!host->vdev.priv)
		return false;

	host->bd = host->vdev.priv;
	balloon_device_get(host->bd);
	host->bd->thread.task->kunit_test = host->test;
	fake_host_await(host, fake_host_arrived(host, fake_host_target(host)));
	return true;
}

/**
 * fake_host_events - how often something has happened in this kernel
 * @item: a counter of /proc/vmstat
 */
unsigned long fake_host_events(enum vm_event_item item)
{
	unsigned long events[NR_VM_EVENT_ITEMS];

	all_vm_events(events);
	return events[item];
}

static unsigned long fake_host_ballooned(void)
{
	return fake_host_events(BALLOON_INFLATE) -
	       fake_host_events(BALLOON_DEFLATE);
}

/* Nothing is left of the driver's life with the device. */
static void fake_host_expect_gone(struct fake_host *host)
{
	struct balloon_device *bd = host->bd;
	struct kunit *test = host->test;

	KUNIT_EXPECT_NULL(test, host->vdev.priv);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_INFLATE].vq);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_STATS].vq);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_HINTING].vq);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_REPORTING].vq);
	if (!host->shares_guest) {
		KUNIT_EXPECT_EQ(test, totalram_pages(), host->managed);
		KUNIT_EXPECT_EQ(test, fake_host_ballooned(), host->ballooned);
	}
	if (!bd)
		return;

	/* It was reset, and the virtio core has acknowledged it since. */
	KUNIT_EXPECT_EQ(test, host->status, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	KUNIT_EXPECT_EQ(test, kref_read(&bd->kref), 1);
	KUNIT_EXPECT_EQ(test, balloon_refs(&bd->ledger), 0);
	KUNIT_EXPECT_EQ(test, bd->ledger.nr_unconfirmed, 0);
	KUNIT_EXPECT_EQ(test, bd->ledger.nr_canary, 0);
	KUNIT_EXPECT_EQ(test, bd->pool.nr_free, BALLOON_BATCHES);
	KUNIT_EXPECT_EQ(test, bd->hinting.posted, 0);
	KUNIT_EXPECT_EQ(test, bd->hints.nr_lent, 0);
	KUNIT_EXPECT_NULL(test, bd->hints.shrinker);
	KUNIT_EXPECT_FALSE(test, bd->reporting.registered);
	fake_host_check(host);
	fake_host_expect_released(host);
	host->bd = NULL;
	balloon_device_put(bd);
}

/**
 * fake_host_plug - plug the device in
 * @host: the host
 *
 * Return: whether the driver has taken it.
 */
bool fake_host_plug(struct fake_host *host)
{
	struct kunit *test = host->test;

	KUNIT_ASSERT_EQ(test, 0,
			vhost_iotlb_add_range(host->iotlb, 0, ULONG_MAX, 0,
					      VHOST_MAP_RW));

	host->managed = totalram_pages();
	host->ballooned = fake_host_ballooned();
	host->ops = fake_host_ops;
	if (host->without_config_get)
		host->ops.get = NULL;
	host->vdev.config = &host->ops;
	host->vdev.id.device = VIRTIO_ID_BALLOON;
	host->vdev.dev.release = fake_host_vdev_release;

	if (!host->lends_nothing)
		kunit_activate_static_stub(test, balloon_alloc_block,
					   fake_host_alloc_block);
	if (!host->lends_nothing)
		kunit_activate_static_stub(test, balloon_alloc_canary,
					   fake_host_alloc_canary);
	kunit_activate_static_stub(test, balloon_zone_is_starved,
				   fake_host_is_starved);
	kunit_activate_static_stub(test, balloon_guest_is_fragmented,
				   fake_host_is_fragmented);
	kunit_activate_static_stub(test, balloon_available,
				   fake_host_available);
	kunit_activate_static_stub(test, balloon_spare, fake_host_spare);
	kunit_activate_static_stub(test, balloon_signals_read,
				   fake_host_read_signals);
	KUNIT_ASSERT_EQ(test, 0, register_virtio_device(&host->vdev));
	host->plugged = true;
	return fake_host_adopt(host);
}

/**
 * fake_host_start - create a host, plug it in, and see the driver take it
 * @test: the test
 * @features: what it offers besides VERSION_1
 */
struct fake_host *fake_host_start(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_create(test);

	host->features |= features;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	return host;
}

/**
 * fake_host_unplug - pull the device and see that nothing is left of it
 * @host: the host
 *
 * A test that does not do it itself gets it at its end.
 */
void fake_host_unplug(struct fake_host *host)
{
	host->plugged = false;
	unregister_virtio_device(&host->vdev);
	wait_for_completion(&host->released);
	fake_host_expect_gone(host);
}

/**
 * fake_host_unbind - take the driver off, as rmmod does, and leave the device
 * @host: the host
 */
void fake_host_unbind(struct fake_host *host)
{
	device_release_driver(&host->vdev.dev);
	fake_host_expect_gone(host);
}

/**
 * fake_host_bind - let the driver have the device again
 * @host: the host
 *
 * Return: whether it has taken it.
 */
bool fake_host_bind(struct fake_host *host)
{
	host->config.num_pages = 0;
	KUNIT_EXPECT_GE(host->test, device_attach(&host->vdev.dev), 0);
	return fake_host_adopt(host);
}

/**
 * fake_host_set_target - ask for another size
 * @host: the host
 * @guest_pages: the size in guest pages
 */
void fake_host_set_target(struct fake_host *host, unsigned long guest_pages)
{
	host->config.num_pages =
		cpu_to_le32(guest_to_balloon_pages(guest_pages));
	virtio_config_changed(&host->vdev);
}

/**
 * fake_host_set_command - ask for hints, or for no more
 * @host: the host
 * @id: the command id
 */
void fake_host_set_command(struct fake_host *host, u32 id)
{
	host->config.free_page_hint_cmd_id = cpu_to_le32(id);
	virtio_config_changed(&host->vdev);
}

/**
 * fake_host_actual - the size that the driver has told
 * @host: the host
 *
 * Return: guest pages.
 */
unsigned long fake_host_actual(struct fake_host *host)
{
	return balloon_to_guest_pages(le32_to_cpu(host->config.actual));
}

/* Off its CPU, and not only preempted. */
static bool fake_host_blocked(struct fake_host *host, unsigned int state)
{
	struct task_struct *thread = host->bd->thread.task;

	return (!READ_ONCE(thread->on_rq) ||
		READ_ONCE(thread->se.sched_delayed)) &&
	       READ_ONCE(thread->__state) & state;
}

/**
 * fake_host_asleep - has the kthread done everything that it can do now?
 * @host: the host
 *
 * An event wakes it in the same moment, so that it does not sleep over one. A
 * kthread that waits for a lock or for RCU is not asleep.
 */
bool fake_host_asleep(struct fake_host *host)
{
	return fake_host_blocked(host, TASK_INTERRUPTIBLE) &&
	       !test_bit(BALLOON_CONFIG_CHANGED, &host->bd->flags);
}

/**
 * fake_host_waits_for_page - does the kthread wait for a page's lock?
 * @host: the host
 */
bool fake_host_waits_for_page(struct fake_host *host)
{
	return fake_host_blocked(host, TASK_UNINTERRUPTIBLE) &&
	       !test_bit(BALLOON_CONFIG_CHANGED, &host->bd->flags);
}

/**
 * fake_host_arrived - is the balloon where the host wants it?
 * @host: the host
 * @guest_pages: where
 */
bool fake_host_arrived(struct fake_host *host, unsigned long guest_pages)
{
	struct balloon_device *bd = host->bd;

	return fake_host_asleep(host) &&
	       READ_ONCE(bd->config.state) == BALLOON_IDLE &&
	       READ_ONCE(bd->config.target) == guest_pages &&
	       balloon_size(&bd->ledger) == guest_pages &&
	       fake_host_actual(host) == guest_pages;
}

/**
 * fake_host_reach - set a target and see that it is reached, to the page
 * @host: a host that answers
 * @guest_pages: the target
 */
void fake_host_reach(struct fake_host *host, unsigned long guest_pages)
{
	fake_host_set_target(host, guest_pages);
	fake_host_await(host, fake_host_arrived(host, guest_pages));
	KUNIT_EXPECT_EQ(host->test, host->nr_inflated,
			guest_pages * BALLOON_PER_GUEST_PAGE);
	fake_host_check(host);
}

/*
 * Has @page the marks, and if so, do they lead to its balloon? A hinted block is marked
 * by half: mm can not move it.
 */
static bool fake_host_marked(struct fake_host *host, struct page *page)
{
	struct balloon_device *bd = host->bd;

	if (PageOffline(page) && !__PageMovable(page)) {
		KUNIT_EXPECT_TRUE(host->test, balloon_hints_lent(&bd->hints));
		return false;
	}
	if (!PageOffline(page)) {
		KUNIT_EXPECT_TRUE(host->test, !__PageMovable(page) ||
				  !page_movable_ops(page));
		return false;
	}
	KUNIT_EXPECT_TRUE(host->test, __PageMovable(page) &&
			  page_movable_ops(page));
	KUNIT_EXPECT_TRUE(host->test, balloon_page_mapping(page) == &bd->ledger.bm ||
			  balloon_page_mapping(page) == &bd->trial.bm);
	return true;
}

/**
 * fake_host_check - does everything add up?
 * @host: the host
 *
 * The states to the references, the list to its counter, and the marks to the
 * pages that the host has and mm may move.
 */
void fake_host_check(struct fake_host *host)
{
	struct balloon_device *bd = host->bd;
	struct kunit *test = host->test;
	unsigned long pfn, listed = 0, marked = 0, held;
	struct page *page;
	bool adds_up;

	spin_lock(&bd->ledger.bm.pages_lock);
	adds_up = balloon_counts_add_up(&bd->ledger);
	list_for_each_entry(page, &bd->ledger.bm.pages, lru)
		listed++;
	held = bd->ledger.bm.nr_resident + bd->ledger.bm.nr_isolated +
	       balloon_trial_size_roughly(bd);
	spin_unlock(&bd->ledger.bm.pages_lock);

	xa_for_each(&host->taken, pfn, page)
		marked += fake_host_marked(host, page);

	KUNIT_EXPECT_TRUE(test, adds_up);
	KUNIT_EXPECT_EQ(test, listed, bd->ledger.bm.nr_resident);
	if (!host->lends_nothing)
		KUNIT_EXPECT_EQ(test, marked, held);
}

/**
 * fake_host_got - how much the driver was given so far
 * @host: the host
 *
 * Return: guest pages.
 */
unsigned long fake_host_got(struct fake_host *host)
{
	unsigned long pages = 0;
	unsigned int order;

	for (order = 0; order < NR_PAGE_ORDERS; order++)
		pages += host->nr_allocs[order] << order;
	return pages;
}

/* Guest pages in one of the states that the driver counts itself. */
unsigned long balloon_state_pages(struct balloon_device *bd,
				  enum balloon_page_state state)
{
	unsigned long nr;

	spin_lock(&bd->ledger.bm.pages_lock);
	nr = bd->ledger.nr_pages[state];
	spin_unlock(&bd->ledger.bm.pages_lock);
	return nr;
}

/* The page that has been resident for the longest time. */
struct page *balloon_resident_page(struct balloon_device *bd)
{
	struct page *page;

	spin_lock(&bd->ledger.bm.pages_lock);
	page = list_first_entry_or_null(&bd->ledger.bm.pages, struct page, lru);
	spin_unlock(&bd->ledger.bm.pages_lock);
	return page;
}

/**
 * fake_host_isolate - have mm isolate a page of the balloon
 * @host: the host, whose balloon is not empty
 *
 * Return: the page, the one that has been resident for the longest time.
 */
struct page *fake_host_isolate(struct fake_host *host)
{
	struct page *page = balloon_resident_page(host->bd);

	KUNIT_ASSERT_NOT_NULL(host->test, page);
	KUNIT_ASSERT_TRUE(host->test,
			  isolate_movable_page(page, ISOLATE_UNEVICTABLE));
	list_add_tail(&page->lru, &host->isolated);
	return page;
}

/**
 * fake_host_migration_target - what mm moves a page to
 * @src: the page
 * @private: the host
 *
 * For migrate_pages().
 */
struct folio *fake_host_migration_target(struct folio *src,
					 unsigned long private)
{
	struct page *page = fake_host_new_page((struct fake_host *)private);

	return page ? page_folio(page) : NULL;
}

/**
 * fake_host_migration_unused - mm did not move a page to it
 * @dst: the page
 * @private: the host
 */
void fake_host_migration_unused(struct folio *dst, unsigned long private)
{
	folio_put(dst);
}

/**
 * fake_host_put_on_trial - have the driver take what has to be reclaimed
 * @host: the host, its balloon at the target; its guest is full from now on
 * @guest_pages: how many
 */
void fake_host_put_on_trial(struct fake_host *host, unsigned long guest_pages)
{
	host->full = true;
	fake_host_set_target(host, balloon_size(&host->bd->ledger) + guest_pages);
	fake_host_await(host, balloon_trial_size(host->bd) == guest_pages);
}

/**
 * fake_host_take_offline - tell the driver of memory as mm does
 * @host: the host
 * @action: enum memory_block_state: MEM_GOING_OFFLINE, and how that ended
 * @page: the first page of the memory
 * @guest_pages: its size
 */
void fake_host_take_offline(struct fake_host *host, unsigned long action,
			    struct page *page, unsigned long guest_pages)
{
	struct notifier_block *nb = &host->bd->hotplug.notifier;
	struct memory_notify memory = {
		.start_pfn = page_to_pfn(page),
		.nr_pages = guest_pages,
	};

	KUNIT_EXPECT_EQ(host->test, nb->notifier_call(nb, action, &memory),
			NOTIFY_OK);
}
