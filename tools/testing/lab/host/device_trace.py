# SPDX-License-Identifier: GPL-2.0
"""QEMU's trace of a balloon's driver: notifications and writes of the configuration.

QEMU writes its trace to its standard error, which is the guest's qemu.log.  So no
request to its monitor disturbs the measurement.
"""

import contextlib
import re
from typing import NamedTuple

from .paths import BALLOON_PAGE
from .until import until

# QEMU's arguments for a trace with times, which are 0 otherwise.
TIMED = ("-msg", "timestamp=on")
TARGET, WRITE, NOTIFY = ("virtio_balloon_to_target", "virtio_balloon_set_config",
                         "virtio_queue_notify")
# The numbers of virtio 1.2, 5.5.2.  virtio-serial has them too, for a port that no guest here
# has.
QUEUES = ("0", "1")
LOOK_SECONDS = 0.005
_LINE = re.compile(r"^(?:\d+@(\d+\.\d+):)?(\w+) (.*)\n", re.MULTILINE)


class Event(NamedTuple):
    """A line of the trace."""
    seconds: float
    name: str
    text: str


class Move(NamedTuple):
    """A balloon on its way to a target."""
    seconds: float  # until the device was told that it had arrived
    notifications: int
    config_writes: int
    cpu: float  # seconds that QEMU's threads ran
    path: list  # of (seconds, bytes of the guest)


def _actual(event):
    """Balloon pages that the driver reports."""
    return int(event.text.split()[1])


class DeviceTrace:
    """The trace of one guest, and what it says while a balloon moves."""

    def __init__(self, guest):
        self._guest = guest
        self._position = 0
        self._rest = ""

    def _enable(self, enable):
        for name in (TARGET, WRITE, NOTIFY):
            self._guest.qmp.execute("trace-event-set-state", name=name, enable=enable)

    @contextlib.contextmanager
    def _recording(self):
        """Trace in the block; _next() begins here."""
        self._position, self._rest = self._guest.qemu_log.stat().st_size, ""
        self._enable(True)
        try:
            yield
        finally:
            self._enable(False)

    def _next(self):
        """The events since the last call."""
        with open(self._guest.qemu_log, encoding="ascii", errors="replace") as log:
            log.seek(self._position)
            text = self._rest + log.read()
            self._position = log.tell()
        lines, newline, self._rest = text.rpartition("\n")
        return [Event(float(seconds or 0), name, rest)
                for seconds, name, rest in _LINE.findall(lines + newline)]

    def _until_reported(self, pages):
        """The events until the driver reports `pages` balloon pages."""
        events = []

        def reported():
            new = self._next()
            events.extend(new)
            return any(e.name == WRITE and _actual(e) == pages for e in new)
        until(reported, f"the driver reports {pages} pages, or anything",
              progress=lambda: len(events), tick=LOOK_SECONDS)
        return events

    def move(self, target):
        """Set a target that differs from the balloon's size; wait until the driver reports it."""
        guest = self._guest
        with self._recording():
            before = guest.cpu_seconds()[0]
            guest.qmp.execute("balloon", value=target)
            events = self._until_reported((guest.memory - target) // BALLOON_PAGE)
            cpu = guest.cpu_seconds()[0] - before
        begin = next(event.seconds for event in events if event.name == TARGET)
        writes = [event for event in events if event.name == WRITE]
        path = [(event.seconds - begin, guest.memory - _actual(event) * BALLOON_PAGE)
                for event in writes]
        notified = [e for e in events if e.name == NOTIFY and e.text.split()[3] in QUEUES]
        return Move(path[-1][0], len(notified), len(writes), cpu, path)
