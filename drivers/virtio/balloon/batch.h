/* SPDX-License-Identifier: GPL-2.0 */
/* Batches: messages of page frame numbers, and the pool that they come from. */
#ifndef _DRIVERS_VIRTIO_BALLOON_BATCH_H
#define _DRIVERS_VIRTIO_BALLOON_BATCH_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/virtio_types.h>

struct balloon_device;
struct balloon_queue;
struct page;

/* Every device takes this many page frame numbers in a message. */
#define BALLOON_SMALL_MESSAGE	256U
/* Only a device that has acknowledged one such message is sent more. */
#define BALLOON_LARGE_MESSAGE	1024U

/*
 * Batches are allocated at probe, as nothing may be allocated when they are
 * needed. Inflation leaves the last ones alone, so that a host which takes its time
 * over inflating stops neither deflation nor migration. Migration gets most: it
 * fills several before a kthread that shares its CPU gets to run.
 */
#define BALLOON_BATCHES			32U
#define BALLOON_BATCHES_FOR_MIGRATION	20U
#define BALLOON_BATCHES_FOR_DEFLATE	4U

enum balloon_canary {
	BALLOON_CANARY_UNSENT,
	BALLOON_CANARY_SENT,
	BALLOON_CANARY_ACKED,	/* large messages from here on */
};

/**
 * struct balloon_batch - a message of page frame numbers and its pages
 * @node: in the list of free, pending or acknowledged batches; unlinked while the
 *        batch is open, being filled, or posted
 * @queue: whose message it is, once it is pending
 * @numbers: what the device reads: BALLOON_LARGE_MESSAGE page frame numbers in
 *           the queue's byte order
 * @pages: the guest pages that the batch holds. For an inflate all it names;
 *         for a deflate those whose release has to wait for the host.
 * @limit: page frame numbers that the device takes
 * @nr_numbers: page frame numbers in use
 * @nr_pages: guest pages in use in @pages
 * @uses: how often the batch has become free again; written under pages_lock
 * @posted: the host has been given the message
 * @replaces: inflate: the pages took the place of migrated ones; the task that
 *            migrates may still hold their page locks
 * @canary: inflate: the one large message that names a single page
 */
struct balloon_batch {
	struct list_head node;
	struct balloon_queue *queue;
	__virtio32 *numbers;
	struct page **pages;
	unsigned int limit;
	unsigned int nr_numbers;
	unsigned int nr_pages;
	unsigned int uses;
	bool posted;
	bool replaces;
	bool canary;
};

/**
 * struct balloon_pool - the device's batches
 * @batches: all of them, BALLOON_BATCHES
 * @canary: has the device shown that it takes large messages? Written under
 *          balloon_lock, read without it, too
 *
 * Protected by pages_lock:
 * @free: batches that are not in use
 * @nr_free: their number
 * @nr_puts: how often a batch has become free; read without the lock, too
 * @nr_waiters: tasks that a batch which becomes free has to wake
 */
struct balloon_pool {
	struct balloon_batch *batches;
	enum balloon_canary canary;
	struct list_head free;
	unsigned int nr_free;
	unsigned int nr_puts;
	unsigned int nr_waiters;
};

int balloon_batches_alloc(struct balloon_device *bd);
void balloon_batches_free(struct balloon_pool *pool);
struct balloon_batch *balloon_batch_get(struct balloon_device *bd,
					unsigned int reserve);
struct balloon_batch *__balloon_batch_get(struct balloon_device *bd,
					  unsigned int reserve);
void balloon_batch_put(struct balloon_device *bd, struct balloon_batch *batch);
void __balloon_batch_put(struct balloon_device *bd,
			 struct balloon_batch *batch);
unsigned int balloon_batch_room(const struct balloon_batch *batch);
void balloon_batch_name(struct balloon_device *bd, struct balloon_batch *batch,
			struct page **pages, unsigned int nr);
void balloon_batch_add_block(struct balloon_device *bd,
			     struct balloon_batch *batch, struct page *block,
			     unsigned int order);

#endif /* _DRIVERS_VIRTIO_BALLOON_BATCH_H */
