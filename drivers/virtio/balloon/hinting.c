// SPDX-License-Identifier: GPL-2.0
/*
 * Free page hinting, F_FREE_PAGE_HINT (virtio 1.2, 5.5.6.6).
 *
 * A host that migrates the guest writes a command id to the configuration. It
 * asks for blocks of free memory, which it then need not send. The driver
 * answers with the id, the blocks, and a stop. hints.c holds the blocks.
 */

#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>
#include <kunit/static_stub.h>

#include "device.h"
#include "guest.h"
#include "hinting.h"
#include "hints.h"
#include "virtio_balloon.h"

/* The driver notifies the host after this many blocks. */
#define BALLOON_HINTS_PER_KICK	16

/*
 * A ring full of the largest blocks is half a gigabyte on x86: naps are short.
 */
#define BALLOON_HINTS_NAP_US	200
/* After this time without an answer the driver notifies again; naps double. */
#define BALLOON_HINTS_NUDGE	(HZ / 10)
#define BALLOON_HINTS_LONGEST_NAP_US	(20 * USEC_PER_MSEC)
/* While the host is silent, the work looks this often for acknowledgments. */
#define BALLOON_HINTS_LOOK	HZ
/* While blocks are lent, the work looks this often at free memory. */
#define BALLOON_HINTS_WATCH	(HZ / 10)

/* The token of a command is hinting->commands; that of a block is its page. */
static void balloon_hinting_reap(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;
	unsigned int unused_length;
	void *token;

	while ((token = virtqueue_get_buf(hinting->vq, &unused_length))) {
		hinting->posted--;
		if (token != hinting->commands)
			balloon_hints_acked(&bd->hints, token);
	}
	if (READ_ONCE(bd->hints.nr_offline))
		wake_up(&bd->wait);
}

static bool balloon_hints_stopped(struct balloon_device *bd)
{
	return balloon_is_dying(bd) || balloon_is_broken(bd) ||
	       test_bit(BALLOON_HINTING_STOPPING, &bd->hinting.flags);
}

/* How the wait for the host ended. */
enum balloon_hints_wait {
	BALLOON_HINTS_ACKED,
	BALLOON_HINTS_STOPPED,	/* teardown, or the device is broken */
	BALLOON_HINTS_SILENT,
};

/*
 * Waits until at most @posted buffers are unacknowledged.
 *
 * The queue has no callback. QEMU 7.2 serves the queue in a thread that cannot
 * safely raise a PCI line interrupt. A host polls the queue while it wants
 * hints, so a short nap is enough. That thread of QEMU may also miss buffers
 * that are posted after its last look and before it enables notifications. So
 * the driver notifies again. Naps get longer while the host acknowledges
 * nothing.
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
		balloon_hinting_reap(bd);
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

/*
 * Returns whether the work must end or read a new command. A change of the
 * configuration may also be a new target, with the same command.
 */
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

/*
 * A block in flight takes one descriptor of the ring: balloon_validate() declines
 * indirect descriptors.
 */
static int balloon_hint_block(struct balloon_device *bd, struct page *block)
{
	struct balloon_hinting *hinting = &bd->hinting;
	struct scatterlist sg;
	int err;

	sg_init_table(&sg, 1);
	sg_set_page(&sg, block, PAGE_SIZE << balloon_hint_order(block), 0);
	err = virtqueue_add_inbuf(hinting->vq, &sg, 1, block, GFP_KERNEL);
	if (err)
		return err;
	if (!(++hinting->posted % BALLOON_HINTS_PER_KICK))
		balloon_kick(bd, hinting->vq);
	return 0;
}

/*
 * Waits until the host has freed more than @reserve descriptors. Returns as
 * balloon_hints_wait().
 */
static enum balloon_hints_wait
balloon_hints_make_room(struct balloon_device *bd, unsigned int reserve)
{
	struct balloon_hinting *hinting = &bd->hinting;

	if (hinting->vq->num_free > reserve)
		return BALLOON_HINTS_ACKED;
	return balloon_hints_wait(bd, hinting->posted - 1);
}

/*
 * Keeps one descriptor free for the stop, unless the ring has only one. Returns
 * as balloon_hints_wait().
 */
static enum balloon_hints_wait balloon_hint_blocks(struct balloon_device *bd)
{
	unsigned int reserve = virtqueue_get_vring_size(bd->hinting.vq) > 1;
	enum balloon_hints_wait wait;
	struct page *block;

	while (!balloon_hints_over(bd)) {
		balloon_hinting_reap(bd);
		wait = balloon_hints_make_room(bd, reserve);
		if (wait)
			return wait;
		block = balloon_hints_alloc(bd);
		if (!block)
			break;
		if (balloon_hint_block(bd, block)) {
			balloon_hints_drop(&bd->hints, block);
			break;
		}
	}
	return BALLOON_HINTS_ACKED;
}

/*
 * The work must not wait for a silent host: the guest may want to suspend. So
 * the work ends, and runs again after BALLOON_HINTS_LOOK. A reset frees the
 * blocks that the host never acknowledges.
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
 * Returns whether the host has acknowledged all buffers after a silence. The
 * work then reads the command again.
 */
static bool balloon_hints_go_on(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	balloon_hinting_reap(bd);
	if (virtqueue_is_broken(hinting->vq))
		balloon_device_fail(bd);
	if (balloon_hints_stopped(bd))
		return false;
	if (hinting->posted) {
		/* The guest gets acknowledged blocks back at once. */
		if (balloon_hints_wanted(bd) == VIRTIO_BALLOON_CMD_ID_DONE)
			balloon_hints_give(&bd->hints, ULONG_MAX);
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
 * mm calls a shrinker without memory cgroup support only on the root cgroup's
 * turn. With many cgroups that turn may come late. So the driver also looks by
 * itself while blocks are lent. It gives some back if kswapd has to run.
 */
static void balloon_hints_watch_guest(struct balloon_device *bd)
{
	if (!READ_ONCE(bd->hints.nr_lent))
		return;
	if (!balloon_spare(bd, WMARK_LOW))
		balloon_hints_give(&bd->hints, max(balloon_floor(bd), 1UL));
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
			balloon_hints_give(&bd->hints, ULONG_MAX);
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

	balloon_hints_init(&bd->hints);
	INIT_DELAYED_WORK(&hinting->work, balloon_hinting_work);
	disable_delayed_work(&hinting->work);
	hinting->commands = kcalloc(2, sizeof(*hinting->commands), GFP_KERNEL);
	return hinting->commands ? 0 : -ENOMEM;
}

/**
 * balloon_hinting_free - free the memory of balloon_hinting_alloc()
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
 * Context: probe, restore, or the kthread.
 * Return: 0 or -ENOMEM.
 */
int balloon_hinting_start(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	KUNIT_STATIC_STUB_REDIRECT(balloon_hinting_start, bd);

	if (balloon_hints_start(&bd->hints))
		return -ENOMEM;

	hinting->answered = VIRTIO_BALLOON_CMD_ID_STOP;
	hinting->silent = false;
	clear_bit(BALLOON_HINTING_STOPPING, &hinting->flags);
	enable_delayed_work(&hinting->work);
	balloon_hinting_changed(bd);
	return 0;
}

/**
 * balloon_hinting_stop - stop hinting and give acknowledged blocks back
 * @bd: the balloon
 *
 * balloon_hinting_abandon() gives the other blocks back after the reset.
 *
 * Context: remove or freeze; sleeps.
 */
void balloon_hinting_stop(struct balloon_device *bd)
{
	struct balloon_hinting *hinting = &bd->hinting;

	if (!bd->hints.shrinker)
		return;
	set_bit(BALLOON_HINTING_STOPPING, &hinting->flags);
	disable_delayed_work_sync(&hinting->work);
	balloon_hints_stop(&bd->hints);
	balloon_hints_give(&bd->hints, ULONG_MAX);
}

/**
 * balloon_hinting_abandon - give back the blocks of a device that was reset
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
			balloon_hints_drop(&bd->hints, token);
	hinting->posted = 0;
	balloon_hints_give(&bd->hints, ULONG_MAX);
}
