# SPDX-License-Identifier: GPL-2.0
"""What happens to a guest whose host wants too much; its end is an outcome and no error."""

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

# As initramfs.py has them, and as people read them.
PEERS = {"ours": "ours", "stock": "the kernel's own"}
RESERVE = "virtio-balloon,deflate-on-oom=on"


def told(key, label, decimals=0, **limits):
    """A row that stands beside the peer's, without a ratio of the two."""
    return Row(key, label, peer="stock", decimals=decimals, told=True, **limits)


OUTCOME = (told("outcome", "outcome", words=("alive",)),
           told("killed", "killed", words=("nobody",)))
LOG_LINES = told("log_lines", "lines of the driver in the log")
LOWEST = told("lowest_available", "lowest MemAvailable, MiB")


class Course:
    """What happens to one guest.

    drive() may end in the guest's death; figures() says what has been seen until then.
    Where target_set is None that is nothing.
    """

    def __init__(self, guest, view):
        self.guest = guest
        self.balloon = Balloon(guest)
        self.sampler = Sampler(guest, view)
        self.finished = False
        self._logged = 0  # records of the kernel's log when the target was set
        self.target_set = self.ended = None  # seconds of the sampler

    def play(self):
        """Do it, until the end or the guest's end."""
        try:
            self.balloon.load()
            self.drive()
            self.finished = True
        finally:
            if self.ended is None:
                self.ended = self.sampler.elapsed()

    def set_target(self, target):
        """Now it begins."""
        self._logged = len(self.guest.kernel_log())
        self.target_set = self.sampler.elapsed()
        self.sampler.go_to(target)

    def drive(self):
        """What happens."""
        raise NotImplementedError

    def figures(self):
        """By the keys of the scenario's ROWS; None for what is not known."""
        raise NotImplementedError

    def common_figures(self):
        """What every course tells."""
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
        """What there is to be drawn, if anything."""
        return None

    def lowest_available(self, start, end, more=()):
        """MiB, between two instants."""
        seen = [s.available for s in self.sampler.samples if start <= s.elapsed <= end]
        return min([*seen, *more], default=0) / MIB


class Restraint(Scenario):
    """A guest goes through a COURSE that it may not survive; that is an outcome and no error."""
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
