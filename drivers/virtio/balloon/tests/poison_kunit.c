// SPDX-License-Identifier: GPL-2.0
/*
 * F_PAGE_POISON. A guest decides at boot whether it writes to free pages. So a
 * stub makes the decision in these tests.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/poison.h>

#include "../poison.h"
#include "fake_host.h"

#define HINTING		BIT_ULL(VIRTIO_BALLOON_F_FREE_PAGE_HINT)
#define POISON		BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON)
#define REPORTING	BIT_ULL(VIRTIO_BALLOON_F_REPORTING)

#define UNTOLD		0x12345678

static bool does_poison(void)
{
	return true;
}

static bool does_not_poison(void)
{
	return false;
}

static struct fake_host *start(struct kunit *test, bool poisons, u64 features)
{
	struct fake_host *host = fake_host_create(test);

	if (poisons)
		kunit_activate_static_stub(test, balloon_guest_poisons,
					   does_poison);
	else
		kunit_activate_static_stub(test, balloon_guest_poisons,
					   does_not_poison);
	host->features |= features;
	host->config.poison_val = cpu_to_le32(UNTOLD);
	KUNIT_ASSERT_TRUE(test, fake_host_plug(host));
	return host;
}

static u32 value_told(struct fake_host *host)
{
	return le32_to_cpu(host->config.poison_val);
}

static u32 value_expected(void)
{
	return want_init_on_free() ? 0 : PAGE_POISON * 0x01010101U;
}

static void poison_of_this_guest(struct kunit *test)
{
	struct fake_host *host = fake_host_start(test, POISON | REPORTING);
	bool poisons = want_init_on_free() || page_poisoning_enabled_static();

	KUNIT_EXPECT_EQ(test, !!(host->vdev.features & POISON), poisons);
	KUNIT_EXPECT_EQ(test, host->nr_poison_vals, poisons ? 1 : 0);
	KUNIT_EXPECT_TRUE(test, host->vdev.features & REPORTING);
}

static void poison_declined(struct kunit *test)
{
	struct fake_host *host = start(test, false, POISON | REPORTING);

	KUNIT_EXPECT_FALSE(test, host->vdev.features & POISON);
	KUNIT_EXPECT_EQ(test, value_told(host), UNTOLD);
	KUNIT_EXPECT_TRUE(test, host->bd->reporting.registered);
}

/* The driver tells the device the value, so it may report free pages. */
static void poison_told(struct kunit *test)
{
	struct fake_host *host = start(test, true, POISON | REPORTING);

	KUNIT_EXPECT_TRUE(test, host->vdev.features & POISON);
	KUNIT_EXPECT_EQ(test, host->nr_poison_vals, 1);
	KUNIT_EXPECT_EQ(test, value_told(host), value_expected());
	KUNIT_EXPECT_TRUE(test, host->bd->reporting.registered);
	fake_host_reach(host, 100);
}

/*
 * Without F_PAGE_POISON the driver does not report. It still hints, because mm
 * poisons a hinted block when the driver frees it.
 */
static void poison_not_offered(struct kunit *test)
{
	struct fake_host *host = start(test, true, HINTING | REPORTING);

	KUNIT_EXPECT_FALSE(test, host->vdev.features & REPORTING);
	KUNIT_EXPECT_NULL(test, host->queues[FAKE_REPORTING].vq);
	KUNIT_EXPECT_FALSE(test, host->bd->reporting.registered);
	KUNIT_EXPECT_TRUE(test, host->vdev.features & HINTING);
	KUNIT_EXPECT_EQ(test, value_told(host), UNTOLD);
	fake_host_reach(host, 100);
}

#ifdef CONFIG_PM_SLEEP
/* The device forgets the value at its reset. */
static void poison_told_again(struct kunit *test)
{
	struct fake_host *host = start(test, true, POISON);

	KUNIT_EXPECT_EQ(test, virtio_device_freeze(&host->vdev), 0);
	host->config.poison_val = cpu_to_le32(UNTOLD);
	KUNIT_EXPECT_EQ(test, virtio_device_restore(&host->vdev), 0);
	KUNIT_EXPECT_EQ(test, host->nr_poison_vals, 2);
	KUNIT_EXPECT_EQ(test, value_told(host), value_expected());
}
#else
static void poison_told_again(struct kunit *test)
{
	kunit_skip(test, "needs PM_SLEEP");
}
#endif

static struct kunit_case poison_cases[] = {
	KUNIT_CASE(poison_of_this_guest),
	KUNIT_CASE(poison_declined),
	KUNIT_CASE(poison_told),
	KUNIT_CASE(poison_not_offered),
	KUNIT_CASE(poison_told_again),
	{}
};

static struct kunit_suite poison_suite = {
	.name = "virtio_balloon_poison",
	.test_cases = poison_cases,
};

kunit_test_suite(poison_suite);
