// SPDX-License-Identifier: GPL-2.0
/*
 * The device's configuration (virtio 1.2, 5.5.4): the target that the host
 * wants, and actual, the size that the driver reports. Both are always
 * little-endian.
 */

#include <linux/jiffies.h>
#include <linux/sysfs.h>
#include <linux/virtio_config.h>

#include "config.h"
#include "device.h"
#include "virtio_balloon.h"

/**
 * balloon_state_set - set the balloon's state
 * @bd: the balloon
 * @state: the state
 *
 * Wakes tasks that poll the file in sysfs.
 *
 * Context: the kthread; may sleep.
 */
void balloon_state_set(struct balloon_device *bd, enum balloon_state state)
{
	if (bd->config.state == state)
		return;
	WRITE_ONCE(bd->config.state, state);
	sysfs_notify(&bd->vdev->dev.kobj, BALLOON_SYSFS_GROUP, "state");
}

/**
 * balloon_hold_set - set the reason why the balloon holds
 * @bd: the balloon
 * @hold: the reason
 *
 * Wakes tasks that poll the file in sysfs.
 *
 * Context: the kthread; may sleep.
 */
void balloon_hold_set(struct balloon_device *bd, enum balloon_hold hold)
{
	struct balloon_config *config = &bd->config;
	enum balloon_hold before = config->hold;

	if (before == hold)
		return;
	WRITE_ONCE(config->held[before],
		   config->held[before] + jiffies - config->hold_since);
	WRITE_ONCE(config->hold_since, jiffies);
	WRITE_ONCE(config->hold, hold);
	sysfs_notify(&bd->vdev->dev.kobj, BALLOON_SYSFS_GROUP, "hold_reason");
}

/**
 * balloon_held_for - time for which the balloon has held for a reason
 * @config: the configuration
 * @hold: the reason
 *
 * Context: any.
 * Return: jiffies, not exact if the reason changes meanwhile.
 */
unsigned long balloon_held_for(const struct balloon_config *config,
			       enum balloon_hold hold)
{
	unsigned long held = READ_ONCE(config->held[hold]);

	if (READ_ONCE(config->hold) == hold)
		held += jiffies - READ_ONCE(config->hold_since);
	return held;
}

/**
 * balloon_target_read - read the target that the host wants
 * @bd: the balloon
 *
 * A device that has given up changes its configuration to say so. This function
 * then marks the device broken.
 *
 * Context: the kthread; may sleep.
 * Return: whether the target has changed.
 */
bool balloon_target_read(struct balloon_device *bd)
{
	unsigned long target;
	u32 num_pages;

	if (!balloon_device_works(bd)) {
		balloon_device_fail(bd);
		return false;
	}

	virtio_cread_le(bd->vdev, struct virtio_balloon_config, num_pages,
			&num_pages);
	target = balloon_to_guest_pages(num_pages);
	if (target == bd->config.target)
		return false;
	WRITE_ONCE(bd->config.target, target);
	return true;
}

/**
 * balloon_actual_read - read the size that the device was told last
 * @bd: the balloon
 *
 * The device remembers the value that an earlier driver has written, even the
 * driver of a kernel that crashed.
 *
 * Context: probe, restore, or the kthread; may sleep.
 */
void balloon_actual_read(struct balloon_device *bd)
{
	virtio_cread_le(bd->vdev, struct virtio_balloon_config, actual,
			&bd->config.actual);
	bd->config.actual_at = jiffies;
}

/**
 * balloon_actual_write - tell the host the balloon's size (virtio 1.2, 5.5.6)
 * @bd: the balloon
 * @pages: guest pages
 *
 * Context: the kthread, or teardown after it; may sleep.
 */
void balloon_actual_write(struct balloon_device *bd, unsigned long pages)
{
	u32 actual = guest_to_balloon_pages(pages);

	if (actual == bd->config.actual)
		return;
	virtio_cwrite_le(bd->vdev, struct virtio_balloon_config, actual,
			 &actual);
	bd->config.actual = actual;
	bd->config.actual_at = jiffies;
}
