// SPDX-License-Identifier: GPL-2.0
/*
 * The control of an experiment: how many pages refault anyway.
 *
 * A cgroup, a backup or another node may refault whatever the balloon does. Such
 * refaults show in the windows before a trial as well as during it. So a trial is
 * judged by what it adds to the baseline: the lowest rate of the last ten minutes. A
 * control that is measured anew after each trial would creep, as each may add a little.
 */

#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "control.h"

/* A window that lasts longer than this tells no rate. */
#define STALE_MS	45000U

/*
 * The rate may exceed the baseline by this. On a disk of 150 requests a second it
 * costs a task that waits for each of them 2.7 % of its time.
 */
#define REFAULTS_PER_S	4U
/*
 * One of 128 pages on trial may refault: it is read again and stays. No more than this
 * many, as thrash has to show before the trial has evicted much of a working set.
 */
#define REFAULTS_SHIFT	7U
#define REFAULTS_ONCE	64UL
/*
 * If all CPUs are busy, no wait for a disk shows, however slow that is. Then no more
 * may refault than a slow disk serves in a tenth of a second.
 */
#define REFAULTS_BUSY	16UL
/*
 * Tasks may wait for disks by this share of the time more than in the baseline, or
 * once for this long: 5 %. On a slow disk that shows earlier than refaults do. A few
 * refaults have to be there as well, as other requests cause waits, too.
 */
#define WAITED_SHIFT	4U
#define WAITED_ONCE_MS	25U
#define WAITED_REFAULTS	4U
/* A cgroup that reclaims from itself does so in batches, on each CPU. */
#define FOREIGN_BATCH	128U
/* The guest thrashes: more refaults than a slow disk serves beside other requests. */
#define THRASH_PER_S	64U

#define NO_RATE		(~0U)

/*
 * Refaults that the balloon may have caused. A cgroup at its limit reclaims a page from
 * itself for each page that refaults: the sum of used pages stays, and @reclaimed
 * leaves these pages out. Other tasks need pages that were free, or that reclaim got.
 * Free pages are no measure, as CPUs keep lists of them that no counter has.
 */
static unsigned long refaulted(const struct balloon_sample *from,
			       const struct balloon_sample *now)
{
	unsigned long refaults = now->refaults - from->refaults;
	long got;

	if (!IS_ENABLED(CONFIG_VM_EVENT_COUNTERS))
		return refaults;
	got = now->reclaimed - from->reclaimed + now->used - from->used;
	return min_t(unsigned long, refaults, max(got, 0L));
}

/* A CPU's time may step back, as tasks that wait are counted without a lock. */
static unsigned long waited_ms(const struct balloon_sample *from,
			       const struct balloon_sample *now)
{
	return max((long)(now->waited_ms - from->waited_ms), 0L);
}

/* Was a CPU idle for half of the time? Then it shows whether tasks wait for disks. */
static bool waits_show(const struct balloon_sample *from,
		       const struct balloon_sample *now)
{
	unsigned long idle = now->idle_ms - from->idle_ms;

	return idle + waited_ms(from, now) >= (now->ms - from->ms) / 2;
}

/* Forgets the rates of ten minutes ago. */
static unsigned int entry_of_minute(struct balloon_control *control, u64 minute)
{
	unsigned int entry;

	if (minute - control->minute > BALLOON_BASELINE_MINUTES)
		control->minute = minute - BALLOON_BASELINE_MINUTES;
	div_u64_rem(control->minute, BALLOON_BASELINE_MINUTES, &entry);
	while (control->minute < minute) {
		control->minute++;
		entry = (entry + 1) % BALLOON_BASELINE_MINUTES;
		control->lowest[entry] = NO_RATE;
		control->least[entry] = NO_RATE;
	}
	return entry;
}

static unsigned int lowest_of(const unsigned int *rates)
{
	unsigned int i, lowest = NO_RATE;

	for (i = 0; i < BALLOON_BASELINE_MINUTES; i++)
		lowest = min(lowest, rates[i]);
	return lowest == NO_RATE ? 0 : lowest;
}

/* Rates are rounded up: a window in which anything happened was not quiet. */
static void measure(struct balloon_control *control,
		    const struct balloon_sample *now)
{
	u64 length = max(now->ms - control->from.ms, (u64)1);
	u64 waited = waited_ms(&control->from, now);
	u64 refaults = refaulted(&control->from, now);
	unsigned int entry;

	control->rate = div64_u64(refaults * 1000 + length - 1, length);
	control->waited = div64_u64(waited * 1000 + length - 1, length);
	entry = entry_of_minute(control, div_u64(now->ms, 60000));
	control->lowest[entry] = min(control->lowest[entry], control->rate);
	control->least[entry] = min(control->least[entry], control->waited);
}

/**
 * balloon_control_init - no refault is known of
 * @control: the control
 * @nodes: room for each node, by number
 * @nr_nodes: their count
 *
 * Context: any.
 */
void balloon_control_init(struct balloon_control *control,
			  struct balloon_node *nodes, unsigned int nr_nodes)
{
	memset(control, 0, sizeof(*control));
	memset(control->lowest, 0xff, sizeof(control->lowest));
	memset(control->least, 0xff, sizeof(control->least));
	control->nodes = nodes;
	control->nr_nodes = nr_nodes;
}

/**
 * balloon_control_is_stale - did the present window begin too long ago?
 * @control: the control
 * @now: a sample
 *
 * Context: any.
 */
bool balloon_control_is_stale(const struct balloon_control *control,
			      const struct balloon_sample *now)
{
	return !control->from.ms || now->ms - control->from.ms > STALE_MS;
}

/**
 * balloon_control_left_ms - when the present window is over
 * @control: the control
 * @now: a sample
 *
 * Context: any.
 * Return: ms, 0 if it is.
 */
unsigned int balloon_control_left_ms(const struct balloon_control *control,
				     const struct balloon_sample *now)
{
	u64 passed = now->ms - control->from.ms;

	return BALLOON_WINDOW_MS - min_t(u64, passed, BALLOON_WINDOW_MS);
}

/**
 * balloon_control_begin - begin a window
 * @control: the control
 * @now: a sample
 *
 * Context: any.
 */
void balloon_control_begin(struct balloon_control *control,
			   const struct balloon_sample *now)
{
	unsigned int nid;

	control->from = *now;
	for (nid = 0; nid < control->nr_nodes; nid++)
		control->nodes[nid].before = control->nodes[nid].refaults;
}

/**
 * balloon_control_begin_anew - begin a window after one that is stale
 * @control: the control
 * @now: a sample
 *
 * If next to no page has refaulted since that began, the guest is calm. Otherwise free
 * memory may be taken until a window ends.
 *
 * Context: any.
 */
void balloon_control_begin_anew(struct balloon_control *control,
				const struct balloon_sample *now)
{
	unsigned int nid;

	control->calm = control->from.ms &&
			refaulted(&control->from, now) <= REFAULTS_ONCE;
	if (control->calm)
		measure(control, now);
	for (nid = 0; nid < control->nr_nodes; nid++)
		control->nodes[nid].calm = true;
	balloon_control_begin(control, now);
}

/**
 * balloon_control_refaults - refaults in the present window
 * @control: the control
 * @now: a sample
 *
 * Context: any.
 * Return: how many, those of cgroups that reclaim from themselves left out.
 */
unsigned long balloon_control_refaults(const struct balloon_control *control,
				       const struct balloon_sample *now)
{
	return refaulted(&control->from, now);
}

/**
 * balloon_control_baseline - the lowest rate of the last ten minutes
 * @control: the control
 *
 * Context: any.
 * Return: refaults a second, 0 if none was measured.
 */
unsigned int balloon_control_baseline(const struct balloon_control *control)
{
	return lowest_of(control->lowest);
}

static unsigned int foreign_batch(const struct balloon_control *control)
{
	return control->foreign > REFAULTS_PER_S ? FOREIGN_BATCH : 0;
}

/**
 * balloon_control_thrashes - did the guest thrash in the last window?
 * @control: the control
 *
 * Context: any.
 */
bool balloon_control_thrashes(const struct balloon_control *control)
{
	return control->rate > balloon_control_baseline(control) +
			       THRASH_PER_S + foreign_batch(control);
}

/* Have tasks waited for disks for longer than the baseline allows? */
static bool waited_for_long(const struct balloon_control *control,
			    const struct balloon_sample *now)
{
	unsigned long waited = waited_ms(&control->from, now);
	u64 passed = now->ms - control->from.ms;
	u64 always = lowest_of(control->least);

	/* At most this much of the window so far, and a little. */
	always = div_u64(passed * (always + always / 4), 1000);
	return waited > always + max(passed >> WAITED_SHIFT,
				     (u64)WAITED_ONCE_MS);
}

/**
 * balloon_control_hurts - do more pages refault than the baseline allows?
 * @control: the control
 * @now: a sample
 * @on_trial: guest pages on trial, of which a small part may refault once
 *
 * Context: any.
 */
bool balloon_control_hurts(const struct balloon_control *control,
			   const struct balloon_sample *now,
			   unsigned long on_trial)
{
	u64 length = max(now->ms - control->from.ms, (u64)BALLOON_WINDOW_MS);
	unsigned int base = balloon_control_baseline(control);
	unsigned long once, refaults = refaulted(&control->from, now);

	/* A cgroup's waits are its own, as its refaults are. */
	if (!foreign_batch(control) && refaults >= WAITED_REFAULTS &&
	    waited_for_long(control, now))
		return true;
	once = min(on_trial >> REFAULTS_SHIFT,
		   waits_show(&control->from, now) ? REFAULTS_ONCE :
						     REFAULTS_BUSY);
	once += foreign_batch(control);
	return (u64)refaults * 1000 >
	       (base + base / 4 + REFAULTS_PER_S) * length + once * 1000ULL;
}

/**
 * balloon_control_end - end the present window, and begin another
 * @control: the control
 * @now: a sample
 *
 * Context: any.
 */
void balloon_control_end(struct balloon_control *control,
			 const struct balloon_sample *now)
{
	unsigned long refaults = now->refaults - control->from.refaults;
	u64 length = max(now->ms - control->from.ms, (u64)1);
	struct balloon_node *node;
	unsigned int all;

	measure(control, now);
	all = div64_u64((u64)refaults * 1000, length);
	control->foreign = (3 * control->foreign + all -
			    min(all, control->rate)) / 4;
	control->calm = !balloon_control_hurts(control, now, 0);
	for (node = control->nodes;
	     node < control->nodes + control->nr_nodes; node++) {
		refaults = node->refaults - node->before;
		node->calm = control->calm ||
			     length * REFAULTS_PER_S >= (u64)refaults * 1000;
	}
	balloon_control_begin(control, now);
}
