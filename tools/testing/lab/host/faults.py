# SPDX-License-Identifier: GPL-2.0
"""Lets allocations in the guest fail (Documentation/fault-injection/fault-injection.rst)."""

import contextlib

DEBUGFS = "/sys/kernel/debug"
KINDS = ("failslab", "fail_page_alloc")
MANY = 1_000_000_000  # more faults than there will be

# What driver and driver core say when they could not do without an allocation, and the
# kernel when it did not get a thread that it could do without.
NOT_BOUND = (r"virtio_balloon virtio\d+: (probe with driver virtio_balloon failed"
             r"|really_probe: driver_sysfs_add failed|device_add_groups\(\) failed"
             r"|found no virtqueues|can not (start|watch))")
NO_PAGE = r"Huh VM_FAULT_OOM leaked out"  # to a process, which asks again
NO_SLAB = (r"SLUB: Unable to allocate memory|^  cache: .*, object size: |^  node \d+: slabs: "
           r"| debugging increased min order")
NO_WORKER = r"workqueue: Failed to create a worker thread"


class Faults:
    """Allocations of marked tasks that fail by chance."""

    DRIVER = "vballoon"
    WORKERS = "kworker"  # which do everything that may wait

    def __init__(self, guest):
        self._guest = guest

    def _set(self, kind, **attributes):
        for name, value in attributes.items():
            self._guest.write(f"{DEBUGFS}/{kind}/{name.replace('_', '-')}", str(value))

    def prepare(self):
        """Have all kinds of allocations fail, without a word in the log; none does yet."""
        for kind in KINDS:
            self._set(kind, probability=0, interval=1, times=MANY, verbose=0, task_filter="Y",
                      ignore_gfp_wait="N")
        self._set("fail_page_alloc", ignore_gfp_highmem="N", min_order=0)

    def mark(self, name):
        """Tasks whose name begins so meet with faults, as does what they start; return how many.

        One that has ended meanwhile cannot be marked any more.
        """
        done = self._guest.run(
            f"for task in $(grep -l '^{name}' /proc/[0-9]*/comm 2>/dev/null); do"
            " echo 1 > ${task%comm}make-it-fail && echo done; done 2>/dev/null", check=False)
        return done.count("done")

    def set(self, failslab=0, fail_page_alloc=0, min_order=0):
        """Per cent of the marked tasks' allocations that fail from now on.

        min_order: of the blocks of pages of which some are not to be had.
        """
        self._set("fail_page_alloc", min_order=min_order)
        for kind, probability in zip(KINDS, (failslab, fail_page_alloc)):
            self._set(kind, probability=probability)

    def injected(self):
        """How many allocations have failed since prepare()."""
        return sum(MANY - int(self._guest.read(f"{DEBUGFS}/{kind}/times")) for kind in KINDS)

    @contextlib.contextmanager
    def __call__(self, **rates):
        """Faults until the block's end, of which there must be some."""
        before = self.injected()
        self.set(**rates)
        try:
            yield
        finally:
            self.set()
        assert self.injected() > before, "no allocation failed"
