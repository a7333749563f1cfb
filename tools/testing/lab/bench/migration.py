# SPDX-License-Identifier: GPL-2.0
"""A guest that migrates with free page hints."""

from host.balloon import Balloon
from host.migration import HINTING, HINTS, bandwidth, progress
from host.paths import MIB

from .lab import SERIES, Setup
from .scenario import Scenario
from .table import Row

MEMORY = 2048  # MiB
UNUSED = 1024  # MiB that no program has ever used
LINK = 117 * MIB  # bytes a second: Gigabit Ethernet without its overhead
PAGE_SIZE = 4096


class Migration(Scenario):
    """An idle guest; half of its memory was used and is free again."""
    NAME = "migration"
    TITLE = ("2 GiB guest migrates over 1 Gbit/s, free-page-hint=on; this driver in the kernel of "
             "the series; peer: see there")
    SETUPS = {
        "ours": Setup("ours", kernel=SERIES, memory=MEMORY, device=HINTING, extra=HINTS),
        "off": Setup("ours", kernel=SERIES, memory=MEMORY),
        "stock": Setup("stock", memory=MEMORY, device=HINTING, extra=HINTS),
    }
    ROWS = tuple(Row(key, f"{label}; peer: {title}", peer=peer, above=1, **how)
                 for peer, title in (("off", "no hints"), ("stock", "the kernel's own, hints"))
                 for key, label, how in (("seconds", "migration, s", {"decimals": 1}),
                                         ("sent", "sent, MiB", {"decimals": 0}))) + (
        Row("growth", "growth of the source's RSS, MiB; peer: the kernel's own", peer="stock",
            decimals=0, at_most=64, aim="0"),)

    def measure(self, guest, contestant):
        Balloon(guest).load()
        guest.run(f"memtool touch {UNUSED}")
        bandwidth(guest, LINK)
        sizes = [guest.rss()]
        with guest.destination() as uri:
            guest.qmp.execute("migrate", uri=uri)
            # A newly completed migration may still report a total time of 0.
            answer = progress(guest, lambda answer: answer["status"] == "completed"
                              and answer["total-time"], lambda: sizes.append(guest.rss()))
        return {"seconds": answer["total-time"] / 1000,
                "sent": answer["ram"]["normal"] * PAGE_SIZE / MIB,
                "growth": (max(sizes) - sizes[0]) / MIB}
