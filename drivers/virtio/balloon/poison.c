// SPDX-License-Identifier: GPL-2.0
/*
 * The contents of free pages, F_PAGE_POISON (virtio 1.2, 5.5.6.5). A guest that
 * poisons pages on free checks their contents later. A guest that zeroes pages
 * on free relies on the zeroes. This file also warns of the cost of zeroing
 * pages on allocation.
 */

#include <linux/mm.h>
#include <linux/poison.h>
#include <linux/virtio_config.h>
#include <kunit/static_stub.h>

#include "poison.h"
#include "virtio_balloon.h"

/**
 * balloon_guest_poisons - does this guest write to the pages that it frees?
 *
 * Context: any.
 */
bool balloon_guest_poisons(void)
{
	KUNIT_STATIC_STUB_REDIRECT(balloon_guest_poisons);

	return want_init_on_free() || page_poisoning_enabled_static();
}

/**
 * balloon_poison_validate - refuse features that lose contents of free pages
 * @vdev: the device, its features being negotiated
 *
 * A guest that writes to freed pages must tell the device the value. If the
 * device has no F_PAGE_POISON, the driver refuses F_REPORTING. A guest that
 * does not write to freed pages refuses F_PAGE_POISON.
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
 * balloon_poison_tell_costs - tell the log if the kernel zeroes new pages
 * @bd: the balloon
 *
 * Zeroing makes a page resident on the host, only for the balloon to give the
 * page away. __GFP_SKIP_ZERO is 0 in a kernel that cannot prevent the zeroing.
 *
 * Context: probe.
 */
void balloon_poison_tell_costs(struct balloon_device *bd)
{
	if (!__GFP_SKIP_ZERO && want_init_on_alloc(0))
		dev_info_once(&bd->vdev->dev,
			      "this kernel zeroes each page before the balloon takes it, which is slow: init_on_alloc=0 prevents that\n");
}
