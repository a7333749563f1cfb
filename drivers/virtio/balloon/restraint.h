/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's counters, sampled for experiment.c. */
#ifndef _DRIVERS_VIRTIO_BALLOON_RESTRAINT_H
#define _DRIVERS_VIRTIO_BALLOON_RESTRAINT_H

#include <linux/types.h>

#include "config.h"
#include "experiment.h"

struct balloon_device;
struct shrinker;

/**
 * struct balloon_counters - statistics of restraint since the device was found
 * @trials: trials that began
 * @failed: trials that ended because the guest needs the pages
 * @recalled: guest pages that went back with failed trials
 * @given: guest pages of the balloon that went back without the host's request,
 *         by reason
 *
 * Only the kthread writes these members. sysfs reads them.
 */
struct balloon_counters {
	unsigned long trials;
	unsigned long failed;
	unsigned long recalled;
	unsigned long given[BALLOON_HOLDS];
};

/**
 * struct balloon_restraint - the state of restraint
 * @shrinker: sets BALLOON_RECLAIMS; NULL without F_DEFLATE_ON_OOM
 * @policy: an enum balloon_policy; sysfs sets it, lockless
 *
 * The kthread's own:
 * @counters: for sysfs
 * @experiment: the experiment that decides
 * @now: the last sample
 * @counted_at: time when the counters of @now were last read, in jiffies
 * @ran: time for which the guest ran so far, in jiffies
 * @looked_at: time when @ran was last increased, in jiffies
 * @look_in: jiffies for which the kthread meant to sleep from @looked_at on
 */
struct balloon_restraint {
	struct shrinker *shrinker;
	enum balloon_policy policy;
	struct balloon_counters counters;
	struct balloon_experiment experiment;
	struct balloon_sample now;
	unsigned long counted_at;
	u64 ran;
	unsigned long looked_at;
	unsigned long look_in;
};

void balloon_sample_read(struct balloon_device *bd,
			 struct balloon_sample *sample);
struct balloon_action balloon_restrain(struct balloon_device *bd);
void balloon_set_policy(struct balloon_device *bd, enum balloon_policy policy);
void balloon_restraint_slept(struct balloon_device *bd, long timeout);
unsigned int balloon_note_recall(struct balloon_device *bd,
				 unsigned long recalled);
unsigned int balloon_note_oom(struct balloon_device *bd);
bool balloon_may_have_to_give(struct balloon_device *bd);
long balloon_look_at_guest_in(struct balloon_device *bd);
int balloon_restraint_start(struct balloon_device *bd);
void balloon_restraint_stop(struct balloon_device *bd);

#endif /* _DRIVERS_VIRTIO_BALLOON_RESTRAINT_H */
