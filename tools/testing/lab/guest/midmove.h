/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Wait for the middle of a balloon's move
 *
 * The balloon's size shows in MemTotal.  A program that watches it acts at the same
 * place of each move, however fast the machine is.
 */
#ifndef MIDMOVE_H
#define MIDMOVE_H

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* MemTotal is the first line. */
static long mem_total_kib(int meminfo)
{
	char text[64];
	ssize_t n = pread(meminfo, text, sizeof(text) - 1, 0);

	if (n <= 0)
		err(1, "/proc/meminfo");
	text[n] = '\0';
	return strtol(text + strcspn(text, "0123456789"), NULL, 10);
}

/*
 * Say "watching", and return once MemTotal has changed by @kib or more since then.
 * Returns by how much it has.
 */
static long await_middle(long kib)
{
	int meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	long before, moved;

	if (meminfo < 0)
		err(1, "/proc/meminfo");
	before = mem_total_kib(meminfo);
	printf("watching\n");
	fflush(stdout);
	do {
		moved = labs(mem_total_kib(meminfo) - before);
	} while (moved < kib);
	close(meminfo);
	return moved;
}

#endif
