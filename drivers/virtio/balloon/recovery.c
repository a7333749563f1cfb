// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery of a device that is broken or asks for a reset. The guest gets all
 * pages back, and the driver sets the device up again.
 *
 * A device that was reset has no claim to any page. So the kthread resets the
 * device first, and releases all pages at once without telling the host. Then
 * it takes the same steps as probe and moves to the target again. The delay
 * between tries doubles. A device that breaks within BALLOON_EPISODE of its
 * set-up continues the episode: the delay goes on doubling, and the log gets no
 * new line.
 */

#include <linux/minmax.h>
#include <linux/string.h>
#include <linux/virtio_config.h>

#include "config.h"
#include "device.h"
#include "drain.h"
#include "recovery.h"
#include "settle.h"
#include "setup.h"
#include "trial.h"
#include "virtio_balloon.h"

/* Bounds of the delay between two tries to set the device up. */
#define BALLOON_RECOVERY_MIN_MS	100U
#define BALLOON_RECOVERY_MAX_MS	(10 * MSEC_PER_SEC)
/* A device that breaks after it worked for this long begins a new episode. */
#define BALLOON_EPISODE		(60 * HZ)
/* After this many failed tries in a row the driver gives up. */
#define BALLOON_RECOVERY_TRIES	12U

/* The first try of an episode follows at once. */
static void balloon_recovery_begins(struct balloon_device *bd)
{
	struct balloon_recovery *recovery = &bd->recovery;

	if (recovery->told &&
	    time_after(jiffies, recovery->ready_at + BALLOON_EPISODE))
		recovery->told = false;
	if (!recovery->told) {
		dev_warn(&bd->vdev->dev,
			 "the device has stopped working: the guest gets all memory back, the device is set up again\n");
		recovery->told = true;
		recovery->delay_ms = 0;
	}
	recovery->try_at = jiffies + msecs_to_jiffies(recovery->delay_ms);
	recovery->nr_tries = 0;
	recovery->down = true;
	balloon_state_set(bd, BALLOON_RECOVERING);
}

/*
 * Releases pages before features stop: stopping a feature may wait for its
 * callback. Isolated pages follow when mm puts them back.
 */
static void balloon_recovery_release(struct balloon_device *bd)
{
	unsigned long nr;

	balloon_mapping_close(&bd->ledger.bm);
	balloon_mapping_close(&bd->trial.bm);
	nr = balloon_trial_size(bd);
	balloon_trial_end(bd);
	nr -= min(nr, balloon_trial_size(bd));
	/* A task that is out of memory may wait for the trial's end. */
	balloon_trial_answer(bd, nr);
	balloon_device_reset(bd);
	if (bd->queues.inflate.vq)
		balloon_abandon(bd);
	balloon_release_resident(bd);
	wake_up(&bd->wait);	/* a task that ran out of memory meanwhile */
}

static bool balloon_recovery_fails_for_good(struct balloon_recovery *recovery,
					    int err)
{
	return err == -ENODEV ||
	       recovery->nr_tries >= BALLOON_RECOVERY_TRIES;
}

static int balloon_recovery_try(struct balloon_device *bd)
{
	int err;

	err = balloon_device_negotiate(bd);
	if (err)
		return err;
	err = balloon_device_ready(bd);
	if (err)
		return err;
	/* Shutdown may have begun meanwhile: its reset then did nothing. */
	err = balloon_is_dying(bd) ? -ECANCELED : balloon_features_start(bd);
	if (err) {
		balloon_mapping_close(&bd->ledger.bm);
		balloon_mapping_close(&bd->trial.bm);
		balloon_device_take_down(bd);
	}
	return err;
}

/* Returns for how many jiffies the kthread may sleep. */
static long balloon_recovery_failed(struct balloon_device *bd, int err)
{
	struct balloon_recovery *recovery = &bd->recovery;

	set_bit(BALLOON_BROKEN, &bd->flags);
	if (err == -ECANCELED)
		return MAX_SCHEDULE_TIMEOUT;
	if (balloon_recovery_fails_for_good(recovery, err)) {
		dev_err(&bd->vdev->dev,
			"the device cannot be set up again (%d): the guest has all memory, bind the driver again once the device works\n",
			err);
		recovery->lost = true;
		balloon_state_set(bd, BALLOON_DEAD);
		return MAX_SCHEDULE_TIMEOUT;
	}
	recovery->try_at = jiffies + msecs_to_jiffies(recovery->delay_ms);
	return max_t(long, recovery->try_at - jiffies, 1);
}

/**
 * balloon_recover - one step from a broken device to one that works
 * @bd: the balloon, its device broken
 *
 * Context: the kthread; sleeps.
 * Return: for how many jiffies the kthread may sleep; 0 to go on at once.
 */
long balloon_recover(struct balloon_device *bd)
{
	struct balloon_recovery *recovery = &bd->recovery;
	unsigned long isolated;
	long left;
	int err;

	if (!recovery->down) {
		balloon_recovery_begins(bd);
		balloon_recovery_release(bd);
		balloon_features_stop(bd);
		balloon_device_take_down(bd);
		return 0;
	}
	isolated = balloon_want_isolated(bd);
	/* Set-up reads the target when the device works again. */
	clear_bit(BALLOON_CONFIG_CHANGED, &bd->flags);
	/* mm may have put pages back since. */
	balloon_trial_end(bd);
	balloon_release_resident(bd);
	/*
	 * Releasing may have cleared ->wants_isolated: put-back wakes no task.
	 */
	if (isolated)
		return BALLOON_LOOK_AGAIN;
	if (recovery->lost)
		return MAX_SCHEDULE_TIMEOUT;
	left = recovery->try_at - jiffies;
	if (left > 0)
		return left;

	recovery->nr_tries++;
	recovery->delay_ms = clamp(2 * recovery->delay_ms,
				   BALLOON_RECOVERY_MIN_MS,
				   BALLOON_RECOVERY_MAX_MS);
	err = balloon_recovery_try(bd);
	if (err)
		return balloon_recovery_failed(bd, err);
	recovery->down = false;
	recovery->ready_at = jiffies;
	return 0;
}

/**
 * balloon_recovery_forget - forget earlier tries: restore sets the device up
 * @recovery: the recovery, its kthread stopped or frozen
 *
 * Context: restore.
 */
void balloon_recovery_forget(struct balloon_recovery *recovery)
{
	memset(recovery, 0, sizeof(*recovery));
}
