// SPDX-License-Identifier: GPL-2.0
/*
 * The inflate and the deflate queue (virtio 1.2, 5.5.6.1).
 *
 * Messages are posted many to a notification, and several are in flight. Reaping
 * takes the acknowledgments that are there. Nothing here waits for a host.
 */

#include <linux/scatterlist.h>
#include <linux/virtio_config.h>

#include "batch.h"
#include "device.h"
#include "ledger.h"
#include "queue.h"
#include "virtio_balloon.h"

/* Unlocking a page is no event: the kthread tries unsettled batches this often. */
#define BALLOON_SETTLE_AGAIN	DIV_ROUND_UP(HZ, 100)

/* This many messages are worth a notification while more are on their way. */
#define BALLOON_MESSAGES_PER_KICK	4U

/**
 * balloon_queues_init - both queues are empty
 * @queues: both queues
 *
 * Context: probe.
 */
void balloon_queues_init(struct balloon_queues *queues)
{
	INIT_LIST_HEAD(&queues->pending);
	INIT_LIST_HEAD(&queues->unsettled);
}

static void balloon_batch_await_turn(struct balloon_device *bd,
				     struct balloon_queue *q,
				     struct balloon_batch *batch)
{
	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	batch->queue = q;
	list_add_tail(&batch->node, &bd->queues.pending);
}

/* An empty batch is no message: a device breaks on a buffer of no size. */
static void __balloon_queue_close(struct balloon_device *bd,
				  struct balloon_queue *q)
{
	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	if (!q->open)
		return;
	if (q->open->nr_numbers)
		balloon_batch_await_turn(bd, q, q->open);
	else
		__balloon_batch_put(bd, q->open);
	q->open = NULL;
}

/*
 * Inflation may have taken a page again that the open deflate names. So that deflate
 * has its turn before the inflate.
 */
static void balloon_queue_close(struct balloon_device *bd,
				struct balloon_queue *q)
{
	if (q == &bd->queues.inflate)
		__balloon_queue_close(bd, &bd->queues.deflate);
	__balloon_queue_close(bd, q);
}

/**
 * balloon_queue_add - queue a batch for posting
 * @bd: the balloon
 * @q: the queue
 * @batch: on no list; belongs to the queue until it is acknowledged
 *
 * Context: balloon_lock held, takes pages_lock.
 */
void balloon_queue_add(struct balloon_device *bd, struct balloon_queue *q,
		       struct balloon_batch *batch)
	__must_hold(&bd->balloon_lock)
{
	lockdep_assert_held(&bd->balloon_lock);
	spin_lock(&bd->ledger.bm.pages_lock);
	if (q == &bd->queues.inflate)
		__balloon_queue_close(bd, &bd->queues.deflate);
	balloon_batch_await_turn(bd, q, batch);
	spin_unlock(&bd->ledger.bm.pages_lock);
}

/**
 * balloon_queue_open - the batch of a queue that migration appends to
 * @bd: the balloon
 * @q: the queue
 *
 * Context: pages_lock held.
 * Return: a batch with room for a guest page, or NULL if there is none.
 */
struct balloon_batch *balloon_queue_open(struct balloon_device *bd,
					 struct balloon_queue *q)
	__must_hold(&bd->ledger.bm.pages_lock)
{
	lockdep_assert_held(&bd->ledger.bm.pages_lock);
	if (q->open && !balloon_batch_room(q->open))
		balloon_queue_close(bd, q);
	if (!q->open)
		q->open = __balloon_batch_get(bd, 0);
	return q->open;
}

static void reap_one(struct balloon_device *bd, struct balloon_queue *q,
		     struct list_head *acked)
{
	struct balloon_batch *batch;
	unsigned int unused_length;

	virtqueue_disable_cb(q->vq);
	while ((batch = virtqueue_get_buf(q->vq, &unused_length))) {
		q->posted--;
		WRITE_ONCE(bd->queues.nr_acked, bd->queues.nr_acked + 1);
		if (batch->canary)
			WRITE_ONCE(bd->pool.canary, BALLOON_CANARY_ACKED);
		list_add_tail(&batch->node, acked);
	}
}

/**
 * balloon_queues_reap - take acknowledged batches off the queues
 * @bd: the balloon, its device not broken
 * @acked: an empty list for the batches, in the order in which to settle them:
 *         those that were unsettled, deflates, inflates
 *
 * The batches are the caller's. It puts an inflate that does not settle on the list
 * of unsettled ones.
 *
 * Context: balloon_lock held.
 */
void balloon_queues_reap(struct balloon_device *bd, struct list_head *acked)
	__must_hold(&bd->balloon_lock)
{
	lockdep_assert_held(&bd->balloon_lock);
	list_splice_init(&bd->queues.unsettled, acked);
	reap_one(bd, &bd->queues.deflate, acked);
	reap_one(bd, &bd->queues.inflate, acked);
}

/* balloon_queues_unlock() notifies the host. */
static void kick_one(struct balloon_queue *q)
{
	if (q->unkicked && virtqueue_kick_prepare(q->vq))
		q->notify = true;
	q->unkicked = 0;
}

/* A broken device may not even have queues any more. */
static void balloon_queues_kick(struct balloon_device *bd)
{
	if (balloon_is_broken(bd))
		return;
	kick_one(&bd->queues.inflate);
	kick_one(&bd->queues.deflate);
}

/**
 * balloon_queues_unlock - drop balloon_lock, then notify the host of new messages
 * @bd: the balloon
 *
 * For every task that has had messages posted. The notification may return only after
 * the host has handled all messages. The out-of-memory notifier must not wait for
 * balloon_lock that long.
 *
 * Context: balloon_lock held, and not any more afterwards.
 */
void balloon_queues_unlock(struct balloon_device *bd)
{
	bool inflate = bd->queues.inflate.notify;
	bool deflate = bd->queues.deflate.notify;

	lockdep_assert_held(&bd->balloon_lock);
	if (!inflate && !deflate) {
		mutex_unlock(&bd->balloon_lock);
		return;
	}

	bd->queues.inflate.notify = false;
	bd->queues.deflate.notify = false;
	down_read(&bd->notifying);
	mutex_unlock(&bd->balloon_lock);
	/* In the order in which they were posted, see balloon_batch_may_be_posted(). */
	if (inflate)
		virtqueue_notify(bd->queues.inflate.vq);
	if (deflate)
		virtqueue_notify(bd->queues.deflate.vq);
	up_read(&bd->notifying);
}

/* Messages that the host has to answer; a canary may never be. */
static unsigned int balloon_queue_unanswered(const struct balloon_device *bd,
					     const struct balloon_queue *q)
{
	bool canary = q == &bd->queues.inflate &&
		      bd->pool.canary == BALLOON_CANARY_SENT;

	return q->posted > canary ? q->posted - canary : 0;
}

/*
 * While the host has other messages to answer, an open batch waits for more pages:
 * batches are few, and migration would soon use one for every page or two.
 */
static void balloon_queues_close_in_turn(struct balloon_device *bd)
{
	struct balloon_queue *q = &bd->queues.inflate;

	if (balloon_queue_unanswered(bd, q))
		q = &bd->queues.deflate;
	spin_lock(&bd->ledger.bm.pages_lock);
	if (!bd->queues.deflate.posted)
		balloon_queue_close(bd, q);
	spin_unlock(&bd->ledger.bm.pages_lock);
}

/*
 * The first batch in turn. A full ring is not tried: virtio would notify the host
 * under balloon_lock. Deflates do not wait for an inflate that finds no descriptor.
 */
static struct balloon_batch *balloon_queues_next(struct balloon_device *bd)
{
	struct balloon_batch *batch, *next = NULL;

	lockdep_assert_held(&bd->balloon_lock);
	spin_lock(&bd->ledger.bm.pages_lock);
	list_for_each_entry(batch, &bd->queues.pending, node) {
		if (batch->queue->vq->num_free) {
			next = batch;
			break;
		}
	}
	spin_unlock(&bd->ledger.bm.pages_lock);
	return next;
}

/*
 * An inflate waits for all earlier deflates, because it may name their pages again.
 * A deflate waits for no acknowledgment: it names only pages whose inflate was
 * acknowledged.
 */
static bool balloon_batch_may_be_posted(struct balloon_device *bd,
					const struct balloon_batch *batch)
{
	if (batch->queue == &bd->queues.inflate)
		return !bd->queues.deflate.posted;

	/* The host is notified of inflates that were posted before it first. */
	kick_one(&bd->queues.inflate);
	if (bd->queues.inflate.notify)
		balloon_event(bd); /* the deflate waits for the next pass */
	return !bd->queues.inflate.notify;
}

/*
 * Posting allocates nothing: a message is one descriptor, and balloon_validate()
 * declines indirect descriptors.
 *
 * A batch leaves the list under balloon_lock only.
 */
static bool balloon_batch_post(struct balloon_device *bd,
			       struct balloon_batch *batch)
{
	struct balloon_queue *q = batch->queue;
	struct scatterlist sg;

	sg_init_one(&sg, batch->numbers,
		    batch->nr_numbers * sizeof(*batch->numbers));
	if (virtqueue_add_outbuf(q->vq, &sg, 1, batch, GFP_ATOMIC))
		return false;
	q->posted++;
	q->unkicked++;

	spin_lock(&bd->ledger.bm.pages_lock);
	list_del_init(&batch->node);
	spin_unlock(&bd->ledger.bm.pages_lock);
	batch->posted = true;
	if (q == &bd->queues.inflate)
		balloon_counts_posted(&bd->ledger, batch->nr_pages);
	return true;
}

/* Batches that find no room are posted after the next reap. */
static void post_pending(struct balloon_device *bd)
{
	struct balloon_batch *batch;

	while ((batch = balloon_queues_next(bd))) {
		if (!balloon_batch_may_be_posted(bd, batch) ||
		    !balloon_batch_post(bd, batch))
			break;
	}
	if (bd->queues.inflate.unkicked >= BALLOON_MESSAGES_PER_KICK)
		kick_one(&bd->queues.inflate);
	if (bd->queues.deflate.unkicked >= BALLOON_MESSAGES_PER_KICK)
		kick_one(&bd->queues.deflate);
}

/**
 * balloon_queues_post - post what may be posted
 * @bd: the balloon, its device not broken
 *
 * An inflate is posted only once every deflate before it is acknowledged.
 *
 * Context: balloon_lock held, to be dropped with balloon_queues_unlock(); takes
 * pages_lock.
 * Return: 0, or -EIO if the device is broken and no more will be done.
 */
int balloon_queues_post(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock)
{
	lockdep_assert_held(&bd->balloon_lock);
	post_pending(bd);
	balloon_queues_close_in_turn(bd);
	post_pending(bd);

	if (virtqueue_is_broken(bd->queues.inflate.vq) ||
	    virtqueue_is_broken(bd->queues.deflate.vq)) {
		set_bit(BALLOON_BROKEN, &bd->flags);
		return -EIO;
	}
	return 0;
}

/**
 * balloon_queues_busy - is there a message that is not settled?
 * @bd: the balloon
 *
 * The canary does not count: it may never be acknowledged.
 *
 * Context: balloon_lock held, takes pages_lock.
 */
bool balloon_queues_busy(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock)
{
	bool busy;

	lockdep_assert_held(&bd->balloon_lock);
	spin_lock(&bd->ledger.bm.pages_lock);
	busy = !list_empty(&bd->queues.pending) ||
	       !list_empty(&bd->queues.unsettled) || bd->queues.inflate.open ||
	       balloon_queue_unanswered(bd, &bd->queues.inflate) ||
	       bd->queues.deflate.open || bd->queues.deflate.posted;
	spin_unlock(&bd->ledger.bm.pages_lock);
	return busy;
}

/**
 * balloon_queues_look_in - how long a wait for the queues may last
 * @bd: the balloon
 *
 * Context: balloon_lock held.
 * Return: jiffies until balloon_advance() is due, events aside.
 */
long balloon_queues_look_in(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock)
{
	lockdep_assert_held(&bd->balloon_lock);
	return list_empty(&bd->queues.unsettled) ? BALLOON_LOOK_AGAIN :
					    BALLOON_SETTLE_AGAIN;
}

/*
 * A delayed interrupt comes after most messages are acknowledged, and the kthread then
 * asks for another. A canary may never come back, so the interrupt must not wait for
 * it.
 */
static bool arm_one(struct balloon_device *bd, struct balloon_queue *q)
{
	if (!q->posted)
		return true;
	if (bd->pool.canary == BALLOON_CANARY_SENT)
		return virtqueue_enable_cb(q->vq);
	return virtqueue_enable_cb_delayed(q->vq);
}

/**
 * balloon_queues_arm - notify the host and ask to be notified, before a sleep
 * @bd: the balloon
 *
 * Context: balloon_lock held, to be dropped with balloon_queues_unlock().
 * Return: false if an acknowledgment is there already, and will be reaped.
 */
bool balloon_queues_arm(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock)
{
	bool deflate, inflate;

	lockdep_assert_held(&bd->balloon_lock);
	/* A broken device's acknowledgments are neither reaped nor awaited. */
	if (balloon_is_broken(bd))
		return true;
	balloon_queues_kick(bd);
	deflate = arm_one(bd, &bd->queues.deflate);
	inflate = arm_one(bd, &bd->queues.inflate);
	return deflate && inflate;
}

/**
 * balloon_queues_may_sleep - the same without a lock held
 * @bd: the balloon
 *
 * Notifies the host first, and asks for an interrupt afterwards. A host that handles
 * messages at once then need not send one.
 *
 * Context: process; takes balloon_lock.
 * Return: as balloon_queues_arm().
 */
bool balloon_queues_may_sleep(struct balloon_device *bd)
{
	bool armed;

	mutex_lock(&bd->balloon_lock);
	balloon_queues_kick(bd);
	balloon_queues_unlock(bd);

	mutex_lock(&bd->balloon_lock);
	armed = balloon_queues_arm(bd);
	balloon_queues_unlock(bd);
	return armed;
}

/**
 * balloon_queues_discard_inflates - take the inflates that were not posted
 * @bd: the balloon, its mapping closed
 * @discarded: a list that gets them; the caller releases their pages
 *
 * Context: process; takes balloon_lock and pages_lock.
 */
void balloon_queues_discard_inflates(struct balloon_device *bd,
				     struct list_head *discarded)
{
	struct balloon_batch *batch, *next;

	mutex_lock(&bd->balloon_lock);
	spin_lock(&bd->ledger.bm.pages_lock);
	balloon_queue_close(bd, &bd->queues.inflate);
	list_for_each_entry_safe(batch, next, &bd->queues.pending, node) {
		if (batch->queue == &bd->queues.inflate)
			list_move_tail(&batch->node, discarded);
	}
	spin_unlock(&bd->ledger.bm.pages_lock);
	mutex_unlock(&bd->balloon_lock);
}

static void abandon_one(struct balloon_queue *q, struct list_head *abandoned)
{
	struct balloon_batch *batch;

	while ((batch = virtqueue_detach_unused_buf(q->vq)))
		list_add_tail(&batch->node, abandoned);
	q->posted = 0;
	q->unkicked = 0;
	q->notify = false;
}

/**
 * balloon_queues_abandon - take back what a device that was reset still had
 * @bd: the balloon, its device reset, its mapping closed
 * @abandoned: a list that gets all batches; the caller releases their pages
 *
 * Context: process; takes balloon_lock and pages_lock.
 */
void balloon_queues_abandon(struct balloon_device *bd,
			    struct list_head *abandoned)
{
	mutex_lock(&bd->balloon_lock);
	abandon_one(&bd->queues.inflate, abandoned);
	abandon_one(&bd->queues.deflate, abandoned);
	list_splice_tail_init(&bd->queues.unsettled, abandoned);
	spin_lock(&bd->ledger.bm.pages_lock);
	balloon_queue_close(bd, &bd->queues.inflate);
	list_splice_tail_init(&bd->queues.pending, abandoned);
	spin_unlock(&bd->ledger.bm.pages_lock);
	WRITE_ONCE(bd->pool.canary, BALLOON_CANARY_UNSENT);
	mutex_unlock(&bd->balloon_lock);
}
