// SPDX-License-Identifier: GPL-2.0
/*
 * Batches of page frame numbers on the inflate and the deflate queue
 * (virtio 1.2, 5.5.6.1).
 *
 * Messages are posted many to a notification, several are in flight, and
 * acknowledgments are reaped where they already are. Nothing here waits.
 */

#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <kunit/static_stub.h>

#include "virtio_balloon.h"

/* So many messages are worth a notification while more are on their way. */
#define BALLOON_MESSAGES_PER_KICK	4U

/**
 * balloon_batches_alloc - allocate the device's batches
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0 or -ENOMEM; balloon_batches_free() cleans up after both.
 */
int balloon_batches_alloc(struct balloon_device *bd)
{
	struct balloon_batch *batch;
	unsigned int i;

	KUNIT_STATIC_STUB_REDIRECT(balloon_batches_alloc, bd);
	BUILD_BUG_ON(BALLOON_PER_GUEST_PAGE > BALLOON_SMALL_MESSAGE);

	bd->batches = kcalloc(BALLOON_BATCHES, sizeof(*bd->batches),
			      GFP_KERNEL);
	if (!bd->batches)
		return -ENOMEM;

	for (i = 0; i < BALLOON_BATCHES; i++) {
		batch = &bd->batches[i];
		batch->numbers = kcalloc(BALLOON_LARGE_MESSAGE,
					 sizeof(*batch->numbers), GFP_KERNEL);
		batch->pages = kcalloc(BALLOON_LARGE_MESSAGE /
				       BALLOON_PER_GUEST_PAGE,
				       sizeof(*batch->pages), GFP_KERNEL);
		if (!batch->numbers || !batch->pages)
			return -ENOMEM;
		list_add_tail(&batch->node, &bd->free_batches);
		bd->nr_free_batches++;
	}
	return 0;
}

/**
 * balloon_batches_free - free the batches, all of which are unused
 * @bd: the balloon
 */
void balloon_batches_free(struct balloon_device *bd)
{
	unsigned int i;

	if (!bd->batches)
		return;
	for (i = 0; i < BALLOON_BATCHES; i++) {
		kfree(bd->batches[i].numbers);
		kfree(bd->batches[i].pages);
	}
	kfree(bd->batches);
	bd->batches = NULL;
}

/**
 * balloon_batch_get - get an empty batch
 * @bd: the balloon
 * @reserve: how many batches must stay free for others
 *
 * The batch takes as many page frame numbers as the device is known to.
 *
 * Context: balloon_lock held.
 * Return: the batch, or NULL; a message that is acknowledged frees one.
 */
struct balloon_batch *balloon_batch_get(struct balloon_device *bd,
					unsigned int reserve)
{
	struct balloon_batch *batch;

	lockdep_assert_held(&bd->balloon_lock);
	if (bd->nr_free_batches <= reserve)
		return NULL;

	batch = list_first_entry(&bd->free_batches, struct balloon_batch, node);
	list_del_init(&batch->node);
	bd->nr_free_batches--;

	batch->limit = bd->canary == BALLOON_CANARY_ACKED ?
		       BALLOON_LARGE_MESSAGE : BALLOON_SMALL_MESSAGE;
	batch->nr_numbers = 0;
	batch->nr_pages = 0;
	batch->replaces = false;
	batch->canary = false;
	return batch;
}

/**
 * balloon_batch_put - give a batch back that holds no page any more
 * @bd: the balloon
 * @batch: on no list
 *
 * Context: balloon_lock held.
 */
void balloon_batch_put(struct balloon_device *bd, struct balloon_batch *batch)
{
	lockdep_assert_held(&bd->balloon_lock);
	list_add(&batch->node, &bd->free_batches);
	bd->nr_free_batches++;
}

/**
 * balloon_batch_room - how many more pages a batch can name
 * @batch: a batch that is being filled
 *
 * Return: guest pages.
 */
unsigned int balloon_batch_room(const struct balloon_batch *batch)
{
	return (batch->limit - batch->nr_numbers) / BALLOON_PER_GUEST_PAGE;
}

/**
 * balloon_batch_name - append the numbers of a guest page
 * @bd: the balloon
 * @batch: a batch with room
 * @page: the page
 */
void balloon_batch_name(struct balloon_device *bd, struct balloon_batch *batch,
			struct page *page)
{
	u32 number = page_to_pfn(page) * BALLOON_PER_GUEST_PAGE;
	unsigned int i;

	for (i = 0; i < BALLOON_PER_GUEST_PAGE; i++)
		batch->numbers[batch->nr_numbers++] =
			cpu_to_virtio32(bd->vdev, number + i);
}

/**
 * balloon_queue_add - queue a batch for posting
 * @bd: the balloon
 * @q: the queue
 * @batch: on no list; belongs to the queue until it is acknowledged
 *
 * Context: balloon_lock held.
 */
void balloon_queue_add(struct balloon_device *bd, struct balloon_queue *q,
		       struct balloon_batch *batch)
{
	lockdep_assert_held(&bd->balloon_lock);
	list_add_tail(&batch->node, &q->pending);
}

/* An empty batch is no message: a device breaks on a buffer of no size. */
static void balloon_queue_close(struct balloon_device *bd,
				struct balloon_queue *q)
{
	if (!q->open)
		return;
	if (q->open->nr_numbers)
		balloon_queue_add(bd, q, q->open);
	else
		balloon_batch_put(bd, q->open);
	q->open = NULL;
}

/**
 * balloon_queue_open - the batch of a queue that migration appends to
 * @bd: the balloon
 * @q: the queue
 *
 * Context: balloon_lock held; does not sleep.
 * Return: a batch with room for a guest page, or NULL if there is none.
 */
struct balloon_batch *balloon_queue_open(struct balloon_device *bd,
					 struct balloon_queue *q)
{
	lockdep_assert_held(&bd->balloon_lock);
	if (q->open && !balloon_batch_room(q->open))
		balloon_queue_close(bd, q);
	if (!q->open)
		q->open = balloon_batch_get(bd, 0);
	return q->open;
}

/* Callback of both queues, in interrupt context. */
void balloon_queue_acked(struct virtqueue *vq)
{
	balloon_event(vq->vdev->priv);
}

static void balloon_queue_reap(struct balloon_device *bd,
			       struct balloon_queue *q)
{
	struct balloon_batch *batch;
	unsigned int unused_length;

	virtqueue_disable_cb(q->vq);
	while ((batch = virtqueue_get_buf(q->vq, &unused_length))) {
		q->posted--;
		bd->nr_acked++;
		if (batch->canary)
			bd->canary = BALLOON_CANARY_ACKED;
		if (q == &bd->inflate)
			balloon_batch_settle(bd, batch);
		else
			balloon_batch_release(bd, batch, BALLOON_PAGE_LEAVING);
		balloon_batch_put(bd, batch);
	}
	/* The out-of-memory notifier may wait for what was just released. */
	if (bd->deflates_on_oom && bd->must_tell_host)
		wake_up(&bd->wait);
}

static void balloon_queue_kick(struct balloon_queue *q)
{
	if (q->unkicked)
		virtqueue_kick(q->vq);
	q->unkicked = 0;
}

/*
 * One buffer is one descriptor, so posting allocates nothing: indirect
 * descriptors are declined (virtio 1.2, 2.7.5.3), and so would they be used
 * for more than one buffer only.
 */
static void balloon_queue_post(struct balloon_device *bd,
			       struct balloon_queue *q)
{
	struct balloon_batch *batch, *next;
	struct scatterlist sg;

	list_for_each_entry_safe(batch, next, &q->pending, node) {
		sg_init_one(&sg, batch->numbers,
			    batch->nr_numbers * sizeof(*batch->numbers));
		if (virtqueue_add_outbuf(q->vq, &sg, 1, batch, GFP_ATOMIC))
			break;	/* ring full: goes on after the next reap */
		list_del_init(&batch->node);
		q->posted++;
		q->unkicked++;
		if (q == &bd->inflate)
			balloon_batch_posted(bd, batch);
	}
	if (q->unkicked >= BALLOON_MESSAGES_PER_KICK)
		balloon_queue_kick(q);
}

static bool balloon_queue_quiet(const struct balloon_queue *q)
{
	return !q->open && list_empty(&q->pending) && !q->posted;
}

/* Messages that the host has to answer; a canary may never be. */
static unsigned int balloon_queue_unanswered(const struct balloon_device *bd,
					     const struct balloon_queue *q)
{
	bool canary = q == &bd->inflate && bd->canary == BALLOON_CANARY_SENT;

	return q->posted > canary ? q->posted - canary : 0;
}

/*
 * While the host has others to answer, an open batch waits for more pages:
 * batches are few, and migration would soon use one for every page or two.
 */
static void balloon_queue_close_in_turn(struct balloon_device *bd,
					struct balloon_queue *q)
{
	if (!balloon_queue_unanswered(bd, q))
		balloon_queue_close(bd, q);
}

/**
 * balloon_queues_advance - reap what is acknowledged, post what may be posted
 * @bd: the balloon
 *
 * Inflates are posted only once no deflate is left anywhere.
 *
 * Context: balloon_lock held; takes page locks.
 * Return: 0, or -EIO when the device is broken and no more will be done.
 */
int balloon_queues_advance(struct balloon_device *bd)
{
	lockdep_assert_held(&bd->balloon_lock);
	if (bd->dead)
		return -EIO;

	balloon_queue_reap(bd, &bd->deflate);
	balloon_queue_reap(bd, &bd->inflate);

	balloon_queue_close_in_turn(bd, &bd->deflate);
	balloon_queue_post(bd, &bd->deflate);

	if (balloon_queue_quiet(&bd->deflate)) {
		balloon_queue_close_in_turn(bd, &bd->inflate);
		balloon_queue_post(bd, &bd->inflate);
	}

	if (virtqueue_is_broken(bd->inflate.vq) ||
	    virtqueue_is_broken(bd->deflate.vq)) {
		WRITE_ONCE(bd->dead, true);
		return -EIO;
	}
	return 0;
}

/**
 * balloon_queues_busy - is there anything that the host has yet to acknowledge?
 * @bd: the balloon
 *
 * The canary does not count: it may never be acknowledged.
 *
 * Context: balloon_lock held.
 */
bool balloon_queues_busy(struct balloon_device *bd)
{
	lockdep_assert_held(&bd->balloon_lock);
	if (!balloon_queue_quiet(&bd->deflate))
		return true;
	return bd->inflate.open || !list_empty(&bd->inflate.pending) ||
	       balloon_queue_unanswered(bd, &bd->inflate);
}

/*
 * One interrupt for most of what is posted is enough, as the kthread asks again
 * for the rest. A canary may never come back: then it must not be waited for.
 */
static bool balloon_queue_arm(struct balloon_device *bd,
			      struct balloon_queue *q)
{
	if (!q->posted)
		return true;
	if (bd->canary == BALLOON_CANARY_SENT)
		return virtqueue_enable_cb(q->vq);
	return virtqueue_enable_cb_delayed(q->vq);
}

/**
 * balloon_queues_arm - notify the host and ask to be notified, before a sleep
 * @bd: the balloon
 *
 * Context: balloon_lock held.
 * Return: false if an acknowledgment is there already, and will be reaped.
 */
bool balloon_queues_arm(struct balloon_device *bd)
{
	struct balloon_queue *queues[] = { &bd->deflate, &bd->inflate };
	bool armed = true;
	unsigned int i;

	lockdep_assert_held(&bd->balloon_lock);
	/* What a dead device still acknowledges is not reaped, nor waited for. */
	if (bd->dead)
		return true;
	for (i = 0; i < ARRAY_SIZE(queues); i++) {
		balloon_queue_kick(queues[i]);
		if (!balloon_queue_arm(bd, queues[i]))
			armed = false;
	}
	return armed;
}

/**
 * balloon_queue_discard - drop the batches that were not posted
 * @bd: the balloon
 * @q: the queue
 * @state: the state of their pages, which are released
 *
 * Context: balloon_lock held; takes page locks.
 */
void balloon_queue_discard(struct balloon_device *bd, struct balloon_queue *q,
			   enum balloon_page_state state)
{
	struct balloon_batch *batch, *next;

	lockdep_assert_held(&bd->balloon_lock);
	balloon_queue_close(bd, q);
	list_for_each_entry_safe(batch, next, &q->pending, node) {
		list_del_init(&batch->node);
		balloon_batch_release(bd, batch, state);
		balloon_batch_put(bd, batch);
	}
}

static void balloon_queue_abandon(struct balloon_device *bd,
				  struct balloon_queue *q,
				  enum balloon_page_state state)
{
	struct balloon_batch *batch;

	while ((batch = virtqueue_detach_unused_buf(q->vq))) {
		balloon_batch_release(bd, batch, state);
		balloon_batch_put(bd, batch);
	}
	q->posted = 0;
	q->unkicked = 0;
}

/**
 * balloon_queues_abandon - take back what a device that was reset still had
 * @bd: the balloon
 *
 * Context: process, the device is reset; takes balloon_lock and page locks.
 */
void balloon_queues_abandon(struct balloon_device *bd)
{
	mutex_lock(&bd->balloon_lock);
	balloon_queue_abandon(bd, &bd->inflate, BALLOON_PAGE_IN_FLIGHT);
	balloon_queue_abandon(bd, &bd->deflate, BALLOON_PAGE_LEAVING);
	balloon_queue_discard(bd, &bd->inflate, BALLOON_PAGE_PRIVATE);
	balloon_queue_discard(bd, &bd->deflate, BALLOON_PAGE_LEAVING);
	bd->canary = BALLOON_CANARY_UNSENT;
	mutex_unlock(&bd->balloon_lock);
}
