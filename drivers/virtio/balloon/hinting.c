// SPDX-License-Identifier: GPL-2.0
/*
 * Free page hinting, F_FREE_PAGE_HINT (virtio 1.2, 5.5.6.6).
 *
 * A host that migrates the guest asks, by a command id in the configuration,
 * for blocks of free memory that it need not send. The driver answers with the
 * id, the blocks, and a stop. The blocks are lent: allocated, and held until
 * the host says that it is done, or until the guest needs them.
 *
 * A block that the host has not acknowledged is not given back, whoever asks.
 * The hint would be applied late, to the data of the next owner.
 *
 * Nobody can move a block that is lent. So the driver does not take one from memory
 * that mm keeps for what can be moved: CMA areas. ZONE_MOVABLE is an exception, as a
 * guest may have little else: its blocks return when that memory goes offline.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/pageblock-flags.h>
#include <linux/scatterlist.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <kunit/static_stub.h>

#include "virtio_balloon.h"

/* So many blocks are worth a notification. */
#define BALLOON_HINTS_PER_KICK	16

/* A ring full of the largest blocks is half a gigabyte, on x86. */
#define BALLOON_HINTS_NAP_US	200
/* After so long without an answer it is notified again, and naps double. */
#define BALLOON_HINTS_NUDGE	(HZ / 10)
#define BALLOON_HINTS_LONGEST_NAP_US	(20 * USEC_PER_MSEC)
/* A host that was found silent is looked at this often, ... */
#define BALLOON_HINTS_LOOK	HZ
/* ... and a guest that has lent blocks. */
#define BALLOON_HINTS_WATCH	(HZ / 10)

static unsigned int hint_order(const struct page *block)
{
	return page_private(block);
}

/* A block that is allocated once mm has told the driver is in other memory. */
static bool balloon_hint_goes_offline(const struct balloon_hinting *hinting,
				      const struct page *block)
{
	return page_to_pfn(block) - READ_ONCE(hinting->offline_start) <
	       READ_ONCE(hinting->nr_offline);
}

/*
 * mm gives up on memory that is to go offline if it finds a page that is in use and
 * can not be moved, before it tells anybody. Of PG_offline pages it expects that
 * their owner frees them when it is told.
 */
static void balloon_hint_mark(struct balloon_hinting *hinting,
			      struct page *block, unsigned int order)
{
	unsigned int i;

	set_page_private(block, order);
	for (i = 0; i < 1U << order; i++)
		__folio_set_offline(page_folio(block + i));
	spin_lock(&hinting->lock);
	list_add_tail(&block->lru, &hinting->in_flight);
	WRITE_ONCE(hinting->nr_out, hinting->nr_out + (1UL << order));
	spin_unlock(&hinting->lock);
}

/* The block is on no list any more. */
static void balloon_hint_free(struct balloon_hinting *hinting,
			      struct page *block)
{
	unsigned int i, order = hint_order(block);

	spin_lock(&hinting->lock);
	WRITE_ONCE(hinting->nr_out, hinting->nr_out - (1UL << order));
	spin_unlock(&hinting->lock);
	for (i = 0; i < 1U << order; i++)
		__folio_clear_offline(page_folio(block + i));
	set_page_private(block, 0);
	__free_pages(block, order);
}

/* The same for a block that is in flight, or was to be. */
static void balloon_hint_drop(struct balloon_hinting *hinting,
			      struct page *block)
{
	spin_lock(&hinting->lock);
	list_del_init(&block->lru);
	spin_unlock(&hinting->lock);
	balloon_hint_free(hinting, block);
}

/* Under the lock; the shrinker counts without it. */
static void balloon_hints_account(struct balloon_hinting *hinting, long nr)
{
	lockdep_assert_held(&hinting->lock);
	WRITE_ONCE(hinting->nr_lent, hinting->nr_lent + nr);
}

/* Frees blocks until @nr guest pages are free. Returns how many are. */
static unsigned long balloon_hints_give_back(struct balloon_device *bd,
					     unsigned long nr)
{
	struct balloon_hinting *hinting = &bd->hinting;
	unsigned long given = 0;
	struct page *block;

	while (given < nr) {
		spin_lock(&hinting->lock);
		block = list_first_entry_or_null(&hinting->blocks, struct page,
						 lru);
		if (block) {
			list_del(&block->lru);
			balloon_hints_account(hinting,
					      -(1L << hint_order(block)));
		}
		spin_unlock(&hinting->lock);
		if (!block)
			break;
		given += 1UL << hint_order(block);
		balloon_hint_free(hinting, block);
	}
	return given;
}

/* Has the host yet to acknowledge a block in memory that goes offline? */
static bool balloon_hints_stay_offline(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;
	struct page *block;
	bool stay = false;

	spin_lock(&hinting->lock);
	list_for_each_entry(block, &hinting->in_flight, lru)
		stay |= balloon_hint_goes_offline(hinting, block);
	spin_unlock(&hinting->lock);
	return stay;
}

/**
 * balloon_hinting_recall - give back blocks in memory that goes offline
 * @bd: the balloon
 * @start: page frame number of the memory
 * @nr: guest pages of it, not 0
 *
 * A block that the host has not acknowledged yet is freed when it has. That is waited
 * for up to BALLOON_LOOK_AGAIN: mm does not try again.
 *
 * Context: process; sleeps.
 */
void balloon_hinting_recall(struct balloon_device *bd, unsigned long start,
			    unsigned long nr)
{
	struct balloon_hinting *hinting = &bd->hinting;
	struct page *block, *next;
	LIST_HEAD(recalled);

	WRITE_ONCE(hinting->offline_start, start);
	WRITE_ONCE(hinting->nr_offline, nr);

	spin_lock(&hinting->lock);
	list_for_each_entry_safe(block, next, &hinting->blocks, lru) {
		if (!balloon_hint_goes_offline(hinting, block))
			continue;
		list_move(&block->lru, &recalled);
		balloon_hints_account(hinting, -(1L << hint_order(block)));
	}
	spin_unlock(&hinting->lock);

	list_for_each_entry_safe(block, next, &recalled, lru)
		balloon_hint_free(hinting, block);

	wait_event_timeout(bd->wait, !balloon_hints_stay_offline(bd),
			   BALLOON_LOOK_AGAIN);
}

/**
 * balloon_hinting_recall_ends - no memory is going offline any more
 * @bd: the balloon
 *
 * Context: any.
 */
void balloon_hinting_recall_ends(struct balloon_device *bd)
{
	WRITE_ONCE(bd->hinting.nr_offline, 0);
}

/**
 * balloon_hinting_give - give lent blocks back because the guest has no memory left
 * @bd: the balloon
 * @want: guest pages
 *
 * Context: the out-of-memory notifier. Allocates nothing.
 * Return: guest pages given back.
 */
unsigned long balloon_hinting_give(struct balloon_device *bd,
				   unsigned long want)
{
	return balloon_hints_give_back(bd, want);
}

/**
 * balloon_hinting_lent - what the guest may have back, or is about to
 * @bd: the balloon
 *
 * Context: any.
 * Return: guest pages.
 */
unsigned long balloon_hinting_lent(struct balloon_device *bd)
{
	return READ_ONCE(bd->hinting.nr_out);
}

static unsigned long balloon_hints_count(struct shrinker *shrinker,
					 struct shrink_control *sc)
{
	struct balloon_device *bd = shrinker->private_data;

	return READ_ONCE(bd->hinting.nr_lent);
}

static unsigned long balloon_hints_scan(struct shrinker *shrinker,
					struct shrink_control *sc)
{
	struct balloon_device *bd = shrinker->private_data;
	unsigned long given = balloon_hints_give_back(bd, sc->nr_to_scan);

	return given ?: SHRINK_STOP;
}

/* Messages are told from blocks by their token. */
static void balloon_hints_reap(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;
	unsigned int unused_length;
	struct page *block;
	void *token;
	bool keep;

	while ((token = virtqueue_get_buf(hinting->vq, &unused_length))) {
		hinting->posted--;
		if (token == hinting->commands)
			continue;
		block = token;
		spin_lock(&hinting->lock);
		keep = !balloon_hint_goes_offline(hinting, block);
		list_del_init(&block->lru);
		if (keep) {
			list_add_tail(&block->lru, &hinting->blocks);
			balloon_hints_account(hinting,
					      1L << hint_order(block));
		}
		spin_unlock(&hinting->lock);
		if (!keep)
			balloon_hint_free(hinting, block);
	}
	if (READ_ONCE(hinting->nr_offline))
		wake_up(&bd->wait);
}

static bool balloon_hints_stopped(struct balloon_device *bd)
{
	return test_bit(BALLOON_DYING, &bd->flags) || test_bit(BALLOON_BROKEN, &bd->flags) ||
	       test_bit(BALLOON_HINTING_STOPPING, &bd->hinting.flags);
}

/* How the wait for the host ended. */
enum balloon_hints_wait {
	BALLOON_HINTS_ACKED,
	BALLOON_HINTS_STOPPED,	/* the driver goes, or the device is broken */
	BALLOON_HINTS_SILENT,
};

/*
 * Waits until at most @posted buffers are unacknowledged.
 *
 * The queue has no callback. A host looks at it all the time while it wants
 * hints, so that a short nap is enough; and QEMU 7.2 works on it in a thread
 * from which it can not raise an interrupt of a PCI line safely. That thread
 * may also miss what is posted between its last look and the moment when it
 * wants to be notified again. Naps get longer while the host says nothing.
 */
static enum balloon_hints_wait balloon_hints_wait(struct balloon_device *bd,
						  unsigned int posted)
{
	struct balloon_hinting *hinting = &bd->hinting;
	unsigned int before, nap = BALLOON_HINTS_NAP_US;
	unsigned long notified = jiffies;
	struct balloon_patience patience;

	balloon_patience_begin(&patience);
	balloon_kick(bd, hinting->vq);
	for (;;) {
		before = hinting->posted;
		balloon_hints_reap(bd);
		if (hinting->posted <= posted)
			return BALLOON_HINTS_ACKED;
		if (virtqueue_is_broken(hinting->vq))
			balloon_device_fail(bd);
		if (balloon_hints_stopped(bd))
			return BALLOON_HINTS_STOPPED;
		if (hinting->posted != before) {
			balloon_patience_begin(&patience);
			nap = BALLOON_HINTS_NAP_US;
		} else if (balloon_patience_ends(&patience)) {
			return BALLOON_HINTS_SILENT;
		}
		if (time_after(jiffies, notified + BALLOON_HINTS_NUDGE)) {
			balloon_nudge(bd, hinting->vq);
			notified = jiffies;
			nap = min(2 * nap, BALLOON_HINTS_LONGEST_NAP_US);
		}
		usleep_range(nap, 2 * nap);
	}
}

static u32 balloon_hints_wanted(struct balloon_device *bd)
{
	u32 id;

	virtio_cread_le(bd->vdev, struct virtio_balloon_config,
			free_page_hint_cmd_id, &id);
	return id;
}

/* Has the host changed its mind, and not just the target? Or the guest? */
static bool balloon_hints_over(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	if (balloon_hints_stopped(bd))
		return true;
	if (!test_and_clear_bit(BALLOON_HINTING_CHANGED, &hinting->flags) ||
	    balloon_hints_wanted(bd) == hinting->answered)
		return false;
	set_bit(BALLOON_HINTING_CHANGED, &hinting->flags);
	return true;
}

static int balloon_hint_command(struct balloon_device *bd, unsigned int which,
				u32 id)
{
	struct balloon_hinting *hinting = &bd->hinting;
	struct scatterlist sg;
	int err;

	hinting->commands[which] = cpu_to_virtio32(bd->vdev, id);
	sg_init_one(&sg, &hinting->commands[which],
		    sizeof(hinting->commands[which]));
	err = virtqueue_add_outbuf(hinting->vq, &sg, 1, hinting->commands,
				   GFP_KERNEL);
	if (!err)
		hinting->posted++;
	return err;
}

static struct page *balloon_hint_alloc_from(int nid, gfp_t gfp)
{
	int order = MAX_PAGE_ORDER;
	struct page *block = NULL;

	for (; !block && order >= (int)pageblock_order; order--) {
		block = alloc_pages_node(nid, gfp, order);
		if (block)
			set_page_private(block, order);
	}
	return block;
}

/*
 * What mm finds in other zones than ZONE_MOVABLE for memory that can be moved may be
 * a CMA area. A zone that is left less than its high watermark has kswapd take the
 * blocks back.
 */
static bool balloon_hint_is_fair(struct page *block, gfp_t gfp)
{
	if (gfp & __GFP_MOVABLE && page_zonenum(block) != ZONE_MOVABLE)
		return false;
	return balloon_zone_spare(page_zone(block), WMARK_HIGH);
}

/* mm looks at a zone's low watermark, and goes on to the next zone below it. */
static struct page *balloon_hint_alloc_fairly(gfp_t gfp)
{
	static const gfp_t zones[] = {
		__GFP_HIGHMEM, __GFP_DMA32, __GFP_HIGHMEM | __GFP_MOVABLE,
	};
	struct page *block;
	unsigned int i;
	int nid;

	for_each_online_node(nid) {
		for (i = 0; i < ARRAY_SIZE(zones); i++) {
			block = balloon_hint_alloc_from(nid, gfp | zones[i]);
			if (!block)
				continue;
			if (balloon_hint_is_fair(block, zones[i]))
				return block;
			__free_pages(block, hint_order(block));
		}
	}
	return NULL;
}

/* Free memory counts here, and not what could be made free: a hint takes no other. */
static bool balloon_can_hint(struct balloon_device *bd)
{
	return balloon_affordable(bd) &&
	       balloon_spare(bd, WMARK_HIGH) > balloon_floor(bd);
}

static struct page *balloon_hint_alloc(struct balloon_device *bd)
{
	gfp_t gfp = (GFP_USER & ~__GFP_RECLAIM) | __GFP_NOWARN | __GFP_NORETRY |
		    __GFP_NOMEMALLOC | __GFP_SKIP_ZERO | __GFP_THISNODE;
	struct page *block;

	if (!balloon_can_hint(bd))
		return NULL;
	block = balloon_hint_alloc_fairly(gfp);
	if (block)
		balloon_hint_mark(&bd->hinting, block, hint_order(block));
	return block;
}

static int balloon_hint_block(struct balloon_device *bd, struct page *block)
{
	struct balloon_hinting *hinting = &bd->hinting;
	struct scatterlist sg;
	int err;

	sg_init_table(&sg, 1);
	sg_set_page(&sg, block, PAGE_SIZE << hint_order(block), 0);
	err = virtqueue_add_inbuf(hinting->vq, &sg, 1, block, GFP_KERNEL);
	if (err)
		return err;
	if (!(++hinting->posted % BALLOON_HINTS_PER_KICK))
		balloon_kick(bd, hinting->vq);
	return 0;
}

/* Returns as balloon_hints_wait(), once the host has freed more than @reserve. */
static enum balloon_hints_wait
balloon_hints_make_room(struct balloon_device *bd, unsigned int reserve)
{
	struct balloon_hinting *hinting = &bd->hinting;

	if (hinting->vq->num_free > reserve)
		return BALLOON_HINTS_ACKED;
	return balloon_hints_wait(bd, hinting->posted - 1);
}

/*
 * One descriptor stays free for the stop, unless the ring has no other. Returns as
 * balloon_hints_wait().
 */
static enum balloon_hints_wait balloon_hint_blocks(struct balloon_device *bd)
{
	unsigned int reserve = virtqueue_get_vring_size(bd->hinting.vq) > 1;
	enum balloon_hints_wait wait;
	struct page *block;

	while (!balloon_hints_over(bd)) {
		balloon_hints_reap(bd);
		wait = balloon_hints_make_room(bd, reserve);
		if (wait)
			return wait;
		block = balloon_hint_alloc(bd);
		if (!block)
			break;
		if (balloon_hint_block(bd, block)) {
			balloon_hint_drop(&bd->hinting, block);
			break;
		}
	}
	return BALLOON_HINTS_ACKED;
}

/*
 * The work ends while the host is silent: the guest may want to suspend. It looks
 * again from time to time. What the host never acknowledges comes back with a reset.
 */
static void balloon_hints_are_silent(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	if (!balloon_device_works(bd)) {
		balloon_device_fail(bd);
		return;
	}
	if (!hinting->silent)
		dev_info_ratelimited(&bd->vdev->dev,
				     "the host does not answer hints of free pages, there are no others until it does\n");
	hinting->silent = true;
	queue_delayed_work(system_freezable_wq, &hinting->work,
			   BALLOON_HINTS_LOOK);
}

static void balloon_hints_answer(struct balloon_device *bd, u32 id)
{
	enum balloon_hints_wait wait;

	if (balloon_hint_command(bd, 0, id)) {
		if (virtqueue_is_broken(bd->hinting.vq))
			balloon_device_fail(bd);
		return;
	}
	wait = balloon_hint_blocks(bd);
	if (!wait)
		wait = balloon_hints_make_room(bd, 0);
	if (!wait) {
		balloon_hint_command(bd, 1, VIRTIO_BALLOON_CMD_ID_STOP);
		wait = balloon_hints_wait(bd, 0);
	}
	if (wait == BALLOON_HINTS_SILENT)
		balloon_hints_are_silent(bd);
}

/*
 * Returns whether the host has acknowledged all that it was silent about. Then it
 * is asked what it wants now.
 */
static bool balloon_hints_go_on(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	balloon_hints_reap(bd);
	if (virtqueue_is_broken(hinting->vq))
		balloon_device_fail(bd);
	if (balloon_hints_stopped(bd))
		return false;
	if (hinting->posted) {
		/* What it has acknowledged is not bound to what it has not. */
		if (balloon_hints_wanted(bd) == VIRTIO_BALLOON_CMD_ID_DONE)
			balloon_hints_give_back(bd, ULONG_MAX);
		balloon_nudge(bd, hinting->vq);
		balloon_hints_are_silent(bd);
		return false;
	}
	hinting->silent = false;
	hinting->answered = VIRTIO_BALLOON_CMD_ID_STOP;
	set_bit(BALLOON_HINTING_CHANGED, &hinting->flags);
	return true;
}

/*
 * mm calls a shrinker that knows no memory cgroups on the root's turn only, which may
 * come late where there are many. So the driver also looks by itself while blocks are
 * lent: a guest in which kswapd has to run gets a part of them.
 */
static void balloon_hints_watch_guest(struct balloon_device *bd)
{
	if (!READ_ONCE(bd->hinting.nr_lent))
		return;
	if (!balloon_spare(bd, WMARK_LOW))
		balloon_hints_give_back(bd, max(balloon_floor(bd), 1UL));
	queue_delayed_work(system_freezable_wq, &bd->hinting.work,
			   BALLOON_HINTS_WATCH);
}

static void balloon_hinting_work(struct work_struct *work)
{
	struct balloon_device *bd = container_of(to_delayed_work(work),
						 struct balloon_device,
						 hinting.work);
	struct balloon_hinting *hinting = &bd->hinting;
	u32 id, answered;

	if (hinting->silent && !balloon_hints_go_on(bd))
		return;
	while (!hinting->silent && !balloon_hints_stopped(bd) &&
	       test_and_clear_bit(BALLOON_HINTING_CHANGED, &hinting->flags)) {
		id = balloon_hints_wanted(bd);
		answered = hinting->answered;
		hinting->answered = id;
		if (id == VIRTIO_BALLOON_CMD_ID_DONE)
			balloon_hints_give_back(bd, ULONG_MAX);
		else if (id != VIRTIO_BALLOON_CMD_ID_STOP && id != answered)
			balloon_hints_answer(bd, id);
	}
	if (!hinting->silent && !balloon_hints_stopped(bd))
		balloon_hints_watch_guest(bd);
}

/**
 * balloon_hinting_changed - the host may have a command
 * @bd: the balloon
 *
 * Context: any.
 */
void balloon_hinting_changed(struct balloon_device *bd)
{
	if (!bd->hinting.vq)
		return;
	set_bit(BALLOON_HINTING_CHANGED, &bd->hinting.flags);
	mod_delayed_work(system_freezable_wq, &bd->hinting.work, 0);
}

/**
 * balloon_hinting_alloc - prepare for the hinting queue
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0 or -ENOMEM; balloon_hinting_free() cleans up after both.
 */
int balloon_hinting_alloc(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	KUNIT_STATIC_STUB_REDIRECT(balloon_hinting_alloc, bd);

	spin_lock_init(&hinting->lock);
	INIT_LIST_HEAD(&hinting->blocks);
	INIT_LIST_HEAD(&hinting->in_flight);
	INIT_DELAYED_WORK(&hinting->work, balloon_hinting_work);
	disable_delayed_work(&hinting->work);
	hinting->commands = kcalloc(2, sizeof(*hinting->commands), GFP_KERNEL);
	return hinting->commands ? 0 : -ENOMEM;
}

/**
 * balloon_hinting_free - free what balloon_hinting_alloc() has allocated
 * @bd: the balloon, hinting stopped
 */
void balloon_hinting_free(struct balloon_device *bd)
{
	kfree(bd->hinting.commands);
}

/**
 * balloon_hinting_start - answer the host's commands from here on
 * @bd: the balloon, its device ready
 *
 * Context: probe or restore.
 * Return: 0 or -ENOMEM.
 */
int balloon_hinting_start(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	KUNIT_STATIC_STUB_REDIRECT(balloon_hinting_start, bd);

	if (!hinting->vq)
		return 0;
	hinting->shrinker = shrinker_alloc(0, "virtio-balloon-hints");
	if (!hinting->shrinker)
		return -ENOMEM;
	hinting->shrinker->count_objects = balloon_hints_count;
	hinting->shrinker->scan_objects = balloon_hints_scan;
	hinting->shrinker->private_data = bd;
	shrinker_register(hinting->shrinker);

	hinting->answered = VIRTIO_BALLOON_CMD_ID_STOP;
	hinting->silent = false;
	clear_bit(BALLOON_HINTING_STOPPING, &hinting->flags);
	enable_delayed_work(&hinting->work);
	balloon_hinting_changed(bd);
	return 0;
}

/**
 * balloon_hinting_stop - have no more hints, give acknowledged blocks back
 * @bd: the balloon
 *
 * What is not acknowledged is given back by balloon_hinting_abandon().
 *
 * Context: remove or freeze; sleeps.
 */
void balloon_hinting_stop(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	if (!hinting->shrinker)
		return;
	set_bit(BALLOON_HINTING_STOPPING, &hinting->flags);
	disable_delayed_work_sync(&hinting->work);
	shrinker_free(hinting->shrinker);
	hinting->shrinker = NULL;
	balloon_hints_give_back(bd, ULONG_MAX);
}

/**
 * balloon_hinting_abandon - give back what a device that was reset still had
 * @bd: the balloon, its device reset, hinting stopped
 *
 * Context: remove, freeze, or the kthread.
 */
void balloon_hinting_abandon(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;
	void *token;

	if (!hinting->vq)
		return;
	while ((token = virtqueue_detach_unused_buf(hinting->vq)))
		if (token != hinting->commands)
			balloon_hint_drop(hinting, token);
	hinting->posted = 0;
	balloon_hints_give_back(bd, ULONG_MAX);
}
