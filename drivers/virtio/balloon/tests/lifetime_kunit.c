// SPDX-License-Identifier: GPL-2.0
/*
 * Probe, remove, freeze, restore, shutdown, and the sysfs files.
 *
 * fake_host_unplug() and fake_host_unbind() check for every test that the
 * driver leaves no page, no batch and no reference.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/freezer.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/reboot.h>
#include <linux/sysfs.h>
#include <linux/virtio_ring.h>

#include "../sysfs.h"
#include "fake_host.h"

#define MUST_TELL_HOST	BIT_ULL(VIRTIO_BALLOON_F_MUST_TELL_HOST)
#define STATS_VQ	BIT_ULL(VIRTIO_BALLOON_F_STATS_VQ)
#define DEFLATE_ON_OOM	BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)
#define HINTING		BIT_ULL(VIRTIO_BALLOON_F_FREE_PAGE_HINT)
#define REPORTING	BIT_ULL(VIRTIO_BALLOON_F_REPORTING)

static struct balloon_device *probed;

/* A step of probe that fails and keeps a reference to the balloon. */
static int fail_step(struct balloon_device *bd)
{
	balloon_device_get(bd);
	probed = bd;
	return -ENOMEM;
}

static void expect_probe_fails(struct fake_host *host)
{
	struct kunit *test = host->test;

	host->features |= STATS_VQ | DEFLATE_ON_OOM;
	KUNIT_EXPECT_FALSE(test, fake_host_plug(host));
	KUNIT_EXPECT_TRUE(test, host->status & VIRTIO_CONFIG_S_FAILED);
	KUNIT_EXPECT_FALSE(test, host->status & VIRTIO_CONFIG_S_DRIVER_OK);
	KUNIT_EXPECT_NULL(test, host->vdev.priv);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_INFLATE].vq);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_STATS].vq);
}

static void expect_only_reference(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, kref_read(&probed->kref), 1);
	balloon_device_put(probed);
}

static void probe_without_batches(struct kunit *test)
{
	kunit_activate_static_stub(test, balloon_batches_alloc, fail_step);
	expect_probe_fails(fake_host_create(test));
	expect_only_reference(test);
}

static void probe_without_stats_buffer(struct kunit *test)
{
	kunit_activate_static_stub(test, balloon_stats_alloc, fail_step);
	expect_probe_fails(fake_host_create(test));
	expect_only_reference(test);
}

static void probe_without_queues(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->find_vqs_err = -ENOENT;
	expect_probe_fails(host);
}

static void probe_without_thread(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	kunit_activate_static_stub(test, balloon_thread_start, fail_step);
	expect_probe_fails(host);
	expect_only_reference(test);
	/* One reset before probe, and one of the device that probe started. */
	KUNIT_EXPECT_EQ(test, host->nr_resets, 2);
}

static void probe_without_oom_notifier(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	kunit_activate_static_stub(test, balloon_oom_start, fail_step);
	expect_probe_fails(host);
	expect_only_reference(test);
}

static void probe_without_restraint(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	kunit_activate_static_stub(test, balloon_restraint_start, fail_step);
	expect_probe_fails(host);
	expect_only_reference(test);
}

static void probe_without_memory_notifier(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	kunit_activate_static_stub(test, balloon_hotplug_start, fail_step);
	expect_probe_fails(host);
	expect_only_reference(test);
}

static void probe_without_config_access(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->without_config_get = true;
	KUNIT_EXPECT_FALSE(test, fake_host_plug(host));
	KUNIT_EXPECT_TRUE(test, host->status & VIRTIO_CONFIG_S_FAILED);
}

static void probe_again_after_failure(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->find_vqs_err = -ENOENT;
	KUNIT_EXPECT_FALSE(test, fake_host_plug(host));
	host->find_vqs_err = 0;
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	fake_host_reach(host, 100);
}

/* The host has set the target before the driver binds. */
static void probe_finds_target(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->lends_nothing = true;
	host->config.num_pages = cpu_to_le32(guest_to_balloon_pages(200));
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 200 * BALLOON_PER_GUEST_PAGE);
	fake_host_reach(host, 0);
}

/* The device still has the `actual` of an earlier driver that crashed. */
static void probe_corrects_stale_actual(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->config.actual = cpu_to_le32(12345);
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	KUNIT_EXPECT_EQ(test, le32_to_cpu(host->config.actual), 0);
	KUNIT_EXPECT_EQ(test, host->nr_reports, 1);
}

static void remove_idle(struct kunit *test)
{
	fake_host_unplug(fake_host_start(test, STATS_VQ | DEFLATE_ON_OOM));
}

static void remove_inflated(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_start(test, features);

	fake_host_reach(host, 5000);
	fake_host_unplug(host);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
	KUNIT_EXPECT_EQ(test, fake_host_actual(host), 0);
}

static void remove_gives_all_back(struct kunit *test)
{
	remove_inflated(test, 0);
}

static void remove_gives_all_back_must_tell_host(struct kunit *test)
{
	remove_inflated(test, MUST_TELL_HOST | STATS_VQ | DEFLATE_ON_OOM);
}

static void remove_while_inflating(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	host->max_order = 0;
	fake_host_set_target(host, 20000);
	fake_host_await(host, fake_host_got(host) > 700);
	fake_host_unplug(host);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

static void remove_while_deflating(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 5000);
	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 0);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE));
	fake_host_answer_all(host);
	fake_host_unplug(host);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
}

/* Removal with pages that no message has named yet. */
static void remove_with_private_pages(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 300);
	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 100);
	fake_host_await(host, balloon_size(&host->bd->ledger) == 100 &&
			fake_host_asleep(host));
	fake_host_set_target(host, 900);
	fake_host_await(host, balloon_state_pages(host->bd,
						  BALLOON_PAGE_PRIVATE) > 500 &&
			fake_host_asleep(host));
	/* The kthread stops before it can react to the answer. */
	fake_host_answer_all(host);
	fake_host_unplug(host);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_INFLATE].nr_messages, 2);
}

/*
 * The kthread of a dying balloon ignores an acknowledgment and sleeps. If it
 * looked again and again, the msleep() would never end in this kernel.
 */
static void thread_sleeps_while_dying(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	u64 ran;

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 100);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 1 &&
			fake_host_asleep(host));
	ran = bd->thread.task->se.sum_exec_runtime;
	set_bit(BALLOON_DYING, &bd->flags);
	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_INFLATE));
	balloon_event(bd);
	msleep(50);
	KUNIT_EXPECT_LT(test, bd->thread.task->se.sum_exec_runtime - ran,
			10 * NSEC_PER_MSEC);
	KUNIT_EXPECT_TRUE(test, fake_host_asleep(host));

	clear_bit(BALLOON_DYING, &bd->flags);
	balloon_event(bd);
	fake_host_await(host, fake_host_arrived(host, 100));
}

/* Shutdown resets the device at once, and the kthread stops its work. */
static void shut_down(struct kunit *test, unsigned long from, unsigned long to)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ | HINTING);
	unsigned int inflates, deflates;
	unsigned long since;

	fake_host_reach(host, from);
	fake_host_set_command(host, 7);
	host->holds[FAKE_INFLATE] = true;
	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, to);
	fake_host_await(host, fake_host_unanswered(host, from < to ?
						   FAKE_INFLATE :
						   FAKE_DEFLATE));
	since = jiffies;
	host->bd->reboot.notifier_call(&host->bd->reboot, SYS_POWER_OFF, NULL);
	KUNIT_EXPECT_LT(test, jiffies - since, HZ / 10);
	KUNIT_EXPECT_EQ(test, host->nr_resets, 2);
	KUNIT_EXPECT_EQ(test, host->status, 0);
	fake_host_await(host, !task_is_running(host->bd->thread.task));
	inflates = host->queues[FAKE_INFLATE].nr_messages;
	deflates = host->queues[FAKE_DEFLATE].nr_messages;
	balloon_event(host->bd);
	schedule_timeout_uninterruptible(5 * HZ);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_INFLATE].nr_messages, inflates);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_DEFLATE].nr_messages, deflates);
	fake_host_unplug(host);
}

static void shut_down_while_inflating(struct kunit *test)
{
	shut_down(test, 500, 5000);
}

static void shut_down_while_deflating(struct kunit *test)
{
	shut_down(test, 5000, 500);
}

#ifdef CONFIG_PM_SLEEP
/* The guest stays awake until the driver has served the host's request. */
static void host_keeps_guest_awake(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	struct balloon_device *bd = host->bd;
	struct device *dev = &host->vdev.dev;

	KUNIT_EXPECT_TRUE(test, device_can_wakeup(dev));
	KUNIT_EXPECT_FALSE(test, device_may_wakeup(dev));
	KUNIT_ASSERT_EQ(test, device_wakeup_enable(dev), 0);
	KUNIT_EXPECT_FALSE(test, dev->power.wakeup->active);
	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 500);
	KUNIT_EXPECT_TRUE(test, dev->power.wakeup->active);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) &&
			fake_host_asleep(host));
	KUNIT_EXPECT_TRUE(test, dev->power.wakeup->active);
	/* A silent host no longer keeps the guest awake. */
	schedule_timeout_uninterruptible(3 * BALLOON_LOOK_AGAIN);
	KUNIT_EXPECT_FALSE(test, dev->power.wakeup->active);
	fake_host_set_target(host, 600);
	KUNIT_EXPECT_TRUE(test, dev->power.wakeup->active);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 600));
	KUNIT_EXPECT_FALSE(test, dev->power.wakeup->active);

	KUNIT_EXPECT_TRUE(test, fake_host_answer(host, FAKE_STATS));
	KUNIT_EXPECT_TRUE(test, dev->power.wakeup->active);
	flush_work(&bd->stats.work);
	KUNIT_EXPECT_FALSE(test, dev->power.wakeup->active);
	fake_host_unbind(host);
	KUNIT_EXPECT_FALSE(test, device_can_wakeup(dev));
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
}
#else
static void host_keeps_guest_awake(struct kunit *test)
{
	kunit_skip(test, "needs PM_SLEEP");
}
#endif

/* Each subset of the features has exactly its own queues. */
static void probe_with_features(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_create(test);
	bool reports = features & REPORTING;

	host->features |= features;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	KUNIT_EXPECT_EQ(test, !!host->queues[FAKE_STATS].vq,
			!!(features & STATS_VQ));
	KUNIT_EXPECT_EQ(test, !!host->queues[FAKE_HINTING].vq,
			!!(features & HINTING));
	KUNIT_EXPECT_EQ(test, !!host->queues[FAKE_REPORTING].vq, reports);
	KUNIT_EXPECT_EQ(test, host->bd->reporting.registered, reports);
	fake_host_reach(host, 50);
	fake_host_needs_reset(host);
	fake_host_await(host, fake_host_recovered(host, 1, 50));
	if (features & STATS_VQ)
		fake_host_await(host,
				host->queues[FAKE_STATS].nr_messages == 2);
	fake_host_reach(host, 5);
	fake_host_unplug(host);
}

static void probe_with_all_subsets_of_features(struct kunit *test)
{
	static const u64 features[] = {
		MUST_TELL_HOST, STATS_VQ, DEFLATE_ON_OOM, HINTING, REPORTING,
		BIT_ULL(VIRTIO_RING_F_EVENT_IDX),
	};
	unsigned int subset, i;
	u64 some;

	for (subset = 0; subset < 1U << ARRAY_SIZE(features); subset++) {
		some = 0;
		for (i = 0; i < ARRAY_SIZE(features); i++)
			if (subset & BIT(i))
				some |= features[i];
		probe_with_features(test, some);
	}
}

static void unbind_and_bind_again(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		fake_host_reach(host, 1500);
		fake_host_unbind(host);
		KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	}
	fake_host_reach(host, 1500);
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 4);
}

/* A reference keeps the struct alive, but no page of the balloon. */
static void reference_outlives_device(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;

	/* References: the driver's, the kthread's and the test's. */
	KUNIT_EXPECT_EQ(test, kref_read(&bd->kref), 3);
	fake_host_reach(host, 100);
	KUNIT_EXPECT_EQ(test, kref_read(&bd->kref), 3);
}

#ifdef CONFIG_PM_SLEEP
/*
 * Freezes the kthread only. freeze_kernel_threads() would also wait for the
 * task that waits for the end of the test.
 */
static void freeze_thread(struct fake_host *host)
{
	static_branch_inc(&freezer_active);
	pm_nosig_freezing = true;
	freeze_task(host->bd->thread.task);
	fake_host_await(host, frozen(host->bd->thread.task));
}

static void thaw_thread(void)
{
	thaw_kernel_threads();
	static_branch_dec(&freezer_active);
}

static void freeze_and_restore(struct kunit *test, u64 features)
{
	struct fake_host *host = fake_host_start(test, features);
	unsigned long managed = totalram_pages();

	fake_host_reach(host, 2000);
	freeze_thread(host);
	KUNIT_EXPECT_EQ(test, virtio_device_freeze(&host->vdev), 0);
	KUNIT_EXPECT_EQ(test, host->nr_inflated_at_reset, 0);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 0);
	KUNIT_EXPECT_EQ(test, totalram_pages(), managed);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_INFLATE].vq);
	fake_host_check(host);

	KUNIT_EXPECT_EQ(test, virtio_device_restore(&host->vdev), 0);
	KUNIT_EXPECT_EQ(test, balloon_refs(&host->bd->ledger), 0);
	thaw_thread();
	fake_host_await(host, fake_host_arrived(host, 2000));
	KUNIT_EXPECT_EQ(test, host->nr_inflated, 2000 * BALLOON_PER_GUEST_PAGE);
	fake_host_reach(host, 3000);
	fake_host_isolate(host);
	putback_movable_pages(&host->isolated);
	fake_host_reach(host, 7);
}

static void freeze_gives_all_back(struct kunit *test)
{
	freeze_and_restore(test, STATS_VQ);
}

static void freeze_gives_all_back_must_tell_host(struct kunit *test)
{
	freeze_and_restore(test, MUST_TELL_HOST | DEFLATE_ON_OOM);
}

/* The host may have forgotten everything during the suspend. */
static void restore_tells_all_again(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);
	unsigned int stats;

	fake_host_reach(host, 2000);
	stats = host->queues[FAKE_STATS].nr_messages;
	freeze_thread(host);
	KUNIT_EXPECT_EQ(test, virtio_device_freeze(&host->vdev), 0);
	host->config.actual = cpu_to_le32(0);
	fake_host_set_target(host, 1500);
	KUNIT_EXPECT_EQ(test, virtio_device_restore(&host->vdev), 0);
	thaw_thread();
	fake_host_await(host, fake_host_arrived(host, 1500));
	KUNIT_EXPECT_EQ(test, host->nr_canaries, 2);
	fake_host_await(host, host->queues[FAKE_STATS].nr_messages > stats);
}

/* After the resume, the device may be another one that works. */
static void restore_revives_dead_balloon(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	fake_host_reach(host, 500);
	host->insists = BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	fake_host_needs_reset(host);
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_DEAD);
	freeze_thread(host);
	KUNIT_EXPECT_EQ(test, virtio_device_freeze(&host->vdev), 0);
	host->insists = 0;
	KUNIT_EXPECT_EQ(test, virtio_device_restore(&host->vdev), 0);
	thaw_thread();
	fake_host_await(host, fake_host_arrived(host, 500));
}

/* If restore fails, the kthread tries again. */
static void restore_without_queues(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, STATS_VQ);

	fake_host_reach(host, 500);
	freeze_thread(host);
	KUNIT_EXPECT_EQ(test, virtio_device_freeze(&host->vdev), 0);
	host->find_vqs_err = -ENOENT;
	KUNIT_EXPECT_EQ(test, virtio_device_restore(&host->vdev), 0);
	thaw_thread();
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_RECOVERING &&
			fake_host_asleep(host));
	host->find_vqs_err = 0;
	fake_host_await(host, fake_host_recovered(host, 1, 500));
	/* The driver also still gets configuration changes. */
	fake_host_reach(host, 600);
	fake_host_unplug(host);
}
#else
static void freeze_gives_all_back(struct kunit *test)
{
	kunit_skip(test, "needs PM_SLEEP");
}

#define freeze_gives_all_back_must_tell_host	freeze_gives_all_back
#define restore_tells_all_again			freeze_gives_all_back
#define restore_revives_dead_balloon		freeze_gives_all_back
#define restore_without_queues			freeze_gives_all_back
#endif

static void expect_file(struct fake_host *host, const char *name,
			const char *content)
{
	struct attribute **attr = balloon_groups[0]->attrs;
	struct kunit *test = host->test;
	struct device_attribute *file;
	char *page;

	KUNIT_EXPECT_STREQ(test, balloon_groups[0]->name, "balloon");
	while (*attr && strcmp((*attr)->name, name))
		attr++;
	KUNIT_ASSERT_NOT_NULL_MSG(test, *attr, "%s", name);
	file = container_of(*attr, struct device_attribute, attr);

	page = (char *)get_zeroed_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);
	file->show(&host->vdev.dev, file, page);
	KUNIT_EXPECT_STREQ_MSG(test, page, content, "%s", name);
	free_page((unsigned long)page);
}

static void expect_kib(struct fake_host *host, const char *name,
		       unsigned long guest_pages)
{
	char content[32];

	snprintf(content, sizeof(content), "%lu\n",
		 guest_pages * (PAGE_SIZE / 1024));
	expect_file(host, name, content);
}

static void sysfs_shows_sizes(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	fake_host_reach(host, 300);
	expect_kib(host, "target_kib", 300);
	expect_kib(host, "actual_kib", 300);
	expect_kib(host, "isolated_kib", 0);
	expect_file(host, "retry_delay_ms", "0\n");

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 500);
	fake_host_await(host, balloon_size(&host->bd->ledger) == 500 &&
			fake_host_asleep(host));
	expect_kib(host, "target_kib", 500);
	expect_kib(host, "actual_kib", 300);
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 500));
}

static void sysfs_shows_states(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, MUST_TELL_HOST);

	expect_file(host, "state", "idle\n");
	expect_file(host, "hold_reason", "none\n");

	host->holds[FAKE_INFLATE] = true;
	fake_host_set_target(host, 500);
	fake_host_await(host, fake_host_unanswered(host, FAKE_INFLATE) == 2 &&
			fake_host_asleep(host));
	expect_file(host, "state", "inflating\n");
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 500));

	host->holds[FAKE_DEFLATE] = true;
	fake_host_set_target(host, 0);
	fake_host_await(host, fake_host_unanswered(host, FAKE_DEFLATE) == 2 &&
			fake_host_asleep(host));
	expect_file(host, "state", "deflating\n");
	fake_host_answer_all(host);
	fake_host_await(host, fake_host_arrived(host, 0));

	host->spare = 0;
	fake_host_set_target(host, 500);
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_HOLDING);
	expect_file(host, "state", "holding\n");
	expect_file(host, "hold_reason", "allocation\n");
	expect_file(host, "retry_delay_ms", "100\n");

	host->find_vqs_err = -EIO;
	fake_host_needs_reset(host);
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_RECOVERING);
	expect_file(host, "state", "recovering\n");
	expect_file(host, "hold_reason", "none\n");
	host->pulled = true;
	fake_host_await(host, READ_ONCE(host->bd->config.state) == BALLOON_DEAD);
	expect_file(host, "state", "dead\n");
	host->pulled = false;
}

static struct kunit_case lifetime_cases[] = {
	KUNIT_CASE(probe_without_batches),
	KUNIT_CASE(probe_without_stats_buffer),
	KUNIT_CASE(probe_without_queues),
	KUNIT_CASE(probe_without_thread),
	KUNIT_CASE(probe_without_oom_notifier),
	KUNIT_CASE(probe_without_restraint),
	KUNIT_CASE(probe_without_memory_notifier),
	KUNIT_CASE(probe_without_config_access),
	KUNIT_CASE(probe_again_after_failure),
	KUNIT_CASE(probe_finds_target),
	KUNIT_CASE(probe_corrects_stale_actual),
	KUNIT_CASE(remove_idle),
	KUNIT_CASE(remove_gives_all_back),
	KUNIT_CASE(remove_gives_all_back_must_tell_host),
	KUNIT_CASE(remove_while_inflating),
	KUNIT_CASE(remove_while_deflating),
	KUNIT_CASE(remove_with_private_pages),
	KUNIT_CASE(thread_sleeps_while_dying),
	KUNIT_CASE_SLOW(shut_down_while_inflating),
	KUNIT_CASE_SLOW(shut_down_while_deflating),
	KUNIT_CASE_SLOW(host_keeps_guest_awake),
	KUNIT_CASE_SLOW(probe_with_all_subsets_of_features),
	KUNIT_CASE(unbind_and_bind_again),
	KUNIT_CASE(reference_outlives_device),
	KUNIT_CASE(freeze_gives_all_back),
	KUNIT_CASE(freeze_gives_all_back_must_tell_host),
	KUNIT_CASE(restore_tells_all_again),
	KUNIT_CASE(restore_revives_dead_balloon),
	KUNIT_CASE(restore_without_queues),
	KUNIT_CASE(sysfs_shows_sizes),
	KUNIT_CASE(sysfs_shows_states),
	{}
};

static struct kunit_suite lifetime_suite = {
	.name = "virtio_balloon_lifetime",
	.test_cases = lifetime_cases,
};

kunit_test_suite(lifetime_suite);
