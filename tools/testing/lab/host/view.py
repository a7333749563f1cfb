# SPDX-License-Identifier: GPL-2.0
"""Shows a balloon while it moves: a live table on a terminal, plain lines elsewhere."""

import sys
import time

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from .units import mib

LINE_SECONDS = 1.0  # between plain lines


class PlainView:
    """One line a second."""

    def __init__(self, _memory):
        self._next = 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def note(self, text):
        """Print what happens now."""
        print(text, flush=True)

    def show(self, sample):
        """Show a sample, if the last one is old enough."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_SECONDS
        print(f"{sample.elapsed:7.1f} s  target {mib(sample.target):>5}  "
              f"actual {mib(sample.actual):>5}  available {mib(sample.available):>5}  "
              f"RSS {mib(sample.rss):>5} MiB  {sample.rate / 2**20:+6.0f} MiB/s", flush=True)


class LiveView:
    """A table that each sample redraws."""

    def __init__(self, memory):
        self._memory = memory
        self._live = Live(refresh_per_second=8)

    def __enter__(self):
        self._live.start()
        return self

    def __exit__(self, *_):
        self._live.stop()

    def note(self, text):
        """Print above the table."""
        self._live.console.print(text, highlight=False, markup=False)

    def show(self, sample):
        """Draw a sample."""
        table = Table("", "MiB", "", box=None)
        for name, size in (("target", sample.target), ("actual", sample.actual),
                           ("guest MemAvailable", sample.available),
                           ("host RSS", sample.rss)):
            table.add_row(name, mib(size),
                          ProgressBar(total=self._memory, completed=size, width=40))
        table.add_row("rate", f"{sample.rate / 2**20:+.0f}", "MiB/s")
        table.add_row("elapsed", f"{sample.elapsed:.1f}", "s")
        self._live.update(table)


def make_view(memory):
    """The view that fits standard output."""
    return LiveView(memory) if sys.stdout.isatty() else PlainView(memory)


def print_table(columns, rows, title):
    """Print a table that is wide enough, also into a pipe."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 140
    Console(width=width).print(table)
