// SPDX-License-Identifier: GPL-2.0
/*
 * The control of an experiment: refaults without a trial.
 *
 * A cgroup, a backup or another node may refault whatever the balloon does.
 * Such refaults show in the windows before a trial as well as during it. So the
 * driver judges a trial by the refaults that it adds to the baseline. The
 * baseline is the lowest rate of the last ten minutes. A control that is
 * measured anew after each trial would creep, as each trial may add a few
 * refaults.
 */

#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "control.h"

/* The driver discards a window longer than this: it tells no rate. */
#define STALE_MS	45000U

/*
 * The rate may exceed the baseline by this number. On a disk of 150 requests a
 * second, a task that waits for each refault loses 2.7 % of its time.
 */
#define REFAULTS_PER_S	4U
/*
 * One of 128 pages on trial may refault: a task reads it again, and it stays.
 * REFAULTS_ONCE bounds these refaults, as thrash has to show before the trial
 * has evicted much of a working set.
 */
#define REFAULTS_SHIFT	7U
#define REFAULTS_ONCE	64UL
/*
 * If all CPUs are busy, no wait for a disk shows, not even on a slow disk. Then
 * no more pages may refault than a slow disk serves in a tenth of a second.
 */
#define REFAULTS_BUSY	16UL
/*
 * Tasks may wait for disks longer than in the baseline: by this share of the
 * time, or once by WAITED_ONCE_MS, 5 %. On a slow disk, waits show earlier than
 * refaults. Other requests cause waits too, so at least WAITED_REFAULTS pages
 * must have refaulted.
 */
#define WAITED_SHIFT	4U
#define WAITED_ONCE_MS	25U
#define WAITED_REFAULTS	4U
/* A cgroup that reclaims from itself does so in batches, on each CPU. */
#define FOREIGN_BATCH	128U
/*
 * Above this rate the guest thrashes: a slow disk does not serve as many
 * refaults beside other requests.
 */
#define THRASH_PER_S	64U

/* Processes are busy if they run for this share of a CPU's time: 6 %. */
#define BUSY_SHIFT	4U

#define NO_RATE		(~0U)

/*
 * Returns how far a counter went up. Sums may step back: a node or a CPU goes
 * offline, another LRU counts from now on, or a CPU adds its share meanwhile.
 */
static unsigned long counted(unsigned long from, unsigned long now)
{
	return max((long)(now - from), 0L);
}

/*
 * Returns the refaults that the balloon may have caused. A cgroup at its limit
 * reclaims a page from itself for each page that refaults. So the sum of used
 * pages stays the same, and @reclaimed leaves out the cgroup's pages. Other
 * tasks need pages that were free, or that reclaim freed. The number of free
 * pages is no measure, as CPUs keep lists of free pages that no counter has.
 */
static unsigned long refaulted(const struct balloon_sample *from,
			       const struct balloon_sample *now)
{
	unsigned long refaults = counted(from->refaults, now->refaults);
	long got;

	if (!IS_ENABLED(CONFIG_VM_EVENT_COUNTERS))
		return refaults;
	got = now->reclaimed - from->reclaimed + now->used - from->used;
	return min_t(unsigned long, refaults, max(got, 0L));
}

/* Were CPUs idle for half of the time? Only idle CPUs show waits for disks. */
static bool waits_show(const struct balloon_sample *from,
		       const struct balloon_sample *now)
{
	unsigned long idle = counted(from->idle_ms, now->idle_ms) +
			     counted(from->waited_ms, now->waited_ms);

	return idle >= (now->ms - from->ms) / 2;
}

/* Returns the entry of @minute, and forgets rates of ten minutes ago. */
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

/* Rounds rates up: a window with a single event was not quiet. */
static void measure(struct balloon_control *control,
		    const struct balloon_sample *now)
{
	u64 length = max(now->ms - control->from.ms, (u64)1);
	u64 waited = counted(control->from.waited_ms, now->waited_ms);
	u64 refaults = refaulted(&control->from, now);
	unsigned int entry;

	control->rate = div64_u64(refaults * 1000 + length - 1, length);
	control->waited = div64_u64(waited * 1000 + length - 1, length);
	control->busy = counted(control->from.user_ms, now->user_ms) >
			length >> BUSY_SHIFT;
	entry = entry_of_minute(control, div_u64(now->ms, 60000));
	control->lowest[entry] = min(control->lowest[entry], control->rate);
	control->least[entry] = min(control->least[entry], control->waited);
}

/**
 * balloon_control_init - start without any known refaults
 * @control: the control
 * @nodes: an array for the nodes, indexed by node number
 * @nr_nodes: length of @nodes
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
 * balloon_control_left_ms - time until the present window is over
 * @control: the control
 * @now: a sample
 *
 * Context: any.
 * Return: ms, 0 if the window is over.
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
 * If next to no page has refaulted since the stale window began, the guest is
 * calm. Otherwise the driver may take only free memory until a window ends.
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
 * Return: refaults, without those of cgroups that reclaim from themselves.
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
	unsigned long waited = counted(control->from.waited_ms,
				       now->waited_ms);
	u64 passed = now->ms - control->from.ms;
	u64 always = lowest_of(control->least);

	/* The baseline's share of the window so far, and a quarter more. */
	always = div_u64(passed * (always + always / 4), 1000);
	return waited > always + max(passed >> WAITED_SHIFT,
				     (u64)WAITED_ONCE_MS);
}

/**
 * balloon_control_hurts - do more pages refault than the baseline allows?
 * @control: the control
 * @now: a sample
 * @on_trial: guest pages on trial; a small part of them may refault once
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

	/* While cgroups refault, waits do not count: the waits are theirs. */
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
	unsigned long refaults = counted(control->from.refaults,
					 now->refaults);
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
		refaults = counted(node->before, node->refaults);
		node->calm = control->calm ||
			     length * REFAULTS_PER_S >= (u64)refaults * 1000;
	}
	balloon_control_begin(control, now);
}
