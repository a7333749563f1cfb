/* SPDX-License-Identifier: GPL-2.0 */
/* Pages on trial: the guest gets them back if it refaults. */
#ifndef _DRIVERS_VIRTIO_BALLOON_TRIAL_H
#define _DRIVERS_VIRTIO_BALLOON_TRIAL_H

#include <linux/balloon_compaction.h>
#include <linux/types.h>

struct balloon_device;
struct page;

/**
 * struct balloon_trial - pages that the guest gets back if it refaults
 * @bm: the pages, which mm can move; they do not count as the balloon's
 * @wants_isolated: the kthread waits for isolated pages; under @bm.pages_lock
 * @nr_released: guest pages that have gone back so far; the kthread counts
 * @nr_passed: guest pages that the next inflation takes; the kthread's own
 * @recalled: the kthread is to end the trial; any task sets it
 * @answers: number of times that the kthread has ended a recalled trial
 * @nr_recalled: guest pages that have gone back with recalled trials
 */
struct balloon_trial {
	struct balloon_mapping bm;
	bool wants_isolated;
	unsigned long nr_released;
	unsigned long nr_passed;
	unsigned int recalled;
	unsigned int answers;
	unsigned long nr_recalled;
};

void balloon_trial_init(struct balloon_device *bd);
unsigned long balloon_trial_size(struct balloon_device *bd);
unsigned long balloon_trial_size_roughly(struct balloon_device *bd);
unsigned long balloon_trial_take(struct balloon_device *bd, unsigned long want);
unsigned long balloon_trial_pass(struct balloon_device *bd, unsigned long nr);
struct page *balloon_trial_next(struct balloon_device *bd);
void balloon_trial_end(struct balloon_device *bd);
bool balloon_trial_is_recalled(struct balloon_device *bd);
void balloon_trial_answer(struct balloon_device *bd, unsigned long nr);
void balloon_trial_recall(struct balloon_device *bd);
unsigned long balloon_trial_recall_now(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_TRIAL_H */
