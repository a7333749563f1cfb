/* SPDX-License-Identifier: GPL-2.0 */
/* Pages on trial: the guest gets them back if it refaults. */
#ifndef _DRIVERS_VIRTIO_BALLOON_TRIAL_H
#define _DRIVERS_VIRTIO_BALLOON_TRIAL_H

#include <linux/balloon_compaction.h>
#include <linux/jiffies.h>
#include <linux/limits.h>
#include <linux/types.h>

struct balloon_device;
struct page;

/*
 * Pages that had to be reclaimed are on trial for one or two of these. Most pages
 * of a working set refault within a second.
 */
#define BALLOON_TRIAL_PERIOD	HZ
/* Guest pages that are put on trial before everything is looked at again. */
#define BALLOON_TRIAL_AT_ONCE	1024UL
/* Half of what can be counted, as it is doubled. */
#define BALLOON_TRIAL_NO_LIMIT	(ULONG_MAX / 2)
/* At least this part of the guest's memory may be on trial. */
#define BALLOON_TRIAL_MIN_SHIFT	10U
/* After a refault the margin is this part of the floor. */
#define BALLOON_TRIAL_MARGIN_SHIFT	2U

/* A page of the margin aside, one spends a period or two on trial. */
enum balloon_trial_age {
	BALLOON_TRIAL_YOUNG,	/* since less than a period */
	BALLOON_TRIAL_OLD,	/* since less than two */
	BALLOON_TRIAL_PASSED,	/* may be handed over to the host */
	BALLOON_TRIAL_AGES
};

/**
 * struct balloon_trial - pages that the guest gets back if it refaults
 * @bm: the pages, which mm can move; not counted as the balloon's
 * @wants_isolated: the kthread waits for isolated ones; under @bm.pages_lock
 * @nr: guest pages by age, those that mm has isolated included
 * @watched: how much of the present period has passed, in jiffies
 * @looked_at: when @watched was last added to, in jiffies
 * @limit: guest pages that may be on trial at a time, the margin not included
 * @recalled: the kthread is to end the trial; any task sets it
 * @answers: how often the kthread has ended a trial that was recalled
 * @nr_recalled: guest pages that have gone back that way
 */
struct balloon_trial {
	struct balloon_mapping bm;
	bool wants_isolated;
	unsigned long nr[BALLOON_TRIAL_AGES];
	unsigned long watched;
	unsigned long looked_at;
	unsigned long limit;
	unsigned int recalled;
	unsigned int answers;
	unsigned long nr_recalled;
};

void balloon_trial_init(struct balloon_device *bd);
unsigned long balloon_trial_size(struct balloon_device *bd);
unsigned long balloon_trial_size_roughly(struct balloon_device *bd);
unsigned long balloon_trial_margin(struct balloon_device *bd);
unsigned long balloon_trial_passed(struct balloon_device *bd);
unsigned long balloon_trial_room(struct balloon_device *bd);
long balloon_trial_watch(struct balloon_device *bd);
int balloon_trial_take(struct balloon_device *bd, unsigned long want,
		       unsigned long *got);
struct page *balloon_trial_next(struct balloon_device *bd);
void balloon_trial_end(struct balloon_device *bd);
bool balloon_trial_answer(struct balloon_device *bd);
void balloon_trial_recall(struct balloon_device *bd);
unsigned long balloon_trial_recall_now(struct balloon_device *bd);
void balloon_trial_refaulted(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_TRIAL_H */
