// SPDX-License-Identifier: GPL-2.0
/*
 * The fake host's model: the numbers that it was told, and the rules for messages.
 */

#include <linux/mm.h>

#include "fake_host.h"
#include "fake_host_parts.h"

static enum fake_number fake_number(struct fake_host *host, u32 number)
{
	void *entry = xa_load(&host->model, number);

	return entry ? xa_to_value(entry) : 0;
}

static void fake_number_set(struct fake_host *host, u32 number,
			    enum fake_number state)
{
	void *old = xa_store(&host->model, number, xa_mk_value(state),
			     GFP_ATOMIC);

	KUNIT_EXPECT_FALSE(host->test, xa_is_err(old));
}

/* Fails the test unless the balloon holds the page that @number names. */
void fake_host_expect_held(struct fake_host *host, u32 number)
{
	unsigned long pfn = number / BALLOON_PER_GUEST_PAGE;
	int others = xa_load(&host->taken, pfn) ? 1 : 0;

	KUNIT_EXPECT_GT_MSG(host->test, page_ref_count(pfn_to_page(pfn)),
			    others, "the balloon has let go of %x", number);
}

static bool fake_message_is_canary(const struct fake_message *message)
{
	return message->queue == FAKE_INFLATE &&
	       message->nr > BALLOON_PER_GUEST_PAGE &&
	       message->numbers[0] ==
	       message->numbers[BALLOON_PER_GUEST_PAGE];
}

/* How many different numbers a message names, all at its start. */
static unsigned int fake_message_distinct(const struct fake_message *message)
{
	return fake_message_is_canary(message) ? BALLOON_PER_GUEST_PAGE :
						 message->nr;
}

static void fake_host_expect_size(struct fake_host *host,
				  const struct fake_message *message)
{
	struct kunit *test = host->test;
	unsigned int i;

	KUNIT_EXPECT_GT(test, message->nr, 0);
	KUNIT_EXPECT_LE(test, message->nr, BALLOON_LARGE_MESSAGE);
	if (fake_message_is_canary(message)) {
		host->nr_canaries++;
		KUNIT_EXPECT_EQ(test, message->nr, BALLOON_LARGE_MESSAGE);
		for (i = BALLOON_PER_GUEST_PAGE; i < message->nr; i++)
			KUNIT_EXPECT_EQ(test, message->numbers[i],
					message->numbers[i %
							 BALLOON_PER_GUEST_PAGE]);
		return;
	}
	if (!host->takes_large)
		KUNIT_EXPECT_LE_MSG(test, message->nr, BALLOON_SMALL_MESSAGE,
				    "a large message that no canary vouches for");
}

static void fake_host_take_inflate(struct fake_host *host,
				   const struct fake_message *message)
{
	struct kunit *test = host->test;
	unsigned int i;

	KUNIT_EXPECT_EQ_MSG(test, fake_host_unanswered(host, FAKE_DEFLATE), 0,
			    "an inflate was posted before all deflates were acknowledged");
	for (i = 0; i < fake_message_distinct(message); i++) {
		u32 number = message->numbers[i];

		KUNIT_EXPECT_EQ_MSG(test, fake_number(host, number), 0,
				    "%x is inflated twice", number);
		fake_host_expect_held(host, number);
		fake_number_set(host, number, FAKE_POSTED);
	}
}

static void fake_host_take_deflate(struct fake_host *host,
				   const struct fake_message *message)
{
	struct kunit *test = host->test;
	unsigned int i;

	for (i = 0; i < message->nr; i++) {
		u32 number = message->numbers[i];

		KUNIT_EXPECT_EQ_MSG(test, fake_number(host, number),
				    FAKE_INFLATED,
				    "%x is deflated and was not inflated",
				    number);
		fake_number_set(host, number, FAKE_DEFLATING);
	}
}

/*
 * A hinted block is the driver's, a reported one mm's: it is isolated, in no free
 * list, and has no owner.
 */
void fake_host_expect_lent(struct fake_host *host,
			   const struct fake_message *message)
{
	unsigned int i;

	if (!message->writable)
		return;
	for (i = 0; i < message->nr; i++) {
		struct page *page = message->blocks[i].page;

		KUNIT_EXPECT_FALSE_MSG(host->test, PageBuddy(page),
				       "block %lx is free before the acknowledgment",
				       page_to_pfn(page));
		if (message->queue == FAKE_HINTING)
			KUNIT_EXPECT_GT_MSG(host->test, page_ref_count(page), 1,
					    "block %lx was given back before the acknowledgment",
					    page_to_pfn(page));
	}
}

/* The host's reference shows when the driver gives a block back. */
static void fake_host_take_hint(struct fake_host *host,
				const struct fake_message *message)
{
	struct page *page = message->blocks[0].page;
	void *old;

	KUNIT_EXPECT_EQ(host->test, message->nr, 1);
	get_page(page);
	old = xa_store(&host->taken, page_to_pfn(page), page, GFP_ATOMIC);
	KUNIT_EXPECT_NULL(host->test, old);
}

void fake_host_take(struct fake_host *host, struct fake_message *message)
{
	list_add_tail(&message->node, &host->log);
	host->queues[message->queue].nr_messages++;
	if (message->queue == FAKE_STATS)
		return;
	if (message->queue == FAKE_HINTING && message->writable)
		fake_host_take_hint(host, message);
	fake_host_expect_lent(host, message);
	if (message->queue == FAKE_HINTING || message->queue == FAKE_REPORTING)
		return;

	fake_host_expect_size(host, message);
	if (message->queue == FAKE_INFLATE)
		fake_host_take_inflate(host, message);
	else
		fake_host_take_deflate(host, message);
	if (host->drops_above && message->nr > host->drops_above)
		message->dropped = true;
}

/* The host does what the message says. */
void fake_host_obey(struct fake_host *host,
		    const struct fake_message *message)
{
	bool must_tell = virtio_has_feature(&host->vdev,
					    VIRTIO_BALLOON_F_MUST_TELL_HOST);
	unsigned int i;

	fake_host_expect_lent(host, message);
	if (message->queue != FAKE_INFLATE && message->queue != FAKE_DEFLATE)
		return;

	for (i = 0; i < fake_message_distinct(message); i++) {
		u32 number = message->numbers[i];

		if (message->queue == FAKE_INFLATE) {
			fake_host_expect_held(host, number);
			fake_number_set(host, number, FAKE_INFLATED);
			host->nr_inflated++;
		} else {
			if (must_tell)
				fake_host_expect_held(host, number);
			xa_erase(&host->model, number);
			host->nr_inflated--;
		}
	}
	if (fake_message_is_canary(message))
		host->takes_large = true;
}
