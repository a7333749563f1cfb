// SPDX-License-Identifier: GPL-2.0
/*
 * The attribute group "balloon" of the virtio device, for administrators.
 * Documentation/ABI/testing/sysfs-bus-virtio-balloon describes the files.
 *
 * The driver core adds the group after probe. It removes the group before
 * remove, and waits for readers. So a reader always finds a device.
 */

#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/sysfs.h>

#include "guest.h"
#include "hints.h"
#include "ledger.h"
#include "sysfs.h"
#include "trial.h"
#include "virtio_balloon.h"

static struct balloon_device *dev_to_balloon(struct device *dev)
{
	return dev_to_virtio(dev)->priv;
}

static ssize_t target_kib_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%lu\n",
			  guest_pages_to_kib(READ_ONCE(bd->config.target)));
}
static DEVICE_ATTR_RO(target_kib);

static ssize_t actual_kib_show(struct device *dev,
			       struct device_attribute *attr, char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%lu\n", guest_pages_to_kib(balloon_actual(&bd->ledger)));
}
static DEVICE_ATTR_RO(actual_kib);

static ssize_t isolated_kib_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);
	unsigned long isolated;

	/*
	 * pages_lock protects it; a slightly older value is good enough here.
	 */
	isolated = data_race(READ_ONCE(bd->ledger.bm.nr_isolated));
	return sysfs_emit(buf, "%lu\n", guest_pages_to_kib(isolated));
}
static DEVICE_ATTR_RO(isolated_kib);

static ssize_t on_trial_kib_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	unsigned long nr = balloon_trial_size_roughly(dev_to_balloon(dev));

	return sysfs_emit(buf, "%lu\n", guest_pages_to_kib(nr));
}
static DEVICE_ATTR_RO(on_trial_kib);

static ssize_t lent_kib_show(struct device *dev, struct device_attribute *attr,
			     char *buf)
{
	unsigned long nr = balloon_hints_lent(&dev_to_balloon(dev)->hints);

	return sysfs_emit(buf, "%lu\n", guest_pages_to_kib(nr));
}
static DEVICE_ATTR_RO(lent_kib);

static ssize_t state_show(struct device *dev, struct device_attribute *attr,
			  char *buf)
{
	static const char * const names[] = {
		[BALLOON_IDLE]		= "idle",
		[BALLOON_INFLATING]	= "inflating",
		[BALLOON_DEFLATING]	= "deflating",
		[BALLOON_HOLDING]	= "holding",
		[BALLOON_RECOVERING]	= "recovering",
		[BALLOON_DEAD]		= "dead",
	};
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%s\n", names[READ_ONCE(bd->config.state)]);
}
static DEVICE_ATTR_RO(state);

static ssize_t hold_reason_show(struct device *dev,
				struct device_attribute *attr, char *buf)
{
	static const char * const names[] = {
		[BALLOON_HOLD_NONE]		= "none",
		[BALLOON_HOLD_FLOOR]		= "floor",
		[BALLOON_HOLD_REFAULT]		= "refault",
		[BALLOON_HOLD_STALL]		= "stall",
		[BALLOON_HOLD_ALLOCATION]	= "allocation",
	};
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%s\n", names[READ_ONCE(bd->config.hold)]);
}
static DEVICE_ATTR_RO(hold_reason);

static ssize_t retry_delay_ms_show(struct device *dev,
				   struct device_attribute *attr, char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%u\n", READ_ONCE(bd->thread.retry_delay_ms));
}
static DEVICE_ATTR_RO(retry_delay_ms);

static ssize_t floor_kib_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%lu\n", guest_pages_to_kib(balloon_floor(bd)));
}

static ssize_t floor_kib_store(struct device *dev,
			       struct device_attribute *attr, const char *buf,
			       size_t count)
{
	unsigned long kib;
	int err;

	err = kstrtoul(buf, 0, &kib);
	if (err)
		return err;
	balloon_set_floor(dev_to_balloon(dev), kib_to_guest_pages(kib));
	return count;
}
static DEVICE_ATTR_RW(floor_kib);

static struct attribute *balloon_attrs[] = {
	&dev_attr_target_kib.attr,
	&dev_attr_actual_kib.attr,
	&dev_attr_isolated_kib.attr,
	&dev_attr_on_trial_kib.attr,
	&dev_attr_lent_kib.attr,
	&dev_attr_state.attr,
	&dev_attr_hold_reason.attr,
	&dev_attr_retry_delay_ms.attr,
	&dev_attr_floor_kib.attr,
	NULL
};

static const struct attribute_group balloon_group = {
	.name = "balloon",
	.attrs = balloon_attrs,
};

const struct attribute_group *balloon_groups[] = {
	&balloon_group,
	NULL
};
