# SPDX-License-Identifier: GPL-2.0
"""A balloon in a fragmented guest, and compaction of this guest."""

import time

from host.balloon import Balloon
from host.paths import MIB

from .lab import SERIES, Setup
from .scenario import Scenario
from .table import Row

MEMORY = 2048  # MiB
KEEP = 128  # MiB that stay in one piece
# MiB for the host: half of the memory that is free then.  The number is fixed, because the
# guest's free memory differs by 20 MiB from boot to boot, and single blocks count.
HALF = 464
MORE_PASSES = 4  # a pass may end early, at the position of another one
COMPACT = "/proc/sys/vm/compact_memory"
MOVED = ("balloon_migrate", "pgmigrate_fail")  # of /proc/vmstat


def rows():
    """The bounds are for the same kernel; the series also saves compaction work."""
    yield Row("rate", "balloon pages migrated, per second", peer="stock", decimals=0, more=True,
              ratio=2, aim="4")
    yield Row("moved", "... pages of the first pass", peer="stock", decimals=0, more=True)
    yield Row("failed", "... and failures to migrate a page", peer="stock", decimals=0)
    yield Row("rate", "..., kernel of the series", ours="series", peer="stock", decimals=0,
              more=True, aim="4")
    yield Row("failed", "... and failures", ours="series", peer="stock", decimals=0)
    for when, words in (("before", "before compaction"), ("after", "after it")):
        # No fewer blocks; a difference of one in a hundred comes from boot to boot.
        yield Row(f"blocks_{when}", f"free 2 MiB blocks {words}", peer="stock", decimals=0,
                  more=True, ratio=0.99, aim="more")
    yield Row("blocks_after", "..., kernel of the series", ours="series", peer="stock",
              decimals=0, more=True, aim="more")


class Fragments(Scenario):
    """The balloon takes half of the free memory; then the guest compacts its memory."""
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
        # The first pass moves nearly all pages.
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
