// SPDX-License-Identifier: GPL-2.0
/*
 * The statistics queue, F_STATS_VQ (virtio 1.2, 5.5.6.3).
 *
 * The driver has one buffer for statistics. The host keeps the buffer and
 * returns it when it wants fresh numbers. The driver then fills and posts the
 * buffer again. It does this in a work item, so that inflation does not delay
 * the statistics.
 */

#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/virtio_config.h>
#include <linux/vmstat.h>
#include <kunit/static_stub.h>

#include "device.h"
#include "hints.h"
#include "stats.h"
#include "trial.h"
#include "virtio_balloon.h"
#include "wakeup.h"

static u64 pages_to_bytes(u64 pages)
{
	return pages << PAGE_SHIFT;
}

struct balloon_stats_fill {
	struct virtio_device *vdev;
	struct virtio_balloon_stat *next;
};

static void balloon_stat(struct balloon_stats_fill *fill, u16 tag, u64 value)
{
	fill->next->tag = cpu_to_virtio16(fill->vdev, tag);
	fill->next->val = cpu_to_virtio64(fill->vdev, value);
	fill->next++;
}

static u64 sum_of_zones(const unsigned long *events, unsigned int first)
{
	unsigned int zone;
	u64 sum = 0;

	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		sum += events[first + zone];
	return sum;
}

static void balloon_stats_events(struct balloon_stats_fill *fill)
{
#ifdef CONFIG_VM_EVENT_COUNTERS
	unsigned long events[NR_VM_EVENT_ITEMS];

	all_vm_events(events);
	balloon_stat(fill, VIRTIO_BALLOON_S_SWAP_IN,
		     pages_to_bytes(events[PSWPIN]));
	balloon_stat(fill, VIRTIO_BALLOON_S_SWAP_OUT,
		     pages_to_bytes(events[PSWPOUT]));
	balloon_stat(fill, VIRTIO_BALLOON_S_MAJFLT, events[PGMAJFAULT]);
	balloon_stat(fill, VIRTIO_BALLOON_S_MINFLT,
		     events[PGFAULT] - events[PGMAJFAULT]);
#ifdef CONFIG_HUGETLB_PAGE
	balloon_stat(fill, VIRTIO_BALLOON_S_HTLB_PGALLOC,
		     events[HTLB_BUDDY_PGALLOC]);
	balloon_stat(fill, VIRTIO_BALLOON_S_HTLB_PGFAIL,
		     events[HTLB_BUDDY_PGALLOC_FAIL]);
#endif
	balloon_stat(fill, VIRTIO_BALLOON_S_OOM_KILL, events[OOM_KILL]);
	balloon_stat(fill, VIRTIO_BALLOON_S_ALLOC_STALL,
		     sum_of_zones(events, ALLOCSTALL_NORMAL - ZONE_NORMAL));
	balloon_stat(fill, VIRTIO_BALLOON_S_ASYNC_SCAN,
		     pages_to_bytes(events[PGSCAN_KSWAPD]));
	balloon_stat(fill, VIRTIO_BALLOON_S_DIRECT_SCAN,
		     pages_to_bytes(events[PGSCAN_DIRECT]));
	balloon_stat(fill, VIRTIO_BALLOON_S_ASYNC_RECLAIM,
		     pages_to_bytes(events[PGSTEAL_KSWAPD]));
	balloon_stat(fill, VIRTIO_BALLOON_S_DIRECT_RECLAIM,
		     pages_to_bytes(events[PGSTEAL_DIRECT]));
#endif
}

/*
 * Pages on trial and hinted blocks count as free: a task that needs them gets
 * them.
 */
static u64 balloon_stats_at_hand(struct balloon_device *bd)
{
	return balloon_trial_size_roughly(bd) + balloon_hints_lent(&bd->hints);
}

/*
 * Memory that can be reclaimed without I/O (virtio 1.2, 5.5.6.4). NR_FILE_PAGES
 * also counts shared memory, but mm must write shared memory to swap. The LRU
 * lists of files leave it out.
 */
static u64 balloon_stats_caches(void)
{
	unsigned long files = global_node_page_state(NR_ACTIVE_FILE) +
			      global_node_page_state(NR_INACTIVE_FILE);
	unsigned long dirty = global_node_page_state(NR_FILE_DIRTY) +
			      global_node_page_state(NR_WRITEBACK);

	return files - min(files, dirty);
}

/* Returns how many bytes of the buffer are in use. */
static size_t balloon_stats_update(struct balloon_device *bd)
{
	struct balloon_stats_fill fill = {
		.vdev = bd->vdev,
		.next = bd->stats.buffer,
	};
	u64 at_hand = balloon_stats_at_hand(bd);
	struct sysinfo info;

	si_meminfo(&info);
	balloon_stats_events(&fill);
	balloon_stat(&fill, VIRTIO_BALLOON_S_MEMFREE,
		     pages_to_bytes(info.freeram + at_hand));
	balloon_stat(&fill, VIRTIO_BALLOON_S_MEMTOT,
		     pages_to_bytes(info.totalram));
	balloon_stat(&fill, VIRTIO_BALLOON_S_AVAIL,
		     pages_to_bytes(si_mem_available() + at_hand));
	balloon_stat(&fill, VIRTIO_BALLOON_S_CACHES,
		     pages_to_bytes(balloon_stats_caches()));
	return (void *)fill.next - (void *)bd->stats.buffer;
}

static void balloon_stats_post(struct balloon_device *bd)
{
	struct scatterlist sg;

	sg_init_one(&sg, bd->stats.buffer, balloon_stats_update(bd));
	bd->stats.posted = !virtqueue_add_outbuf(bd->stats.vq, &sg, 1, bd,
						 GFP_KERNEL);
	if (bd->stats.posted)
		balloon_kick(bd, bd->stats.vq);
}

static void balloon_stats_work(struct work_struct *work)
{
	struct balloon_device *bd = container_of(work, struct balloon_device,
						 stats.work);
	unsigned int unused_length;

	/* First: once the buffer is posted, the host may ask again. */
	balloon_may_sleep(bd, BALLOON_AWAKE_STATS);
	if (balloon_is_dying(bd) || balloon_is_broken(bd))
		return;
	if (!bd->stats.posted || virtqueue_get_buf(bd->stats.vq, &unused_length))
		balloon_stats_post(bd);
	if (virtqueue_is_broken(bd->stats.vq))
		balloon_device_fail(bd);
}

/* The callback of the statistics queue, in interrupt context. */
void balloon_stats_requested(struct virtqueue *vq)
{
	struct balloon_device *bd = vq->vdev->priv;

	balloon_stay_awake(bd, BALLOON_AWAKE_STATS);
	queue_work(system_freezable_wq, &bd->stats.work);
}

/**
 * balloon_stats_alloc - allocate the buffer of the statistics queue
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0 or -ENOMEM.
 */
int balloon_stats_alloc(struct balloon_device *bd)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_stats_alloc, bd);

	INIT_WORK(&bd->stats.work, balloon_stats_work);
	disable_work(&bd->stats.work);
	bd->stats.buffer = kcalloc(VIRTIO_BALLOON_S_NR,
				   sizeof(*bd->stats.buffer), GFP_KERNEL);
	return bd->stats.buffer ? 0 : -ENOMEM;
}

/**
 * balloon_stats_free - free the memory of balloon_stats_alloc()
 * @bd: the balloon, its statistics queue stopped
 */
void balloon_stats_free(struct balloon_device *bd)
{
	kfree(bd->stats.buffer);
}

/**
 * balloon_stats_start - let the work post the first statistics
 * @bd: the balloon, its device ready
 *
 * Context: probe, restore, or the kthread.
 * Return: 0.
 */
int balloon_stats_start(struct balloon_device *bd)
{
	bd->stats.posted = false;
	bd->stats.started = true;
	enable_work(&bd->stats.work);
	queue_work(system_freezable_wq, &bd->stats.work);
	return 0;
}

/**
 * balloon_stats_stop - wait for a running answer and stop the work
 * @bd: the balloon
 *
 * Context: remove or freeze. Pairs with balloon_stats_start().
 */
void balloon_stats_stop(struct balloon_device *bd)
{
	if (bd->stats.started)
		disable_work_sync(&bd->stats.work);
	bd->stats.started = false;
	balloon_may_sleep(bd, BALLOON_AWAKE_STATS);
}

/**
 * balloon_stats_abandon - drop a request that came after balloon_stats_stop()
 * @bd: the balloon, its device reset, statistics stopped
 *
 * Context: remove, freeze, or the kthread.
 */
void balloon_stats_abandon(struct balloon_device *bd)
{
	balloon_may_sleep(bd, BALLOON_AWAKE_STATS);
}
