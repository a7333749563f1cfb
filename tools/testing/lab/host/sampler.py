# SPDX-License-Identifier: GPL-2.0
"""Samples the balloon of a guest, also of a guest that is short of memory."""

import time
from typing import NamedTuple

from .balloon import Balloon
from .guest import GuestDied
from .units import mib
from .until import HANG_SECONDS

SAMPLE_SECONDS = 0.2
# An answer of the guest that takes longer belongs to a later sample.
ANSWER_SECONDS = 0.1


class Sample(NamedTuple):
    """The balloon at one instant; sizes in bytes."""
    elapsed: float
    target: int
    actual: int
    available: int  # by the guest's last answer, which may be old
    rss: int
    rate: float  # of actual, bytes per second


class Sampler:
    """The samples of one guest; `view` shows them (see view.py).

    target: of the balloon, in bytes.  marks: (seconds, text), for the picture.
    """

    def __init__(self, guest, view):
        self.target = guest.memory
        self.samples = []
        self.marks = []
        self._guest = guest
        self._balloon = Balloon(guest)
        self._view = view
        self._start = time.monotonic()
        self._question = None  # a request for meminfo that waits for its answer
        self._asked = 0.0
        self._available = guest.meminfo()["MemAvailable"]

    def elapsed(self):
        """Seconds since the start."""
        return time.monotonic() - self._start

    def say(self, text):
        """Tell the user what happens now."""
        self._view.note(text)

    def mark(self, text):
        """Remember an event at this instant."""
        self.marks.append((self.elapsed(), text))

    def go_to(self, target):
        """Set the target; return at once."""
        self.mark(f"{mib(target)} MiB")
        self.target = target
        self._balloon.set(target)

    def _look_at_available(self):
        if not self._question:
            self._question, self._asked = self._guest.ask_meminfo(), time.monotonic()
        if self._question.ended(ANSWER_SECONDS):
            self._available = self._guest.meminfo(self._question)["MemAvailable"]
            self._question = None
        elif time.monotonic() - self._asked > HANG_SECONDS:
            raise GuestDied(f"no answer from the guest for {HANG_SECONDS} s: meminfo")

    def sample(self):
        """Take a sample."""
        actual, now, rate = self._balloon.actual(), self.elapsed(), 0.0
        self._look_at_available()
        if self.samples and now > self.samples[-1].elapsed:
            rate = (actual - self.samples[-1].actual) / (now - self.samples[-1].elapsed)
        self.samples.append(Sample(now, self.target, actual, self._available,
                                   self._guest.rss(), rate))
        self._view.show(self.samples[-1])

    def watch(self, seconds, until=lambda: False):
        """Sample for `seconds`, or until `until` holds after an answer; return if it holds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.sample()
            if self._guest.channel.happens(until, min(SAMPLE_SECONDS, left)):
                return True
        return False
