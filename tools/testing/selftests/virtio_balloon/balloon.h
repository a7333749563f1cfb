/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest's balloon as sysfs and procfs show it
 */
#ifndef SELFTESTS_VIRTIO_BALLOON_H
#define SELFTESTS_VIRTIO_BALLOON_H

#include <stdbool.h>
#include <stddef.h>

#define BALLOON_DRIVER	"/sys/bus/virtio/drivers/virtio_balloon"
#define BALLOON_MODULE	"/sys/module/virtio_balloon"
#define BALLOON_TEXT	64	/* bytes, for a device's name or a file's content */

/* An emulated guest on a busy host is slow; only a hang takes longer. */
#define BALLOON_SECONDS	300

/* Sizes in KiB, read one after the other. */
struct balloon {
	char state[BALLOON_TEXT];
	char hold_reason[BALLOON_TEXT];
	unsigned long target;
	unsigned long actual;
	unsigned long isolated;
};

int write_text(const char *path, const char *text);
bool meminfo_kib(const char *field, unsigned long *kib);
bool event_count(const char *counter, unsigned long *value);
bool parse_number(const char *text, unsigned long *value);

bool balloon_find(char *device);
void balloon_find_or_skip(char *device);
bool balloon_bound(const char *device);
bool balloon_attribute(const char *device, const char *name, char *text);
bool balloon_number(const char *device, const char *name,
		    unsigned long *value);
int balloon_write(const char *device, const char *name, const char *text);
bool balloon_look(const char *device, struct balloon *now);
bool balloon_until(const char *device, struct balloon *now,
		   bool (*condition)(const struct balloon *now,
				     const struct balloon *before),
		   const struct balloon *before);
bool balloon_is_idle(const struct balloon *now);
bool balloon_is_settled(const struct balloon *now,
			const struct balloon *before);
bool balloon_is_as_before(const struct balloon *now,
			  const struct balloon *before);

#endif /* SELFTESTS_VIRTIO_BALLOON_H */
