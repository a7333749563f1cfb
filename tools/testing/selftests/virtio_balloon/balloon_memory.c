// SPDX-License-Identifier: GPL-2.0
/*
 * What a balloon does to the memory of the guest that has it
 *
 * The host decides how large the balloon is. Tests that need pages in it skip if it
 * is empty.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../kselftest_harness.h"
#include "balloon.h"

#define COMPACT_MEMORY	"/proc/sys/vm/compact_memory"
#define PASSES		5
#define DATA_SIZE	(16 * 1024 * 1024UL)
#define MAX_ZERO_KIB	(1024UL * 1024)
/* Several waits of BALLOON_SECONDS. */
#define TEST_SECONDS	(4 * BALLOON_SECONDS)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

/* VIRTIO_BALLOON_F_DEFLATE_ON_OOM: the balloon's memory stays in MemTotal. */
#define DEFLATE_ON_OOM	2

/* main() finds it, before any test is forked. */
static char device[BALLOON_TEXT];

static unsigned long *map_data(size_t size)
{
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return data == MAP_FAILED ? NULL : data;
}

/* No two words are equal, and none is zero. */
static unsigned long pattern(size_t i)
{
	return (i + 1) * 0x9e3779b1UL;
}

static void fill(unsigned long *data)
{
	for (size_t i = 0; i < DATA_SIZE / sizeof(*data); i++)
		data[i] = pattern(i);
}

static bool is_intact(const unsigned long *data)
{
	for (size_t i = 0; i < DATA_SIZE / sizeof(*data); i++)
		if (data[i] != pattern(i))
			return false;
	return true;
}

/* Small pages, as the kernel clears huge ones itself. A read alone would get none. */
static bool new_memory_is_zero(size_t size)
{
	unsigned long *data = map_data(size);
	bool zero;

	if (!data)
		return false;
	madvise(data, size, MADV_NOHUGEPAGE);
	zero = !madvise(data, size, MADV_POPULATE_WRITE);
	for (size_t i = 0; i < size / sizeof(*data) && zero; i++)
		zero = !data[i];
	munmap(data, size);
	return zero;
}

static bool leaves_total_alone(void)
{
	char path[256], bits[BALLOON_TEXT + 2] = "";
	FILE *f;

	snprintf(path, sizeof(path), BALLOON_DRIVER "/%s/features", device);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(bits, sizeof(bits), f))
		bits[0] = '\0';
	fclose(f);
	return strlen(bits) > DEFLATE_ON_OOM && bits[DEFLATE_ON_OOM] == '1';
}

static int run(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A test that failed may have left the module out, or the device unbound. */
static bool bring_back(void)
{
	if (access(BALLOON_DRIVER, F_OK))
		run("modprobe virtio_balloon");
	if (!balloon_bound(device))
		write_text(BALLOON_DRIVER "/bind", device);
	return balloon_bound(device);
}

/* The guest when a test begins; sizes in KiB. */
struct guest {
	struct balloon balloon;
	unsigned long total;	/* MemTotal */
	unsigned long taken;	/* what the balloon takes from MemTotal */
	unsigned long *data;
};

FIXTURE(balloon) {
	struct guest before;
};

FIXTURE_SETUP(balloon)
{
	ASSERT_TRUE(bring_back());
	ASSERT_TRUE(balloon_until(device, &self->before.balloon,
				  balloon_is_settled, NULL)) {
		TH_LOG("the balloon does not settle");
	}
	self->before.data = map_data(DATA_SIZE);
	ASSERT_NE(NULL, self->before.data);
	fill(self->before.data);
	ASSERT_TRUE(meminfo_kib("MemTotal:", &self->before.total));
	if (!leaves_total_alone())
		self->before.taken = self->before.balloon.actual;
}

FIXTURE_TEARDOWN(balloon)
{
	EXPECT_TRUE(is_intact(self->before.data));
	munmap(self->before.data, DATA_SIZE);
	EXPECT_TRUE(bring_back());
}

/* The guest has all memory, and none of it is lost. */
static void expect_whole(struct __test_metadata *_metadata,
			 const struct guest *before)
{
	unsigned long total;

	EXPECT_FALSE(balloon_bound(device));
	ASSERT_TRUE(meminfo_kib("MemTotal:", &total));
	EXPECT_EQ(before->total + before->taken, total);
	EXPECT_TRUE(is_intact(before->data));
}

/* Right after a bind the driver may not have read the target yet. */
static void expect_as_before(struct __test_metadata *_metadata,
			     const struct guest *before)
{
	struct balloon now = {};
	unsigned long total;

	ASSERT_TRUE(balloon_bound(device));
	ASSERT_TRUE(balloon_until(device, &now, balloon_is_as_before,
				  &before->balloon)) {
		TH_LOG("%s (%s): target %lu, actual %lu, isolated %lu",
		       now.state, now.hold_reason, now.target, now.actual,
		       now.isolated);
	}
	if (!balloon_is_idle(&before->balloon))
		return;
	ASSERT_TRUE(meminfo_kib("MemTotal:", &total));
	EXPECT_EQ(before->total, total);
}

TEST_F_TIMEOUT(balloon, compaction_keeps_its_size, TEST_SECONDS)
{
	unsigned long before, after;

	if (access(COMPACT_MEMORY, W_OK))
		SKIP(return, "the kernel has no " COMPACT_MEMORY);
	if (!event_count("balloon_migrate", &before))
		SKIP(return, "the kernel does not count balloon_migrate");
	if (!self->before.balloon.actual)
		SKIP(return, "the balloon is empty");
	if (!balloon_is_idle(&self->before.balloon))
		SKIP(return, "the balloon is not at its target");
	for (int i = 0; i < PASSES; i++)
		ASSERT_EQ(0, write_text(COMPACT_MEMORY, "1"));
	expect_as_before(_metadata, &self->before);
	ASSERT_TRUE(event_count("balloon_migrate", &after));
	EXPECT_LE(before, after);
	TH_LOG("%lu pages of the balloon were migrated", after - before);
}

TEST_F_TIMEOUT(balloon, unbind_returns_all, TEST_SECONDS)
{
	ASSERT_EQ(0, write_text(BALLOON_DRIVER "/unbind", device));
	expect_whole(_metadata, &self->before);
	ASSERT_EQ(0, write_text(BALLOON_DRIVER "/bind", device));
	expect_as_before(_metadata, &self->before);
}

TEST_F_TIMEOUT(balloon, returned_memory_is_zero, TEST_SECONDS)
{
	unsigned long kib;

	if (!self->before.balloon.actual)
		SKIP(return, "the balloon is empty");
	ASSERT_EQ(0, write_text(BALLOON_DRIVER "/unbind", device));
	ASSERT_TRUE(meminfo_kib("MemAvailable:", &kib));
	kib /= 2;
	if (kib > MAX_ZERO_KIB)
		kib = MAX_ZERO_KIB;
	EXPECT_TRUE(new_memory_is_zero(kib * 1024));
	ASSERT_EQ(0, write_text(BALLOON_DRIVER "/bind", device));
	expect_as_before(_metadata, &self->before);
}

TEST_F_TIMEOUT(balloon, module_comes_back, TEST_SECONDS)
{
	if (access(BALLOON_MODULE "/refcnt", F_OK))
		SKIP(return, "the driver is not a module that can be removed");
	if (run("command -v modprobe >/dev/null"))
		SKIP(return, "there is no modprobe");
	ASSERT_EQ(0, run("modprobe -r virtio_balloon"));
	EXPECT_NE(0, access(BALLOON_MODULE, F_OK));
	expect_whole(_metadata, &self->before);
	ASSERT_EQ(0, run("modprobe virtio_balloon"));
	expect_as_before(_metadata, &self->before);
}

int main(int argc, char **argv)
{
	balloon_find_or_skip(device);
	return test_harness_run(argc, argv);
}
