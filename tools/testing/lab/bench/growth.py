# SPDX-License-Identifier: GPL-2.0
"""Does a page cost the same in guests of all sizes?"""

import statistics

from host.balloon import Balloon
from host.device_trace import TIMED, DeviceTrace

from .lab import Setup
from .scenario import Alternating
from .table import Row

SIZES = (1, 2, 4, 8, 16)  # GiB
PART = 2  # the balloon takes half
# Moves in each guest.  A host may switch between two speeds within a tenth of a second, also
# during a move.  The means of this many moves agree.
TIMES = 25
WAYS = ("inflate", "deflate")


class Growth(Alternating):
    """Guests of all sizes inflate with memory that was never used."""
    NAME = "growth"
    TITLE = "half of the memory of guests of several sizes to the host, init_on_alloc=0"
    SETUPS = {f"{size} GiB": Setup("ours", memory=size * 1024, init_args="init_on_alloc=0",
                                   extra=TIMED) for size in SIZES}
    ROWS = (
        *(Row(way, f"guest of {size} GiB, {way}, s for a GiB", f"{size} GiB", decimals=3)
          for way in WAYS for size in SIZES),
        *(Row(f"{way}_spread", f"{way}, slowest over fastest", "all", at_most=1.15)
          for way in WAYS),
    )

    def turns(self, guest, contestant):
        Balloon(guest).load()
        trace, moved = DeviceTrace(guest), guest.memory / PART / 2**30
        for _ in range(TIMES):
            yield {way: trace.move(target).seconds / moved
                   for way, target in zip(WAYS, (guest.memory // PART, guest.memory))}

    def conclude(self, seen):
        for way in WAYS:
            means = [statistics.mean(seen.values(name, way)) for name in self.SETUPS]
            seen.add("all", {f"{way}_spread": max(means) / min(means)})
