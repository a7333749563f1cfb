// SPDX-License-Identifier: GPL-2.0
/*
 * Read sysfs attributes as fast as possible while their owner comes and goes
 *
 * Every file that matches a pattern is opened, read, kept open over the next
 * round and read again: the second read may come after the module that serves
 * it was removed and loaded anew.  A file that is gone is no error.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define MAX_KEPT 64

static int kept[MAX_KEPT];
static unsigned int kept_count;
static unsigned long reads, gone;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void read_once(int fd, const char *what)
{
	char buf[4096];

	if (pread(fd, buf, sizeof(buf), 0) >= 0)
		reads++;
	else if (errno == ENODEV || errno == ENOENT)
		gone++;
	else
		err(1, "%s", what);
}

static void read_kept(void)
{
	while (kept_count) {
		int fd = kept[--kept_count];

		read_once(fd, "file opened in the last round");
		close(fd);
	}
}

static void read_all(const char *pattern)
{
	glob_t found;

	if (glob(pattern, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int fd = open(found.gl_pathv[i], O_RDONLY);

		if (fd < 0) {
			if (errno != ENOENT && errno != ENODEV &&
			    errno != EACCES)
				err(1, "%s", found.gl_pathv[i]);
			gone++;
			continue;
		}
		read_once(fd, found.gl_pathv[i]);
		if (kept_count < MAX_KEPT)
			kept[kept_count++] = fd;
		else
			close(fd);
	}
	globfree(&found);
}

int main(int argc, char **argv)
{
	double end;

	if (argc < 3)
		errx(2, "usage: attrreader SECONDS PATTERN...");
	end = now() + atof(argv[1]);
	while (now() < end) {
		read_kept();
		for (int i = 2; i < argc; i++)
			read_all(argv[i]);
	}
	read_kept();
	printf("%lu reads, %lu of files that were gone\n", reads, gone);
	return 0;
}
