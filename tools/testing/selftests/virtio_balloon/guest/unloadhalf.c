// SPDX-License-Identifier: GPL-2.0
/*
 * Remove the balloon's module in the middle of a move
 *
 * The balloon's size shows in MemTotal.  The program watches that, so that each
 * removal begins at the same place of a move, however fast the machine is.  It
 * is the one process that removes the module: to start modprobe takes as long as
 * a move does.
 *
 * At the end it says "SECONDS KIB": how long the removal took, and by how much
 * MemTotal had changed when it began.  In the trace "removal begins" says when.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MODULE		"virtio_balloon"
#define TRACE_MARKER	"/sys/kernel/tracing/trace_marker"
#define MARK		"removal begins"

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* MemTotal is the first line. */
static long mem_total_kib(int fd)
{
	char text[64];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		err(1, "/proc/meminfo");
	text[n] = '\0';
	return strtol(text + strcspn(text, "0123456789"), NULL, 10);
}

int main(int argc, char **argv)
{
	int meminfo = open("/proc/meminfo", O_RDONLY);
	int marker = open(TRACE_MARKER, O_WRONLY);
	long wanted, before, now;
	double begin;

	if (argc != 2)
		errx(2, "usage: unloadhalf KIB (by which MemTotal has to change)");
	if (meminfo < 0 || marker < 0)
		err(1, "/proc/meminfo or " TRACE_MARKER);
	wanted = strtol(argv[1], NULL, 10);
	before = mem_total_kib(meminfo);
	printf("watching\n");
	fflush(stdout);
	do {
		now = mem_total_kib(meminfo);
	} while (labs(now - before) < wanted);

	if (write(marker, MARK, strlen(MARK)) < 0)
		err(1, TRACE_MARKER);
	begin = seconds();
	if (syscall(SYS_delete_module, MODULE, O_NONBLOCK))
		err(1, "delete_module");
	printf("%.6f %ld\n", seconds() - begin, labs(now - before));
	return 0;
}
