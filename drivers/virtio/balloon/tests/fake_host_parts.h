/* SPDX-License-Identifier: GPL-2.0 */
/* Internal interfaces of the fake host; tests do not use them. */
#ifndef _DRIVERS_VIRTIO_BALLOON_TESTS_FAKE_HOST_PARTS_H
#define _DRIVERS_VIRTIO_BALLOON_TESTS_FAKE_HOST_PARTS_H

#include "fake_host.h"

/* The states of a page frame number in the model. */
enum fake_number {
	FAKE_POSTED = 1,	/* named in an inflate */
	FAKE_INFLATED,		/* the host has it */
	FAKE_DEFLATING,		/* named in a deflate */
};

/* fake_model.c */
void fake_host_expect_held(struct fake_host *host, u32 number);
void fake_host_expect_lent(struct fake_host *host,
			   const struct fake_message *message);
void fake_host_take(struct fake_host *host, struct fake_message *message);
void fake_host_obey(struct fake_host *host,
		    const struct fake_message *message);

/* fake_rings.c */
void __fake_host_look(struct fake_host *host);

/* fake_device.c */
extern const struct virtio_config_ops fake_host_ops;

/* fake_guest.c */
struct page *fake_host_alloc_block(struct balloon_device *bd,
				   unsigned int order);
struct page *fake_host_alloc_canary(struct balloon_device *bd);
bool fake_host_is_starved(struct balloon_device *bd, const struct page *page);
bool fake_host_is_fragmented(struct balloon_device *bd);
unsigned long fake_host_available(struct balloon_device *bd);
unsigned long fake_host_spare(struct balloon_device *bd,
			      enum zone_watermarks mark);
void fake_host_read_sample(struct balloon_device *bd,
			   struct balloon_sample *sample);

#endif /* _DRIVERS_VIRTIO_BALLOON_TESTS_FAKE_HOST_PARTS_H */
