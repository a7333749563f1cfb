// SPDX-License-Identifier: GPL-2.0
/*
 * The floor that inflation leaves to the guest.
 */

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "../sysfs.h"
#include "fake_host.h"

#define DEFLATE_ON_OOM	BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM)

static unsigned long mib_to_pages(u64 mib)
{
	return mib << (20 - PAGE_SHIFT);
}

/* The floor at the ends of the linear pieces, in MiB. */
static void restraint_default_floor(struct kunit *test)
{
	static const struct {
		u64 size;
		u64 floor;
	} ends[] = {
		{ 0, 0 }, { 8, 4 }, { 32, 10 }, { 128, 22 }, { 512, 46 },
		{ 1024, 62 }, { 2048, 94 }, { 8192, 190 }, { 32768, 382 },
		{ 131072, 766 }, { 524288, 1534 }, { 64ULL << 20, 1534 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ends); i++)
		KUNIT_EXPECT_EQ_MSG(test,
				    balloon_default_floor(mib_to_pages(ends[i].size)),
				    mib_to_pages(ends[i].floor),
				    "floor of %llu MiB", ends[i].size);
	KUNIT_EXPECT_EQ(test, balloon_default_floor(ULONG_MAX),
			mib_to_pages(1534));
}

/* A larger guest has no lower floor. The floor is at most half of it. */
static void restraint_default_floor_is_monotonic(struct kunit *test)
{
	unsigned long floor, before = 0, size;

	for (size = 1; size < mib_to_pages(64ULL << 20); size += size / 7 + 1) {
		floor = balloon_default_floor(size);
		KUNIT_EXPECT_GE(test, floor, before);
		KUNIT_EXPECT_LE(test, floor, size / 2);
		before = floor;
	}
}

/* Restores the default, also if the test fails. */
static void restore_floor_mib(void *unused)
{
	balloon_floor_mib = -1;
}

static void restraint_floor_by_parameter(struct kunit *test)
{
	struct fake_host *host;

	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, restore_floor_mib,
						  NULL));
	KUNIT_EXPECT_EQ(test, balloon_floor_mib, -1);
	balloon_floor_mib = 77;
	host = fake_host_start(test, 0);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), mib_to_pages(77));

	fake_host_unbind(host);
	balloon_floor_mib = INT_MAX;
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), mib_to_pages(INT_MAX));

	fake_host_unbind(host);
	balloon_floor_mib = 0;
	KUNIT_ASSERT_TRUE(test, fake_host_bind(host));
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), 0);
}

static struct device_attribute *floor_file(struct kunit *test)
{
	struct attribute **attr = balloon_groups[0]->attrs;

	while (*attr && strcmp((*attr)->name, "floor_kib"))
		attr++;
	KUNIT_ASSERT_NOT_NULL(test, *attr);
	return container_of(*attr, struct device_attribute, attr);
}

static void restraint_floor_by_sysfs(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct device_attribute *file = floor_file(test);
	struct device *dev = &host->vdev.dev;
	char *page = (char *)kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, page);
	KUNIT_EXPECT_EQ(test, file->attr.mode, 0644);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd),
			balloon_default_floor(totalram_pages()));

	/* The floor is rounded up to whole pages. */
	KUNIT_EXPECT_EQ(test, file->store(dev, file, "4097\n", 5), 5);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd),
			4096 / (PAGE_SIZE >> 10) + 1);
	KUNIT_EXPECT_EQ(test, file->store(dev, file, "0", 1), 1);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), 0);
	file->show(dev, file, page);
	KUNIT_EXPECT_STREQ(test, page, "0\n");

	KUNIT_EXPECT_EQ(test, file->store(dev, file, "-1", 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, file->store(dev, file, "much", 4), -EINVAL);
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), 0);
}

/* The floor follows from the machine's memory, balloon included. */
static void restraint_balloon_does_not_lower_floor(struct kunit *test,
						   u64 features)
{
	struct fake_host *host = fake_host_start(test, features);
	unsigned long before = balloon_floor(host->bd);

	fake_host_reach(host, mib_to_pages(256));
	KUNIT_EXPECT_EQ(test, balloon_floor(host->bd), before);
}

static void restraint_floor_with_balloon(struct kunit *test)
{
	restraint_balloon_does_not_lower_floor(test, 0);
}

static void restraint_floor_with_balloon_in_managed_pages(struct kunit *test)
{
	restraint_balloon_does_not_lower_floor(test, DEFLATE_ON_OOM);
}

/* The kthread notices a new floor before its next try is due. */
static void restraint_changed_floor_is_noticed_at_once(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, 0);
	struct balloon_device *bd = host->bd;
	unsigned long since;

	balloon_set_floor(bd, ULONG_MAX / 4);	/* twice the available pages */
	fake_host_set_target(host, 500);
	fake_host_await(host, READ_ONCE(bd->thread.retry_delay_ms) == 1600 &&
			fake_host_asleep(host));
	KUNIT_EXPECT_EQ(test, fake_host_got(host), 0);

	since = jiffies;
	balloon_set_floor(bd, 0);
	fake_host_await(host, fake_host_arrived(host, 500));
	KUNIT_EXPECT_LT(test, jiffies - since, HZ / 2);
}

static struct kunit_case guest_cases[] = {
	KUNIT_CASE(restraint_default_floor),
	KUNIT_CASE(restraint_default_floor_is_monotonic),
	KUNIT_CASE(restraint_floor_by_parameter),
	KUNIT_CASE(restraint_floor_by_sysfs),
	KUNIT_CASE(restraint_floor_with_balloon),
	KUNIT_CASE(restraint_floor_with_balloon_in_managed_pages),
	KUNIT_CASE(restraint_changed_floor_is_noticed_at_once),
	{}
};

static struct kunit_suite guest_suite = {
	.name = "virtio_balloon_guest",
	.test_cases = guest_cases,
};

kunit_test_suite(guest_suite);
