/* SPDX-License-Identifier: GPL-2.0 */
/* Blocks of guest pages: allocated, split, joined and freed. */
#ifndef _DRIVERS_VIRTIO_BALLOON_BLOCKS_H
#define _DRIVERS_VIRTIO_BALLOON_BLOCKS_H

struct balloon_device;
struct page;

/**
 * struct balloon_blocks - where the next block comes from; the kthread's own
 * @nid: the node that pages are taken from
 * @order: largest order that is worth a try
 */
struct balloon_blocks {
	int nid;
	unsigned int order;
};

void balloon_expect_large_blocks(struct balloon_blocks *blocks);
void balloon_take_from(struct balloon_blocks *blocks, int nid);
struct page *balloon_alloc_block(struct balloon_device *bd, unsigned int order);
struct page *balloon_alloc_canary(struct balloon_device *bd);
void balloon_free_block(struct page *block, unsigned int order);
void balloon_free_run(struct page *page, unsigned int nr);
void balloon_free_pages(struct page **pages, unsigned int nr);

#endif /* _DRIVERS_VIRTIO_BALLOON_BLOCKS_H */
