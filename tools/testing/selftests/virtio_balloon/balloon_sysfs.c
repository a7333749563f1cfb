// SPDX-License-Identifier: GPL-2.0
/*
 * The files of a balloon in sysfs, by Documentation/ABI/testing/sysfs-bus-virtio-balloon
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "balloon.h"

#define MAX_RETRY_DELAY_MS	20000UL

static const char * const sizes[] = {
	"target_kib", "actual_kib", "isolated_kib", "on_trial_kib", "lent_kib",
	"floor_kib",
};

static const char * const read_only[] = {
	"target_kib", "actual_kib", "isolated_kib", "on_trial_kib", "lent_kib",
	"state", "hold_reason", "retry_delay_ms",
};

static const char * const states[] = {
	"idle", "inflating", "deflating", "holding", "recovering", "dead",
};

static const char * const hold_reasons[] = {
	"none", "floor", "refault", "stall", "allocation",
};

static const char * const policies[] = { "full", "floor", "obey" };

/* The attribute group beside "balloon". */
#define STATISTICS "../balloon_statistics/"

static const char * const statistics[] = {
	STATISTICS "trials", STATISTICS "trials_failed",
	STATISTICS "recalled_kib", STATISTICS "given_floor_kib",
	STATISTICS "given_refault_kib", STATISTICS "given_stall_kib",
	STATISTICS "given_oom_kib", STATISTICS "held_floor_ms",
	STATISTICS "held_refault_ms", STATISTICS "held_stall_ms",
	STATISTICS "held_allocation_ms",
};

/* main() finds it, before any test is forked. */
static char device[BALLOON_TEXT];

static unsigned long page_kib(void)
{
	return sysconf(_SC_PAGESIZE) / 1024;
}

static bool is_one_of(const char *text, const char * const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(text, words[i]))
			return true;
	return false;
}

/* The state and the numbers do not contradict each other. */
static bool is_consistent(const struct balloon *now,
			  const struct balloon *before)
{
	if (now->isolated > now->actual)
		return false;
	if (!strcmp(now->state, "idle"))
		return now->actual == now->target;
	if (!strcmp(now->state, "holding"))
		return now->actual < now->target &&
			strcmp(now->hold_reason, "none");
	return true;
}

FIXTURE(files) {
	unsigned long floor;
	char policy[BALLOON_TEXT];
};

FIXTURE_SETUP(files)
{
	ASSERT_TRUE(balloon_bound(device));
	ASSERT_TRUE(balloon_number(device, "floor_kib", &self->floor));
	ASSERT_TRUE(balloon_attribute(device, "policy", self->policy));
}

/* The floor has its value again, but does not follow the guest's size any more. */
FIXTURE_TEARDOWN(files)
{
	char text[BALLOON_TEXT];
	unsigned long now;

	EXPECT_EQ(0, balloon_write(device, "policy", self->policy));
	ASSERT_TRUE(balloon_number(device, "floor_kib", &now));
	if (now == self->floor)
		return;
	snprintf(text, sizeof(text), "%lu", self->floor);
	EXPECT_EQ(0, balloon_write(device, "floor_kib", text));
	ASSERT_TRUE(balloon_number(device, "floor_kib", &now));
	EXPECT_EQ(self->floor, now);
}

TEST_F(files, sizes_are_whole_pages)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned long kib;

		ASSERT_TRUE(balloon_number(device, sizes[i], &kib)) {
			TH_LOG("%s is not a number", sizes[i]);
		}
		EXPECT_EQ(0UL, kib % page_kib()) {
			TH_LOG("%s is %lu", sizes[i], kib);
		}
	}
}

TEST_F(files, words_are_documented)
{
	char text[BALLOON_TEXT];

	ASSERT_TRUE(balloon_attribute(device, "state", text));
	EXPECT_TRUE(is_one_of(text, states, ARRAY_SIZE(states))) {
		TH_LOG("state is %s", text);
	}
	ASSERT_TRUE(balloon_attribute(device, "hold_reason", text));
	EXPECT_TRUE(is_one_of(text, hold_reasons, ARRAY_SIZE(hold_reasons))) {
		TH_LOG("hold_reason is %s", text);
	}
}

TEST_F(files, retry_delay_is_bounded)
{
	unsigned long ms;

	ASSERT_TRUE(balloon_number(device, "retry_delay_ms", &ms));
	EXPECT_GE(MAX_RETRY_DELAY_MS, ms);
}

/* The files are read one after the other, so a moving balloon needs several looks. */
TEST_F_TIMEOUT(files, files_agree, 2 * BALLOON_SECONDS)
{
	struct balloon now = {};

	EXPECT_TRUE(balloon_until(device, &now, is_consistent, NULL)) {
		TH_LOG("%s (%s): target %lu, actual %lu, isolated %lu",
		       now.state, now.hold_reason, now.target, now.actual,
		       now.isolated);
	}
}

TEST_F(files, what_the_driver_tells_is_read_only)
{
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
		EXPECT_EQ(-EACCES, balloon_write(device, read_only[i], "0")) {
			TH_LOG("%s", read_only[i]);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(statistics); i++) {
		EXPECT_EQ(-EACCES, balloon_write(device, statistics[i], "0")) {
			TH_LOG("%s", statistics[i]);
		}
	}
}

TEST_F(files, statistics_are_numbers)
{
	unsigned long trials, failed;

	for (size_t i = 0; i < ARRAY_SIZE(statistics); i++) {
		unsigned long number;

		EXPECT_TRUE(balloon_number(device, statistics[i], &number)) {
			TH_LOG("%s", statistics[i]);
		}
	}
	ASSERT_TRUE(balloon_number(device, STATISTICS "trials_failed", &failed));
	ASSERT_TRUE(balloon_number(device, STATISTICS "trials", &trials));
	EXPECT_LE(failed, trials);
}

/* "floor" and "obey" would have the balloon take more of the guest's memory. */
TEST_F(files, policy_is_read_back)
{
	char text[BALLOON_TEXT];

	EXPECT_TRUE(is_one_of(self->policy, policies, ARRAY_SIZE(policies))) {
		TH_LOG("policy is %s", self->policy);
	}
	ASSERT_EQ(0, balloon_write(device, "policy", "full\n"));
	ASSERT_TRUE(balloon_attribute(device, "policy", text));
	EXPECT_STREQ("full", text);
}

TEST_F(files, wrong_policies_are_refused)
{
	static const char * const wrong[] = { "\n", "0", "Full", "floors", "full obey" };
	char text[BALLOON_TEXT];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EINVAL, balloon_write(device, "policy", wrong[i])) {
			TH_LOG("'%s'", wrong[i]);
		}
	}
	ASSERT_TRUE(balloon_attribute(device, "policy", text));
	EXPECT_STREQ(self->policy, text);
}

/* By default the floor follows from the guest's size. */
TEST_F(files, floor_is_derived_again)
{
	unsigned long higher = 2 * self->floor + page_kib(), now;
	char text[BALLOON_TEXT];

	snprintf(text, sizeof(text), "%lu", higher);
	ASSERT_EQ(0, balloon_write(device, "floor_kib", text));
	ASSERT_EQ(0, balloon_write(device, "floor_kib", "auto\n"));
	ASSERT_TRUE(balloon_number(device, "floor_kib", &now));
	EXPECT_NE(higher, now);
}

/* A lower floor would have the balloon take more of the guest's memory. */
TEST_F(files, floor_is_read_back)
{
	unsigned long higher = self->floor + 4 * page_kib(), now;
	char text[BALLOON_TEXT];

	snprintf(text, sizeof(text), "%lu\n", higher);
	ASSERT_EQ(0, balloon_write(device, "floor_kib", text));
	ASSERT_TRUE(balloon_number(device, "floor_kib", &now));
	EXPECT_EQ(higher, now);
}

TEST_F(files, floor_has_whole_pages)
{
	unsigned long between = self->floor + page_kib() + 1, now;
	char text[BALLOON_TEXT];

	snprintf(text, sizeof(text), "%lu", between);
	ASSERT_EQ(0, balloon_write(device, "floor_kib", text));
	ASSERT_TRUE(balloon_number(device, "floor_kib", &now));
	EXPECT_EQ(0UL, now % page_kib());
	EXPECT_LE(between, now);
	EXPECT_GT(between + page_kib(), now);
}

TEST_F(files, wrong_floors_are_refused)
{
	static const char * const wrong[] = {
		"\n", "-1", "1.5", "12kB", "1 2", "none", "0x",
	};
	unsigned long now;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EINVAL, balloon_write(device, "floor_kib",
						 wrong[i])) {
			TH_LOG("'%s'", wrong[i]);
		}
	}
	EXPECT_EQ(-ERANGE, balloon_write(device, "floor_kib",
					 "99999999999999999999"));
	ASSERT_TRUE(balloon_number(device, "floor_kib", &now));
	EXPECT_EQ(self->floor, now);
}

int main(int argc, char **argv)
{
	balloon_find_or_skip(device);
	return test_harness_run(argc, argv);
}
