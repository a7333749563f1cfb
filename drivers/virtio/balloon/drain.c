// SPDX-License-Identifier: GPL-2.0
/*
 * Teardown: every page goes back to the guest, with the host told as far as it
 * answers.
 */

#include <linux/mm.h>
#include <linux/wait.h>

#include "batch.h"
#include "config.h"
#include "device.h"
#include "drain.h"
#include "ledger.h"
#include "pages.h"
#include "queue.h"
#include "settle.h"
#include "trial.h"
#include "virtio_balloon.h"

/**
 * balloon_want_isolated - be told of each isolated page that comes back
 * @bd: the balloon
 *
 * Context: the kthread or teardown, takes pages_lock.
 * Return: guest pages that are isolated, those on trial included. Each that comes
 * back is an event.
 */
unsigned long balloon_want_isolated(struct balloon_device *bd)
{
	struct balloon_mapping *trial = &bd->trial.bm;
	unsigned long nr;

	spin_lock(&bd->ledger.bm.pages_lock);
	nr = bd->ledger.bm.nr_isolated;
	bd->ledger.wants_isolated = nr;
	spin_unlock(&bd->ledger.bm.pages_lock);

	spin_lock(&trial->pages_lock);
	nr += trial->nr_isolated;
	bd->trial.wants_isolated = trial->nr_isolated;
	spin_unlock(&trial->pages_lock);
	return nr;
}

/*
 * Isolated pages come back when the task that isolated them is done. That task may
 * wait for other pages' I/O, so the wait has no bound. Each page that comes back is
 * an event.
 */
static void balloon_wait_isolated(struct balloon_device *bd)
{
	unsigned long nr;
	bool told = false;
	int seen;

	for (;;) {
		seen = atomic_read_acquire(&bd->events);
		nr = balloon_want_isolated(bd);
		if (!nr)
			return;
		if (!wait_event_timeout(bd->wait,
					atomic_read(&bd->events) != seen,
					10 * HZ) && !told) {
			dev_info(&bd->vdev->dev,
				 "waiting for %lu pages that mm has isolated\n",
				 nr);
			told = true;
		}
	}
}

/*
 * One step of balloon_drain(). Returns -EAGAIN while there is more to do. Returns
 * -EBUSY if the caller has to wait first, @look_in jiffies at most.
 */
static int balloon_drain_step(struct balloon_device *bd, long *look_in)
{
	unsigned long size = balloon_size(&bd->ledger), given = 0;
	bool busy;
	int err;

	if (size) {
		err = balloon_deflate(bd, size, &given);
		if (given || err == -EIO)
			return err ?: -EAGAIN;
	}

	mutex_lock(&bd->balloon_lock);
	err = balloon_advance(bd);
	busy = balloon_queues_busy(bd);
	*look_in = balloon_queues_look_in(bd);
	balloon_queues_unlock(bd);
	if (err)
		return err;
	return size || busy ? -EBUSY : 0;
}

/* Deflates everything while the host answers. */
static void balloon_drain(struct balloon_device *bd)
{
	unsigned long acked = READ_ONCE(bd->queues.nr_acked), now_acked;
	struct balloon_patience patience;
	long look_in;
	int err, seen;

	balloon_patience_begin(&patience);
	for (;;) {
		seen = atomic_read_acquire(&bd->events);
		err = balloon_drain_step(bd, &look_in);
		cond_resched();
		if (err == -EAGAIN)
			continue;
		if (err != -EBUSY)
			return;

		now_acked = READ_ONCE(bd->queues.nr_acked);
		if (acked != now_acked) {
			acked = now_acked;
			balloon_patience_begin(&patience);
		}
		if (balloon_patience_ends(&patience)) {
			dev_warn(&bd->vdev->dev,
				 "the host does not answer, resetting the device\n");
			return;
		}

		if (balloon_queues_may_sleep(bd))
			wait_event_timeout(bd->wait,
					   atomic_read(&bd->events) != seen,
					   look_in);
	}
}

/**
 * balloon_release_resident - give resident pages back without a host
 * @bd: the balloon, its device reset, its mapping closed
 *
 * Pages that mm has isolated are not among them.
 *
 * Context: the kthread, or teardown after it; takes page locks and pages_lock.
 */
void balloon_release_resident(struct balloon_device *bd)
{
	struct balloon_batch *batch;

	if (!READ_ONCE(bd->ledger.bm.nr_resident))
		return;
	batch = balloon_batch_get(bd, 0);
	if (WARN_ON_ONCE(!batch))
		return;
	batch->queue = &bd->queues.deflate;
	do {
		batch->nr_numbers = 0;
		balloon_batch_take(bd, batch, balloon_batch_room(batch));
		balloon_batch_release(bd, batch);
		cond_resched();
	} while (READ_ONCE(bd->ledger.bm.nr_resident));
	balloon_batch_put(bd, batch);
}

/**
 * balloon_give_back - tell the host that the guest takes every page back
 * @bd: the balloon, dying
 *
 * Pages that the host does not acknowledge are released after a reset.
 *
 * Context: remove or freeze, after the kthread has stopped or is frozen.
 */
void balloon_give_back(struct balloon_device *bd)
{
	LIST_HEAD(discarded);

	/* Closed already, except when probe unwinds. */
	balloon_mapping_close(&bd->ledger.bm);
	balloon_mapping_close(&bd->trial.bm);
	balloon_wait_isolated(bd);
	balloon_trial_end(bd);
	if (balloon_is_broken(bd))
		return;

	balloon_queues_discard_inflates(bd, &discarded);
	balloon_release_batches(bd, &discarded);
	balloon_drain(bd);
	balloon_actual_write(bd, 0);
}
