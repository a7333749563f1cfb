/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The map of the virtio balloon driver: the device and what each room offers.
 *
 * A page's life
 *
 *	free --> PRIVATE --> IN_FLIGHT --> RESIDENT <--> ISOLATED
 *	  ^                                   |              |
 *	  +----------- LEAVING <--------------+--------------+
 *
 *	PRIVATE		taken from the guest, the host has not been told
 *	IN_FLIGHT	named in an inflate message that was posted and is not
 *			acknowledged; never released, never moved: a late
 *			inflate would discard the data of the next owner
 *	RESIDENT	the host has it; on the balloon mapping's list
 *	ISOLATED	the host has it; mm compaction holds it
 *	LEAVING		taken off, not yet given back to the guest; with
 *			MUST_TELL_HOST until its deflate is acknowledged
 *
 * Before PRIVATE, a page that had to be reclaimed may be on trial: in a balloon
 * mapping of its own, in no batch, and given back if it is missed (trial.c). That
 * is none of the five states, and not counted with them, nor in actual.
 *
 * From PRIVATE on page->index is the order of the block that a page was allocated
 * in, 0 for one that came alone, be it in place of a migrated one. What is still
 * whole of a block goes back to the guest in as few pieces as there can be.
 *
 * A page that replaces a migrated one starts as PRIVATE. RESIDENT and ISOLATED
 * are counted by the balloon mapping, the others here. The five counts add up
 * to the pages that the balloon holds a reference on, those on trial aside, at
 * every moment outside of pages_lock: balloon_counts_add_up().
 *
 * Batches of both queues are posted in the order in which they were closed, and
 * an inflate only once every deflate before it is acknowledged: the page that
 * was just given back may be the next one taken. Before an inflate is closed the
 * open deflate is.
 *
 * Locks, outermost first
 *
 *	balloon_lock	mutex: virtqueues, and batches that are posted. Under it
 *			the driver allocates nothing, notifies no host, and waits
 *			neither for a host nor for a page lock. Migration never
 *			takes it. The out-of-memory notifier only tries it.
 *	notifying	rwsem: read from before balloon_lock is dropped until
 *			the host has been notified, and while other queues notify
 *			it; written to wait for that before the device is reset,
 *			or the virtqueues go
 *	page lock	with bm.pages_lock: the marks of a page, see
 *			<linux/balloon_compaction.h>; under balloon_lock it is
 *			only tried
 *	bm.pages_lock	spinlock: list, counters and marks of pages, and batches
 *			that are free, open or pending
 *	hinting.lock	spinlock: blocks that hinting has lent; with none of
 *			the others
 *
 * References
 *
 *	one for the driver bound to the device, from probe to remove
 *	one for the kthread, dropped by whoever has stopped it
 *	one for every ISOLATED page, as mm holds a pointer to the mapping
 *
 * A waiter for the host looks again at least every BALLOON_LOOK_AGAIN: nobody
 * wakes it when a device breaks.
 */
#ifndef _DRIVERS_VIRTIO_BALLOON_H
#define _DRIVERS_VIRTIO_BALLOON_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/balloon_compaction.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mmzone.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/page_reporting.h>
#include <linux/rwsem.h>
#include <linux/shrinker.h>
#include <linux/types.h>
#include <linux/virtio.h>
#include <linux/virtio_balloon.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/*
 * Two units: guest pages of PAGE_SIZE, in which the driver counts, and balloon
 * pages of 4 KiB, in which the device does. A guest page is named by
 * BALLOON_PER_GUEST_PAGE page frame numbers in a row (virtio 1.2, 5.5.6).
 */
#define BALLOON_PER_GUEST_PAGE	(1U << (PAGE_SHIFT - VIRTIO_BALLOON_PFN_SHIFT))

/* Whole guest pages in @balloon_pages; a remainder can not be reached. */
static inline unsigned long balloon_to_guest_pages(u32 balloon_pages)
{
	return balloon_pages / BALLOON_PER_GUEST_PAGE;
}

static inline u32 guest_to_balloon_pages(unsigned long guest_pages)
{
	return min_t(u64, (u64)guest_pages * BALLOON_PER_GUEST_PAGE, U32_MAX);
}

/* Numbers have 32 bits: memory from 16 TiB on can not go into a balloon. */
static inline bool balloon_pfn_has_number(unsigned long pfn)
{
	return (u64)pfn * BALLOON_PER_GUEST_PAGE +
	       BALLOON_PER_GUEST_PAGE - 1 <= U32_MAX;
}

static inline bool balloon_page_has_number(struct page *page)
{
	return balloon_pfn_has_number(page_to_pfn(page));
}

static inline unsigned long guest_pages_to_kib(unsigned long guest_pages)
{
	return guest_pages << (PAGE_SHIFT - 10);
}

/* Rounded up. */
static inline unsigned long kib_to_guest_pages(unsigned long kib)
{
	return kib / (PAGE_SIZE >> 10) + !!(kib % (PAGE_SIZE >> 10));
}

/* Every device takes this many page frame numbers in a message. */
#define BALLOON_SMALL_MESSAGE	256U
/* Only a device that has acknowledged one such message is sent more. */
#define BALLOON_LARGE_MESSAGE	1024U

/*
 * Batches are allocated at probe, as nothing may be when they are needed. The
 * last ones are kept from inflation, so that a host which takes its time over
 * inflating stops neither deflation nor migration. Most are migration's: it
 * fills some before a kthread that shares its CPU gets to run.
 */
#define BALLOON_BATCHES			32U
#define BALLOON_BATCHES_FOR_MIGRATION	20U
#define BALLOON_BATCHES_FOR_DEFLATE	4U

/* Bounds of the delay between tries to get memory. */
#define BALLOON_RETRY_MIN_MS	100U
#define BALLOON_RETRY_MAX_MS	(10 * MSEC_PER_SEC)
/* While reclaim keeps finding some: it takes a moment to find more. */
#define BALLOON_RETRY_PROGRESS_MS	20U

/* `actual` is written to the device no more often than this while moving. */
#define BALLOON_REPORT_INTERVAL	msecs_to_jiffies(10)

/*
 * No page is taken for so long after some went back under pressure: the longer
 * value where that follows another time by less than BALLOON_WARY. Memory that
 * becomes free is still taken within half a minute.
 */
#define BALLOON_HOLD_OFF_MIN_MS	(10 * MSEC_PER_SEC)
#define BALLOON_HOLD_OFF_MAX_MS	(20 * MSEC_PER_SEC)
#define BALLOON_WARY		(60 * HZ)

/* The guest's counters are read at most so often while the balloon moves... */
#define BALLOON_SAMPLE_MOVING	(HZ / 10)
/* ... and so often while it only might have to give something back. */
#define BALLOON_SAMPLE_RESTING	HZ
/* Counters of so long ago tell nothing about now. */
#define BALLOON_SAMPLE_STALE	(45 * HZ)

/* Pressure lasts when so many snapshots in a row show it. */
#define BALLOON_SUSTAINED	3U

/*
 * Pages that had to be reclaimed are on trial for one or two of these. Who comes
 * back for a page of a working set mostly does so within a second.
 */
#define BALLOON_TRIAL_PERIOD	HZ
/* However long ago the last look was, no more of a period has passed since. */
#define BALLOON_TRIAL_LATE	(2 * BALLOON_SAMPLE_MOVING)
/* Guest pages that are put on trial before everything is looked at again. */
#define BALLOON_TRIAL_AT_ONCE	1024UL
/* Half of what can be counted, as it is doubled. */
#define BALLOON_TRIAL_NO_LIMIT	(ULONG_MAX / 2)
/* What was reclaimed, and is free, is as good as tried after so long. */
#define BALLOON_RECLAIM_FRESH	(2 * BALLOON_TRIAL_PERIOD)
/* More than there is memory; can be added to. */
#define BALLOON_RECLAIMED_ANY	(ULONG_MAX / 2)
/* At least this part of the guest's memory may be on trial. */
#define BALLOON_TRIAL_MIN_SHIFT	10U
/* After a miss this part of the floor is, beside what the host is to get. */
#define BALLOON_TRIAL_MARGIN_SHIFT	2U
/* Bounds of the delay after one that was missed. */
#define BALLOON_MISSED_MIN_MS	500U
#define BALLOON_MISSED_MAX_MS	(10 * MSEC_PER_SEC)

/* A wait for the host looks this often whether the device is broken. */
#define BALLOON_LOOK_AGAIN	HZ
/* Unlocking a page is no event: the kthread tries unsettled batches this often. */
#define BALLOON_SETTLE_AGAIN	DIV_ROUND_UP(HZ, 100)

/* Teardown waits so long for a host that acknowledges nothing, then resets. */
#define BALLOON_HOST_PATIENCE_MS	(10 * MSEC_PER_SEC)

enum balloon_page_state {
	BALLOON_PAGE_PRIVATE,
	BALLOON_PAGE_IN_FLIGHT,
	BALLOON_PAGE_LEAVING,
	BALLOON_PAGE_STATES,
};

enum balloon_state {
	BALLOON_IDLE,		/* the target is reached */
	BALLOON_INFLATING,
	BALLOON_DEFLATING,
	BALLOON_HOLDING,	/* below the target, see enum balloon_hold */
	BALLOON_RECOVERING,	/* the device is broken, and is set up again */
	BALLOON_DEAD,		/* the device can not be set up again */
};

/* Why the balloon is held below its target. */
enum balloon_hold {
	BALLOON_HOLD_NONE,
	BALLOON_HOLD_FLOOR,	/* the guest has no more than the floor */
	BALLOON_HOLD_REFAULT,	/* what was reclaimed is missed, or swapped */
	BALLOON_HOLD_STALL,	/* allocations wait, reclaim is laborious */
	BALLOON_HOLD_ALLOCATION,	/* no page could be had */
};

enum balloon_canary {
	BALLOON_CANARY_UNSENT,
	BALLOON_CANARY_SENT,
	BALLOON_CANARY_ACKED,	/* large messages from here on */
};

/**
 * struct balloon_batch - a message of page frame numbers and its pages
 * @node: in the list of free, pending or unsettled batches; unlinked while the
 *        batch is open, being filled, or posted
 * @queue: whose message it is, once it is pending
 * @numbers: what the device reads: BALLOON_LARGE_MESSAGE page frame numbers in
 *           the queue's byte order
 * @pages: the guest pages that the batch holds. For an inflate all it names;
 *         for a deflate those whose release has to wait for the host.
 * @limit: page frame numbers that the device takes
 * @nr_numbers: page frame numbers in use
 * @nr_pages: guest pages in use in @pages
 * @uses: how often the batch has become free again; written under pages_lock
 * @posted: the host has been given the message
 * @replaces: inflate: the pages took the place of migrated ones, and may be
 *            locked by who migrates
 * @canary: inflate: the one large message that names a single page
 */
struct balloon_batch {
	struct list_head node;
	struct balloon_queue *queue;
	__virtio32 *numbers;
	struct page **pages;
	unsigned int limit;
	unsigned int nr_numbers;
	unsigned int nr_pages;
	unsigned int uses;
	bool posted;
	bool replaces;
	bool canary;
};

/**
 * struct balloon_queue - one of the two queues of page frame numbers
 * @vq: the virtqueue
 * @open: the batch that migration appends to, or NULL; under bm.pages_lock
 * @posted: messages that the host has not acknowledged
 * @unkicked: messages posted since a notification was last prepared
 * @notify: one is, for when balloon_lock is dropped
 */
struct balloon_queue {
	struct virtqueue *vq;
	struct balloon_batch *open;
	unsigned int posted;
	unsigned int unkicked;
	bool notify;
};

/* Tasks that migrate in MIGRATE_SYNC at the same time are few. */
#define BALLOON_MIGRATORS	4U
/* Each waits for the host no longer than this... */
#define BALLOON_MIGRATION_WAIT		(5 * HZ)
/* ... within this time. */
#define BALLOON_MIGRATION_WINDOW	(30 * HZ)

/**
 * struct balloon_migrator - how long one task may still wait for the host
 * @pid: the task
 * @until: when it gets a new allowance, in jiffies
 * @left: what is left of the present one, in jiffies
 */
struct balloon_migrator {
	pid_t pid;
	unsigned long until;
	long left;
};

/**
 * struct balloon_stats - the statistics queue (virtio 1.2, 5.5.6.3)
 * @vq: the virtqueue, or NULL where the device has none
 * @started: @work may run
 * @work: posts the first statistics and answers the host; the only one to
 *        touch what follows and @vq
 * @buffer: VIRTIO_BALLOON_S_NR statistics, the host's except inside @work
 * @posted: the host has the buffer, or returned it
 */
struct balloon_stats {
	struct virtqueue *vq;
	bool started;
	struct work_struct work;
	struct virtio_balloon_stat *buffer;
	bool posted;
};

/**
 * struct balloon_hinting - the free page hinting queue (virtio 1.2, 5.5.6.6)
 * @vq: the virtqueue, or NULL where the device has none
 * @shrinker: gives lent blocks back when the guest needs them
 * @changed: the host may have a command that is not answered
 * @work: answers the host; the only one to touch @vq and the members up to
 *        @lock. Delayed while the host is silent
 * @stopping: @work is to end
 * @commands: what the device reads: the id of the command, and the stop
 * @posted: buffers that the host has not acknowledged
 * @silent: the host has left them so for too long, and the log says so
 * @answered: the last command id that was seen, answered or being answered
 * @lock: protects what follows; taken in process context, nothing inside of it
 * @blocks: blocks that the host has acknowledged, by page->lru, their order in
 *          page->private
 * @nr_lent: guest pages on @blocks
 * @in_flight: blocks that the host has not acknowledged, or is about to get
 * @nr_out: guest pages on @blocks and on @in_flight
 */
struct balloon_hinting {
	struct virtqueue *vq;
	struct shrinker *shrinker;
	unsigned int changed;

	struct delayed_work work;
	__virtio32 *commands;
	unsigned int posted;
	bool silent;
	bool stopping;
	u32 answered;

	spinlock_t lock;	/* innermost */
	struct list_head blocks;
	struct list_head in_flight;
	unsigned long nr_lent;
	unsigned long nr_out;
};

/**
 * struct balloon_hotplug - memory that goes offline
 * @notifier: how mm tells of it
 * @start: page frame number of the range that is going offline
 * @nr: guest pages of that range, 0 where none is
 */
struct balloon_hotplug {
	struct notifier_block notifier;
	unsigned long start;
	unsigned long nr;
};

/**
 * struct balloon_reporting - the free page reporting queue (virtio 1.2, 5.5.6.7)
 * @vq: the virtqueue, or NULL where the device has none; touched by the report
 *      callback only, of which mm runs one at a time
 * @info: what mm knows of us
 * @registered: mm knows of us
 * @told_silent: the log says that the host is silent
 * @pm: how the kernel tells that the guest is about to suspend
 * @suspends: it is
 */
struct balloon_reporting {
	struct virtqueue *vq;
	struct page_reporting_dev_info info;
	bool registered;
	bool told_silent;
	struct notifier_block pm;
	bool suspends;
};

/* A floor that follows from the guest's size. */
#define BALLOON_FLOOR_DERIVED	ULONG_MAX

/**
 * struct balloon_signals - how the guest's memory management does at one time
 * @when: in jiffies
 * @available: guest pages that can be had without swapping
 * @spare: guest pages that are free beyond what kswapd sees to
 * @total: guest pages of memory, those in the balloon included
 * @stalls: allocations that had to reclaim by themselves
 * @scanned: guest pages that reclaim has looked at
 * @reclaimed: guest pages that it got
 * @refaults: guest pages that had been reclaimed and were used again soon
 * @swapped: guest pages that were written to swap
 * @free: guest pages that nobody has
 * @taken: guest pages in the balloon and on trial
 *
 * From @stalls to @swapped these count since boot, and wrap around.
 */
struct balloon_signals {
	unsigned long when;
	unsigned long available;
	unsigned long spare;
	unsigned long total;
	unsigned long stalls;
	unsigned long scanned;
	unsigned long reclaimed;
	unsigned long refaults;
	unsigned long swapped;
	unsigned long free;
	unsigned long taken;
};

/**
 * struct balloon_bounds - what a decision depends on besides the signals
 * @floor: available guest pages that inflation leaves alone
 * @size: guest pages in the balloon
 * @on_trial: guest pages that will be there if nobody misses them
 * @target: guest pages that the host wants there
 * @pressed: snapshots in a row, this one not included, that showed pressure
 * @may_give: VIRTIO_BALLOON_F_DEFLATE_ON_OOM is negotiated
 * @giving: the decision before this one was to give
 * @answered: and that in view of the same counters
 * @wary: it had to give pages back not long ago
 * @missed: what was on trial was missed not long ago
 * @margin: guest pages that are tried beyond the target, and not handed over
 * @reclaimed: guest pages that reclaim got so lately that nobody can have missed
 *             them yet
 * @may_be_missed: guest pages that reclaim got not long ago, and that were not
 *                 missed before these two snapshots
 * @cgroup: a memory cgroup reclaimed from itself, and missed it, not long ago
 */
struct balloon_bounds {
	unsigned long floor;
	unsigned long size;
	unsigned long on_trial;
	unsigned long target;
	unsigned int pressed;
	bool may_give;
	bool giving;
	bool answered;
	bool wary;
	bool missed;
	unsigned long margin;
	unsigned long reclaimed;
	unsigned long may_be_missed;
	bool cgroup;
};

/**
 * struct balloon_plan - a decision
 * @take: guest pages that inflation may take now
 * @on_trial: only to see whether somebody misses them
 * @give: guest pages that go back to the guest without the host's asking
 * @hold: why nothing is taken although the target is not reached, or why
 *        something is given
 * @pressed: the guest is short of memory
 */
struct balloon_plan {
	unsigned long take;
	bool on_trial;
	unsigned long give;
	enum balloon_hold hold;
	bool pressed;
};

/**
 * struct balloon_restraint - how far the balloon may go
 * @floor: available guest pages that inflation leaves alone, 0 for none, or
 *         BALLOON_FLOOR_DERIVED; written at probe and by sysfs, lockless
 * @floor_changed: the kthread should look at it; lockless
 * @reclaims: the guest has begun to reclaim memory; lockless
 * @oom_notifier: has what is on trial given back, and what may be of the balloon
 * @starved: zones that the task which ran out of memory can use and that are short,
 *           by node and index; under oom_lock
 * @shrinker: sets @reclaims; NULL without VIRTIO_BALLOON_F_DEFLATE_ON_OOM
 *
 * The kthread's own:
 * @earlier: the snapshot before the last
 * @now: the last snapshot; only its @available and @spare are newer than that
 * @sampled: both are there
 * @pressed: snapshots in a row that showed pressure
 * @giving: the last decision was to give
 * @holds_off: nothing is taken before @hold_off_end, whatever the target
 * @hold_off_end: in jiffies
 * @hold_off_ms: how long the last such time was, or is
 * @hold_off_reason: why
 * @gave: pages went back under pressure at @gave_at, less than BALLOON_WARY ago
 * @gave_at: in jiffies
 * @missed: a trial had to be ended, at @missed_at, less than BALLOON_WARY ago
 * @missed_at: in jiffies; or when refaults have kept the balloon from growing since
 * @missed_ms: the delay after it; it doubles until a trial ends well
 * @reclaimed: guest pages that reclaim got since it was last quiet for
 *             BALLOON_RECLAIM_FRESH
 * @reclaimed_at: when it last got some, or was about to, in jiffies
 * @may_be_missed: guest pages that it got since it was last quiet for BALLOON_WARY,
 *                 less those that were missed before the last two snapshots
 * @refaulted: guest pages that were missed between those
 * @cgroup: at @cgroup_at, less than BALLOON_WARY ago, pages were missed and
 *          nobody but a memory cgroup can have reclaimed them
 * @cgroup_at: in jiffies
 */
struct balloon_restraint {
	unsigned long floor;
	unsigned int floor_changed;
	unsigned int reclaims;
	struct notifier_block oom_notifier;
	DECLARE_BITMAP(starved, MAX_NUMNODES * MAX_NR_ZONES);
	struct shrinker *shrinker;

	struct balloon_signals earlier;
	struct balloon_signals now;
	bool sampled;
	unsigned int pressed;
	bool giving;
	bool holds_off;
	unsigned long hold_off_end;
	unsigned int hold_off_ms;
	enum balloon_hold hold_off_reason;
	bool gave;
	unsigned long gave_at;
	bool missed;
	unsigned long missed_at;
	unsigned int missed_ms;
	unsigned long reclaimed;
	unsigned long reclaimed_at;
	unsigned long may_be_missed;
	unsigned long refaulted;
	bool cgroup;
	unsigned long cgroup_at;
};

/* A page of the margin aside, one spends a period or two on trial. */
enum balloon_trial_age {
	BALLOON_TRIAL_YOUNG,	/* since less than a period */
	BALLOON_TRIAL_OLD,	/* since less than two */
	BALLOON_TRIAL_PASSED,	/* may be handed over to the host */
	BALLOON_TRIAL_AGES
};

/**
 * struct balloon_trial - pages that the guest gets back if it misses them
 * @bm: the pages, which mm can move; not counted as the balloon's
 * @wants_isolated: the kthread waits for isolated ones; under @bm.pages_lock
 * @nr: guest pages by age, those that mm has isolated included
 * @watched: how much of the present period has passed, in jiffies
 * @looked_at: when that was last added to, in jiffies
 * @limit: guest pages that may be on trial at a time, the margin not included
 * @recalled: the kthread is to end it; set by anybody
 * @answers: how often the kthread has done so
 * @nr_recalled: guest pages that have gone back by that
 */
struct balloon_trial {
	struct balloon_mapping bm;
	bool wants_isolated;
	unsigned long nr[BALLOON_TRIAL_AGES];
	unsigned long watched;
	unsigned long looked_at;
	unsigned long limit;
	unsigned int recalled;
	unsigned int answers;
	unsigned long nr_recalled;
};

/**
 * struct balloon_patience - for how long a silent host is still waited for
 * @left: in jiffies
 * @looked_at: when that was last reduced, in jiffies
 */
struct balloon_patience {
	unsigned long left;
	unsigned long looked_at;
};

/* Why the guest has to stay awake for a moment. */
enum balloon_awake {
	BALLOON_AWAKE_TARGET,
	BALLOON_AWAKE_STATS,
};

/**
 * struct balloon_wakeup - what the guest has to stay awake for
 * @lock: innermost; taken in interrupts, too
 * @reasons: a bit for each of enum balloon_awake
 */
struct balloon_wakeup {
	spinlock_t lock;	/* innermost */
	unsigned int reasons;
};

/**
 * struct balloon_recovery - from a broken device to one that works
 * @down: the device is not set up
 * @lost: and will not be
 * @told: the log has the line of this episode
 * @nr_tries: tries to set the device up since it broke
 * @delay_ms: how long the next try waits
 * @try_at: when that is, in jiffies
 * @ready_at: when the device was last set up, in jiffies
 */
struct balloon_recovery {
	bool down;
	bool lost;
	bool told;
	unsigned int nr_tries;
	unsigned int delay_ms;
	unsigned long try_at;
	unsigned long ready_at;
};

/**
 * struct balloon_device - a virtio balloon
 *
 * Set before the device is ready and constant from there on:
 * @kref: references as listed above
 * @vdev: the device; its driver data points back here
 * @thread: the kthread "vballoon"
 * @must_tell_host: VIRTIO_BALLOON_F_MUST_TELL_HOST is negotiated
 * @deflates_on_oom: VIRTIO_BALLOON_F_DEFLATE_ON_OOM is negotiated; without it
 *                   the balloon's pages do not count as the guest's memory
 * @reboot: how the kernel tells that the machine goes down
 *
 * Protected by @balloon_lock:
 * @balloon_lock: see above
 * @inflate: the inflate queue, but for what is not posted
 * @deflate: the deflate queue, likewise
 * @nr_acked: messages that the host has acknowledged so far; read without it, too
 * @unsettled: acknowledged inflates that still hold a page whose lock migration has
 * @canary: has the device shown that it takes large messages? Read without it, too
 * @batches: all of them, BALLOON_BATCHES
 *
 * Protected by @bm.pages_lock, in guest pages:
 * @bm: the pages that the host has
 * @nr_pages: pages in the states that @bm does not count
 * @nr_held: references that the balloon holds on pages
 * @nr_unconfirmed: pages that inflation took and the host has not acknowledged
 * @nr_canary: 1 while the canary is not acknowledged, else 0
 * @wants_isolated: the kthread waits for isolated pages to come back
 * @pending: closed batches of both queues, in the order to be posted
 * @free_batches: batches that nobody uses
 * @nr_free_batches: their number
 * @nr_puts: how often a batch has become free; read without the lock, too
 * @nr_put_waiters: tasks that a batch which becomes free has to wake
 * @migrators: how long tasks that migrate pages have waited
 *
 * The kthread's own; others read single values of them for display:
 * @nid: the node that pages are taken from
 * @looked_acked: what @nr_acked was when the host last made progress, or was idle
 * @looked_at: when that was, or the device's status was last read, in jiffies
 * @host_silent: it has made none for BALLOON_LOOK_AGAIN
 * @target: guest pages that the host wants
 * @reported: balloon pages last written to the device as `actual`
 * @reported_at: when, in jiffies
 * @order: largest order that is worth a try
 * @retry_at: in jiffies, meaningful while @retry_delay_ms is not 0
 * @retry_delay_ms: current back-off, 0 while nothing is waited for
 * @told_holding: the log has the line that says so
 * @state: what it does
 * @hold: why it holds, or did when it last tried; none once it goes on
 * @trial: see there
 * @recovery: see there
 *
 * Lockless, and no bool where xchg() is used, which not every architecture has
 * for a byte:
 * @events: counts everything that the kthread should look at; who waits takes
 *          its value first, then looks, then sleeps until it has changed
 * @wait: where it sleeps
 * @notifying: see above
 * @config_changed: the target has to be read again
 * @dying: no new work; waits end
 * @broken: the device is broken, or not set up; its queues are left alone. Set under
 *          balloon_lock where the virtqueues go
 * @was_reset: the device has no claim to anything; set under @reset_lock
 * @reset_lock: mutex, outside of balloon_lock: one reset at a time
 * @gave_at_oom: pages went back because the guest ran out of memory
 *
 * @restraint: see there
 * @wakeup: see there
 * @hotplug: see there
 * @stats: see there
 * @hinting: see there
 * @reporting: see there
 */
struct balloon_device {
	struct kref kref;
	struct virtio_device *vdev;
	struct task_struct *thread;
	bool must_tell_host;
	bool deflates_on_oom;
	struct notifier_block reboot;

	struct mutex balloon_lock;	/* outside of page locks */
	struct balloon_queue inflate;
	struct balloon_queue deflate;
	unsigned long nr_acked;
	struct list_head unsettled;
	enum balloon_canary canary;
	struct balloon_batch *batches;

	struct balloon_mapping bm;
	unsigned long nr_pages[BALLOON_PAGE_STATES];
	unsigned long nr_held;
	unsigned long nr_unconfirmed;
	unsigned long nr_canary;
	bool wants_isolated;
	struct list_head pending;
	struct list_head free_batches;
	unsigned int nr_free_batches;
	unsigned int nr_puts;
	unsigned int nr_put_waiters;
	struct balloon_migrator migrators[BALLOON_MIGRATORS];

	int nid;
	unsigned long looked_acked;
	unsigned long looked_at;
	bool host_silent;
	unsigned long target;
	u32 reported;
	unsigned long reported_at;
	unsigned int order;
	unsigned long retry_at;
	unsigned int retry_delay_ms;
	bool told_holding;
	enum balloon_state state;
	enum balloon_hold hold;
	struct balloon_trial trial;
	struct balloon_recovery recovery;

	atomic_t events;
	wait_queue_head_t wait;
	struct rw_semaphore notifying;	/* inside of balloon_lock */
	unsigned int config_changed;
	bool dying;
	bool broken;
	bool was_reset;
	struct mutex reset_lock;	/* outside of balloon_lock */
	unsigned int gave_at_oom;

	struct balloon_restraint restraint;
	struct balloon_wakeup wakeup;
	struct balloon_hotplug hotplug;
	struct balloon_stats stats;
	struct balloon_hinting hinting;
	struct balloon_reporting reporting;
};

static inline struct balloon_device *
to_balloon_device(struct address_space *mapping)
{
	return container_of(to_balloon_mapping(mapping), struct balloon_device,
			    bm);
}

static inline unsigned long balloon_size_roughly(struct balloon_device *bd)
{
	/* For display: it may be off by what moves meanwhile. */
	return data_race(bd->nr_held - bd->nr_pages[BALLOON_PAGE_LEAVING]);
}

/* device.c: the device below the driver, and lifetime */
struct balloon_device *balloon_device_alloc(struct virtio_device *vdev);
void balloon_device_get(struct balloon_device *bd);
void balloon_device_put(struct balloon_device *bd);
void balloon_event(struct balloon_device *bd);
void balloon_device_fail(struct balloon_device *bd);
void balloon_patience_begin(struct balloon_patience *patience);
bool balloon_patience_ends(struct balloon_patience *patience);
bool balloon_device_works(struct balloon_device *bd);
bool balloon_device_gone(struct balloon_device *bd);
void balloon_kick(struct balloon_device *bd, struct virtqueue *vq);
void balloon_nudge(struct balloon_device *bd, struct virtqueue *vq);
void balloon_device_reset(struct balloon_device *bd);
int balloon_device_ready(struct balloon_device *bd);
int balloon_features_start(struct balloon_device *bd);
void balloon_features_stop(struct balloon_device *bd);
void balloon_device_take_down(struct balloon_device *bd);
int balloon_device_negotiate(struct balloon_device *bd);

/* recovery.c: a device that is broken is set up again */
long balloon_recover(struct balloon_device *bd);
void balloon_recovery_forget(struct balloon_device *bd);

/* thread.c: reads the target, decides what to do about it and when */
int balloon_thread_start(struct balloon_device *bd);
void balloon_thread_stop(struct balloon_device *bd);
long balloon_step(struct balloon_device *bd, bool busy);
void balloon_report(struct balloon_device *bd, unsigned long pages);
void balloon_report_start(struct balloon_device *bd);

/* pages.c: takes pages from the guest and gives them back */
bool balloon_counts_add_up(struct balloon_device *bd)
	__must_hold(&bd->bm.pages_lock);
unsigned long balloon_size(struct balloon_device *bd);
unsigned long balloon_actual(struct balloon_device *bd);
unsigned long balloon_held(struct balloon_device *bd);
void balloon_adjust_managed(struct balloon_device *bd, struct page *page,
			    long nr);
void balloon_choose_node(struct balloon_device *bd);
struct page *balloon_alloc_block(struct balloon_device *bd, unsigned int order);
struct page *balloon_alloc_canary(struct balloon_device *bd);
void balloon_free_block(struct page *block, unsigned int order);
int balloon_inflate(struct balloon_device *bd, unsigned long want,
		    unsigned long *got);
int balloon_deflate(struct balloon_device *bd, unsigned long want,
		    unsigned long *given);
unsigned long balloon_leaving(struct balloon_device *bd);
unsigned long balloon_give_at_oom(struct balloon_device *bd,
				  unsigned long want);
void balloon_batch_posted(struct balloon_device *bd,
			  struct balloon_batch *batch)
	__must_hold(&bd->balloon_lock);
bool balloon_batch_settle(struct balloon_device *bd,
			  struct balloon_batch *batch)
	__must_hold(&bd->balloon_lock);
void balloon_batch_release(struct balloon_device *bd,
			   struct balloon_batch *batch);
unsigned long balloon_want_isolated(struct balloon_device *bd);
void balloon_give_back(struct balloon_device *bd);
void balloon_release_resident(struct balloon_device *bd);

/* queue.c: batches of page frame numbers on the two queues */
int balloon_batches_alloc(struct balloon_device *bd);
void balloon_batches_free(struct balloon_device *bd);
struct balloon_batch *balloon_batch_get(struct balloon_device *bd,
					unsigned int reserve);
void balloon_batch_put(struct balloon_device *bd, struct balloon_batch *batch);
unsigned int balloon_batch_room(const struct balloon_batch *batch);
void balloon_batch_name(struct balloon_device *bd, struct balloon_batch *batch,
			struct page **pages, unsigned int nr);
void balloon_batch_add_block(struct balloon_device *bd,
			     struct balloon_batch *batch, struct page *block,
			     unsigned int order);
void balloon_queue_add(struct balloon_device *bd, struct balloon_queue *q,
		       struct balloon_batch *batch)
	__must_hold(&bd->balloon_lock);
struct balloon_batch *balloon_queue_open(struct balloon_device *bd,
					 struct balloon_queue *q)
	__must_hold(&bd->bm.pages_lock);
void balloon_queue_acked(struct virtqueue *vq);
int balloon_queues_advance(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock);
bool balloon_queues_busy(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock);
long balloon_queues_look_in(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock);
bool balloon_queues_arm(struct balloon_device *bd)
	__must_hold(&bd->balloon_lock);
bool balloon_queues_may_sleep(struct balloon_device *bd);
void balloon_queues_await_notified(struct balloon_device *bd);
void balloon_queues_stop(struct balloon_device *bd);
void balloon_queues_unlock(struct balloon_device *bd);
void balloon_queues_discard_inflates(struct balloon_device *bd);
void balloon_queues_abandon(struct balloon_device *bd);

/* migrate.c: the balloon mapping's hooks */
extern const struct balloon_aops balloon_mapping_ops;

/* restraint.c: how far the balloon may go */
extern int balloon_floor_mib;
unsigned long balloon_default_floor(unsigned long total);
unsigned long balloon_floor(struct balloon_device *bd);
void balloon_set_floor(struct balloon_device *bd, unsigned long floor);
void balloon_restraint_init(struct balloon_device *bd);
unsigned long balloon_available(struct balloon_device *bd);
unsigned long balloon_spare(struct balloon_device *bd,
			    enum zone_watermarks mark);
unsigned long balloon_zone_spare(struct zone *zone, unsigned int mark);
int balloon_sparest_node(void);
bool balloon_zone_is_starved(struct balloon_device *bd,
			     const struct page *page);
void balloon_signals_read(struct balloon_device *bd,
			  struct balloon_signals *signals);
struct balloon_plan balloon_plan(struct balloon_device *bd);
void balloon_forget_signals(struct balloon_device *bd);
void balloon_hold_off(struct balloon_device *bd, enum balloon_hold reason);
void balloon_end_hold_off(struct balloon_device *bd);
unsigned int balloon_missed(struct balloon_device *bd);
void balloon_not_missed(struct balloon_device *bd);
void balloon_expect_reclaim(struct balloon_device *bd);
long balloon_hold_off_left(struct balloon_device *bd);
bool balloon_may_have_to_give(struct balloon_device *bd);
long balloon_look_at_guest_in(struct balloon_device *bd);
unsigned long balloon_affordable(struct balloon_device *bd);
bool balloon_guest_is_fragmented(struct balloon_device *bd);
int balloon_restraint_start(struct balloon_device *bd);
void balloon_restraint_stop(struct balloon_device *bd);

/* decide.c: what the guest's counters mean */
unsigned long balloon_reclaimed(const struct balloon_signals *earlier,
				const struct balloon_signals *now);
unsigned long balloon_refaulted(const struct balloon_signals *earlier,
				const struct balloon_signals *now);
bool balloon_cgroup_misses(const struct balloon_signals *earlier,
			   const struct balloon_signals *now);
struct balloon_plan balloon_decide(const struct balloon_signals *earlier,
				   const struct balloon_signals *now,
				   const struct balloon_bounds *bounds);

/* trial.c: pages that the guest gets back if it misses them */
void balloon_trial_init(struct balloon_device *bd);
unsigned long balloon_trial_size(struct balloon_device *bd);
unsigned long balloon_trial_size_roughly(struct balloon_device *bd);
unsigned long balloon_trial_margin(struct balloon_device *bd);
unsigned long balloon_trial_passed(struct balloon_device *bd);
unsigned long balloon_trial_room(struct balloon_device *bd);
long balloon_trial_watch(struct balloon_device *bd);
int balloon_trial_take(struct balloon_device *bd, unsigned long want,
		       unsigned long *got);
struct page *balloon_trial_next(struct balloon_device *bd);
void balloon_trial_end(struct balloon_device *bd);
bool balloon_trial_answer(struct balloon_device *bd);
void balloon_trial_recall(struct balloon_device *bd);
unsigned long balloon_trial_recall_now(struct balloon_device *bd);
void balloon_trial_missed(struct balloon_device *bd);

/* hotplug.c: memory that goes offline */
bool balloon_goes_offline(struct balloon_device *bd, const struct page *page);
int balloon_hotplug_start(struct balloon_device *bd);
void balloon_hotplug_stop(struct balloon_device *bd);

/* stats.c: F_STATS_VQ */
int balloon_stats_alloc(struct balloon_device *bd);
void balloon_stats_free(struct balloon_device *bd);
void balloon_stats_requested(struct virtqueue *vq);
void balloon_stats_start(struct balloon_device *bd);
void balloon_stats_stop(struct balloon_device *bd);

/* hinting.c: F_FREE_PAGE_HINT */
int balloon_hinting_alloc(struct balloon_device *bd);
void balloon_hinting_free(struct balloon_device *bd);
void balloon_hinting_changed(struct balloon_device *bd);
void balloon_hinting_recall(struct balloon_device *bd);
unsigned long balloon_hinting_give(struct balloon_device *bd,
				   unsigned long want);
unsigned long balloon_hinting_lent(struct balloon_device *bd);
int balloon_hinting_start(struct balloon_device *bd);
void balloon_hinting_stop(struct balloon_device *bd);
void balloon_hinting_abandon(struct balloon_device *bd);

/* reporting.c: F_REPORTING */
int balloon_reporting_start(struct balloon_device *bd);
void balloon_reporting_stop(struct balloon_device *bd);

/* poison.c: F_PAGE_POISON */
bool balloon_guest_poisons(void);
void balloon_poison_validate(struct virtio_device *vdev);
void balloon_poison_tell(struct balloon_device *bd);
void balloon_poison_tell_costs(struct balloon_device *bd);

/* wakeup.c: what the guest does before it sleeps */
void balloon_wakeup_start(struct balloon_device *bd);
void balloon_wakeup_stop(struct balloon_device *bd);
void balloon_stay_awake(struct balloon_device *bd, enum balloon_awake reason);
void balloon_may_sleep(struct balloon_device *bd, enum balloon_awake reason);

/* sysfs.c: what an administrator sees */
extern const struct attribute_group *balloon_groups[];

#endif /* _DRIVERS_VIRTIO_BALLOON_H */
