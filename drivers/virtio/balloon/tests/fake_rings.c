// SPDX-License-Identifier: GPL-2.0
/*
 * The fake host's rings: it reads messages, keeps a log of them, and answers.
 */

#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"
#include "fake_host_parts.h"

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

	/* The map is the identity: the ring has physical addresses. */
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

/* Only reports and hinted blocks are buffers that the device may write. */
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

/* Reads deflates first, so that the log shows their order. */
void __fake_host_look(struct fake_host *host)
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
 * fake_host_answer_all - answer all inflates and deflates, now and from here on
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
 * fake_host_answer_wrong_id - return a buffer that the driver has not posted
 * @host: the host
 * @queue: the queue
 * @head: the descriptor to return
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
 * fake_host_message - a message from the log
 * @host: the host
 * @queue: the queue on which it arrived
 * @index: its number on the queue, from 0
 *
 * Return: the message, or NULL. The log keeps it until the host is destroyed.
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
 * @queue: the queue; a message must have arrived there
 */
struct fake_message *fake_host_last(struct fake_host *host,
				    enum fake_queue_index queue)
{
	unsigned int nr = host->queues[queue].nr_messages;

	KUNIT_ASSERT_GT(host->test, nr, 0);
	return fake_host_message(host, queue, nr - 1);
}

/**
 * fake_host_unanswered - how many messages of a queue the host has to answer
 * @host: the host
 * @queue: the queue
 *
 * Return: number of messages, without those that the host has lost.
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
 * @index: index of the page frame number
 */
struct page *fake_message_page(struct fake_message *message,
			       unsigned int index)
{
	return pfn_to_page(message->numbers[index] / BALLOON_PER_GUEST_PAGE);
}
