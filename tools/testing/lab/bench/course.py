# SPDX-License-Identifier: GPL-2.0
"""A guest whose host wants too much memory; the guest's end is an outcome and no error."""

import contextlib
from collections import Counter

from host import klog, picture
from host.balloon import Balloon
from host.guest import GuestDied
from host.paths import MIB
from host.qmp import Disconnected
from host.sampler import Sampler
from host.view import make_view

from .scenario import Scenario
from .table import Row

# The drivers: the name in initramfs.py, and the name for readers.
PEERS = {"ours": "ours", "stock": "the kernel's own"}
RESERVE = "virtio-balloon,deflate-on-oom=on"


def told(key, label, decimals=0, **limits):
    """A row with the values of both drivers, and without their ratio."""
    return Row(key, label, peer="stock", decimals=decimals, told=True, **limits)


OUTCOME = (told("outcome", "outcome", words=("alive",)),
           told("killed", "killed", words=("nobody",)))
LOG_LINES = told("log_lines", "lines of the driver in the log")
LOWEST = told("lowest_available", "lowest MemAvailable, MiB")


class Course:
    """A course of events in one guest.

    drive() may end in the guest's death.  figures() returns the figures up to then.  If
    target_set is None, there are none.
    """

    def __init__(self, guest, view):
        self.guest = guest
        self.balloon = Balloon(guest)
        self.sampler = Sampler(guest, view)
        self.finished = False
        self._logged = 0  # records of the kernel's log when the target was set
        self.target_set = self.ended = None  # seconds of the sampler

    def play(self):
        """Run the course, until its end or the guest's."""
        try:
            self.balloon.load()
            self.drive()
            self.finished = True
        finally:
            if self.ended is None:
                self.ended = self.sampler.elapsed()

    def set_target(self, target):
        """Set the target: the measurement begins."""
        self._logged = len(self.guest.kernel_log())
        self.target_set = self.sampler.elapsed()
        self.sampler.go_to(target)

    def drive(self):
        """Run the events of the course."""
        raise NotImplementedError

    def figures(self):
        """The figures by the keys of the scenario's ROWS; None for an unknown figure."""
        raise NotImplementedError

    def common_figures(self):
        """The figures that all courses have."""
        console = self.guest.console()
        killed = Counter(klog.KILLED.findall(console))
        panic = klog.PANIC.search(console)
        alive = "alive" if self.finished else "no answer"
        return {
            "outcome": f"panic: {panic[1].strip()}" if panic else alive,
            "killed": ", ".join(f"{count} {name}" for name, count in killed.items()) or "nobody",
            "log_lines": len(klog.of_driver(self.guest.channel.records[self._logged:])),
        }

    def trace(self, _title):
        """The trace to be drawn, or None."""
        return None

    def lowest_available(self, start, end, more=()):
        """The lowest MemAvailable between two instants, in MiB."""
        seen = [s.available for s in self.sampler.samples if start <= s.elapsed <= end]
        return min([*seen, *more], default=0) / MIB


class Restraint(Scenario):
    """A guest goes through a COURSE; the guest's end is an outcome and no error."""
    COURSE = None

    def __init__(self):
        self._traces = {}  # of the last round

    def measure(self, guest, contestant):
        course = None
        with contextlib.suppress(GuestDied, Disconnected), make_view(guest.memory) as view:
            course = self.COURSE(guest, view)
            course.play()
        if not course or course.target_set is None:
            raise GuestDied("the guest ended before there was a target: see its console.log "
                            "below build/guest/")
        self._traces[contestant] = course.trace(PEERS[contestant])
        figures = course.figures()
        return {row.key: figures.get(row.key) for row in self.ROWS}

    def draw(self, where, path):
        traces = [self._traces[peer] for peer in PEERS if self._traces.get(peer)]
        if traces:
            picture.compare(traces, f"{self.TITLE}\n{where}", path)
        return bool(traces)
