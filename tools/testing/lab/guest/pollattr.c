// SPDX-License-Identifier: GPL-2.0
/*
 * Print sysfs attributes whenever their owner says that they have changed
 *
 * After it has printed each attribute once, this program sleeps in poll(). It
 * never looks by itself, so a change shows only if the owner calls
 * sysfs_notify().
 */
#include <err.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_FILES 8

static void print_content(int fd, char *path)
{
	char text[256];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		err(1, "%s", path);
	text[n] = '\0';
	printf("%s %s", basename(path), text);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct pollfd fds[MAX_FILES];
	int count = argc - 1;

	if (count < 1 || count > MAX_FILES)
		errx(2, "usage: pollattr FILE...");
	for (int i = 0; i < count; i++) {
		fds[i].fd = open(argv[i + 1], O_RDONLY);
		fds[i].events = POLLPRI;
		if (fds[i].fd < 0)
			err(1, "%s", argv[i + 1]);
		print_content(fds[i].fd, argv[i + 1]);
	}
	while (poll(fds, count, -1) > 0) {
		for (int i = 0; i < count; i++)
			if (fds[i].revents & POLLPRI)
				print_content(fds[i].fd, argv[i + 1]);
	}
	err(1, "poll");
}
