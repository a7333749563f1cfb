# SPDX-License-Identifier: GPL-2.0
"""A balloon made of the pieces of a fragmented memory, and what compaction makes of it."""

import time

from host.balloon import Balloon
from host.paths import MIB

from .lab import SERIES, Setup
from .scenario import Scenario
from .table import Row

MEMORY = 2048  # MiB
KEEP = 128  # MiB that stay in one piece
# MiB for the host: half of what is free then.  Not half of what a guest says is free: that
# differs by 20 MiB from boot to boot, and blocks are counted one by one.
HALF = 464
MORE_PASSES = 4  # one may end where another has been
COMPACT = "/proc/sys/vm/compact_memory"
MOVED = ("balloon_migrate", "pgmigrate_fail")  # of /proc/vmstat


def rows():
    """What must be reached is on the same kernel; the series also spares compaction work."""
    yield Row("rate", "balloon pages migrated, per second", peer="stock", decimals=0, more=True,
              ratio=2, aim="4")
    yield Row("moved", "... pages of the first pass", peer="stock", decimals=0, more=True)
    yield Row("failed", "... and failures to migrate a page", peer="stock", decimals=0)
    yield Row("rate", "..., kernel of the series", ours="series", peer="stock", decimals=0,
              more=True, aim="4")
    yield Row("failed", "... and failures", ours="series", peer="stock", decimals=0)
    for when, words in (("before", "before compaction"), ("after", "after it")):
        # Not fewer; one in a hundred says nothing, they are more or less from boot to boot.
        yield Row(f"blocks_{when}", f"free 2 MiB blocks {words}", peer="stock", decimals=0,
                  more=True, ratio=0.99, aim="more")
    yield Row("blocks_after", "..., kernel of the series", ours="series", peer="stock",
              decimals=0, more=True, aim="more")


class Fragments(Scenario):
    """The balloon takes half of what is free; then the guest wants its memory in one piece."""
    NAME = "compaction"
    TITLE = "half of a fragmented memory to the host, then compaction"
    SETUPS = {"ours": Setup("ours", memory=MEMORY), "stock": Setup("stock", memory=MEMORY),
              "series": Setup("ours", kernel=SERIES, memory=MEMORY)}
    ROWS = tuple(rows())

    def measure(self, guest, contestant):
        balloon = Balloon(guest)
        balloon.load()
        with guest.job(f"memtool fragment {KEEP}") as holder:
            holder.wait_output("holding")
            balloon.reach((MEMORY - HALF) * MIB)
        answer = {"blocks_before": guest.free_huge_blocks()}
        # The first pass moves nearly all that there is to be moved.
        before, begin = guest.vmstat(), time.monotonic()
        guest.write(COMPACT, "1")
        seconds, after = time.monotonic() - begin, guest.vmstat()
        guest.shrink_per_cpu_lists()
        for _ in range(MORE_PASSES):
            guest.write(COMPACT, "1")
        guest.shrink_per_cpu_lists()
        moved, failed = (after[name] - before[name] for name in MOVED)
        return answer | {"rate": moved / seconds, "moved": moved, "failed": failed,
                         "blocks_after": guest.free_huge_blocks()}
