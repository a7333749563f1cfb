# SPDX-License-Identifier: GPL-2.0
"""The balloon of a guest, as its host and its administrator see it."""

import errno
import time

from .guest import BALLOON_ID, HANG_SECONDS, CommandFailed
from .paths import BALLOON_PAGE

DRIVER = "/sys/bus/virtio/drivers/virtio_balloon"
NEVER = 1 << 20  # seconds between two questions for statistics


class Stuck(Exception):
    """The balloon stands still short of its target."""


class Balloon:
    """Targets and what becomes of them.  All sizes are bytes of guest memory, not of balloon."""

    def __init__(self, guest):
        self.guest = guest

    def load(self):
        """Load the module that modprobe chooses."""
        self.guest.run("modprobe virtio_balloon")

    def unload(self):
        """Remove the module, with whatever the balloon holds."""
        self.guest.run("modprobe -r virtio_balloon")

    def device(self):
        """The bound virtio device's name, or None."""
        names = self.guest.run(f"ls {DRIVER} 2>/dev/null || true").split()
        return next((name for name in names if name.startswith("virtio")
                     and name[len("virtio"):].isdigit()), None)

    def attribute(self, name):
        """Content of one of the driver's sysfs files; None where the driver has none."""
        pattern = f"{DRIVER}/virtio*/balloon/{name}"
        return self.guest.run(f"cat {pattern} 2>/dev/null || true").strip() or None

    def _path(self, name):
        return f"{DRIVER}/{self.device()}/balloon/{name}"

    def set_attribute(self, name, value):
        """Write to one of the driver's sysfs files."""
        self.guest.write(self._path(name), str(value))

    def actual(self):
        """What the device has been told."""
        return self.guest.qmp.execute("query-balloon")["actual"]

    def settled(self, target):
        """What query-balloon says once `target` is reached: only whole pages move."""
        target = min(target, self.guest.memory)
        pages = (self.guest.memory - target) // BALLOON_PAGE
        return self.guest.memory - pages * BALLOON_PAGE

    def set(self, target):
        """Set the target; return at once."""
        self.guest.qmp.execute("balloon", value=target)

    def wait(self, target, watch=lambda: None, tick=0.1):
        """Wait until `target` is reached.

        `watch` is called at every BALLOON_CHANGE, and every `tick` seconds:
        QEMU holds back events that come within a second of the last.
        """
        expected = self.settled(target)
        position = len(self.guest.qmp.events)
        last, since = None, time.monotonic()
        while True:
            actual = self.actual()
            watch()
            if actual == expected:
                return
            if actual != last:
                last, since = actual, time.monotonic()
            elif time.monotonic() - since > HANG_SECONDS:
                raise Stuck(f"balloon stands at {actual} bytes, not {expected}, "
                            f"for {HANG_SECONDS} s")
            _, position = self.guest.qmp.wait_event("BALLOON_CHANGE", position, tick)

    def start(self, target):
        """Set the target; wait until the balloon has left its size, or is there already."""
        before, qmp = self.actual(), self.guest.qmp
        self.set(target)
        deadline = time.monotonic() + HANG_SECONDS
        while self.actual() == before != self.settled(target):
            if time.monotonic() > deadline:
                raise Stuck(f"no move to {target} for {HANG_SECONDS} s")
            qmp.wait_event("BALLOON_CHANGE", len(qmp.events), 0.01)

    def wait_below(self, size):
        """Wait until the guest is smaller than that; return the seconds it took."""
        begin, qmp = time.monotonic(), self.guest.qmp
        while self.actual() >= size:
            if time.monotonic() > begin + HANG_SECONDS:
                raise Stuck(f"balloon stands at {self.actual()} bytes, not below {size}, "
                            f"for {HANG_SECONDS} s")
            qmp.wait_event("BALLOON_CHANGE", len(qmp.events), 0.1)
        return time.monotonic() - begin

    def reach(self, target):
        """Set the target and wait until it is reached."""
        self.set(target)
        self.wait(target)

    def wait_state(self, state):
        """Wait until sysfs says that the driver is in a state."""
        self.wait_attribute("state", state)

    def wait_device(self):
        """Wait for the driver of a device that was plugged a moment ago; return its name."""
        deadline = time.monotonic() + HANG_SECONDS
        while (device := self.device()) is None:
            if time.monotonic() > deadline:
                raise Stuck(f"no device has the driver for {HANG_SECONDS} s")
        return device

    def _read(self, path):
        """Content of a sysfs file.  A device has its driver before it has the driver's files."""
        try:
            return self.guest.read(path).strip()
        except CommandFailed as failure:
            if failure.status != errno.ENOENT:
                raise
            return None

    def wait_attribute(self, name, value):
        """Wait until a sysfs file has this content, without a process in the guest."""
        self.wait_device()
        path = self._path(name)
        deadline = time.monotonic() + HANG_SECONDS
        while (now := self._read(path)) != value:
            if time.monotonic() > deadline:
                raise Stuck(f"{name} is {now}, not {value}, for {HANG_SECONDS} s")
            self.guest.qmp.wait_event("BALLOON_CHANGE", len(self.guest.qmp.events), 0.1)

    def deflate(self):
        """Give the guest all its memory back."""
        self.reach(self.guest.memory)

    def unmoved(self, look, rests=lambda: True):
        """What `look` answers where no page of the balloon has moved meanwhile, and it rests.

        The kernel compacts memory whenever it likes, and the driver has its own reasons to
        go on: what was seen of two sizes says nothing.
        """
        def moved():
            return {name: count for name, count in self.guest.vmstat().items()
                    if name.startswith("balloon_")}
        deadline = time.monotonic() + HANG_SECONDS
        while True:
            if rests():
                before, answer = moved(), look()
                if rests() and moved() == before:
                    return answer
            if time.monotonic() > deadline:
                raise Stuck(f"balloon pages move for {HANG_SECONDS} s on end")

    def marked_pages(self):
        """Pages that are marked PG_offline: one that moves meanwhile is met twice, or never."""
        return int(self.guest.run("memtool offline"))

    def offline_pages(self):
        """The same while none moved."""
        return self.unmoved(self.marked_pages)

    def rests(self):
        """Does the driver say that it has nothing on its way?  Not every driver says so."""
        return self.attribute("state") not in ("inflating", "deflating")

    def statistics(self, interval=1):
        """Ask the guest for statistics every `interval` seconds (0: no more)."""
        self.guest.qmp.execute("qom-set", path=f"/machine/peripheral/{BALLOON_ID}",
                               property="guest-stats-polling-interval", value=interval)

    def guest_stats(self):
        """The latest statistics: {"last-update": seconds, "stats": {...}}."""
        return self.guest.qmp.execute("qom-get", path=f"/machine/peripheral/{BALLOON_ID}",
                                      property="guest-stats")

    def next_second(self):
        """Wait until a new answer can be told from the last one, whose second it returns."""
        last = self.next_stats(0)["last-update"]
        while int(time.time()) <= last:
            time.sleep(0.01)
        return last

    def ask(self):
        """Ask now: QEMU does so when questions were switched off before."""
        self.statistics(0)
        self.statistics(NEVER)

    def next_stats(self, after):
        """The first statistics that arrived later than `after`, in seconds since the epoch."""
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline:
            stats = self.guest_stats()
            if stats["last-update"] > after:
                return stats
            # QEMU has no event for this; its clock counts whole seconds.
            time.sleep(0.02)
        raise Stuck(f"no statistics for {HANG_SECONDS} s")
