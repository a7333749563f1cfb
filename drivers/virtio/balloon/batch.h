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
/* The driver sends one as a canary, and more only after its acknowledgment. */
#define BALLOON_LARGE_MESSAGE	1024U

/*
 * Probe allocates all batches, because their users must not allocate. Inflation
 * leaves the last ones free: a host that is slow to acknowledge inflates must
 * stop neither deflation nor migration. Migration gets most of them. It fills
 * several before the kthread runs, if both share a CPU.
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
 * @node: in the list of free, pending or acknowledged batches; unlinked while
 *        the batch is open, being filled, or posted
 * @queue: the queue of a pending or posted batch
 * @numbers: the message: BALLOON_LARGE_MESSAGE page frame numbers in the byte
 *           order of the device
 * @pages: the guest pages that the batch holds. An inflate holds all pages that
 *         it names; a deflate holds those that the host must acknowledge before
 *         their release.
 * @limit: how many page frame numbers the device takes
 * @nr_numbers: page frame numbers in use
 * @nr_pages: guest pages in use in @pages
 * @uses: how often the batch has become free again; written under pages_lock
 * @posted: the driver has posted the message
 * @replaces: inflate: the pages replace migrated ones; the task that migrates
 *            may still hold their page locks
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
 * @batches: all BALLOON_BATCHES batches
 * @canary: whether the device has shown that it takes large messages. Written
 *          under balloon_lock, also read without it
 *
 * Protected by pages_lock:
 * @free: batches that are not in use
 * @nr_free: number of batches on @free
 * @nr_puts: how often a batch has become free; also read without the lock
 * @nr_waiters: tasks to wake when a batch becomes free
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
