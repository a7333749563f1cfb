// SPDX-License-Identifier: GPL-2.0
/*
 * Bind a driver to a device again and again, each time with another allocation
 * of a task failing
 *
 * First the task's first allocation fails, then the second, and so on until
 * there is none left that could. Each time the driver is either bound
 * afterwards, and then moves its balloon to the target that the host has set, or
 * it is not. When it is unbound again, which meets with the same fault, the guest
 * has all its memory.
 *
 * /proc/PID/fail-nth counts down with each allocation of the task (see
 * Documentation/fault-injection/fault-injection.rst); the one that takes it to 0
 * fails.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HANG_SECONDS	60	/* only catches hangs */
#define MAX_STEPS	10000

static const char *driver, *device;

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

/* A file's content, without its last newline; empty where there is no file. */
static void slurp(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	if (n < 0)
		err(1, "%s", path);
	if (fd >= 0)
		close(fd);
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

/* MemTotal stands first in /proc/meminfo. */
static unsigned long mem_total_kib(void)
{
	char line[128];
	unsigned long kib;

	slurp("/proc/meminfo", line, sizeof(line));
	if (sscanf(line, "MemTotal: %lu", &kib) != 1)
		errx(1, "no MemTotal in /proc/meminfo");
	return kib;
}

static void driver_file(char *path, size_t size, const char *name)
{
	if (snprintf(path, size, "%s/%s", driver, name) >= (int)size)
		errx(2, "%s: too long", driver);
}

static void balloon_attribute(const char *name, char *text, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/balloon/%s", driver, device, name);
	slurp(path, text, size);
}

static bool is_bound(void)
{
	char path[256];

	driver_file(path, sizeof(path), device);
	return !access(path, F_OK);
}

/* Nothing tells when it is there but a look. */
static void await_target(unsigned int step)
{
	time_t end = time(NULL) + HANG_SECONDS;
	char target[32], actual[32];

	do {
		balloon_attribute("target_kib", target, sizeof(target));
		balloon_attribute("actual_kib", actual, sizeof(actual));
		if (*target && strcmp(target, "0") && !strcmp(target, actual))
			return;
		usleep(2000);
	} while (time(NULL) < end);
	errx(1, "step %u: bound, but %s KiB of %s for %d s", step, actual,
	     target, HANG_SECONDS);
}

static void set_countdown(int fd, unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	if (pwrite(fd, text, strlen(text), 0) < 0)
		err(1, "fail-nth");
}

static bool has_injected(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		err(1, "fail-nth");
	return !atoi(text);
}

/* Returns 0 or an errno. @injected: did an allocation fail? */
static int write_with_fault(int countdown, int fd, unsigned int step,
			    bool *injected)
{
	int error = 0;

	set_countdown(countdown, step);
	if (write(fd, device, strlen(device)) < 0)
		error = errno;
	*injected = has_injected(countdown);
	set_countdown(countdown, 0);
	return error;
}

static void unbind(int fd)
{
	if (write(fd, device, strlen(device)) < 0)
		err(1, "unbind");
}

/* Removal cannot fail; what sysfs does before it, can. */
static bool unbind_with_fault(int countdown, int fd, unsigned int step)
{
	bool injected;

	if (write_with_fault(countdown, fd, step, &injected))
		unbind(fd);
	return injected;
}

int main(int argc, char **argv)
{
	unsigned int step, failed = 0, bound = 0, unbound = 0;
	unsigned long whole;
	char path[256];
	int countdown, bind_fd, unbind_fd;
	bool injected;

	if (argc != 4) {
		fputs("usage: failnth PID|self DRIVER-DIRECTORY DEVICE\n",
		      stderr);
		return 2;
	}
	driver = argv[2];
	device = argv[3];
	snprintf(path, sizeof(path), "/proc/%s/fail-nth", argv[1]);
	countdown = open_or_die(path, O_RDWR);
	driver_file(path, sizeof(path), "bind");
	bind_fd = open_or_die(path, O_WRONLY);
	driver_file(path, sizeof(path), "unbind");
	unbind_fd = open_or_die(path, O_WRONLY);
	if (is_bound())
		unbind(unbind_fd);
	whole = mem_total_kib();

	for (step = 1; step < MAX_STEPS; step++) {
		int error = write_with_fault(countdown, bind_fd, step,
					     &injected);

		if (is_bound() != !error)
			errx(1, "step %u: error %d, and yet the driver is %s",
			     step, error, error ? "bound" : "not bound");
		if (!error) {
			await_target(step);
			unbound += unbind_with_fault(countdown, unbind_fd,
						     step);
		}
		if (mem_total_kib() != whole)
			errx(1, "step %u: MemTotal is %lu KiB, not %lu", step,
			     mem_total_kib(), whole);
		if (!injected)
			break;
		if (error)
			failed++;
		else
			bound++;
		printf("%u: %s\n", step, error ? strerror(error) : "bound");
		fflush(stdout);
	}
	printf("%u steps: %u not bound, %u bound; %u while it was unbound\n",
	       failed + bound, failed, bound, unbound);
	return 0;
}
