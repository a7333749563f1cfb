// SPDX-License-Identifier: GPL-2.0
/*
 * Pages on trial: taken from the guest, and the host has not been told.
 *
 * To take what is free hurts nobody. Beyond that each page that the balloon
 * takes is one that reclaim gets from somebody, and that it was needed shows
 * only afterwards, as refaults or stalls. What the host has been told of does
 * not go back unasked (virtio 1.2, 5.5.6). So such pages wait here for a period
 * or two while their guest is watched. If that goes well, the host gets them.
 * If it does not, they go back to the guest, to whom that is as if the balloon
 * had stopped a moment earlier: before it hurt.
 *
 * A guest that has no more than it needs stands at an edge: the next page that
 * somebody uses, and who reads in a loop finds none of its pages any more. So
 * once something was missed, the guest has to do without more than the host gets,
 * and keeps that when it is missed again: the margin.
 *
 * All of this is the kthread's own, and teardown's after it. Others can only
 * ask for the end, balloon_trial_recall(), and wait for it.
 */

#include <linux/gfp.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "virtio_balloon.h"

/* How many pages are taken between two looks at what is left. */
#define BALLOON_TRIAL_LOOK	32

/**
 * balloon_trial_init - nothing is on trial
 * @bd: the balloon
 *
 * Context: probe.
 */
void balloon_trial_init(struct balloon_device *bd)
{
	unsigned int age;

	for (age = 0; age < BALLOON_TRIAL_AGES; age++)
		INIT_LIST_HEAD(&bd->trial.pages[age]);
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
 * balloon_trial_margin - what the guest keeps of that which nobody has missed
 * @bd: the balloon
 *
 * A part of the floor, which grows with the guest, and slower than it.
 *
 * Context: the kthread; takes pages_lock.
 * Return: guest pages, 0 if nothing was missed lately.
 */
unsigned long balloon_trial_margin(struct balloon_device *bd)
{
	return bd->restraint.missed ?
	       balloon_floor(bd) >> BALLOON_TRIAL_MARGIN_SHIFT : 0;
}

/* What of so many pages on trial is not the margin. */
static unsigned long balloon_trial_beyond_margin(struct balloon_device *bd,
						 unsigned long nr)
{
	return nr - min(nr, balloon_trial_margin(bd));
}

/**
 * balloon_trial_passed - what nobody has missed, and the host may have
 * @bd: the balloon
 *
 * Context: the kthread; takes pages_lock.
 * Return: guest pages.
 */
unsigned long balloon_trial_passed(struct balloon_device *bd)
{
	return balloon_trial_beyond_margin(bd,
					   bd->trial.nr[BALLOON_TRIAL_PASSED]);
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
 * Only while the guest runs can anybody miss a page. That it was paused, by its
 * host or for want of CPUs, shows in looks that come late.
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

	list_splice_tail_init(&trial->pages[age], &trial->pages[age + 1]);
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
 * Stops at what wakes kswapd, having woken it: whoever else needs a page has
 * not to wait for one.
 *
 * Context: the kthread, no lock held; allocates.
 * Return: 0, or -ENOMEM where fewer than @want could be had.
 */
int balloon_trial_take(struct balloon_device *bd, unsigned long want,
		       unsigned long *got)
{
	struct balloon_trial *trial = &bd->trial;
	struct page *page;

	if (!balloon_trial_size(bd))
		balloon_trial_begin_period(trial);
	*got = 0;
	while (*got < want) {
		page = balloon_alloc_block(bd, 0);
		if (!page)
			return -ENOMEM;
		list_add_tail(&page->lru,
			      &trial->pages[BALLOON_TRIAL_YOUNG]);
		trial->nr[BALLOON_TRIAL_YOUNG]++;
		if ((*got)++ % BALLOON_TRIAL_LOOK == 0 &&
		    !balloon_spare(bd, WMARK_LOW))
			return -ENOMEM;
	}
	return 0;
}

static struct page *balloon_trial_remove(struct balloon_device *bd,
					 enum balloon_trial_age age)
{
	struct balloon_trial *trial = &bd->trial;
	struct page *page;

	page = list_first_entry_or_null(&trial->pages[age], struct page, lru);
	if (page) {
		list_del(&page->lru);
		trial->nr[age]--;
	}
	return page;
}

/**
 * balloon_trial_next - take a page that has passed its trial
 * @bd: the balloon
 *
 * Context: the kthread.
 * Return: the page, or NULL if there is none.
 */
struct page *balloon_trial_next(struct balloon_device *bd)
{
	return balloon_trial_remove(bd, BALLOON_TRIAL_PASSED);
}

/**
 * balloon_trial_end - give everything on trial back to the guest
 * @bd: the balloon
 *
 * Context: the kthread, or teardown after it.
 */
void balloon_trial_end(struct balloon_device *bd)
{
	struct page *page;
	unsigned int age;

	for (age = 0; age < BALLOON_TRIAL_AGES; age++) {
		while ((page = balloon_trial_remove(bd, age))) {
			__free_page(page);
			cond_resched();
		}
	}
}

/**
 * balloon_trial_answer - do what balloon_trial_recall() asks for
 * @bd: the balloon
 *
 * Context: the kthread.
 */
void balloon_trial_answer(struct balloon_device *bd)
{
	struct balloon_trial *trial = &bd->trial;
	unsigned long size = balloon_trial_size(bd);

	if (!READ_ONCE(trial->recalled))
		return;
	/* First: who asks from now on is not who is answered. */
	WRITE_ONCE(trial->recalled, false);
	balloon_trial_end(bd);
	WRITE_ONCE(trial->nr_recalled, trial->nr_recalled + size);
	/* Pairs with balloon_trial_answered(): those pages are counted by then. */
	smp_store_release(&trial->answers, trial->answers + 1);
	wake_up(&bd->wait);
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

/* A page on its way from one age to the next is on both lists, or on the latter. */
static bool balloon_trial_has_any(const struct balloon_trial *trial)
{
	unsigned int age;

	for (age = 0; age < BALLOON_TRIAL_AGES; age++) {
		if (!list_empty(&trial->pages[age]))
			return true;
	}
	return false;
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
	bool any = balloon_trial_has_any(trial);

	balloon_trial_recall(bd);
	if (any)
		wait_event_timeout(bd->wait,
				   balloon_trial_answered(trial, answers) ||
				   READ_ONCE(bd->dying), BALLOON_LOOK_AGAIN);
	return READ_ONCE(trial->nr_recalled) - before;
}

/**
 * balloon_trial_missed - give everything on trial back, and try less next time
 * @bd: the balloon
 *
 * A quarter, and twice as much whenever that goes well: so half of the way to
 * where it hurts is gone between two times that it does.
 *
 * Context: the kthread; takes pages_lock.
 */
void balloon_trial_missed(struct balloon_device *bd)
{
	unsigned long size =
		balloon_trial_beyond_margin(bd, balloon_trial_size(bd));

	bd->trial.limit = max3(size / 4, 1UL,
			       bd->restraint.now.total >>
			       BALLOON_TRIAL_MIN_SHIFT);
	balloon_trial_end(bd);
}
