// SPDX-License-Identifier: GPL-2.0
/*
 * The attribute groups "balloon" and "balloon_statistics" of the virtio device,
 * for administrators. Documentation/ABI/testing/sysfs-bus-virtio-balloon
 * describes the files.
 *
 * The driver core adds the groups after probe. It removes them before remove,
 * and waits for readers. So a reader always finds a device.
 */

#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/sysfs.h>

#include "config.h"
#include "guest.h"
#include "hints.h"
#include "ledger.h"
#include "restraint.h"
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
	 * pages_lock protects this counter; a slightly older value is good
	 * enough.
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
	struct balloon_device *bd = dev_to_balloon(dev);
	unsigned long kib;
	int err;

	if (sysfs_streq(buf, "auto")) {
		balloon_set_floor(bd, BALLOON_FLOOR_DERIVED);
		return count;
	}
	err = kstrtoul(buf, 0, &kib);
	if (err)
		return err;
	balloon_set_floor(bd, kib_to_guest_pages(kib));
	return count;
}
static DEVICE_ATTR_RW(floor_kib);

static const char * const balloon_policies[] = {
	[BALLOON_POLICY_FULL]	= "full",
	[BALLOON_POLICY_FLOOR]	= "floor",
	[BALLOON_POLICY_OBEY]	= "obey",
};

static ssize_t policy_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%s\n",
			  balloon_policies[READ_ONCE(bd->restraint.policy)]);
}

static ssize_t policy_store(struct device *dev, struct device_attribute *attr,
			    const char *buf, size_t count)
{
	int policy = sysfs_match_string(balloon_policies, buf);

	if (policy < 0)
		return policy;
	balloon_set_policy(dev_to_balloon(dev), policy);
	return count;
}
static DEVICE_ATTR_RW(policy);

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
	&dev_attr_policy.attr,
	NULL
};

static const struct attribute_group balloon_group = {
	.name = BALLOON_SYSFS_GROUP,
	.attrs = balloon_attrs,
};

static ssize_t trials_show(struct device *dev, struct device_attribute *attr,
			   char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%lu\n",
			  READ_ONCE(bd->restraint.counters.trials));
}
static DEVICE_ATTR_RO(trials);

static ssize_t trials_failed_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);

	return sysfs_emit(buf, "%lu\n",
			  READ_ONCE(bd->restraint.counters.failed));
}
static DEVICE_ATTR_RO(trials_failed);

static ssize_t recalled_kib_show(struct device *dev,
				 struct device_attribute *attr, char *buf)
{
	struct balloon_device *bd = dev_to_balloon(dev);
	unsigned long nr = READ_ONCE(bd->restraint.counters.recalled);

	return sysfs_emit(buf, "%lu\n", guest_pages_to_kib(nr));
}
static DEVICE_ATTR_RO(recalled_kib);

static ssize_t given_oom_kib_show(struct device *dev,
				  struct device_attribute *attr, char *buf)
{
	unsigned long nr = READ_ONCE(dev_to_balloon(dev)->oom.nr_given);

	return sysfs_emit(buf, "%lu\n", guest_pages_to_kib(nr));
}
static DEVICE_ATTR_RO(given_oom_kib);

/* Each reason has a file; @var of the attribute is the reason. */
static ssize_t given_kib_show(struct device *dev,
			      struct device_attribute *attr, char *buf)
{
	struct dev_ext_attribute *reason =
		container_of(attr, struct dev_ext_attribute, attr);
	struct balloon_device *bd = dev_to_balloon(dev);
	unsigned long nr =
		READ_ONCE(bd->restraint.counters.given[(uintptr_t)reason->var]);

	return sysfs_emit(buf, "%lu\n", guest_pages_to_kib(nr));
}

static ssize_t held_ms_show(struct device *dev, struct device_attribute *attr,
			    char *buf)
{
	struct dev_ext_attribute *reason =
		container_of(attr, struct dev_ext_attribute, attr);
	struct balloon_device *bd = dev_to_balloon(dev);
	u64 held = balloon_held_for(&bd->config, (uintptr_t)reason->var);

	return sysfs_emit(buf, "%llu\n", jiffies64_to_msecs(held));
}

#define BALLOON_ATTR(_name, _show, _reason)				\
	static struct dev_ext_attribute balloon_attr_##_name = {	\
		.attr = __ATTR(_name, 0444, _show, NULL),		\
		.var = (void *)_reason,					\
	}

BALLOON_ATTR(given_floor_kib, given_kib_show, BALLOON_HOLD_FLOOR);
BALLOON_ATTR(given_refault_kib, given_kib_show, BALLOON_HOLD_REFAULT);
BALLOON_ATTR(given_stall_kib, given_kib_show, BALLOON_HOLD_STALL);
BALLOON_ATTR(held_floor_ms, held_ms_show, BALLOON_HOLD_FLOOR);
BALLOON_ATTR(held_refault_ms, held_ms_show, BALLOON_HOLD_REFAULT);
BALLOON_ATTR(held_stall_ms, held_ms_show, BALLOON_HOLD_STALL);
BALLOON_ATTR(held_allocation_ms, held_ms_show, BALLOON_HOLD_ALLOCATION);

static struct attribute *balloon_statistics[] = {
	&dev_attr_trials.attr,
	&dev_attr_trials_failed.attr,
	&dev_attr_recalled_kib.attr,
	&balloon_attr_given_floor_kib.attr.attr,
	&balloon_attr_given_refault_kib.attr.attr,
	&balloon_attr_given_stall_kib.attr.attr,
	&dev_attr_given_oom_kib.attr,
	&balloon_attr_held_floor_ms.attr.attr,
	&balloon_attr_held_refault_ms.attr.attr,
	&balloon_attr_held_stall_ms.attr.attr,
	&balloon_attr_held_allocation_ms.attr.attr,
	NULL
};

static const struct attribute_group balloon_statistics_group = {
	.name = "balloon_statistics",
	.attrs = balloon_statistics,
};

const struct attribute_group *balloon_groups[] = {
	&balloon_group,
	&balloon_statistics_group,
	NULL
};
