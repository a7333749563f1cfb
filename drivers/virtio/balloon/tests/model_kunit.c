// SPDX-License-Identifier: GPL-2.0
/*
 * The driver's decisions in a model guest, closed loop: each case of model_cases.c.
 *
 * In model_today() the kthread's own balloon_step() decides, and all that it asks, on
 * a balloon of counts: below it the functions that move pages are replaced. The clock
 * is the model's; jiffies follow it.
 *
 * In model_experiment() balloon_experiment_step() decides, which has no clock.
 */

#include <kunit/resource.h>
#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/sched.h>

#include "../experiment.h"
#include "../migrate.h"
#include "../pages.h"
#include "../thread.h"
#include "../virtio_balloon.h"
#include "model_cases.h"

/* Instrumented memory accesses would take minutes. */
#define MODEL_TOO_SLOW	(IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_KCSAN))

/* 20 GiB of pages, files that are not in memory included, and then some. */
#define MODEL_CHUNKS	48U
#define CHUNK_ORDER	get_order(MODEL_CHUNK * sizeof(struct model_page))

struct model {
	struct model_page *chunks[MODEL_CHUNKS];
	struct model_guest guest;
};

static struct model *model;

/**
 * struct today - the driver as it is
 * @bd: a balloon without pages, queues and kthread
 * @vdev: for its name only
 * @guest: where it is
 * @driver: how the model knows it
 * @start: jiffies when the guest booted
 * @wake_at: when the kthread's sleep ends
 * @event: it ends now
 * @busy_until: what was done so far takes the kthread so long
 */
struct today {
	struct balloon_device bd;
	struct virtio_device vdev;
	struct model_guest *guest;
	struct model_driver driver;
	unsigned long start;
	unsigned long wake_at;
	bool event;
	u64 busy_until;
};

static struct today *to_today(struct balloon_device *bd)
{
	return container_of(bd, struct today, bd);
}

/* The host answers at once: what it has is resident. */
static void today_holds(struct today *today, long pages)
{
	today->bd.ledger.bm.nr_resident += pages;
	today->bd.ledger.nr_refs += pages;
}

static int today_inflate(struct balloon_device *bd, unsigned long want,
			 unsigned long *got)
{
	struct today *today = to_today(bd);
	unsigned long passed, nr = min(want, 1024UL);

	passed = min3(nr, bd->trial.nr[BALLOON_TRIAL_PASSED],
		      (unsigned long)bd->trial.bm.nr_resident);
	bd->trial.nr[BALLOON_TRIAL_PASSED] -= passed;
	bd->trial.bm.nr_resident -= passed;
	*got = passed;
	*got += model_guest_take(today->guest,
				 model_guest_sparest_node(today->guest),
				 nr - passed, false);
	today_holds(today, *got);
	today->busy_until += *got * MODEL_HOST_NS;
	return *got < nr ? -ENOMEM : 0;
}

static int today_deflate(struct balloon_device *bd, unsigned long want,
			 unsigned long *given)
{
	struct today *today = to_today(bd);

	*given = min3(want, 1024UL, balloon_size(&bd->ledger));
	today_holds(today, -(long)*given);
	model_guest_give(today->guest, *given);
	today->busy_until += *given * MODEL_HOST_NS;
	return *given ? 0 : -EBUSY;
}

static int today_trial_take(struct balloon_device *bd, unsigned long want,
			    unsigned long *got)
{
	struct today *today = to_today(bd);

	if (!balloon_trial_size(bd)) {
		bd->trial.watched = 0;
		bd->trial.looked_at = jiffies;
	}
	*got = model_guest_take(today->guest,
				model_guest_sparest_node(today->guest), want,
				true);
	bd->trial.nr[BALLOON_TRIAL_YOUNG] += *got;
	bd->trial.bm.nr_resident += *got;
	today->busy_until += *got * MODEL_TRIAL_NS;
	return *got < want ? -ENOMEM : 0;
}

static void today_trial_end(struct balloon_device *bd)
{
	unsigned long nr = balloon_trial_size(bd);

	model_guest_give(to_today(bd)->guest, nr);
	bd->trial.bm.nr_resident -= nr;
	memset(bd->trial.nr, 0, sizeof(bd->trial.nr));
}

static unsigned long today_available(struct balloon_device *bd)
{
	return model_guest_available(to_today(bd)->guest);
}

static unsigned long today_spare(struct balloon_device *bd,
				 enum zone_watermarks mark)
{
	struct model_guest *guest = to_today(bd)->guest;
	unsigned long spare = 0;
	u32 nid;

	for (nid = 0; nid < guest->nr_nodes; nid++)
		spare += model_guest_spare(guest, nid, mark == WMARK_HIGH);
	return spare;
}

static void today_signals_read(struct balloon_device *bd,
			       struct balloon_signals *signals)
{
	struct model_guest *guest = to_today(bd)->guest;

	*signals = (struct balloon_signals) {
		.when = jiffies,
		.available = today_available(bd),
		.spare = today_spare(bd, WMARK_HIGH),
		.total = guest->total,
		.stalls = guest->stalls,
		.scanned = guest->scanned,
		.reclaimed = guest->stolen,
		.refaults = model_guest_count(guest, MODEL_REFAULT_ANON) +
			    model_guest_count(guest, MODEL_REFAULT_FILE),
		.swapped = guest->swapped_out,
		.free = model_guest_free(guest),
		.taken = balloon_size(&bd->ledger) + balloon_trial_size(bd),
	};
}

/* As balloon_thread_pass(), but for the queues. */
static void today_pass(struct today *today)
{
	struct balloon_device *bd = &today->bd;
	long timeout;

	/* The log is for others. */
	bd->thread.told_holding = balloon_size(&bd->ledger) != bd->config.target;
	if (test_and_clear_bit(BALLOON_GAVE_AT_OOM, &bd->flags)) {
		balloon_trial_end(bd);
		balloon_pause(bd, BALLOON_HOLD_STALL);
	}
	timeout = balloon_step(bd, false);
	timeout = min(timeout, balloon_look_at_guest_in(bd));
	today->wake_at = jiffies + min_t(long, timeout, 3600L * HZ);
}

static void today_run(struct model_guest *guest)
{
	struct today *today = guest->driver->private;
	struct balloon_device *bd = &today->bd;
	unsigned long now = today->start +
			    nsecs_to_jiffies(guest->now);

	while (time_before(jiffies, now))
		schedule_timeout_uninterruptible(now - jiffies);
	if (bd->config.target != guest->driver->target) {
		bd->config.target = guest->driver->target;
		bd->thread.retry_delay_ms = 0;
		today->event = true;
	}
	while (today->busy_until < guest->now &&
	       (today->event || time_after_eq(jiffies, today->wake_at))) {
		today->busy_until = max(today->busy_until,
					guest->now - MODEL_STEP);
		today->busy_until += 20000;	/* a look costs something, too */
		today->event = false;
		today_pass(today);
	}
	guest->driver->size = balloon_size(&bd->ledger);
}

static u32 today_oom(struct model_guest *guest)
{
	struct today *today = guest->driver->private;
	struct balloon_device *bd = &today->bd;
	unsigned long given = balloon_trial_size(bd);

	if (given) {
		balloon_trial_refaulted(bd);
		balloon_note_refault(bd);
	} else if (bd->deflates_on_oom) {
		given = min(16UL << (20 - PAGE_SHIFT), balloon_size(&bd->ledger));
		today_holds(today, -(long)given);
		model_guest_give(guest, given);
		set_bit(BALLOON_GAVE_AT_OOM, &bd->flags);
	}
	today->event = true;
	return given;
}

static void today_reclaims(struct model_guest *guest)
{
	struct today *today = guest->driver->private;
	struct balloon_device *bd = &today->bd;

	if (bd->deflates_on_oom && balloon_size(&bd->ledger) &&
	    !test_and_set_bit(BALLOON_RECLAIMS, &bd->flags))
		today->event = true;
}

static struct today *today_create(struct kunit *test,
				  const struct model_case *row)
{
	struct today *today = kunit_kzalloc(test, sizeof(*today), GFP_KERNEL);
	struct balloon_device *bd;

	KUNIT_ASSERT_NOT_NULL(test, today);
	bd = &today->bd;
	bd->vdev = &today->vdev;
	bd->deflates_on_oom = row->deflates_on_oom;
	init_waitqueue_head(&bd->wait);
	balloon_hints_init(&bd->hints);
	balloon_mapping_init(&bd->ledger.bm, &balloon_mapping_ops);
	balloon_trial_init(bd);
	bd->guest.floor =
		balloon_default_floor((unsigned long)row->mib <<
				      (20 - PAGE_SHIFT));
	today->guest = &model->guest;
	today->start = jiffies - nsecs_to_jiffies(MODEL_S);
	today->driver = (struct model_driver) {
		.run = today_run,
		.oom = today_oom,
		.reclaims = today_reclaims,
		.private = today,
	};

	kunit_activate_static_stub(test, balloon_inflate, today_inflate);
	kunit_activate_static_stub(test, balloon_deflate, today_deflate);
	kunit_activate_static_stub(test, balloon_trial_take, today_trial_take);
	kunit_activate_static_stub(test, balloon_trial_end, today_trial_end);
	kunit_activate_static_stub(test, balloon_available, today_available);
	kunit_activate_static_stub(test, balloon_spare, today_spare);
	kunit_activate_static_stub(test, balloon_signals_read,
				   today_signals_read);
	return today;
}

/**
 * struct trial - the driver as it may be
 * @ex: what is under test
 * @wake_at: when it wants to look again
 * @target: that it has seen
 * @on_trial: guest pages
 * @busy_until: what was done so far takes the kthread so long
 */
struct trial {
	struct balloon_experiment ex;
	u64 wake_at;
	u32 target;
	u32 on_trial;
	u64 busy_until;
};

static void trial_sample_lists(const struct model_guest *guest,
			       struct balloon_sample *sample)
{
	const u32 *size;
	u32 i;

	for (i = 0; i < MODEL_LRUVECS; i++) {
		size = guest->lruvecs[i].size;
		sample->inactive += size[MODEL_INACTIVE_FILE];
		sample->active += size[MODEL_ACTIVE_FILE];
		if (!guest->swap_free)
			continue;
		sample->inactive += size[MODEL_INACTIVE_ANON];
		sample->active += size[MODEL_ACTIVE_ANON];
	}
}

/* Node counters with what CPUs have not folded yet. */
static void trial_sample(struct model_guest *guest,
			 struct balloon_node_sample *nodes,
			 struct balloon_sample *sample)
{
	struct trial *trial = guest->driver->private;
	u64 *exact;
	u32 nid;

	*sample = (struct balloon_sample) {
		.ms = div_u64(guest->now, MODEL_MS),
		.stolen = guest->stolen,
		.stalls = guest->stalls,
		.free = model_guest_free(guest),
		.lack = model_guest_lack(guest),
		.available = model_guest_available(guest),
		.floor = balloon_default_floor(guest->total),
		.target = guest->driver->target,
		.size = guest->driver->size,
		.on_trial = trial->on_trial,
		.may_give = guest->driver->deflates_on_oom,
		.nodes = nodes,
		.nr_nodes = guest->nr_nodes,
	};
	trial_sample_lists(guest, sample);
	for (nid = 0; nid < guest->nr_nodes; nid++) {
		exact = guest->nodes[nid].exact;
		nodes[nid].spare = model_guest_spare(guest, nid, true);
		nodes[nid].regrets = exact[MODEL_ACTIVATE_FILE] +
				     exact[MODEL_REFAULT_ANON];
		sample->regrets += nodes[nid].regrets;
	}
}

/* Returns what that costs the kthread. */
static u64 trial_act(struct model_guest *guest, struct balloon_action action)
{
	struct trial *trial = guest->driver->private;
	u32 pages = action.pages;

	switch (action.act) {
	case BALLOON_ACT_TAKE:
		pages = model_guest_take(guest, action.node, pages, false);
		guest->driver->size += pages;
		return pages * MODEL_HOST_NS;
	case BALLOON_ACT_TRY:
		pages = model_guest_take(guest, model_guest_sparest_node(guest),
					 pages, true);
		trial->on_trial += pages;
		return pages * MODEL_TRIAL_NS;
	case BALLOON_ACT_HAND_OVER:
		trial->on_trial -= pages;
		guest->driver->size += pages;
		return pages * MODEL_HOST_NS;
	case BALLOON_ACT_END:
		model_guest_give(guest, trial->on_trial);
		trial->on_trial = 0;
		return 0;
	case BALLOON_ACT_GIVE:
		model_guest_give(guest, pages);
		guest->driver->size -= pages;
		return pages * MODEL_HOST_NS;
	default:
		return 0;
	}
}

static void trial_run(struct model_guest *guest)
{
	struct balloon_node_sample nodes[MODEL_NODES];
	struct trial *trial = guest->driver->private;
	struct balloon_action action;
	struct balloon_sample sample;

	if (trial->target != guest->driver->target) {
		trial->target = guest->driver->target;
		trial->wake_at = 0;
	}
	while (trial->busy_until < guest->now && trial->wake_at <= guest->now) {
		trial_sample(guest, nodes, &sample);
		action = balloon_experiment_step(&trial->ex, &sample);
		trial->busy_until = max(trial->busy_until,
					guest->now - MODEL_STEP);
		/* A look costs something, too. */
		trial->busy_until += 20000 + trial_act(guest, action);
		trial->wake_at = guest->now + action.look_in_ms * MODEL_MS;
	}
}

static u32 trial_oom(struct model_guest *guest)
{
	struct balloon_node_sample nodes[MODEL_NODES];
	struct trial *trial = guest->driver->private;
	struct balloon_sample sample;
	u32 given = trial->on_trial;

	trial_sample(guest, nodes, &sample);
	trial->wake_at = 0;
	if (given) {
		balloon_experiment_missed(&trial->ex, &sample);
		model_guest_give(guest, given);
		trial->on_trial = 0;
	} else if (guest->driver->deflates_on_oom) {
		given = min(guest->driver->size, MODEL_MIB(16));
		model_guest_give(guest, given);
		guest->driver->size -= given;
		balloon_experiment_gave(&trial->ex, &sample);
	}
	return given;
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

static void model_today(struct kunit *test)
{
	const struct model_case *row = test->param_value;
	struct model_result result, unrestrained = {};
	struct model_driver driver;
	struct today *today;
	const char *fails;
	u64 busy_until;

	if (MODEL_TOO_SLOW)
		kunit_skip(test, "memory accesses are instrumented");
	today = today_create(test, row);
	if (row->pace) {
		model_unrestrained_init(&driver, &busy_until);
		model_run(row, &driver, &unrestrained);
	}
	model_run(row, &today->driver, &result);
	model_tell(test, row, &result);
	fails = model_case_fails(row, &result, &unrestrained);
	if (fails)
		kunit_skip(test, "known: %s", fails);
}

static void model_experiment(struct kunit *test)
{
	const struct model_case *row = test->param_value;
	struct model_result result, unrestrained = {};
	struct model_driver driver = {};
	struct trial *trial;
	const char *fails;
	u64 busy_until;

	if (MODEL_TOO_SLOW)
		kunit_skip(test, "memory accesses are instrumented");
	trial = kunit_kzalloc(test, sizeof(*trial), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, trial);
	if (row->pace) {
		model_unrestrained_init(&driver, &busy_until);
		model_run(row, &driver, &unrestrained);
	}
	balloon_experiment_init(&trial->ex);
	driver = (struct model_driver) {
		.run = trial_run,
		.oom = trial_oom,
		.private = trial,
	};
	model_run(row, &driver, &result);
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
	KUNIT_CASE_PARAM_ATTR(model_experiment, model_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	KUNIT_CASE_PARAM_ATTR(model_today, model_gen_params,
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
