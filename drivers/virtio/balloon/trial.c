// SPDX-License-Identifier: GPL-2.0
/*
 * Pages on trial: the driver has taken them from the guest and has not told the
 * host.
 *
 * A balloon that takes free memory hurts no task. To take more, it needs
 * reclaim, which takes each page from some task. If the task needed the page,
 * the page refaults afterwards. Pages that the host has been told of do not go
 * back unasked (virtio 1.2, 5.5.6). So reclaimed pages wait here while the
 * driver watches the guest. experiment.c decides whether the host or the guest
 * gets them.
 *
 * The pages are in a balloon mapping of their own, so that mm moves them
 * without telling the host. All pages on trial are alike: only their number
 * counts. The kthread alone ends a trial. Other tasks can only ask for the end
 * with balloon_trial_recall(), and wait for it.
 */

#include <linux/gfp.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <kunit/static_stub.h>

#include "blocks.h"
#include "device.h"
#include "guest.h"
#include "trial.h"
#include "virtio_balloon.h"

/* The driver takes this many pages between two looks at spare memory. */
#define BALLOON_TRIAL_LOOK	32
/* The driver takes pages for this long between two looks at refaults. */
#define BALLOON_TRIAL_TAKE	DIV_ROUND_UP(HZ, 100)
/* The driver gives this many pages back at once. */
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
 * balloon_trial_init - start with no page on trial
 * @bd: the balloon
 *
 * Context: probe.
 */
void balloon_trial_init(struct balloon_device *bd)
{
	balloon_mapping_init(&bd->trial.bm, &balloon_trial_ops);
}

/**
 * balloon_trial_size - number of pages on trial
 * @bd: the balloon
 *
 * Context: process; takes pages_lock.
 * Return: guest pages, including those that mm has isolated.
 */
unsigned long balloon_trial_size(struct balloon_device *bd)
{
	struct balloon_mapping *bm = &bd->trial.bm;
	unsigned long size;

	spin_lock(&bm->pages_lock);
	size = bm->nr_resident + bm->nr_isolated;
	spin_unlock(&bm->pages_lock);
	return size;
}

/**
 * balloon_trial_size_roughly - number of pages on trial, for display
 * @bd: the balloon
 *
 * Context: any.
 * Return: guest pages, off by those that move meanwhile.
 */
unsigned long balloon_trial_size_roughly(struct balloon_device *bd)
{
	struct balloon_mapping *bm = &bd->trial.bm;

	/* For display, and for decisions that are soon made again. */
	return data_race(bm->nr_resident + bm->nr_isolated);
}

/* Has the kthread something else to do? */
static bool balloon_trial_is_interrupted(struct balloon_device *bd,
					 unsigned long end)
{
	return READ_ONCE(bd->trial.recalled) || time_after(jiffies, end) ||
	       test_bit(BALLOON_CONFIG_CHANGED, &bd->flags) ||
	       balloon_is_dying(bd);
}

/**
 * balloon_trial_take - put pages on trial
 * @bd: the balloon
 * @want: guest pages
 *
 * Stops once kswapd is woken, so that other tasks need not wait for a page.
 * Stops after BALLOON_TRIAL_TAKE, as refaults have to be looked at.
 *
 * Context: the kthread, no lock held; allocates.
 * Return: guest pages that were taken.
 */
unsigned long balloon_trial_take(struct balloon_device *bd, unsigned long want)
{
	struct balloon_trial *trial = &bd->trial;
	unsigned long end = jiffies + BALLOON_TRIAL_TAKE;
	unsigned long got = 0;
	struct page *page;

	KUNIT_STATIC_STUB_REDIRECT(balloon_trial_take, bd, want);

	balloon_take_from(&bd->blocks, balloon_sparest_node());
	while (got < want && !balloon_trial_is_interrupted(bd, end)) {
		page = balloon_alloc_block(bd, 0);
		if (!page)
			break;
		spin_lock(&trial->bm.pages_lock);
		balloon_mapping_insert_new(&trial->bm, &page, 1);
		spin_unlock(&trial->bm.pages_lock);
		if (got++ % BALLOON_TRIAL_LOOK == 0) {
			if (!balloon_spare(bd, WMARK_LOW))
				break;
			cond_resched();
		}
	}
	return got;
}

/*
 * Takes up to @max pages out of the mapping. If no page lock is free, waits for
 * one. Returns the number of pages. If it is 0, mm has isolated all pages that
 * are left.
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
 * balloon_trial_pass - let pages on trial go to the host
 * @bd: the balloon
 * @nr: guest pages
 *
 * The next balloon_inflate() takes these pages instead of others.
 *
 * Context: the kthread.
 * Return: guest pages, fewer than @nr if mm has isolated some.
 */
unsigned long balloon_trial_pass(struct balloon_device *bd, unsigned long nr)
{
	struct balloon_trial *trial = &bd->trial;

	spin_lock(&trial->bm.pages_lock);
	trial->nr_passed = min(nr, trial->bm.nr_resident);
	/* The kthread waits for their return. */
	if (nr && !trial->nr_passed)
		trial->wants_isolated = trial->bm.nr_isolated;
	spin_unlock(&trial->bm.pages_lock);
	return trial->nr_passed;
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

	if (!trial->nr_passed || !balloon_trial_remove(trial, &page, 1))
		return NULL;
	trial->nr_passed--;
	return page;
}

/**
 * balloon_trial_end - give all pages on trial back to the guest
 * @bd: the balloon
 *
 * Pages that mm has isolated stay on trial. Each page that returns is an event,
 * and the caller comes again.
 *
 * Context: the kthread, or teardown after it; may wait for page locks.
 */
void balloon_trial_end(struct balloon_device *bd)
{
	struct balloon_trial *trial = &bd->trial;
	struct page *pages[BALLOON_TRIAL_GIVE];
	unsigned int nr;

	KUNIT_STATIC_STUB_REDIRECT(balloon_trial_end, bd);

	trial->nr_passed = 0;
	while ((nr = balloon_trial_remove(trial, pages, ARRAY_SIZE(pages)))) {
		release_pages(pages, nr);
		WRITE_ONCE(trial->nr_released, trial->nr_released + nr);
		cond_resched();
	}
}

/**
 * balloon_trial_is_recalled - has a task asked for the end of the trial?
 * @bd: the balloon
 *
 * Clears the request: a later recall needs an answer of its own.
 *
 * Context: the kthread.
 */
bool balloon_trial_is_recalled(struct balloon_device *bd)
{
	return READ_ONCE(bd->trial.recalled) && xchg(&bd->trial.recalled, false);
}

/**
 * balloon_trial_answer - tell tasks that the recalled trial has ended
 * @bd: the balloon
 * @nr: guest pages that went back
 *
 * Context: the kthread.
 */
void balloon_trial_answer(struct balloon_device *bd, unsigned long nr)
{
	struct balloon_trial *trial = &bd->trial;

	WRITE_ONCE(trial->nr_recalled, trial->nr_recalled + nr);
	/* Pairs with balloon_trial_answered(): @nr is counted before. */
	smp_store_release(&trial->answers, trial->answers + 1);
	wake_up(&bd->wait);
}

/**
 * balloon_trial_recall - have the kthread end the trial
 * @bd: the balloon
 *
 * Context: any; does not wait for the end.
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
 * balloon_trial_recall_now - have the kthread end the trial, and wait
 * @bd: the balloon
 *
 * Context: the out-of-memory notifier; sleeps up to BALLOON_LOOK_AGAIN.
 * Return: guest pages that went back, approximately.
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
