// SPDX-License-Identifier: GPL-2.0
/*
 * How far the balloon may go.
 */

#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "fake_host.h"

static unsigned long mib_to_pages(u64 mib)
{
	return mib << (20 - PAGE_SHIFT);
}

/* At the end of each piece, in MiB. */
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

/* A larger guest keeps as much or more, and less of itself. */
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

static struct kunit_case restraint_cases[] = {
	KUNIT_CASE(restraint_default_floor),
	KUNIT_CASE(restraint_default_floor_is_monotonic),
	{}
};

static struct kunit_suite restraint_suite = {
	.name = "virtio_balloon_restraint",
	.test_cases = restraint_cases,
};

kunit_test_suite(restraint_suite);
