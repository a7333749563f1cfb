// SPDX-License-Identifier: GPL-2.0
/*
 * The inflate and the deflate queue (virtio 1.2, 5.5.6.1).
 *
 * Messages are posted many to a notification, several are in flight, and
 * acknowledgments are reaped where they already are. Nothing here waits.
 */

#include <linux/scatterlist.h>
#include <linux/virtio_config.h>

#include "virtio_balloon.h"

/* Unlocking a page is no event: the kthread tries unsettled batches this often. */
#define BALLOON_SETTLE_AGAIN	DIV_ROUND_UP(HZ, 100)

/* So many messages are worth a notification while more are on their way. */
#define BALLOON_MESSAGES_PER_KICK	4U

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
 * A page that the open deflate names may have been taken again: before an
 * inflate has its turn, that deflate does.
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

/* Callback of the queues whose messages a task waits for, in interrupt context. */
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
		WRITE_ONCE(bd->queues.nr_acked, bd->queues.nr_acked + 1);
		if (batch->canary)
			WRITE_ONCE(bd->pool.canary, BALLOON_CANARY_ACKED);
		if (q == &bd->queues.deflate) {
			balloon_batch_release(bd, batch);
		} else if (!balloon_batch_settle(bd, batch)) {
			list_add_tail(&batch->node, &bd->queues.unsettled);
			continue;
		}
		balloon_batch_put(bd, batch);
	}
	/* The out-of-memory notifier may wait for what was just released. */
	if (bd->deflates_on_oom && bd->must_tell_host)
		wake_up(&bd->wait);
}

/* Migration may have let go of the pages that it still held before. */
static void balloon_queues_settle(struct balloon_device *bd)
{
	struct balloon_batch *batch, *next;

	list_for_each_entry_safe(batch, next, &bd->queues.unsettled, node) {
		if (!balloon_batch_settle(bd, batch))
			continue;
		list_del_init(&batch->node);
		balloon_batch_put(bd, batch);
	}
}

/* The host is told by balloon_queues_unlock(). */
static void balloon_queue_kick(struct balloon_queue *q)
{
	if (q->unkicked && virtqueue_kick_prepare(q->vq))
		q->notify = true;
	q->unkicked = 0;
}

/* A broken device may not even have queues any more. */
static void balloon_queues_kick(struct balloon_device *bd)
{
	if (READ_ONCE(bd->broken))
		return;
	balloon_queue_kick(&bd->queues.inflate);
	balloon_queue_kick(&bd->queues.deflate);
}

/**
 * balloon_queues_unlock - drop balloon_lock and tell the host what it has to hear
 * @bd: the balloon
 *
 * For everybody who has had messages posted. A host may well handle all of them
 * before it lets go of the CPU that notifies it; that is too long for a lock
 * which the out-of-memory notifier must not wait for.
 *
 * Context: balloon_lock held, and not any more afterwards.
 */
void balloon_queues_unlock(struct balloon_device *bd)
{
	bool inflate = bd->queues.inflate.notify, deflate = bd->queues.deflate.notify;

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
	bool canary = q == &bd->queues.inflate && bd->pool.canary == BALLOON_CANARY_SENT;

	return q->posted > canary ? q->posted - canary : 0;
}

/*
 * While the host has others to answer, an open batch waits for more pages:
 * batches are few, and migration would soon use one for every page or two.
 */
static void balloon_queues_close_in_turn(struct balloon_device *bd)
{
	struct balloon_queue *q = balloon_queue_unanswered(bd, &bd->queues.inflate) ?
				  &bd->queues.deflate : &bd->queues.inflate;

	spin_lock(&bd->ledger.bm.pages_lock);
	if (!bd->queues.deflate.posted)
		balloon_queue_close(bd, q);
	spin_unlock(&bd->ledger.bm.pages_lock);
}

/*
 * The first batch in turn. A full ring is not tried: virtio would notify the
 * host of it there and then. Deflates do not wait for an inflate that finds none.
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
 * The page of a deflate may be taken again, and be named in an inflate that is
 * in turn after it. Those later in turn are none of an inflate's concern: what
 * they name has been acknowledged as inflated.
 */
static bool balloon_batch_may_be_posted(struct balloon_device *bd,
					const struct balloon_batch *batch)
{
	if (batch->queue == &bd->queues.inflate)
		return !bd->queues.deflate.posted;

	/* Of inflates that were posted before it the host hears first. */
	balloon_queue_kick(&bd->queues.inflate);
	if (bd->queues.inflate.notify)
		balloon_event(bd);	/* so it has to wait for the next pass */
	return !bd->queues.inflate.notify;
}

/*
 * One buffer is one descriptor, so posting allocates nothing: indirect
 * descriptors are declined (virtio 1.2, 2.7.5.3), and so would they be used
 * for more than one buffer only.
 *
 * Only who holds balloon_lock takes a batch off the list.
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
		balloon_batch_posted(bd, batch);
	return true;
}

/* What finds no room goes on after the next reap. */
static void balloon_queues_post(struct balloon_device *bd)
{
	struct balloon_batch *batch;

	while ((batch = balloon_queues_next(bd))) {
		if (!balloon_batch_may_be_posted(bd, batch) ||
		    !balloon_batch_post(bd, batch))
			break;
	}
	if (bd->queues.inflate.unkicked >= BALLOON_MESSAGES_PER_KICK)
		balloon_queue_kick(&bd->queues.inflate);
	if (bd->queues.deflate.unkicked >= BALLOON_MESSAGES_PER_KICK)
		balloon_queue_kick(&bd->queues.deflate);
}

/**
 * balloon_queues_advance - reap what is acknowledged, post what may be posted
 * @bd: the balloon
 *
 * An inflate is posted only once every deflate before it is acknowledged.
 *
 * Context: balloon_lock held, to be dropped with balloon_queues_unlock(); tries
 * page locks.
 * Return: 0, or -EIO when the device is broken and no more will be done.
 */
int balloon_queues_advance(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock)
{
	lockdep_assert_held(&bd->balloon_lock);
	if (READ_ONCE(bd->broken))
		return -EIO;

	balloon_queues_settle(bd);
	balloon_queue_reap(bd, &bd->queues.deflate);
	balloon_queue_reap(bd, &bd->queues.inflate);

	balloon_queues_post(bd);
	balloon_queues_close_in_turn(bd);
	balloon_queues_post(bd);

	if (virtqueue_is_broken(bd->queues.inflate.vq) ||
	    virtqueue_is_broken(bd->queues.deflate.vq)) {
		WRITE_ONCE(bd->broken, true);
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
	busy = !list_empty(&bd->queues.pending) || !list_empty(&bd->queues.unsettled) ||
	       bd->queues.inflate.open || balloon_queue_unanswered(bd, &bd->queues.inflate) ||
	       bd->queues.deflate.open || bd->queues.deflate.posted;
	spin_unlock(&bd->ledger.bm.pages_lock);
	return busy;
}

/**
 * balloon_queues_look_in - how long a wait for the queues may last
 * @bd: the balloon
 *
 * Context: balloon_lock held.
 * Return: jiffies until balloon_queues_advance() is due, events aside.
 */
long balloon_queues_look_in(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock)
{
	lockdep_assert_held(&bd->balloon_lock);
	return list_empty(&bd->queues.unsettled) ? BALLOON_LOOK_AGAIN :
					    BALLOON_SETTLE_AGAIN;
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
	/* What a broken device still acknowledges is not reaped, nor waited for. */
	if (READ_ONCE(bd->broken))
		return true;
	balloon_queues_kick(bd);
	deflate = balloon_queue_arm(bd, &bd->queues.deflate);
	inflate = balloon_queue_arm(bd, &bd->queues.inflate);
	return deflate && inflate;
}

/**
 * balloon_queues_may_sleep - the same where no lock is held
 * @bd: the balloon
 *
 * A host that handles messages at once has done so before it is asked for an
 * interrupt.
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
 * balloon_queues_await_notified - wait for those on their way to notify the host
 * @bd: the balloon
 *
 * Context: process, balloon_lock not held; sleeps as long as a notification takes.
 */
void balloon_queues_await_notified(struct balloon_device *bd)
{
	down_write(&bd->notifying);
	up_write(&bd->notifying);
}

/**
 * balloon_queues_stop - have both queues left alone from here on
 * @bd: the balloon, which is broken then
 *
 * Context: process, balloon_lock not held; as balloon_queues_await_notified().
 */
void balloon_queues_stop(struct balloon_device *bd)
{
	mutex_lock(&bd->balloon_lock);
	WRITE_ONCE(bd->broken, true);
	mutex_unlock(&bd->balloon_lock);
	balloon_queues_await_notified(bd);
}

/* Page locks may be waited for here: balloon_lock is not held. */
static void balloon_batches_release(struct balloon_device *bd,
				    struct list_head *batches)
{
	struct balloon_batch *batch, *next;

	list_for_each_entry_safe(batch, next, batches, node) {
		list_del_init(&batch->node);
		balloon_batch_release(bd, batch);
		balloon_batch_put(bd, batch);
		cond_resched();
	}
}

/**
 * balloon_queues_discard_inflates - drop the inflates that were not posted
 * @bd: the balloon, its mapping closed
 *
 * Context: process; takes balloon_lock, pages_lock, and page locks after it.
 */
void balloon_queues_discard_inflates(struct balloon_device *bd)
{
	struct balloon_batch *batch, *next;
	LIST_HEAD(discarded);

	mutex_lock(&bd->balloon_lock);
	spin_lock(&bd->ledger.bm.pages_lock);
	balloon_queue_close(bd, &bd->queues.inflate);
	list_for_each_entry_safe(batch, next, &bd->queues.pending, node) {
		if (batch->queue == &bd->queues.inflate)
			list_move_tail(&batch->node, &discarded);
	}
	spin_unlock(&bd->ledger.bm.pages_lock);
	mutex_unlock(&bd->balloon_lock);
	balloon_batches_release(bd, &discarded);
}

static void balloon_queue_abandon(struct balloon_queue *q,
				  struct list_head *abandoned)
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
 * @bd: the balloon, its mapping closed
 *
 * Context: process, the device is reset; takes balloon_lock, pages_lock, and page
 * locks after it.
 */
void balloon_queues_abandon(struct balloon_device *bd)
{
	LIST_HEAD(abandoned);

	mutex_lock(&bd->balloon_lock);
	balloon_queue_abandon(&bd->queues.inflate, &abandoned);
	balloon_queue_abandon(&bd->queues.deflate, &abandoned);
	list_splice_tail_init(&bd->queues.unsettled, &abandoned);
	spin_lock(&bd->ledger.bm.pages_lock);
	balloon_queue_close(bd, &bd->queues.inflate);
	list_splice_tail_init(&bd->queues.pending, &abandoned);
	spin_unlock(&bd->ledger.bm.pages_lock);
	WRITE_ONCE(bd->pool.canary, BALLOON_CANARY_UNSENT);
	mutex_unlock(&bd->balloon_lock);
	balloon_batches_release(bd, &abandoned);
}
