// SPDX-License-Identifier: GPL-2.0
/*
 * Pages on trial: taken from the guest, and the host has not been told.
 *
 * Taking free memory hurts no task. Beyond that, reclaim gets each page that the
 * balloon takes from some task. Whether that task needed the page shows only
 * afterwards, as refaults or stalls. Pages that the host has been told of do not go
 * back unasked (virtio 1.2, 5.5.6). So reclaimed pages wait here for a period or two
 * while the driver watches the guest. If the guest does well, the host gets them. If
 * not, they go back to the guest, as if the balloon had stopped a moment earlier.
 *
 * A guest that has no more memory than it needs stands at an edge. One more page in
 * use, and a task that reads in a loop refaults on each of its pages. So after a
 * refault the guest has to do without more pages than the host gets. It keeps those
 * if it refaults again: the margin.
 *
 * The pages are in a balloon mapping of their own, so that mm moves them without
 * telling the host. The age of a single page does not matter, only the count of each
 * age. The counts by age are the kthread's own, and teardown's after it. Other tasks
 * can only ask for the end, balloon_trial_recall(), and wait for it.
 */

#include <linux/gfp.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <kunit/static_stub.h>

#include "blocks.h"
#include "device.h"
#include "guest.h"
#include "trial.h"
#include "virtio_balloon.h"

/* However long ago the last look was, no more of a period has passed since. */
#define BALLOON_TRIAL_LATE	(2 * BALLOON_SAMPLE_MOVING)
/* How many pages are taken between two looks at what is left. */
#define BALLOON_TRIAL_LOOK	32
/* ... and are given back at once. */
#define BALLOON_TRIAL_GIVE	32

static struct balloon_device *balloon_of_trial(struct address_space *mapping)
{
	return container_of(to_balloon_mapping(mapping), struct balloon_device,
			    trial.bm);
}

static bool balloon_trial_isolate(struct address_space *mapping,
				  struct page *page)
{
	struct balloon_device *bd = balloon_of_trial(mapping);
	struct balloon_mapping *bm = &bd->trial.bm;
	bool isolated;

	spin_lock(&bm->pages_lock);
	isolated = balloon_mapping_isolate(bm, page);
	if (isolated)
		balloon_device_get(bd);
	spin_unlock(&bm->pages_lock);
	return isolated;
}

/* The kthread may wait for the page. */
static void balloon_trial_returned(struct balloon_device *bd, bool wanted)
{
	if (wanted)
		balloon_event(bd);
	balloon_device_put(bd);
}

static void balloon_trial_putback(struct address_space *mapping,
				  struct page *page)
{
	struct balloon_device *bd = balloon_of_trial(mapping);
	struct balloon_mapping *bm = &bd->trial.bm;
	bool wanted;

	spin_lock(&bm->pages_lock);
	balloon_mapping_putback(bm, page);
	wanted = bd->trial.wants_isolated;
	spin_unlock(&bm->pages_lock);
	balloon_trial_returned(bd, wanted);
}

/* The host knows of neither page. */
static int balloon_trial_migrate(struct address_space *mapping,
				 struct folio *dst, struct folio *src,
				 enum migrate_mode mode)
{
	struct balloon_device *bd = balloon_of_trial(mapping);
	struct page *new = folio_page(dst, 0), *old = folio_page(src, 0);
	struct balloon_mapping *bm = &bd->trial.bm;
	bool wanted;

	get_page(new);
	spin_lock(&bm->pages_lock);
	balloon_mapping_forget(bm, old);
	balloon_mapping_insert(bm, new);
	wanted = bd->trial.wants_isolated;
	spin_unlock(&bm->pages_lock);
	put_page(old);
	balloon_trial_returned(bd, wanted);
	return MIGRATEPAGE_SUCCESS;
}

static const struct balloon_aops balloon_trial_ops = {
	.aops.migrate_folio = balloon_trial_migrate,
	.isolate_page = balloon_trial_isolate,
	.putback_page = balloon_trial_putback,
};

/**
 * balloon_trial_init - nothing is on trial
 * @bd: the balloon
 *
 * Context: probe.
 */
void balloon_trial_init(struct balloon_device *bd)
{
	balloon_mapping_init(&bd->trial.bm, &balloon_trial_ops);
	bd->trial.limit = BALLOON_TRIAL_NO_LIMIT;
}

/**
 * balloon_trial_size - what is on trial, or has passed and is to be handed over
 * @bd: the balloon
 *
 * Context: the kthread.
 * Return: guest pages.
 */
unsigned long balloon_trial_size(struct balloon_device *bd)
{
	unsigned long size = 0;
	unsigned int age;

	for (age = 0; age < BALLOON_TRIAL_AGES; age++)
		size += bd->trial.nr[age];
	return size;
}

/**
 * balloon_trial_size_roughly - the same for display
 * @bd: the balloon
 *
 * Context: any.
 * Return: guest pages, off by what moves meanwhile.
 */
unsigned long balloon_trial_size_roughly(struct balloon_device *bd)
{
	struct balloon_mapping *bm = &bd->trial.bm;

	/* For display, and for a decision that is made again soon. */
	return data_race(bm->nr_resident + bm->nr_isolated);
}

/**
 * balloon_trial_margin - pages that passed their trial and the guest keeps
 * @bd: the balloon
 *
 * A part of the floor, which grows with the guest, and slower than it.
 *
 * Context: the kthread; takes pages_lock.
 * Return: guest pages, 0 if no page on trial refaulted lately.
 */
unsigned long balloon_trial_margin(struct balloon_device *bd)
{
	return bd->restraint.refaulted ?
	       balloon_floor(bd) >> BALLOON_TRIAL_MARGIN_SHIFT : 0;
}

/* How many of @nr pages on trial are not the margin. */
static unsigned long balloon_trial_beyond_margin(struct balloon_device *bd,
						 unsigned long nr)
{
	return nr - min(nr, balloon_trial_margin(bd));
}

/**
 * balloon_trial_passed - pages that did not refault, and the host may have
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 * Return: guest pages, those that mm has isolated not among them.
 */
unsigned long balloon_trial_passed(struct balloon_device *bd)
{
	unsigned long nr = bd->trial.nr[BALLOON_TRIAL_PASSED];

	return min(balloon_trial_beyond_margin(bd, nr),
		   READ_ONCE(bd->trial.bm.nr_resident));
}

/**
 * balloon_trial_room - what may be put on trial now
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 * Return: guest pages, 0 if what is on trial has to be waited for.
 */
unsigned long balloon_trial_room(struct balloon_device *bd)
{
	unsigned long size = balloon_trial_size(bd);
	unsigned long limit = bd->trial.limit + balloon_trial_margin(bd);

	return limit - min(size, limit);
}

/*
 * Pages refault only while the guest runs. A guest that was paused, by its host or
 * for lack of CPUs, shows in looks that come late.
 */
static long balloon_trial_period_left(struct balloon_trial *trial)
{
	trial->watched += min_t(unsigned long, jiffies - trial->looked_at,
				BALLOON_TRIAL_LATE);
	trial->looked_at = jiffies;
	return BALLOON_TRIAL_PERIOD - (long)trial->watched;
}

static void balloon_trial_begin_period(struct balloon_trial *trial)
{
	trial->watched = 0;
	trial->looked_at = jiffies;
}

/* Everything of one age becomes of the next. */
static void balloon_trial_promote(struct balloon_device *bd,
				  enum balloon_trial_age age)
{
	struct balloon_trial *trial = &bd->trial;

	trial->nr[age + 1] += trial->nr[age];
	trial->nr[age] = 0;
}

/**
 * balloon_trial_watch - let what is on trial get older
 * @bd: the balloon
 *
 * Context: the kthread, where the guest is found well; takes pages_lock.
 * Return: jiffies until there is something to do about it.
 */
long balloon_trial_watch(struct balloon_device *bd)
{
	struct balloon_trial *trial = &bd->trial;
	long left;

	if (!balloon_trial_size(bd))
		return MAX_SCHEDULE_TIMEOUT;
	left = balloon_trial_period_left(trial);
	if (left <= 0) {
		if (trial->nr[BALLOON_TRIAL_OLD])
			trial->limit = min(2 * trial->limit,
					   BALLOON_TRIAL_NO_LIMIT);
		balloon_trial_promote(bd, BALLOON_TRIAL_OLD);
		balloon_trial_promote(bd, BALLOON_TRIAL_YOUNG);
		balloon_trial_begin_period(trial);
		left = BALLOON_TRIAL_PERIOD;
	}
	return balloon_trial_passed(bd) ? 0 :
	       min_t(long, left, BALLOON_SAMPLE_MOVING);
}

/**
 * balloon_trial_take - put pages on trial
 * @bd: the balloon
 * @want: guest pages
 * @got: guest pages that were taken
 *
 * Stops once kswapd is woken: other tasks that need a page need not wait for one.
 *
 * Context: the kthread, no lock held; allocates.
 * Return: 0, or -ENOMEM where fewer than @want could be had.
 */
int balloon_trial_take(struct balloon_device *bd, unsigned long want,
		       unsigned long *got)
{
	struct balloon_trial *trial = &bd->trial;
	struct page *page;

	KUNIT_STATIC_STUB_REDIRECT(balloon_trial_take, bd, want, got);

	if (!balloon_trial_size(bd))
		balloon_trial_begin_period(trial);
	balloon_choose_node(&bd->blocks);
	*got = 0;
	while (*got < want) {
		page = balloon_alloc_block(bd, 0);
		if (!page)
			return -ENOMEM;
		spin_lock(&trial->bm.pages_lock);
		balloon_mapping_insert_new(&trial->bm, &page, 1);
		spin_unlock(&trial->bm.pages_lock);
		trial->nr[BALLOON_TRIAL_YOUNG]++;
		if ((*got)++ % BALLOON_TRIAL_LOOK == 0 &&
		    !balloon_spare(bd, WMARK_LOW))
			return -ENOMEM;
	}
	return 0;
}

/*
 * Takes up to @max pages out of the mapping. If no page's lock is free, waits for the
 * lock of one. Returns how many; if 0, mm has isolated all pages that are left.
 */
static unsigned int balloon_trial_remove(struct balloon_trial *trial,
					 struct page **pages, unsigned int max)
{
	struct balloon_mapping *bm = &trial->bm;
	unsigned int nr = 0;

	spin_lock(&bm->pages_lock);
	while (!nr && bm->nr_resident) {
		nr = balloon_mapping_take(bm, pages, max);
		if (!nr)
			nr = balloon_mapping_take_locked(bm, pages);
	}
	trial->wants_isolated = !nr && bm->nr_isolated;
	spin_unlock(&bm->pages_lock);
	return nr;
}

/**
 * balloon_trial_next - take a page that has passed its trial
 * @bd: the balloon
 *
 * Context: the kthread; may wait for a page lock.
 * Return: the page, or NULL if there is none.
 */
struct page *balloon_trial_next(struct balloon_device *bd)
{
	struct balloon_trial *trial = &bd->trial;
	struct page *page;

	if (!trial->nr[BALLOON_TRIAL_PASSED] ||
	    !balloon_trial_remove(trial, &page, 1))
		return NULL;
	trial->nr[BALLOON_TRIAL_PASSED]--;
	return page;
}

/**
 * balloon_trial_end - give everything on trial back to the guest
 * @bd: the balloon
 *
 * Pages that mm has isolated stay on trial, as young ones. The caller comes again,
 * as each that returns is an event.
 *
 * Context: the kthread, or teardown after it; may wait for page locks.
 */
void balloon_trial_end(struct balloon_device *bd)
{
	struct balloon_trial *trial = &bd->trial;
	struct page *pages[BALLOON_TRIAL_GIVE];
	unsigned long left = balloon_trial_size(bd);
	unsigned int nr;

	KUNIT_STATIC_STUB_REDIRECT(balloon_trial_end, bd);

	while (left && (nr = balloon_trial_remove(trial, pages,
						  ARRAY_SIZE(pages)))) {
		release_pages(pages, nr);
		left -= nr;
		cond_resched();
	}
	memset(trial->nr, 0, sizeof(trial->nr));
	trial->nr[BALLOON_TRIAL_YOUNG] = left;
}

/**
 * balloon_trial_answer - do what balloon_trial_recall() asks for
 * @bd: the balloon
 *
 * A recall counts as a refault: the guest needs that memory.
 *
 * Context: the kthread; takes pages_lock.
 * Return: whether anything was on trial.
 */
bool balloon_trial_answer(struct balloon_device *bd)
{
	struct balloon_trial *trial = &bd->trial;
	unsigned long size = balloon_trial_size(bd);

	if (!READ_ONCE(trial->recalled))
		return false;
	/* Clear the request first: a later recall needs an answer of its own. */
	WRITE_ONCE(trial->recalled, false);
	if (size)
		balloon_trial_refaulted(bd);
	WRITE_ONCE(trial->nr_recalled,
		   trial->nr_recalled + size - balloon_trial_size(bd));
	/* Pairs with balloon_trial_answered(): those pages are counted by then. */
	smp_store_release(&trial->answers, trial->answers + 1);
	wake_up(&bd->wait);
	return size;
}

/**
 * balloon_trial_recall - have everything on trial given back
 * @bd: the balloon
 *
 * Context: any; does not wait for it.
 */
void balloon_trial_recall(struct balloon_device *bd)
{
	WRITE_ONCE(bd->trial.recalled, true);
	balloon_event(bd);
}

static bool balloon_trial_answered(const struct balloon_trial *trial,
				   unsigned int before)
{
	/* Pairs with balloon_trial_answer(). */
	return smp_load_acquire(&trial->answers) != before;
}

/**
 * balloon_trial_recall_now - have everything on trial given back, and wait for it
 * @bd: the balloon
 *
 * Context: the out-of-memory notifier; sleeps up to BALLOON_LOOK_AGAIN.
 * Return: guest pages that were given back, about.
 */
unsigned long balloon_trial_recall_now(struct balloon_device *bd)
{
	struct balloon_trial *trial = &bd->trial;
	unsigned long before = READ_ONCE(trial->nr_recalled);
	unsigned int answers = READ_ONCE(trial->answers);
	bool any = READ_ONCE(trial->bm.nr_resident);

	balloon_trial_recall(bd);
	if (any)
		wait_event_timeout(bd->wait,
				   balloon_trial_answered(trial, answers) ||
				   balloon_is_dying(bd), BALLOON_LOOK_AGAIN);
	return READ_ONCE(trial->nr_recalled) - before;
}

/**
 * balloon_trial_refaulted - give everything on trial back, and try less next time
 * @bd: the balloon
 *
 * A quarter, and twice as much whenever that goes well: so half of the way to
 * where it hurts is gone between two times that it does.
 *
 * Context: the kthread; takes pages_lock.
 */
void balloon_trial_refaulted(struct balloon_device *bd)
{
	unsigned long size =
		balloon_trial_beyond_margin(bd, balloon_trial_size(bd));

	bd->trial.limit = max3(size / 4, 1UL,
			       bd->restraint.now.total >>
			       BALLOON_TRIAL_MIN_SHIFT);
	balloon_trial_end(bd);
}
