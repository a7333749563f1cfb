#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""`make soak`: everything that can happen to a balloon, at the same time, for minutes or hours.

Settings come from the environment: MINUTES, SANITIZER, SEED (see make help).
"""

import random
import sys
import time

from rich.console import Console
from rich.live import Live
from rich.table import Table

from host import accel, initramfs, kernel, program
from host.guest import Guest
from host.migration import HINTS
from host.paths import Unusable, newest_kernel, shown
from host.qmp import QMPError
from host.settings import variable
from host.soak import MEMORY, Soak
from host.units import mib
from host.view import print_table

KERNELS = {"kasan": "debug", "kcsan": "kcsan"}
LINE_SECONDS = 10  # between two lines, if there is no terminal


def settings():
    """Minutes, sanitizer and seed."""
    try:
        minutes = float(variable("MINUTES", "10"))
        seed = int(variable("SEED", random.SystemRandom().randrange(1 << 32)))
    except ValueError as error:
        raise Unusable(f"MINUTES, SEED: {error}: write them as numbers") from error
    if not minutes > 0:
        raise Unusable(f"MINUTES: {minutes:g} is no time: write it as 10 or 0.5")
    sanitizer = variable("SANITIZER", "kasan")
    if sanitizer not in KERNELS:
        raise Unusable(f"SANITIZER: '{sanitizer}' is unknown: choose from {' '.join(KERNELS)}")
    return minutes, sanitizer, seed


class Progress:
    """Shows how far a soak has come: a live table on a terminal, plain lines elsewhere."""

    def __init__(self, soak, minutes):
        self._soak = soak
        self._minutes = minutes
        self._start = time.monotonic()
        self._next = 0.0
        self._live = Live(console=Console()) if sys.stdout.isatty() else None

    def __enter__(self):
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_):
        if self._live:
            self._live.stop()

    def _size(self):
        try:
            return mib(self._soak.guest.memory - self._soak.balloon.actual())
        except QMPError:  # there is no device at this moment
            return "-"

    def _state(self):
        elapsed = time.monotonic() - self._start
        races = len(self._soak.races())
        return [("elapsed", f"{elapsed / 60:.1f} of {self._minutes:g} min"),
                ("balloon", f"{self._size()} MiB"), ("alarms", len(self._soak.alarms())),
                *([("races, all of them others'", races)] if races else [])]

    def show(self):
        """Show the progress now, or at the next line if the last one is too recent."""
        counts = [(actor.name, actor.count) for actor in self._soak.actors]
        if self._live:
            table = Table("", "", box=None, show_header=False)
            for what, value in self._state() + counts:
                table.add_row(what, str(value))
            self._live.update(table)
        elif time.monotonic() > self._next:
            self._next = time.monotonic() + LINE_SECONDS
            print(", ".join(f"{what} {value}" for what, value in self._state() + counts),
                  flush=True)


def main():
    """Run one soak."""
    minutes, sanitizer, seed = settings()
    built = kernel.build(KERNELS[sanitizer])
    accelerator = accel.choose(newest_kernel())
    print(f"kernel {built.release}, {accelerator.name}, SEED={seed}", flush=True)
    with Guest("soak", built, initramfs.build(built, "stock"), accelerator, memory=MEMORY,
               init_args="page_owner=on", extra=HINTS) as guest:
        soak = Soak(guest, seed)
        with soak, Progress(soak, minutes) as progress:
            soak.last(60 * minutes, progress.show)
        good = soak.settle()
        rows = [(what, str(count)) for what, count in soak.rows()]
    print_table(("what", "how often"), rows, f"{minutes:g} minutes of everything at once")
    for problem in soak.problems:
        print(problem)
    print(f"kernel log: {shown(guest.console_log)}")
    print("passed" if good else f"FAILED: see above; SEED={seed} repeats the choices")
    return 0 if good else 1


if __name__ == "__main__":
    program.execute(main)
