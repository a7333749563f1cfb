# SPDX-License-Identifier: GPL-2.0
"""The balloon of a guest, by QMP and sysfs."""

import errno
import time

from .guest import BALLOON_ID, CommandFailed
from .paths import BALLOON_PAGE
from .until import until

DRIVER = "/sys/bus/virtio/drivers/virtio_balloon"
NEVER = 1 << 20  # seconds between two requests for statistics


class Balloon:
    """A balloon.  All sizes are bytes of guest memory, not of balloon."""

    def __init__(self, guest):
        self.guest = guest

    def load(self):
        """Load the module that modprobe chooses."""
        self.guest.run("modprobe virtio_balloon")

    def unload(self):
        """Remove the module, also if the balloon holds memory."""
        self.guest.run("modprobe -r virtio_balloon")

    def device(self):
        """The bound virtio device's name, or None."""
        names = self.guest.run(f"ls {DRIVER} 2>/dev/null || true").split()
        return next((name for name in names if name.startswith("virtio")
                     and name[len("virtio"):].isdigit()), None)

    def attribute(self, name):
        """Content of one of the driver's sysfs files; None if the driver has no such file."""
        pattern = f"{DRIVER}/virtio*/balloon/{name}"
        return self.guest.run(f"cat {pattern} 2>/dev/null || true").strip() or None

    def path(self, name):
        """One of the driver's sysfs files."""
        return f"{DRIVER}/{self.device()}/balloon/{name}"

    def set_attribute(self, name, value):
        """Write to one of the driver's sysfs files."""
        self.guest.write(self.path(name), str(value))

    def actual(self):
        """The size of the guest, as reported by the driver to the device."""
        return self.guest.qmp.execute("query-balloon")["actual"]

    def settled(self, target):
        """The answer of query-balloon at `target`: only whole pages move."""
        target = min(target, self.guest.memory)
        pages = (self.guest.memory - target) // BALLOON_PAGE
        return self.guest.memory - pages * BALLOON_PAGE

    def set(self, target):
        """Set the target; return at once."""
        self.guest.qmp.execute("balloon", value=target)

    def wait(self, target, watch=lambda: None, tick=0.1):
        """Wait until `target` is reached.

        `watch` is called at every BALLOON_CHANGE, and every `tick` seconds.
        """
        expected, actual = self.settled(target), None

        def arrived():
            nonlocal actual
            actual = self.actual()
            watch()
            return actual == expected
        until(arrived, lambda: f"from {actual} bytes to {expected}", progress=lambda: actual,
              pause=self._change(tick))

    def _change(self, seconds=0.1):
        """A function that returns when the balloon's size changes, or after `seconds`."""
        return self.guest.qmp.pause("BALLOON_CHANGE", seconds)

    def start(self, target):
        """Set the target; wait until the balloon begins to move, or has the size already."""
        before = self.actual()
        self.set(target)
        until(lambda: before == self.settled(target) or self.actual() != before,
              f"a move from {before} bytes to {target}", pause=self._change(0.01))

    def wait_below(self, size):
        """Wait until the guest is smaller than `size`; return the seconds it took."""
        begin = time.monotonic()
        until(lambda: self.actual() < size,
              lambda: f"from {self.actual()} bytes to below {size}", pause=self._change())
        return time.monotonic() - begin

    def reach(self, target):
        """Set the target and wait until it is reached."""
        self.set(target)
        self.wait(target)

    def scatter(self, target):
        """Reach a target while only single pages are free; then free the rest."""
        with self.guest.job("memtool fragment 128") as holder:
            holder.wait_output("holding")
            self.reach(target)

    def wait_state(self, state):
        """Wait until sysfs says that the driver is in a state."""
        self.wait_attribute("state", state)

    def wait_device(self):
        """Wait for the driver of a newly plugged device; return the device's name."""
        return until(self.device, "a device has the driver", tick=0)

    def _read(self, path):
        """Content of a sysfs file, which may appear later than the driver is bound."""
        try:
            return self.guest.read(path).strip()
        except CommandFailed as failure:
            if failure.status != errno.ENOENT:
                raise
            return None

    def wait_attribute(self, name, value):
        """Wait until a sysfs file has this content, without a process in the guest."""
        self.wait_device()
        path = self.path(name)
        until(lambda: self._read(path) == value,
              lambda: f"{name} from {self._read(path)} to {value}", pause=self._change())

    def deflate(self):
        """Give the guest all its memory back."""
        self.reach(self.guest.memory)

    def unmoved(self, look, rests=lambda: True):
        """The answer of `look`, given while the balloon rests and none of its pages moves.

        The kernel may compact memory at any time, and the driver may move by itself.  An
        answer that mixes two states would be useless.
        """
        def moved():
            return {name: count for name, count in self.guest.vmstat().items()
                    if name.startswith("balloon_")}

        def seen():
            if not rests():
                return None
            before, answer = moved(), look()
            return (answer,) if rests() and moved() == before else None
        return until(seen, "no balloon page moves", tick=0)[0]

    def marked_pages(self):
        """Number of PG_offline pages; a page that moves meanwhile may count twice, or not."""
        return int(self.guest.run("memtool offline"))

    def offline_pages(self):
        """Number of PG_offline pages while no page moves."""
        return self.unmoved(self.marked_pages)

    def rests(self):
        """Does the driver report that it is at rest?  Not each driver reports a state."""
        return self.attribute("state") not in ("inflating", "deflating")

    def statistics(self, interval=1):
        """Ask the guest for statistics every `interval` seconds (0: never)."""
        self.guest.qmp.execute("qom-set", path=f"/machine/peripheral/{BALLOON_ID}",
                               property="guest-stats-polling-interval", value=interval)

    def guest_stats(self):
        """The latest statistics: {"last-update": seconds, "stats": {...}}."""
        return self.guest.qmp.execute("qom-get", path=f"/machine/peripheral/{BALLOON_ID}",
                                      property="guest-stats")

    def next_second(self):
        """Wait until the clock shows a later second than the last answer; return the latter."""
        last = self.next_stats(0)["last-update"]
        while int(time.time()) <= last:
            time.sleep(0.01)
        return last

    def ask(self):
        """Ask now: QEMU asks at once if its requests were off before."""
        self.statistics(0)
        self.statistics(NEVER)

    def next_stats(self, after):
        """The first statistics that arrived later than `after`, in seconds since the epoch."""
        def newer():
            stats = self.guest_stats()
            return stats if stats["last-update"] > after else None
        # QEMU has no event for this; its clock counts whole seconds.
        return until(newer, f"statistics after second {after}", tick=0.02)
