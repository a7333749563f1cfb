// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the driver's decisions in a model guest, in a closed loop. Each case
 * of model_cases.c is a test.
 *
 * The kthread's own balloon_step() decides. The balloon has counts instead of
 * pages: stubs replace the functions that move pages or read counters. jiffies
 * follow the model's clock.
 */

#include <kunit/resource.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/mm.h>

#include "../experiment.h"
#include "../migrate.h"
#include "../pages.h"
#include "../thread.h"
#include "../virtio_balloon.h"
#include "model_cases.h"

/* With instrumented memory accesses, the cases would take minutes. */
#define MODEL_TOO_SLOW	(IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_KCSAN))

/* More than 20 GiB of pages, also of files that are not in memory. */
#define MODEL_CHUNKS	48U
#define CHUNK_ORDER	get_order(MODEL_CHUNK * sizeof(struct model_page))

struct model {
	struct model_page *chunks[MODEL_CHUNKS];
	struct model_guest guest;
};

static struct model *model;

/**
 * struct modelled - a balloon of counts
 * @bd: a balloon without pages, queues and kthread
 * @vdev: used for its name only
 * @guest: the guest that has the balloon
 * @driver: the policy, as the model calls it
 * @start: jiffies when the guest booted
 * @wake_at: time when the kthread's sleep ends, in jiffies
 * @event: the kthread's sleep ends now
 * @busy_until: time until which the kthread is busy with its work so far
 */
struct modelled {
	struct balloon_device bd;
	struct virtio_device vdev;
	struct model_guest *guest;
	struct model_driver driver;
	unsigned long start;
	unsigned long wake_at;
	bool event;
	u64 busy_until;
};

static struct modelled *to_modelled(struct balloon_device *bd)
{
	return container_of(bd, struct modelled, bd);
}

/* The host acknowledges at once, so all its pages are resident. */
static void modelled_holds(struct modelled *mb, long pages)
{
	mb->bd.ledger.bm.nr_resident += pages;
	mb->bd.ledger.nr_refs += pages;
}

static int modelled_inflate(struct balloon_device *bd, unsigned long want,
			    unsigned long *got)
{
	struct modelled *mb = to_modelled(bd);
	unsigned long passed, nr = min(want, 1024UL);

	passed = min(nr, bd->trial.nr_passed);
	bd->trial.bm.nr_resident -= passed;
	*got = passed;
	*got += model_guest_take(mb->guest, bd->blocks.nid, nr - passed,
				 false);
	modelled_holds(mb, *got);
	mb->busy_until += *got * MODEL_HOST_NS;
	return *got < nr ? -ENOMEM : 0;
}

static int modelled_deflate(struct balloon_device *bd, unsigned long want,
			    unsigned long *given)
{
	struct modelled *mb = to_modelled(bd);

	*given = min3(want, 1024UL, balloon_size(&bd->ledger));
	modelled_holds(mb, -(long)*given);
	model_guest_give(mb->guest, *given);
	mb->busy_until += *given * MODEL_HOST_NS;
	return *given ? 0 : -EBUSY;
}

static unsigned long modelled_trial_take(struct balloon_device *bd,
					 unsigned long want)
{
	struct modelled *mb = to_modelled(bd);
	unsigned long got;

	got = model_guest_take(mb->guest, model_guest_sparest_node(mb->guest),
			       want, true);
	bd->trial.bm.nr_resident += got;
	mb->busy_until += got * MODEL_TRIAL_NS;
	return got;
}

static void modelled_trial_end(struct balloon_device *bd)
{
	unsigned long nr = balloon_trial_size(bd);

	model_guest_give(to_modelled(bd)->guest, nr);
	bd->trial.bm.nr_resident -= nr;
}

static void modelled_sample_lists(const struct model_guest *guest,
				  struct balloon_sample *sample)
{
	const u32 *size;
	u32 i;

	for (i = 0; i < MODEL_LRUVECS; i++) {
		size = guest->lruvecs[i].size;
		sample->inactive += size[MODEL_INACTIVE_FILE];
		sample->active += size[MODEL_ACTIVE_FILE];
		sample->used += size[MODEL_INACTIVE_FILE] +
				size[MODEL_ACTIVE_FILE] +
				size[MODEL_INACTIVE_ANON] +
				size[MODEL_ACTIVE_ANON];
		if (!guest->swap_free)
			continue;
		sample->inactive += size[MODEL_INACTIVE_ANON];
		sample->active += size[MODEL_ACTIVE_ANON];
	}
}

/* Node counters include the deltas of CPUs, as in balloon_sample_read(). */
static void modelled_sample_read(struct balloon_device *bd,
				 struct balloon_sample *sample)
{
	struct balloon_node *nodes = bd->restraint.experiment.control.nodes;
	struct model_guest *guest = to_modelled(bd)->guest;
	u64 *exact;
	u32 nid;

	*sample = (struct balloon_sample) {
		.ms = sample->ms,
		.reclaimed = guest->stolen,
		.stalls = guest->stalls,
		.waited_ms = div_u64(guest->waited_ns, MODEL_MS),
		.user_ms = div_u64(guest->user_ns, MODEL_MS),
		.idle_ms = div_u64(guest->now, MODEL_MS),
		.lack = model_guest_lack(guest),
		.available = model_guest_available(guest),
		.floor = bd->guest.floor,
		.target = bd->config.target,
		.size = balloon_size(&bd->ledger),
		.on_trial = balloon_trial_size(bd),
		.may_give = bd->deflates_on_oom,
	};
	modelled_sample_lists(guest, sample);
	for (nid = 0; nid < guest->nr_nodes; nid++) {
		exact = guest->nodes[nid].exact;
		nodes[nid].spare = model_guest_spare(guest, nid, true);
		nodes[nid].refaults = exact[MODEL_ACTIVATE_FILE] +
				      exact[MODEL_REFAULT_ANON];
		sample->refaults += nodes[nid].refaults;
	}
}

/* Does the work of balloon_thread_pass(), except for the queues. */
static void modelled_pass(struct modelled *mb)
{
	struct balloon_device *bd = &mb->bd;
	long timeout;

	/* Keeps the driver's lines out of the log. */
	bd->thread.told_holding = balloon_size(&bd->ledger) != bd->config.target;
	if (test_and_clear_bit(BALLOON_GAVE_AT_OOM, &bd->flags)) {
		balloon_trial_end(bd);
		balloon_note_oom(bd);
	}
	timeout = balloon_step(bd, false);
	timeout = min(timeout, balloon_look_at_guest_in(bd));
	balloon_restraint_slept(bd, timeout);
	mb->wake_at = jiffies + min_t(long, timeout, 3600L * HZ);
}

static void modelled_run(struct model_guest *guest)
{
	struct modelled *mb = guest->driver->private;
	struct balloon_device *bd = &mb->bd;
	unsigned long us, now = mb->start +
				nsecs_to_jiffies(guest->now);

	while (time_before(jiffies, now)) {
		/* Timers may only expire with a tick: wake up earlier. */
		us = jiffies_to_usecs(now - jiffies) / 2;
		usleep_range(us, 2 * us);
	}
	/* As balloon_restraint_start(). */
	if (!bd->restraint.experiment.control.from.ms)
		balloon_restrain(bd);
	if (bd->config.target != guest->driver->target) {
		bd->config.target = guest->driver->target;
		bd->thread.retry_delay_ms = 0;
		mb->event = true;
	}
	while (mb->busy_until < guest->now &&
	       (mb->event || time_after_eq(jiffies, mb->wake_at))) {
		mb->busy_until = max(mb->busy_until,
				     guest->now - MODEL_STEP);
		mb->busy_until += 20000;	/* a look takes time, too */
		mb->event = false;
		modelled_pass(mb);
	}
	guest->driver->size = balloon_size(&bd->ledger);
}

static u32 modelled_oom(struct model_guest *guest)
{
	struct modelled *mb = guest->driver->private;
	struct balloon_device *bd = &mb->bd;
	unsigned long given = balloon_trial_size(bd);

	if (given) {
		balloon_note_recall(bd, given);
		balloon_trial_end(bd);
	} else if (bd->deflates_on_oom) {
		given = min(16UL << (20 - PAGE_SHIFT), balloon_size(&bd->ledger));
		modelled_holds(mb, -(long)given);
		model_guest_give(guest, given);
		set_bit(BALLOON_GAVE_AT_OOM, &bd->flags);
	}
	mb->event = true;
	return given;
}

static void modelled_reclaims(struct model_guest *guest)
{
	struct modelled *mb = guest->driver->private;
	struct balloon_device *bd = &mb->bd;

	if (bd->deflates_on_oom && balloon_size(&bd->ledger) &&
	    !test_and_set_bit(BALLOON_RECLAIMS, &bd->flags))
		mb->event = true;
}

static struct modelled *modelled_create(struct kunit *test,
					const struct model_case *row)
{
	struct modelled *mb = kunit_kzalloc(test, sizeof(*mb), GFP_KERNEL);
	struct balloon_device *bd;
	struct balloon_node *nodes;

	KUNIT_ASSERT_NOT_NULL(test, mb);
	mb->guest = &model->guest;
	bd = &mb->bd;
	bd->vdev = &mb->vdev;
	bd->deflates_on_oom = row->deflates_on_oom;
	init_waitqueue_head(&bd->wait);
	balloon_hints_init(&bd->hints);
	balloon_mapping_init(&bd->ledger.bm, &balloon_mapping_ops);
	balloon_trial_init(bd);
	nodes = kunit_kcalloc(test, MODEL_NODES, sizeof(*nodes), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, nodes);
	balloon_experiment_init(&bd->restraint.experiment, nodes,
				row->nodes ?: 1);
	bd->restraint.looked_at = jiffies;
	bd->restraint.ran = HZ;
	bd->guest.floor =
		balloon_default_floor((unsigned long)row->mib <<
				      (20 - PAGE_SHIFT));
	mb->start = jiffies - nsecs_to_jiffies(MODEL_S);
	mb->driver = (struct model_driver) {
		.run = modelled_run,
		.oom = modelled_oom,
		.reclaims = modelled_reclaims,
		.private = mb,
	};

	kunit_activate_static_stub(test, balloon_inflate, modelled_inflate);
	kunit_activate_static_stub(test, balloon_deflate, modelled_deflate);
	kunit_activate_static_stub(test, balloon_trial_take, modelled_trial_take);
	kunit_activate_static_stub(test, balloon_trial_end, modelled_trial_end);
	kunit_activate_static_stub(test, balloon_sample_read,
				   modelled_sample_read);
	return mb;
}

static void model_tell(struct kunit *test, const struct model_case *row,
		       const struct model_result *result)
{
	u32 before = max(result->before, 1U);

	kunit_info(test,
		   "%s: %u -> %u accesses/s (%llu%%, after the event %llu%%), %u of %u MiB, half %u ms, all %u ms, swapped %u/%u MiB, %u kills, %u stalls\n",
		   row->name, result->before, result->after,
		   result->after * 100ULL / before, result->at * 100ULL / before,
		   result->taken, result->edge, result->half_ms,
		   result->reached_ms, result->swapped_out, result->swapped_in,
		   result->kills, result->stalls);
}

static void model_run(const struct model_case *row, struct model_driver *driver,
		      struct model_result *result)
{
	model_case_run(row, &model->guest, model->chunks, MODEL_CHUNKS, 1,
		       driver, result);
}

static void model_desc(const struct model_case *row, char *desc)
{
	strscpy(desc, row->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(model, model_cases, model_desc);

static void model_driver_holds(struct kunit *test)
{
	const struct model_case *row = test->param_value;
	struct model_result result, unrestrained = {};
	struct model_driver driver;
	struct modelled *mb;
	const char *fails;
	u64 busy_until;

	if (MODEL_TOO_SLOW)
		kunit_skip(test, "memory accesses are instrumented");
	mb = modelled_create(test, row);
	if (row->pace) {
		model_unrestrained_init(&driver, &busy_until);
		model_run(row, &driver, &unrestrained);
	}
	model_run(row, &mb->driver, &result);
	model_tell(test, row, &result);
	fails = model_case_fails(row, &result, &unrestrained);
	if (fails && row->unsolved)
		kunit_skip(test, "known: %s", fails);
	if (fails)
		KUNIT_FAIL(test, "%s", fails);
}

static void model_free(void)
{
	unsigned int i;

	for (i = 0; model && i < MODEL_CHUNKS; i++)
		if (model->chunks[i])
			free_pages((unsigned long)model->chunks[i], CHUNK_ORDER);
	kfree(model);
	model = NULL;
}

static int model_suite_init(struct kunit_suite *suite)
{
	unsigned int i;

	if (MODEL_TOO_SLOW)
		return 0;
	model = kzalloc(sizeof(*model), GFP_KERNEL);
	if (!model)
		return -ENOMEM;
	for (i = 0; i < MODEL_CHUNKS; i++) {
		model->chunks[i] = (void *)__get_free_pages(GFP_KERNEL,
							    CHUNK_ORDER);
		if (!model->chunks[i]) {
			model_free();
			return -ENOMEM;
		}
	}
	return 0;
}

static void model_suite_exit(struct kunit_suite *suite)
{
	model_free();
}

static struct kunit_case model_kunit_cases[] = {
	KUNIT_CASE_PARAM_ATTR(model_driver_holds, model_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite model_suite = {
	.name = "virtio_balloon_model",
	.suite_init = model_suite_init,
	.suite_exit = model_suite_exit,
	.test_cases = model_kunit_cases,
};

kunit_test_suite(model_suite);

MODULE_LICENSE("GPL");
