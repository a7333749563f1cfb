// SPDX-License-Identifier: GPL-2.0
/*
 * A guest's balloon as sysfs and procfs show it
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kselftest.h"
#include "balloon.h"

#define POLL_MS		50

/* Returns 0 or a negative errno. */
int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Lines of the file are "FIELD VALUE". */
static bool field_value(const char *path, const char *field,
			unsigned long *value)
{
	FILE *f = fopen(path, "re");
	size_t len = strlen(field);
	bool found = false;
	char line[128];

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		if (strncmp(line, field, len) || line[len] != ' ')
			continue;
		*value = strtoul(line + len, NULL, 10);
		found = true;
	}
	fclose(f);
	return found;
}

/* The field's name ends in a colon. */
bool meminfo_kib(const char *field, unsigned long *kib)
{
	return field_value("/proc/meminfo", field, kib);
}

bool event_count(const char *counter, unsigned long *value)
{
	return field_value("/proc/vmstat", counter, value);
}

/* Decimal digits and nothing else. */
bool parse_number(const char *text, unsigned long *value)
{
	char *end;

	if (!*text || text[strspn(text, "0123456789")])
		return false;
	errno = 0;
	*value = strtoul(text, &end, 10);
	return !errno && !*end;
}

/* Finds the first device that is bound to the driver. */
bool balloon_find(char *device)
{
	bool found = false;
	glob_t paths;

	if (glob(BALLOON_DRIVER "/virtio[0-9]*", 0, NULL, &paths))
		return false;
	if (paths.gl_pathc) {
		const char *name = strrchr(paths.gl_pathv[0], '/') + 1;

		found = strlen(name) < BALLOON_TEXT;
		if (found)
			snprintf(device, BALLOON_TEXT, "%s", name);
	}
	globfree(&paths);
	return found;
}

/* Ends the program with KSFT_SKIP if this machine has nothing to test. */
void balloon_find_or_skip(char *device)
{
	char path[256];

	if (!balloon_find(device)) {
		ksft_print_header();
		ksft_exit_skip("no device is bound to virtio_balloon\n");
	}
	snprintf(path, sizeof(path), BALLOON_DRIVER "/%s/balloon", device);
	if (access(path, F_OK)) {
		ksft_print_header();
		ksft_exit_skip("the driver of %s has no balloon/ in sysfs\n",
			       device);
	}
	if (geteuid()) {
		ksft_print_header();
		ksft_exit_skip("run this as root\n");
	}
}

/* The driver core adds the files after probe and removes them before remove. */
bool balloon_bound(const char *device)
{
	char path[256];

	snprintf(path, sizeof(path), BALLOON_DRIVER "/%s/balloon/state", device);
	return !access(path, F_OK);
}

/* The content of a file that has one line, without the newline. */
bool balloon_attribute(const char *device, const char *name, char *text)
{
	char path[256];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), BALLOON_DRIVER "/%s/balloon/%s", device,
		 name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, BALLOON_TEXT);
	close(fd);
	if (len < 1 || len >= BALLOON_TEXT || text[len - 1] != '\n')
		return false;
	text[len - 1] = '\0';
	return !strchr(text, '\n');
}

bool balloon_number(const char *device, const char *name, unsigned long *value)
{
	char text[BALLOON_TEXT];

	return balloon_attribute(device, name, text) &&
		parse_number(text, value);
}

int balloon_write(const char *device, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), BALLOON_DRIVER "/%s/balloon/%s", device,
		 name);
	return write_text(path, text);
}

/* Fails if a file is missing, or the state has changed meanwhile. */
bool balloon_look(const char *device, struct balloon *now)
{
	char state[BALLOON_TEXT];

	return balloon_attribute(device, "state", state) &&
		balloon_number(device, "target_kib", &now->target) &&
		balloon_number(device, "actual_kib", &now->actual) &&
		balloon_number(device, "isolated_kib", &now->isolated) &&
		balloon_attribute(device, "hold_reason", now->hold_reason) &&
		balloon_attribute(device, "state", now->state) &&
		!strcmp(state, now->state);
}

/* Looks at the balloon until the condition holds for what it sees. */
bool balloon_until(const char *device, struct balloon *now,
		   bool (*condition)(const struct balloon *now,
				     const struct balloon *before),
		   const struct balloon *before)
{
	for (int i = 0; i < BALLOON_SECONDS * 1000 / POLL_MS; i++) {
		if (balloon_look(device, now) && condition(now, before))
			return true;
		usleep(POLL_MS * 1000);
	}
	return false;
}

bool balloon_is_idle(const struct balloon *now)
{
	return !strcmp(now->state, "idle") && now->actual == now->target &&
		!now->isolated;
}

/* Nothing is to be done, or the guest has no memory to spare. */
bool balloon_is_settled(const struct balloon *now, const struct balloon *before)
{
	return balloon_is_idle(now) || !strcmp(now->state, "holding");
}

/* A guest that could afford the target can do so again. */
bool balloon_is_as_before(const struct balloon *now,
			  const struct balloon *before)
{
	if (now->target != before->target)
		return false;
	if (balloon_is_idle(before))
		return balloon_is_idle(now);
	return balloon_is_settled(now, NULL);
}
