// SPDX-License-Identifier: GPL-2.0
/*
 * Remove the balloon's module in the middle of a move
 *
 * One process waits and removes: to start modprobe takes as long as a move does.
 * It may be bound to the CPU on which the balloon moves, so that it sees each step;
 * the removal itself may run on any.
 *
 * At the end it says "SECONDS KIB": how long the removal took, and by how much
 * MemTotal had changed when it began.  In the trace "removal begins" says when.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "midmove.h"

#define MODULE		"virtio_balloon"
#define TRACE_MARKER	"/sys/kernel/tracing/trace_marker"
#define MARK		"removal begins"

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int marker = open(TRACE_MARKER, O_WRONLY);
	cpu_set_t any;
	double begin;
	long moved;

	if (argc != 2)
		errx(2, "usage: unloadhalf KIB (by which MemTotal has to change)");
	if (marker < 0)
		err(1, TRACE_MARKER);
	moved = await_middle(strtol(argv[1], NULL, 10));
	memset(&any, 0xff, sizeof(any));
	if (sched_setaffinity(0, sizeof(any), &any))
		err(1, "sched_setaffinity");
	if (write(marker, MARK, strlen(MARK)) < 0)
		err(1, TRACE_MARKER);
	begin = seconds();
	if (syscall(SYS_delete_module, MODULE, O_NONBLOCK))
		err(1, "delete_module");
	printf("%.6f %ld\n", seconds() - begin, moved);
	return 0;
}
