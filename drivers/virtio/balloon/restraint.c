// SPDX-License-Identifier: GPL-2.0
/*
 * How far the balloon may go, and when it gives memory back unasked.
 *
 * Inflation leaves a floor of available memory alone (guest.c). Above the floor it
 * takes free memory first. Then it takes on trial (trial.c) what kswapd reclaims,
 * while that does not hurt the guest. decide.c says which signals show that it does.
 *
 * With F_DEFLATE_ON_OOM (virtio 1.2, 5.5.3) the balloon's pages are the guest's last
 * reserve: they come back under lasting pressure, and at the latest before the
 * out-of-memory killer acts (oom.c). Without it the guest gets no page back that the
 * host has not asked for.
 */

#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/shrinker.h>
#include <linux/vmstat.h>
#include <kunit/static_stub.h>

#include "decide.h"
#include "device.h"
#include "guest.h"
#include "ledger.h"
#include "restraint.h"
#include "trial.h"
#include "virtio_balloon.h"

/* The longest pause after pages went back under pressure. */
#define BALLOON_PAUSE_MAX_MS	(20 * MSEC_PER_SEC)

/* The guest's counters are read this often while the balloon rests. */
#define BALLOON_SAMPLE_RESTING	HZ

/* The longest delay after a trial that ended in refaults. */
#define BALLOON_REFAULT_MAX_MS	(10 * MSEC_PER_SEC)

static void balloon_signals_read_events(struct balloon_signals *signals)
{
#ifdef CONFIG_VM_EVENT_COUNTERS
	unsigned long events[NR_VM_EVENT_ITEMS];
	unsigned int zone;

	all_vm_events(events);
	for (zone = 0; zone < MAX_NR_ZONES; zone++)
		signals->stalls += events[ALLOCSTALL_NORMAL - ZONE_NORMAL +
					  zone];
	signals->scanned = events[PGSCAN_KSWAPD] + events[PGSCAN_DIRECT];
	signals->reclaimed = events[PGSTEAL_KSWAPD] + events[PGSTEAL_DIRECT];
	signals->swapped = events[PSWPOUT];
#endif
}

/**
 * balloon_signals_read - take a snapshot
 * @bd: the balloon
 * @signals: where to
 *
 * Context: process, may sleep; takes pages_lock.
 */
void balloon_signals_read(struct balloon_device *bd,
			  struct balloon_signals *signals)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_signals_read, bd, signals);

	*signals = (struct balloon_signals) {
		.when = jiffies,
		.available = balloon_available(bd),
		.spare = balloon_spare(bd, WMARK_HIGH),
		.total = balloon_guest_total(bd),
		.refaults = global_node_page_state(WORKINGSET_REFAULT_ANON) +
			    global_node_page_state(WORKINGSET_REFAULT_FILE),
		.free = global_zone_page_state(NR_FREE_PAGES),
		.taken = balloon_size(&bd->ledger) + balloon_trial_size(bd),
	};
	balloon_signals_read_events(signals);
}

/* Returns whether there is a new snapshot. */
static bool balloon_sample(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;
	struct balloon_signals *now = &restraint->now;
	unsigned long interval = BALLOON_SAMPLE_MOVING;

	if (bd->config.state == BALLOON_IDLE && !restraint->pressed &&
	    !test_bit(BALLOON_RECLAIMS, &bd->flags))
		interval = BALLOON_SAMPLE_RESTING;
	if (restraint->sampled && time_before(jiffies, now->when + interval)) {
		now->available = balloon_available(bd);
		now->spare = balloon_spare(bd, WMARK_HIGH);
		return false;
	}

	clear_bit(BALLOON_RECLAIMS, &bd->flags);
	restraint->earlier = *now;
	balloon_signals_read(bd, now);
	if (!restraint->sampled ||
	    now->when - restraint->earlier.when > BALLOON_SAMPLE_STALE)
		restraint->earlier = *now;
	restraint->sampled = true;
	return true;
}

/* The pages on trial that refaulted before were the cgroup's. */
static void balloon_notice_cgroup(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;

	if (!restraint->cgroup) {
		restraint->refaulted = false;
		restraint->refault_ms = 0;
		bd->trial.limit = BALLOON_TRIAL_NO_LIMIT;
	}
	restraint->cgroup = true;
	restraint->cgroup_at = jiffies;
}

static void balloon_notice_reclaim(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;
	unsigned long got = balloon_reclaimed(&restraint->earlier,
					      &restraint->now);

	restraint->may_refault -= min(restraint->may_refault,
				      restraint->nr_refaulted);
	restraint->may_refault = min(restraint->may_refault + got,
				     restraint->now.total);
	restraint->nr_refaulted = balloon_refaulted(&restraint->earlier,
						    &restraint->now);
	if (!got)
		return;
	restraint->reclaimed = min(restraint->reclaimed + got,
				   BALLOON_RECLAIMED_ANY);
	restraint->reclaimed_at = jiffies;
}

/*
 * Pages refault a while after they were reclaimed, when reclaim may have ended. But
 * each reclaimed page refaults once, and a cgroup's pages again and again.
 */
static bool balloon_is_cgroup(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;

	return (restraint->cgroup ||
		restraint->nr_refaulted > restraint->may_refault) &&
	       balloon_cgroup_refaults(&restraint->earlier, &restraint->now);
}

/* How things stand that are remembered for a while. */
static void balloon_remember(struct balloon_device *bd, bool is_new)
{
	struct balloon_restraint *restraint = &bd->restraint;

	if (restraint->gave &&
	    time_after(jiffies, restraint->gave_at + BALLOON_WARY))
		restraint->gave = false;
	if (restraint->pauses && time_after_eq(jiffies, restraint->pause_end))
		restraint->pauses = false;
	if (restraint->refaulted &&
	    time_after(jiffies, restraint->refaulted_at + BALLOON_WARY))
		restraint->refaulted = false;
	if (restraint->cgroup &&
	    time_after(jiffies, restraint->cgroup_at + BALLOON_WARY))
		restraint->cgroup = false;
	if (restraint->reclaimed &&
	    time_after(jiffies, restraint->reclaimed_at + BALLOON_RECLAIM_FRESH))
		restraint->reclaimed = 0;
	if (restraint->may_refault &&
	    time_after(jiffies, restraint->reclaimed_at + BALLOON_WARY))
		restraint->may_refault = 0;

	if (!is_new)
		return;
	balloon_notice_reclaim(bd);
	if (balloon_is_cgroup(bd))
		balloon_notice_cgroup(bd);
}

/**
 * balloon_plan - look how the guest does and decide what to do
 * @bd: the balloon
 *
 * Once a pass: it takes a snapshot if one is due, and remembers what it shows.
 *
 * Context: the kthread; takes pages_lock.
 * Return: the plan, which holds for this pass.
 */
struct balloon_plan balloon_plan(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;
	bool is_new = balloon_sample(bd);
	struct balloon_bounds bounds = {
		.floor = balloon_floor(bd),
		.size = balloon_size(&bd->ledger),
		.on_trial = balloon_trial_size(bd),
		.target = bd->config.target,
		.pressed = restraint->pressed -
			   (!is_new && restraint->pressed),
		.may_give = bd->deflates_on_oom,
		.giving = restraint->giving,
		.answered = !is_new,
	};
	struct balloon_plan plan;

	balloon_remember(bd, is_new);
	bounds.wary = restraint->gave;
	bounds.refaulted = restraint->refaulted;
	bounds.margin = balloon_trial_margin(bd);
	bounds.cgroup = restraint->cgroup;
	bounds.reclaimed = restraint->reclaimed;
	bounds.may_refault = restraint->may_refault;
	/* With MUST_TELL_HOST the host has yet to let go of it. */
	restraint->now.available += balloon_leaving(&bd->ledger);

	plan = balloon_decide(&restraint->earlier, &restraint->now, &bounds);
	restraint->giving = plan.give;
	if (restraint->refaulted && plan.hold == BALLOON_HOLD_REFAULT)
		restraint->refaulted_at = jiffies;
	if (is_new)
		restraint->pressed = plan.pressed ?
			min(restraint->pressed + 1, BALLOON_SUSTAINED) : 0;
	return plan;
}

/**
 * balloon_forget_signals - the balloon is empty and stays so
 * @bd: the balloon
 *
 * Context: the kthread.
 */
void balloon_forget_signals(struct balloon_device *bd)
{
	bd->restraint.sampled = false;
	bd->restraint.giving = false;
	bd->restraint.pressed = 0;
}

/**
 * balloon_pause - pages went back under pressure: take none for a while
 * @bd: the balloon
 * @reason: what the pressure was
 *
 * The first pause lasts BALLOON_PAUSE_MIN_MS, others soon after it last longer. So the
 * balloon changes its direction a bounded number of times a minute, whatever the guest
 * and the host do.
 *
 * Context: the kthread.
 */
void balloon_pause(struct balloon_device *bd, enum balloon_hold reason)
{
	struct balloon_restraint *restraint = &bd->restraint;

	if (!restraint->gave)
		restraint->pause_ms = BALLOON_PAUSE_MIN_MS;
	else if (!restraint->pauses)
		restraint->pause_ms = min(2 * restraint->pause_ms,
					  BALLOON_PAUSE_MAX_MS);
	restraint->pause_reason = reason;
	restraint->gave = true;
	restraint->gave_at = jiffies;
	restraint->pauses = true;
	restraint->pause_end = jiffies +
				  msecs_to_jiffies(restraint->pause_ms);
}

/**
 * balloon_end_pause - the administrator knows better
 * @bd: the balloon
 *
 * Context: the kthread.
 */
void balloon_end_pause(struct balloon_device *bd)
{
	bd->restraint.pauses = false;
	bd->restraint.gave = false;
}

/**
 * balloon_note_refault - pages on trial refault
 * @bd: the balloon
 *
 * From here on free memory is taken on trial, too: it may be the pages that just
 * went back.
 *
 * Context: the kthread.
 * Return: milliseconds until the next trial may begin.
 */
unsigned int balloon_note_refault(struct balloon_device *bd)
{
	struct balloon_restraint *restraint = &bd->restraint;

	restraint->refaulted = true;
	restraint->refaulted_at = jiffies;
	restraint->giving = false;	/* that may have been enough */
	restraint->refault_ms = clamp(2 * restraint->refault_ms,
				      BALLOON_REFAULT_MIN_MS,
				      BALLOON_REFAULT_MAX_MS);
	return restraint->refault_ms;
}

/**
 * balloon_note_no_refault - a trial ended well
 * @bd: the balloon
 *
 * Context: the kthread.
 */
void balloon_note_no_refault(struct balloon_device *bd)
{
	bd->restraint.refault_ms = 0;
}

/**
 * balloon_expect_reclaim - kswapd is about to be woken
 * @bd: the balloon
 *
 * kswapd may have reclaimed pages that are free from here on, before the next snapshot
 * shows that.
 *
 * Context: the kthread.
 */
void balloon_expect_reclaim(struct balloon_device *bd)
{
	bd->restraint.reclaimed = BALLOON_RECLAIMED_ANY;
	bd->restraint.reclaimed_at = jiffies;
}

/**
 * balloon_pause_left - for how long does inflation pause yet?
 * @bd: the balloon
 *
 * Context: the kthread.
 * Return: jiffies, 0 if the pause is over.
 */
long balloon_pause_left(const struct balloon_device *bd)
{
	const struct balloon_restraint *restraint = &bd->restraint;
	long left = restraint->pause_end - jiffies;

	return restraint->pauses && left > 0 ? left : 0;
}

/**
 * balloon_may_have_to_give - is there something that the guest may get back?
 * @bd: the balloon
 *
 * Context: process, takes pages_lock.
 */
bool balloon_may_have_to_give(struct balloon_device *bd)
{
	return bd->deflates_on_oom && balloon_size(&bd->ledger);
}

/**
 * balloon_look_at_guest_in - when to see to it that the guest does not run short
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 * Return: jiffies.
 */
long balloon_look_at_guest_in(struct balloon_device *bd)
{
	if (!balloon_may_have_to_give(bd))
		return MAX_SCHEDULE_TIMEOUT;
	return bd->restraint.pressed || test_bit(BALLOON_RECLAIMS, &bd->flags) ?
	       BALLOON_SAMPLE_MOVING : BALLOON_SAMPLE_RESTING;
}

/*
 * Nothing is shrunk here. Reclaim has begun: the next look at how the guest does
 * cannot wait for a second. Runs in the task that reclaims.
 */
static unsigned long balloon_reclaim_begins(struct shrinker *shrinker,
					    struct shrink_control *sc)
{
	struct balloon_device *bd = shrinker->private_data;

	/* Look before writing: the line is shared by all that reclaim. */
	if (balloon_size_roughly(&bd->ledger) &&
	    !test_bit(BALLOON_RECLAIMS, &bd->flags) &&
	    !test_and_set_bit(BALLOON_RECLAIMS, &bd->flags))
		balloon_event(bd);
	return SHRINK_EMPTY;
}

static unsigned long balloon_shrinks_nothing(struct shrinker *shrinker,
					     struct shrink_control *sc)
{
	return SHRINK_STOP;
}

/**
 * balloon_restraint_start - learn of it when reclaim begins
 * @bd: the balloon
 *
 * Context: probe.
 * Return: 0 or -ENOMEM.
 */
int balloon_restraint_start(struct balloon_device *bd)
{
	struct shrinker *shrinker;

	KUNIT_STATIC_STUB_REDIRECT(balloon_restraint_start, bd);

	if (!bd->deflates_on_oom)
		return 0;
	shrinker = shrinker_alloc(0, "virtio-balloon-pressure");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = balloon_reclaim_begins;
	shrinker->scan_objects = balloon_shrinks_nothing;
	shrinker->private_data = bd;
	bd->restraint.shrinker = shrinker;
	shrinker_register(shrinker);
	return 0;
}

/**
 * balloon_restraint_stop - learn of reclaim no longer
 * @bd: the balloon, dying
 *
 * Context: remove; sleeps.
 */
void balloon_restraint_stop(struct balloon_device *bd)
{
	shrinker_free(bd->restraint.shrinker);
}
