/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A fake host: a virtio balloon device with real rings. The test plays the
 * host.
 *
 * The virtio core binds the driver to the device as to any other. The host
 * keeps a log of all messages, and a model of the page frame numbers in the
 * balloon. A message that breaks one of these rules fails the test at once:
 *
 * - no inflate names a page twice, and no deflate a page that is not inflated;
 * - no inflate is posted while a deflate is unacknowledged;
 * - the balloon holds a reference to each page of an inflate until the host
 *   acknowledges the inflate; with MUST_TELL_HOST this also holds for deflates;
 * - no message has more numbers than the host is known to take;
 * - a hinted or reported block is not free and has no other user until the host
 *   acknowledges the block or the device is reset.
 *
 * The pages come from the test as well. A stub replaces balloon_alloc_block()
 * and keeps a reference to each page. So the reference count of a page shows
 * other holders, also after the driver has released the page.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_TESTS_FAKE_HOST_H
#define _DRIVERS_VIRTIO_BALLOON_TESTS_FAKE_HOST_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/page_reporting.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/vhost_iotlb.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/vmstat.h>
#include <linux/vringh.h>
#include <linux/xarray.h>

#include "../virtio_balloon.h"

/* A wait that takes longer than this fails the test. */
#define FAKE_HOST_HANG	(60 * HZ)

enum fake_queue_index {
	FAKE_INFLATE,
	FAKE_DEFLATE,
	FAKE_STATS,
	FAKE_HINTING,
	FAKE_REPORTING,
	FAKE_QUEUES,
};

/* Descriptors in one report, as mm makes them. */
#define FAKE_MAX_BLOCKS	PAGE_REPORTING_CAPACITY

/**
 * struct fake_block - memory that the device may write to or discard
 * @page: the first page
 * @length: length in bytes
 */
struct fake_block {
	struct page *page;
	u32 length;
};

/**
 * struct fake_message - a buffer that the driver has posted
 * @node: in the host's log, in the order of arrival
 * @queue: the queue on which it arrived
 * @head: its first descriptor
 * @answered: the host has returned it to the driver
 * @dropped: the host has lost it and will never answer
 * @writable: it consists of blocks, not of numbers
 * @data: the driver's buffer; tests check that the driver does not change it
 * @nr: number of page frame numbers, command ids or blocks; on the statistics
 *      queue the number of bytes
 * @numbers: the numbers in the CPU's byte order, or the bytes
 * @blocks: the blocks
 */
struct fake_message {
	struct list_head node;
	enum fake_queue_index queue;
	u16 head;
	bool answered;
	bool dropped;
	bool writable;
	void *data;
	unsigned int nr;
	union {
		DECLARE_FLEX_ARRAY(u32, numbers);
		DECLARE_FLEX_ARRAY(struct fake_block, blocks);
	};
};

struct fake_queue {
	struct virtqueue *vq;
	struct vringh vrh;
	unsigned int nr_messages;
	unsigned int nr_kicks;
};

/**
 * struct fake_host - a host under the control of the test
 *
 * Its properties, to set before fake_host_plug():
 * @features: features that it offers
 * @ring_size: number of descriptors in each ring
 * @find_vqs_err: errno of find_vqs()
 * @without_config_get: the driver cannot read the configuration
 * @pulled: the device is gone, and its registers read as ones
 * @lends_nothing: no stub replaces the driver's balloon_alloc_block()
 * @insists: features that the driver must accept (virtio 1.2, 3.1.1)
 *
 * Its behaviour, which may change at any time:
 * @holds: messages on a queue stay unanswered until fake_host_answer()
 * @stats_at_once: the host returns this many statistics as soon as they arrive
 * @gone: the host does not read its rings
 * @misses: the next @misses notifications have no effect
 * @deaf: a notification fails, as on a device that was pulled
 * @drops_above: the host loses messages of more page frame numbers; 0 for none
 * @answer_length: the length that the host writes into the used ring
 *
 * The guest's memory:
 * @spare: guest pages until allocation fails
 * @max_order: largest order that can be allocated
 * @fragmented: the free memory is in small pieces
 * @full: kswapd has to reclaim the pages that the driver takes
 * @recycles: the next allocations return pages that the driver has released
 * @recycle_from: guest page frame number to look at first
 * @available: guest pages that are available with an empty balloon
 * @sample: the guest's counters; the stub fills in time and memory
 * @nr_samples: how often the driver has read @sample
 * @pause: jiffies for which the guest stands still at each sample
 * @nr_looks: how often balloon_available() was called
 * @guest_work: work of a test that runs in another task
 * @on_alloc: called before each allocation, from the kthread
 * @is_starved: can the task that ran out of memory use the page? NULL means yes
 * @nr_allocs: successful allocations by order
 * @nr_refusals: failed allocations by order
 *
 * Its knowledge:
 * @lock: protects the model and the log
 * @log: all messages
 * @model: enum fake_number by page frame number
 * @nr_inflated: page frame numbers that the host has inflated and not deflated
 * @nr_canaries: large messages that name a single page
 * @takes_large: the host has answered a large message
 * @nr_resets: resets since it was plugged in
 * @nr_inflated_at_reset: @nr_inflated before the last reset
 * @nr_reports: how often `actual` was written
 * @nr_poison_vals: how often `poison_val` was written
 * @taken: all pages that the driver ever got, by guest page frame number; only
 *         the first page of a hinted block
 * @isolated: pages that the test has isolated, linked as mm links them
 * @migrator: the task that migrates @isolated, and so holds page locks
 * @managed: totalram_pages() before it was plugged in
 * @ballooned: BALLOON_INFLATE less BALLOON_DEFLATE before it was plugged in
 * @shares_guest: another balloon also changes totalram_pages() and the counts
 */
struct fake_host {
	struct kunit *test;
	struct virtio_device vdev;
	struct virtio_config_ops ops;
	struct completion released;
	struct balloon_device *bd;
	bool plugged;
	u8 status;
	struct virtio_balloon_config config;
	struct vhost_iotlb *iotlb;
	spinlock_t iotlb_lock;	/* of @iotlb, for vringh */
	struct fake_queue queues[FAKE_QUEUES];

	u64 features;
	u64 insists;
	unsigned int ring_size;
	int find_vqs_err;
	bool without_config_get;
	bool pulled;
	bool lends_nothing;

	bool holds[FAKE_QUEUES];
	unsigned int stats_at_once;
	bool gone;
	unsigned int misses;
	bool deaf;
	unsigned int drops_above;
	u32 answer_length;

	unsigned long spare;
	unsigned int max_order;
	bool fragmented;
	bool full;
	bool recycles;
	unsigned long recycle_from;
	unsigned long available;
	struct balloon_sample sample;
	unsigned int nr_samples;
	unsigned int pause;
	unsigned int nr_looks;
	struct work_struct guest_work;
	void (*on_alloc)(struct fake_host *host, unsigned int order);
	bool (*is_starved)(const struct page *page);
	unsigned long nr_allocs[NR_PAGE_ORDERS];
	unsigned long nr_refusals[NR_PAGE_ORDERS];

	struct mutex lock;	/* inside of balloon_lock */
	struct list_head log;
	struct xarray model;
	unsigned long nr_inflated;
	unsigned int nr_canaries;
	bool takes_large;
	unsigned int nr_resets;
	unsigned long nr_inflated_at_reset;
	unsigned int nr_reports;
	unsigned int nr_poison_vals;
	struct xarray taken;
	struct list_head isolated;
	struct task_struct *migrator;
	unsigned long managed;
	unsigned long ballooned;
	bool shares_guest;
};

static inline struct fake_host *to_fake_host(struct virtio_device *vdev)
{
	return container_of(vdev, struct fake_host, vdev);
}

/* Tests the condition every tick, and gives up after FAKE_HOST_HANG. */
#define fake_host_poll(condition)					\
({									\
	unsigned long __deadline = jiffies + FAKE_HOST_HANG;		\
	bool __met;							\
									\
	while (!(__met = (condition)) &&				\
	       time_before(jiffies, __deadline))			\
		schedule_timeout_uninterruptible(1);			\
	__met;								\
})

#define fake_host_await(host, condition)				\
do {									\
	if (!fake_host_poll(condition))					\
		KUNIT_FAIL_AND_ABORT((host)->test,			\
				     "never came: " #condition);	\
} while (0)

struct fake_host *fake_host_create(struct kunit *test);
bool fake_host_plug(struct fake_host *host);
struct fake_host *fake_host_start(struct kunit *test, u64 features);
void fake_host_unplug(struct fake_host *host);
void fake_host_unbind(struct fake_host *host);
bool fake_host_bind(struct fake_host *host);

void fake_host_set_target(struct fake_host *host, unsigned long guest_pages);
void fake_host_set_command(struct fake_host *host, u32 id);
void fake_host_reach(struct fake_host *host, unsigned long guest_pages);
bool fake_host_arrived(struct fake_host *host, unsigned long guest_pages);
bool fake_host_asleep(struct fake_host *host);
bool fake_host_waits_for_page(struct fake_host *host);
bool fake_host_holds_for(struct fake_host *host, enum balloon_hold reason);
void fake_host_pass_time(unsigned long jiffies_to_pass);
void fake_host_check(struct fake_host *host);
unsigned long fake_host_events(enum vm_event_item item);
unsigned long fake_host_actual(struct fake_host *host);
unsigned long fake_host_got(struct fake_host *host);
struct page *fake_host_new_page(struct fake_host *host);
struct page *fake_host_isolate(struct fake_host *host);
struct folio *fake_host_migration_target(struct folio *src,
					 unsigned long private);
void fake_host_migration_unused(struct folio *dst, unsigned long private);
void fake_host_put_on_trial(struct fake_host *host, unsigned long guest_pages);
void fake_host_take_offline(struct fake_host *host, unsigned long action,
			    struct page *page, unsigned long guest_pages);

void fake_host_look(struct fake_host *host);
bool fake_host_answer(struct fake_host *host, enum fake_queue_index queue);
bool fake_host_answer_newest(struct fake_host *host,
			     enum fake_queue_index queue);
void fake_host_answer_all(struct fake_host *host);
void fake_host_answer_wrong_id(struct fake_host *host,
			       enum fake_queue_index queue, u16 head);
void fake_host_needs_reset(struct fake_host *host);
void fake_host_forget_driver(struct fake_host *host);
bool fake_host_recovered(struct fake_host *host, unsigned int resets,
			 unsigned long guest_pages);

struct fake_message *fake_host_message(struct fake_host *host,
				       enum fake_queue_index queue,
				       unsigned int index);
struct fake_message *fake_host_last(struct fake_host *host,
				    enum fake_queue_index queue);
unsigned int fake_host_unanswered(struct fake_host *host,
				  enum fake_queue_index queue);
struct page *fake_message_page(struct fake_message *message,
			       unsigned int index);

unsigned long balloon_state_pages(struct balloon_device *bd,
				  enum balloon_page_state state);
struct page *balloon_resident_page(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_TESTS_FAKE_HOST_H */
