// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of the host while the guest is about to suspend, or suspends to
 * idle.
 *
 * The transport's interrupt wakes the guest, if the device was not reset for the
 * suspend: virtio-pci leaves a device with No_Soft_Reset alone. For a new target,
 * the driver keeps the guest awake until the kthread has moved as far as it can.
 * For a request of statistics, it does so until the statistics are posted. User
 * space enables this by power/wakeup.
 */

#include <linux/bits.h>
#include <linux/device.h>

#include "virtio_balloon.h"
#include "wakeup.h"

/**
 * balloon_wakeup_start - offer to keep the guest awake
 * @bd: the balloon
 *
 * Context: probe.
 */
void balloon_wakeup_start(struct balloon_device *bd)
{
	spin_lock_init(&bd->wakeup.lock);
	device_set_wakeup_capable(&bd->vdev->dev, true);
}

/**
 * balloon_wakeup_stop - keep the guest awake no longer
 * @bd: the balloon
 *
 * Context: remove.
 */
void balloon_wakeup_stop(struct balloon_device *bd)
{
	device_init_wakeup(&bd->vdev->dev, false);
}

/**
 * balloon_stay_awake - keep the guest awake until a request is served
 * @bd: the balloon
 * @reason: the request
 *
 * Context: any, including interrupts.
 */
void balloon_stay_awake(struct balloon_device *bd, enum balloon_awake reason)
{
	unsigned long flags;

	spin_lock_irqsave(&bd->wakeup.lock, flags);
	if (!bd->wakeup.reasons)
		pm_stay_awake(&bd->vdev->dev);
	bd->wakeup.reasons |= BIT(reason);
	spin_unlock_irqrestore(&bd->wakeup.lock, flags);
}

/**
 * balloon_may_sleep - a request is served and need not keep the guest awake
 * @bd: the balloon
 * @reason: the request
 *
 * Context: any.
 */
void balloon_may_sleep(struct balloon_device *bd, enum balloon_awake reason)
{
	unsigned long flags;

	spin_lock_irqsave(&bd->wakeup.lock, flags);
	if (bd->wakeup.reasons == BIT(reason))
		pm_relax(&bd->vdev->dev);
	bd->wakeup.reasons &= ~BIT(reason);
	spin_unlock_irqrestore(&bd->wakeup.lock, flags);
}
