// SPDX-License-Identifier: GPL-2.0
/*
 * Free page reporting. If mm reports by itself, the fake host fails a test
 * whose blocks are free again before the acknowledgment. A test that checks the
 * end of a report makes the report in place of mm.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/pageblock-flags.h>
#include <linux/scatterlist.h>
#include <linux/suspend.h>
#include <linux/virtio_ring.h>

#include "fake_host.h"

#define HINTING		BIT_ULL(VIRTIO_BALLOON_F_FREE_PAGE_HINT)
#define REPORTING	BIT_ULL(VIRTIO_BALLOON_F_REPORTING)

#define PATIENCE	msecs_to_jiffies(BALLOON_HOST_PATIENCE_MS)
#define BLOCKS		3
#define BLOCK_ORDER	4

/* A report of the test, made by a work item as mm does it. */
struct report {
	struct work_struct work;
	struct fake_host *host;
	struct scatterlist sg[BLOCKS];
	bool ended;
	int err;
};

static void report_work(struct work_struct *work)
{
	struct report *report = container_of(work, struct report, work);
	struct page_reporting_dev_info *info = &report->host->bd->reporting.info;

	report->err = info->report(info, report->sg, BLOCKS);
	WRITE_ONCE(report->ended, true);
}

static void report_free(void *data)
{
	struct report *report = data;
	unsigned int i;

	flush_work(&report->work);
	for (i = 0; i < BLOCKS; i++)
		__free_pages(sg_page(&report->sg[i]), BLOCK_ORDER);
}

static struct report *report_of_test;

/* Replaces balloon_reporting_stop(): also waits for the report of the test. */
static void stop_report_of_test(struct balloon_device *bd)
{
	if (bd->reporting.registered) {
		page_reporting_unregister(&bd->reporting.info);
		unregister_pm_notifier(&bd->reporting.pm);
	}
	bd->reporting.registered = false;
	flush_work(&report_of_test->work);
}

/* Unregisters mm, so that only the test makes reports. */
static struct report *report_create(struct fake_host *host)
{
	struct kunit *test = host->test;
	struct report *report = kunit_kzalloc(test, sizeof(*report), GFP_KERNEL);
	struct page *block;
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, report);
	KUNIT_ASSERT_TRUE(test, host->bd->reporting.registered);
	page_reporting_unregister(&host->bd->reporting.info);
	report->host = host;
	report_of_test = report;
	kunit_activate_static_stub(test, balloon_reporting_stop,
				   stop_report_of_test);
	INIT_WORK(&report->work, report_work);
	sg_init_table(report->sg, BLOCKS);
	for (i = 0; i < BLOCKS; i++) {
		block = alloc_pages(GFP_KERNEL | __GFP_NOFAIL, BLOCK_ORDER);
		sg_set_page(&report->sg[i], block, PAGE_SIZE << BLOCK_ORDER, 0);
	}
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, report_free, report));
	return report;
}

static int report_end(struct report *report)
{
	flush_work(&report->work);
	KUNIT_EXPECT_TRUE(report->host->test, report->ended);
	return report->err;
}

/* Posts a report, and checks that it waits. */
static void report_begin(struct report *report)
{
	struct fake_host *host = report->host;

	host->holds[FAKE_REPORTING] = true;
	schedule_work(&report->work);
	fake_host_await(host, fake_host_unanswered(host, FAKE_REPORTING) == 1);
	schedule_timeout_uninterruptible(HZ / 5);
	KUNIT_EXPECT_FALSE(host->test, READ_ONCE(report->ended));
}

/* Frees a block, which mm reports some time later. */
static void free_a_block(struct kunit *test)
{
	struct page *block = alloc_pages(GFP_KERNEL | __GFP_NORETRY,
					 MAX_PAGE_ORDER);

	KUNIT_ASSERT_NOT_NULL(test, block);
	__free_pages(block, MAX_PAGE_ORDER);
}

static void reports_by_mm(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct fake_message *message;
	unsigned int i;

	KUNIT_EXPECT_TRUE(test, host->bd->reporting.registered);
	fake_host_reach(host, 1000);
	free_a_block(test);
	fake_host_await(host, host->queues[FAKE_REPORTING].nr_messages);
	message = fake_host_message(host, FAKE_REPORTING, 0);
	KUNIT_EXPECT_GT(test, message->nr, 0);
	KUNIT_EXPECT_LE(test, message->nr, PAGE_REPORTING_CAPACITY);
	for (i = 0; i < message->nr; i++) {
		KUNIT_EXPECT_GE(test, message->blocks[i].length,
				PAGE_SIZE << pageblock_order);
		KUNIT_EXPECT_LE(test, message->blocks[i].length,
				PAGE_SIZE << MAX_PAGE_ORDER);
	}
	fake_host_reach(host, 10);
}

/* Removal waits for mm's report, which waits for the host. */
static struct fake_host *host_to_answer;

static void answer_from_work(struct work_struct *work)
{
	host_to_answer->holds[FAKE_REPORTING] = false;
	while (fake_host_answer(host_to_answer, FAKE_REPORTING))
		;
}

static DECLARE_DELAYED_WORK(answer_work, answer_from_work);

static void reports_removed_while_unacked(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);
	unsigned long since;

	host->features |= REPORTING;
	host->holds[FAKE_REPORTING] = true;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	free_a_block(test);
	fake_host_await(host, fake_host_unanswered(host, FAKE_REPORTING) == 1);
	host_to_answer = host;
	since = jiffies;
	schedule_delayed_work(&answer_work, HZ / 2);
	fake_host_unplug(host);
	flush_delayed_work(&answer_work);
	KUNIT_EXPECT_GE(test, jiffies - since, HZ / 2);
	KUNIT_EXPECT_LT(test, jiffies - since, 2 * HZ);
}

/* mm accepts one reporter only. */
static void reports_by_another_device(struct kunit *test)
{
	struct fake_host *one = fake_host_start(test, REPORTING);
	struct fake_host *two = fake_host_start(test, REPORTING);

	one->shares_guest = true;
	two->shares_guest = true;
	KUNIT_EXPECT_TRUE(test, one->bd->reporting.registered);
	KUNIT_EXPECT_FALSE(test, two->bd->reporting.registered);
	fake_host_reach(two, 500);
	fake_host_unplug(two);
	fake_host_reach(one, 500);
	KUNIT_EXPECT_TRUE(test, one->bd->reporting.registered);
	fake_host_unplug(one);
}

/* A ring must have room for a whole report of mm. */
static void reports_need_a_ring(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);

	host->features |= REPORTING;
	host->ring_size = PAGE_REPORTING_CAPACITY / 2;
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	KUNIT_EXPECT_FALSE(test, host->bd->reporting.registered);
	fake_host_reach(host, 500);
}

static void reports_not_offered(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);

	KUNIT_EXPECT_NULL(test, host->queues[FAKE_REPORTING].vq);
	KUNIT_EXPECT_FALSE(test, host->bd->reporting.registered);
}

/* The host may discard the blocks until it acknowledges the report. */
static void report_ends_with_ack(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);
	struct fake_message *message;
	unsigned int i;

	report_begin(report);
	message = fake_host_last(host, FAKE_REPORTING);
	KUNIT_ASSERT_EQ(test, message->nr, BLOCKS);
	for (i = 0; i < BLOCKS; i++) {
		KUNIT_EXPECT_PTR_EQ(test, message->blocks[i].page,
				    sg_page(&report->sg[i]));
		KUNIT_EXPECT_EQ(test, message->blocks[i].length,
				PAGE_SIZE << BLOCK_ORDER);
	}
	/* Other events do not end the report. */
	virtio_config_changed(&host->vdev);
	fake_host_reach(host, 100);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(report->ended));
	fake_host_answer(host, FAKE_REPORTING);
	KUNIT_EXPECT_EQ(test, report_end(report), 0);
}

static void report_with_wrong_length(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);

	host->answer_length = U32_MAX;
	report_begin(report);
	fake_host_answer(host, FAKE_REPORTING);
	KUNIT_EXPECT_EQ(test, report_end(report), 0);
	fake_host_reach(host, 100);
}

/* Checks that the report ends after a reset, and that reporting goes on. */
static void expect_reports_recover(struct fake_host *host,
				   struct report *report)
{
	KUNIT_EXPECT_EQ(host->test, report_end(report), -EIO);
	KUNIT_EXPECT_GE(host->test, host->nr_resets, 2);
	fake_host_await(host, fake_host_recovered(host, 1, 0));
	host->holds[FAKE_REPORTING] = false;
	schedule_work(&report->work);
	KUNIT_EXPECT_EQ(host->test, report_end(report), 0);
	fake_host_reach(host, 100);
	fake_host_unplug(host);
}

/* A minute of silence delays reports and nothing else. */
static void report_of_silent_host(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);

	report_begin(report);
	schedule_timeout_uninterruptible(60 * HZ);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(report->ended));
	KUNIT_EXPECT_TRUE(test, host->bd->reporting.told_silent);
	KUNIT_EXPECT_EQ(test, host->nr_resets, 1);
	fake_host_reach(host, 100);
	fake_host_answer(host, FAKE_REPORTING);
	KUNIT_EXPECT_EQ(test, report_end(report), 0);
	fake_host_reach(host, 10);
}

/* The guest must be able to suspend: the driver resets the silent device. */
static void report_of_silent_host_at_suspend(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);
	struct notifier_block *nb = &host->bd->reporting.pm;

	report_begin(report);
	schedule_timeout_uninterruptible(30 * HZ);
	KUNIT_EXPECT_FALSE(test, READ_ONCE(report->ended));
	nb->notifier_call(nb, PM_SUSPEND_PREPARE, NULL);
	expect_reports_recover(host, report);
}

/* Only the waiting report can notice that the device was reset. */
static void report_of_host_that_forgets(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);

	report_begin(report);
	fake_host_forget_driver(host);
	expect_reports_recover(host, report);
}

/* Removal resets the device of a silent host at once. */
static void report_removed_while_silent(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);
	unsigned long since;

	report_begin(report);
	schedule_timeout_uninterruptible(30 * HZ);
	since = jiffies;
	fake_host_unplug(host);
	KUNIT_EXPECT_LT(test, jiffies - since, 2 * BALLOON_LOOK_AGAIN);
	KUNIT_EXPECT_EQ(test, report_end(report), -EIO);
}

static void report_with_wrong_id(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);

	report_begin(report);
	fake_host_answer_wrong_id(host, FAKE_REPORTING, U16_MAX);
	expect_reports_recover(host, report);
}

static void report_on_broken_queue(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);

	virtio_break_device(&host->vdev);
	schedule_work(&report->work);
	expect_reports_recover(host, report);
}

static void report_of_dying_balloon(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);
	struct report *report = report_create(host);

	set_bit(BALLOON_DYING, &host->bd->flags);
	schedule_work(&report->work);
	KUNIT_EXPECT_EQ(test, report_end(report), -ENODEV);
	KUNIT_EXPECT_EQ(test, host->queues[FAKE_REPORTING].nr_messages, 0);
	clear_bit(BALLOON_DYING, &host->bd->flags);
	fake_host_reach(host, 100);
}

#ifdef CONFIG_PM_SLEEP
/* The test does not freeze the kthread, which sleeps with a target of 0. */
static void reports_frozen_and_restored(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, REPORTING);

	KUNIT_EXPECT_EQ(test, virtio_device_freeze(&host->vdev), 0);
	KUNIT_EXPECT_FALSE(test, host->bd->reporting.registered);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_REPORTING].vq);
	KUNIT_EXPECT_EQ(test, virtio_device_restore(&host->vdev), 0);
	KUNIT_EXPECT_TRUE(test, host->bd->reporting.registered);
	fake_host_reach(host, 100);
}
#else
static void reports_frozen_and_restored(struct kunit *test)
{
	kunit_skip(test, "needs PM_SLEEP");
}
#endif

static struct balloon_device *probed;

static int fail_step(struct balloon_device *bd)
{
	balloon_device_get(bd);
	probed = bd;
	return -ENOMEM;
}

static int fail_amid_hints(struct balloon_device *bd)
{
	struct fake_host *host = to_fake_host(bd->vdev);

	fake_host_await(host, fake_host_unanswered(host, FAKE_HINTING) ==
			host->ring_size - 1);
	return fail_step(bd);
}

/* Reporting fails to start while hinting already waits for the host. */
static void reports_do_not_start(struct kunit *test)
{
	struct fake_host *host = fake_host_create(test);
	unsigned long since = jiffies;

	kunit_activate_static_stub(test, balloon_reporting_start,
				   fail_amid_hints);
	host->features |= HINTING | REPORTING;
	host->config.free_page_hint_cmd_id = cpu_to_le32(7);
	host->ring_size = 32;
	host->holds[FAKE_HINTING] = true;
	KUNIT_EXPECT_FALSE(test, fake_host_plug(host));
	KUNIT_EXPECT_TRUE(test, host->status & VIRTIO_CONFIG_S_FAILED);
	KUNIT_EXPECT_EQ(test, host->nr_resets, 2);
	KUNIT_EXPECT_LT(test, jiffies - since, BALLOON_LOOK_AGAIN);
	KUNIT_EXPECT_EQ(test, kref_read(&probed->kref), 1);
	KUNIT_EXPECT_EQ(test, probed->hinting.posted, 0);
	KUNIT_EXPECT_EQ(test, probed->hints.nr_lent, 0);
	KUNIT_EXPECT_NULL(test, probed->hints.shrinker);
	balloon_device_put(probed);

	/* Unplugging checks that the failed probe has left no block, too. */
	kunit_deactivate_static_stub(test, balloon_reporting_start);
	host->config.free_page_hint_cmd_id = 0;
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	fake_host_unplug(host);
}

static struct kunit_case reporting_cases[] = {
	KUNIT_CASE_SLOW(reports_by_mm),
	KUNIT_CASE_SLOW(reports_removed_while_unacked),
	KUNIT_CASE(reports_by_another_device),
	KUNIT_CASE(reports_need_a_ring),
	KUNIT_CASE(reports_not_offered),
	KUNIT_CASE(report_ends_with_ack),
	KUNIT_CASE(report_with_wrong_length),
	KUNIT_CASE_SLOW(report_of_silent_host),
	KUNIT_CASE_SLOW(report_of_silent_host_at_suspend),
	KUNIT_CASE_SLOW(report_of_host_that_forgets),
	KUNIT_CASE_SLOW(report_removed_while_silent),
	KUNIT_CASE(report_with_wrong_id),
	KUNIT_CASE(report_on_broken_queue),
	KUNIT_CASE(report_of_dying_balloon),
	KUNIT_CASE(reports_frozen_and_restored),
	KUNIT_CASE(reports_do_not_start),
	{}
};

static struct kunit_suite reporting_suite = {
	.name = "virtio_balloon_reporting",
	.test_cases = reporting_cases,
};

kunit_test_suite(reporting_suite);
