# SPDX-License-Identifier: GPL-2.0
"""Injects allocation failures (Documentation/fault-injection/fault-injection.rst)."""

import contextlib

DEBUGFS = "/sys/kernel/debug"
KINDS = ("failslab", "fail_page_alloc")
MANY = 1_000_000_000  # more faults than there will be

# Lines of the driver and the driver core after the failure of an allocation that they need.
# NO_WORKER: the kernel could not create a thread that it can do without.
NOT_BOUND = (r"virtio_balloon virtio\d+: (probe with driver virtio_balloon failed"
             r"|really_probe: driver_sysfs_add failed|device_add_groups\(\) failed"
             r"|found no virtqueues|cannot (start|watch))")
NO_PAGE = r"Huh VM_FAULT_OOM leaked out"  # to a process, which tries again
NO_SLAB = (r"SLUB: Unable to allocate memory|^  cache: .*, object size: |^  node \d+: slabs: "
           r"| debugging increased min order")
NO_WORKER = r"workqueue: Failed to create a worker thread"


class Faults:
    """Random failures of the allocations of marked tasks."""

    DRIVER = "vballoon"
    WORKERS = "kworker"  # threads of the workqueues

    def __init__(self, guest):
        self._guest = guest

    def _set(self, kind, **attributes):
        for name, value in attributes.items():
            self._guest.write(f"{DEBUGFS}/{kind}/{name.replace('_', '-')}", str(value))

    def prepare(self):
        """Set up failures of all kinds of allocations, without log lines, at a rate of 0."""
        for kind in KINDS:
            self._set(kind, probability=0, interval=1, times=MANY, verbose=0, task_filter="Y",
                      ignore_gfp_wait="N")
        self._set("fail_page_alloc", ignore_gfp_highmem="N", min_order=0)

    def mark(self, name):
        """Mark tasks whose names begin with `name`, and their children; return how many.

        A task that has ended meanwhile cannot be marked any more.
        """
        done = self._guest.run(
            f"for task in $(grep -l '^{name}' /proc/[0-9]*/comm 2>/dev/null); do"
            " echo 1 > ${task%comm}make-it-fail && echo done; done 2>/dev/null", check=False)
        return done.count("done")

    def set(self, failslab=0, fail_page_alloc=0, min_order=0):
        """Set the percentages of the marked tasks' allocations that fail from now on.

        min_order: the least order of page allocations that may fail.
        """
        self._set("fail_page_alloc", min_order=min_order)
        for kind, probability in zip(KINDS, (failslab, fail_page_alloc)):
            self._set(kind, probability=probability)

    def injected(self):
        """Number of injected failures since prepare()."""
        return sum(MANY - int(self._guest.read(f"{DEBUGFS}/{kind}/times")) for kind in KINDS)

    @contextlib.contextmanager
    def __call__(self, **rates):
        """Inject failures in the block; at least one must occur."""
        before = self.injected()
        self.set(**rates)
        try:
            yield
        finally:
            self.set()
        assert self.injected() > before, "no allocation failed"
