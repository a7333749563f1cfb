// SPDX-License-Identifier: GPL-2.0
/*
 * The contents of free pages, F_PAGE_POISON (virtio 1.2, 5.5.6.5): a guest that
 * poisons or initialises pages on free checks the contents later, or relies on them.
 * And the cost of initialising pages on allocation.
 */

#include <linux/mm.h>
#include <linux/poison.h>
#include <linux/virtio_config.h>
#include <kunit/static_stub.h>

#include "poison.h"
#include "virtio_balloon.h"

/**
 * balloon_guest_poisons - does this guest write to the pages it frees?
 *
 * Context: any.
 */
bool balloon_guest_poisons(void)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_guest_poisons);

	return want_init_on_free() || page_poisoning_enabled_static();
}

/**
 * balloon_poison_validate - accept only what keeps free pages' contents
 * @vdev: the device, its features being negotiated
 *
 * The device does not report pages of which the contents would be lost, but
 * only where it can be told of the value.
 *
 * Context: validate.
 */
void balloon_poison_validate(struct virtio_device *vdev)
{
	if (!balloon_guest_poisons())
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_PAGE_POISON);
	else if (!virtio_has_feature(vdev, VIRTIO_BALLOON_F_PAGE_POISON))
		__virtio_clear_bit(vdev, VIRTIO_BALLOON_F_REPORTING);
}

/**
 * balloon_poison_tell - tell the device the poison value
 * @bd: the balloon, its device not ready yet
 *
 * Context: probe, restore, or the kthread.
 */
void balloon_poison_tell(struct balloon_device *bd)
{
	u32 value = 0;

	if (!want_init_on_free())
		memset(&value, PAGE_POISON, sizeof(value));
	virtio_cwrite_le(bd->vdev, struct virtio_balloon_config, poison_val,
			 &value);
}

/**
 * balloon_poison_tell_costs - say what zeroing on allocation costs, where it does
 * @bd: the balloon
 *
 * Pages that are zeroed to be given away become resident on the host for that.
 * A kernel without the flag that prevents it has 0 in its place.
 *
 * Context: probe.
 */
void balloon_poison_tell_costs(struct balloon_device *bd)
{
	if (!__GFP_SKIP_ZERO && want_init_on_alloc(0))
		dev_info_once(&bd->vdev->dev,
			      "this kernel zeroes each page before the balloon takes it, which is slow: init_on_alloc=0 prevents that\n");
}
