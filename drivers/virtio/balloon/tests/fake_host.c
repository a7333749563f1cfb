// SPDX-License-Identifier: GPL-2.0
/*
 * The fake host: creation, plugging, removal and checks. fake_host.h describes
 * it.
 *
 * Expectations may run in a task of the driver. So they do not end the task if
 * they fail.
 */

#include <kunit/device.h>
#include <kunit/resource.h>
#include <kunit/static_stub.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/virtio_ids.h>

#include "fake_host.h"
#include "fake_host_parts.h"

/**
 * fake_host_recovered - has the driver recovered and reached the target?
 * @host: the host
 * @resets: nr_resets before the device broke
 * @guest_pages: the target
 */
bool fake_host_recovered(struct fake_host *host, unsigned int resets,
			 unsigned long guest_pages)
{
	return host->nr_resets > resets &&
	       fake_host_arrived(host, guest_pages) &&
	       host->nr_inflated == guest_pages * BALLOON_PER_GUEST_PAGE;
}

/* Only the test may have references to the driver's former pages. */
static void fake_host_expect_released(struct fake_host *host)
{
	unsigned long pfn;
	struct page *page;

	xa_for_each(&host->taken, pfn, page) {
		KUNIT_EXPECT_EQ_MSG(host->test, page_ref_count(page), 1,
				    "page %lx was not released exactly once",
				    pfn);
		KUNIT_EXPECT_FALSE(host->test, PageOffline(page));
		KUNIT_EXPECT_EQ(host->test, page_private(page), 0);
		put_page(page);
	}
	xa_destroy(&host->taken);
}

static void fake_host_vdev_release(struct device *dev)
{
	complete(&to_fake_host(dev_to_virtio(dev))->released);
}

static void fake_host_destroy(void *data)
{
	struct fake_host *host = data;
	struct fake_message *message, *next;

	/* If the test was aborted, removal would wait for isolated pages. */
	putback_movable_pages(&host->isolated);
	if (host->plugged)
		fake_host_unplug(host);
	list_for_each_entry_safe(message, next, &host->log, node)
		kfree(message);
	xa_destroy(&host->model);
	vhost_iotlb_free(host->iotlb);
	mutex_destroy(&host->lock);
	kfree(host);
}

/**
 * fake_host_create - create a modern host that answers and is not plugged in
 * @test: the test, whose end destroys the host
 */
struct fake_host *fake_host_create(struct kunit *test)
{
	static unsigned int nr_hosts;
	struct fake_host *host;
	struct device *parent;
	char name[20];

	snprintf(name, sizeof(name), "fake-host-%u", nr_hosts++);
	parent = kunit_device_register(test, name);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, parent);
	host = kzalloc(sizeof(*host), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, host);
	host->vdev.dev.parent = parent;
	host->test = test;
	host->features = BIT_ULL(VIRTIO_F_VERSION_1);
	host->ring_size = 128;
	host->spare = ULONG_MAX;
	host->available = ULONG_MAX / 8;
	host->sample.inactive = 100000;
	host->max_order = NR_PAGE_ORDERS;
	/* It returns statistics only when it wants new ones. */
	host->holds[FAKE_STATS] = true;
	init_completion(&host->released);
	mutex_init(&host->lock);
	spin_lock_init(&host->iotlb_lock);
	INIT_LIST_HEAD(&host->log);
	INIT_LIST_HEAD(&host->isolated);
	xa_init(&host->model);
	xa_init(&host->taken);
	host->iotlb = vhost_iotlb_alloc(2, 0);
	if (!host->iotlb) {
		kfree(host);
		KUNIT_FAIL_AND_ABORT(test, "no memory for the IOTLB");
	}
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, fake_host_destroy,
						  host));
	return host;
}

static unsigned long fake_host_target(struct fake_host *host)
{
	return balloon_to_guest_pages(le32_to_cpu(host->config.num_pages));
}

/*
 * fake_host_expect_gone() checks that this reference is the last one. With a
 * target of 0, the stubs are active before the kthread's first allocation.
 */
static bool fake_host_adopt(struct fake_host *host)
{
	if (!host->vdev.priv)
		return false;

	host->bd = host->vdev.priv;
	balloon_device_get(host->bd);
	host->bd->thread.task->kunit_test = host->test;
	fake_host_await(host, fake_host_arrived(host, fake_host_target(host)));
	return true;
}

static unsigned long fake_host_ballooned(void)
{
	return fake_host_events(BALLOON_INFLATE) -
	       fake_host_events(BALLOON_DEFLATE);
}

/* The driver must have left nothing behind. */
static void fake_host_expect_gone(struct fake_host *host)
{
	struct balloon_device *bd = host->bd;
	struct kunit *test = host->test;

	KUNIT_EXPECT_NULL(test, host->vdev.priv);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_INFLATE].vq);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_STATS].vq);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_HINTING].vq);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_REPORTING].vq);
	if (!host->shares_guest) {
		KUNIT_EXPECT_EQ(test, totalram_pages(), host->managed);
		KUNIT_EXPECT_EQ(test, fake_host_ballooned(), host->ballooned);
	}
	if (!bd)
		return;

	/* The driver has reset the device, and the core has acknowledged it. */
	KUNIT_EXPECT_EQ(test, host->status, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	KUNIT_EXPECT_EQ(test, kref_read(&bd->kref), 1);
	KUNIT_EXPECT_EQ(test, balloon_refs(&bd->ledger), 0);
	KUNIT_EXPECT_EQ(test, bd->ledger.nr_unconfirmed, 0);
	KUNIT_EXPECT_EQ(test, bd->ledger.nr_canary, 0);
	KUNIT_EXPECT_EQ(test, bd->pool.nr_free, BALLOON_BATCHES);
	KUNIT_EXPECT_EQ(test, bd->hinting.posted, 0);
	KUNIT_EXPECT_EQ(test, bd->hints.nr_lent, 0);
	KUNIT_EXPECT_NULL(test, bd->hints.shrinker);
	KUNIT_EXPECT_FALSE(test, bd->reporting.registered);
	fake_host_check(host);
	fake_host_expect_released(host);
	host->bd = NULL;
	balloon_device_put(bd);
}

/**
 * fake_host_plug - plug the device in
 * @host: the host
 *
 * Return: whether the driver is bound to it.
 */
bool fake_host_plug(struct fake_host *host)
{
	struct kunit *test = host->test;

	KUNIT_ASSERT_EQ(test, 0,
			vhost_iotlb_add_range(host->iotlb, 0, ULONG_MAX, 0,
					      VHOST_MAP_RW));

	host->managed = totalram_pages();
	host->ballooned = fake_host_ballooned();
	host->ops = fake_host_ops;
	if (host->without_config_get)
		host->ops.get = NULL;
	host->vdev.config = &host->ops;
	host->vdev.id.device = VIRTIO_ID_BALLOON;
	host->vdev.dev.release = fake_host_vdev_release;

	if (!host->lends_nothing)
		kunit_activate_static_stub(test, balloon_alloc_block,
					   fake_host_alloc_block);
	if (!host->lends_nothing)
		kunit_activate_static_stub(test, balloon_alloc_canary,
					   fake_host_alloc_canary);
	kunit_activate_static_stub(test, balloon_zone_is_starved,
				   fake_host_is_starved);
	kunit_activate_static_stub(test, balloon_guest_is_fragmented,
				   fake_host_is_fragmented);
	kunit_activate_static_stub(test, balloon_available,
				   fake_host_available);
	kunit_activate_static_stub(test, balloon_spare, fake_host_spare);
	kunit_activate_static_stub(test, balloon_sample_read,
				   fake_host_read_sample);
	KUNIT_ASSERT_EQ(test, 0, register_virtio_device(&host->vdev));
	host->plugged = true;
	return fake_host_adopt(host);
}

/**
 * fake_host_start - create a host, plug it in, and check that the driver binds
 * @test: the test
 * @features: features that it offers besides VERSION_1
 */
struct fake_host *fake_host_start(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_create(test);

	host->features |= features;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	return host;
}

/**
 * fake_host_unplug - pull the device and check that the driver leaves nothing
 * @host: the host
 *
 * The end of the test also does this, if the test has not.
 */
void fake_host_unplug(struct fake_host *host)
{
	host->plugged = false;
	unregister_virtio_device(&host->vdev);
	wait_for_completion(&host->released);
	fake_host_expect_gone(host);
}

/**
 * fake_host_unbind - unbind the driver, as rmmod does, and leave the device
 * @host: the host
 */
void fake_host_unbind(struct fake_host *host)
{
	device_release_driver(&host->vdev.dev);
	fake_host_expect_gone(host);
}

/**
 * fake_host_bind - bind the driver to the device again
 * @host: the host
 *
 * Return: whether the driver is bound to it.
 */
bool fake_host_bind(struct fake_host *host)
{
	host->config.num_pages = 0;
	KUNIT_EXPECT_GE(host->test, device_attach(&host->vdev.dev), 0);
	return fake_host_adopt(host);
}

/* Has the kthread left its CPU to sleep, and not by preemption? */
static bool fake_host_blocked(struct fake_host *host, unsigned int state)
{
	struct task_struct *thread = host->bd->thread.task;

	return (!READ_ONCE(thread->on_rq) ||
		READ_ONCE(thread->se.sched_delayed)) &&
	       READ_ONCE(thread->__state) & state;
}

/**
 * fake_host_asleep - has the kthread done everything that it can do now?
 * @host: the host
 *
 * Each event wakes the kthread at once, so a kthread that sleeps has seen all
 * events. A kthread that waits for a lock or for RCU does not count as asleep.
 */
bool fake_host_asleep(struct fake_host *host)
{
	return fake_host_blocked(host, TASK_INTERRUPTIBLE) &&
	       !test_bit(BALLOON_CONFIG_CHANGED, &host->bd->flags);
}

/**
 * fake_host_waits_for_page - does the kthread wait for a page's lock?
 * @host: the host
 */
bool fake_host_waits_for_page(struct fake_host *host)
{
	return fake_host_blocked(host, TASK_UNINTERRUPTIBLE) &&
	       !test_bit(BALLOON_CONFIG_CHANGED, &host->bd->flags);
}

/**
 * fake_host_arrived - has the balloon reached its target?
 * @host: the host
 * @guest_pages: the target
 */
bool fake_host_arrived(struct fake_host *host, unsigned long guest_pages)
{
	struct balloon_device *bd = host->bd;

	return fake_host_asleep(host) &&
	       READ_ONCE(bd->config.state) == BALLOON_IDLE &&
	       READ_ONCE(bd->config.target) == guest_pages &&
	       balloon_size(&bd->ledger) == guest_pages &&
	       fake_host_actual(host) == guest_pages;
}

/**
 * fake_host_holds_for - does the kthread sleep below the target?
 * @host: the host
 * @reason: the reason to hold
 */
bool fake_host_holds_for(struct fake_host *host, enum balloon_hold reason)
{
	struct balloon_device *bd = host->bd;

	return fake_host_asleep(host) &&
	       READ_ONCE(bd->config.state) == BALLOON_HOLDING &&
	       READ_ONCE(bd->config.hold) == reason &&
	       fake_host_actual(host) == balloon_size(&bd->ledger);
}

/**
 * fake_host_pass_time - let the fake clock run
 * @jiffies_to_pass: how long
 */
void fake_host_pass_time(unsigned long jiffies_to_pass)
{
	schedule_timeout_uninterruptible(jiffies_to_pass);
}

/**
 * fake_host_reach - set a target and check that the balloon reaches it exactly
 * @host: a host that answers
 * @guest_pages: the target
 */
void fake_host_reach(struct fake_host *host, unsigned long guest_pages)
{
	fake_host_set_target(host, guest_pages);
	fake_host_await(host, fake_host_arrived(host, guest_pages));
	KUNIT_EXPECT_EQ(host->test, host->nr_inflated,
			guest_pages * BALLOON_PER_GUEST_PAGE);
	fake_host_check(host);
}

/*
 * Returns whether @page has both marks, and checks that they lead to its
 * balloon. A hinted block is only PG_offline: mm cannot move it.
 */
static bool fake_host_marked(struct fake_host *host, struct page *page)
{
	struct balloon_device *bd = host->bd;

	if (PageOffline(page) && !__PageMovable(page)) {
		KUNIT_EXPECT_TRUE(host->test, balloon_hints_lent(&bd->hints));
		return false;
	}
	if (!PageOffline(page)) {
		KUNIT_EXPECT_TRUE(host->test, !__PageMovable(page) ||
				  !page_movable_ops(page));
		return false;
	}
	KUNIT_EXPECT_TRUE(host->test, __PageMovable(page) &&
			  page_movable_ops(page));
	KUNIT_EXPECT_TRUE(host->test, balloon_page_mapping(page) == &bd->ledger.bm ||
			  balloon_page_mapping(page) == &bd->trial.bm);
	return true;
}

/**
 * fake_host_check - check the driver's counters
 * @host: the host
 *
 * The five states add up to the references. The list matches its counter. The
 * marked pages are those that mm may move.
 */
void fake_host_check(struct fake_host *host)
{
	struct balloon_device *bd = host->bd;
	struct kunit *test = host->test;
	unsigned long pfn, listed = 0, marked = 0, held;
	struct page *page;
	bool adds_up;

	spin_lock(&bd->ledger.bm.pages_lock);
	adds_up = balloon_counts_add_up(&bd->ledger);
	list_for_each_entry(page, &bd->ledger.bm.pages, lru)
		listed++;
	held = bd->ledger.bm.nr_resident + bd->ledger.bm.nr_isolated +
	       balloon_trial_size_roughly(bd);
	spin_unlock(&bd->ledger.bm.pages_lock);

	xa_for_each(&host->taken, pfn, page)
		marked += fake_host_marked(host, page);

	KUNIT_EXPECT_TRUE(test, adds_up);
	KUNIT_EXPECT_EQ(test, listed, bd->ledger.bm.nr_resident);
	if (!host->lends_nothing)
		KUNIT_EXPECT_EQ(test, marked, held);
}

/* Guest pages in one of the states that the driver counts itself. */
unsigned long balloon_state_pages(struct balloon_device *bd,
				  enum balloon_page_state state)
{
	unsigned long nr;

	spin_lock(&bd->ledger.bm.pages_lock);
	nr = bd->ledger.nr_pages[state];
	spin_unlock(&bd->ledger.bm.pages_lock);
	return nr;
}
