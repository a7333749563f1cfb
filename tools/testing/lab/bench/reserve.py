# SPDX-License-Identifier: GPL-2.0
"""A guest that takes memory back from the balloon: deflate-on-oom."""

from host.balloon import Balloon
from host.memtool import roaming_after
from host.paths import BALLOON_PAGE, MIB

from .lab import Setup
from .scenario import Scenario
from .table import Row

MEMORY = 3072  # MiB
TARGET = 1024 * MIB
BACK = 1024  # MiB that the process needs beyond the available memory


class Reserve(Scenario):
    """A process needs a GiB more than the balloon has left to the guest."""
    NAME = "reserve"
    TITLE = "a process takes 1 GiB of the balloon's, deflate-on-oom=on"
    SETUPS = {peer: Setup(peer, memory=MEMORY, device="virtio-balloon-pci,deflate-on-oom=on")
              for peer in ("ours", "stock")}
    ROWS = (
        Row("seconds", "until the process has its memory, s for a GiB given back",
            peer="stock", ratio=2, aim="4"),
        Row("given", "given back, MiB", peer="stock", decimals=0, more=True, at_least=1000),
    )

    def measure(self, guest, contestant):
        balloon = Balloon(guest)
        balloon.load()
        balloon.reach(TARGET)
        size, before = guest.meminfo()["MemAvailable"] // MIB + BACK, balloon.offline_pages()
        with guest.job(f"exec memtool roam {size}") as process:
            process.wait_output("roaming")
            given = (before - balloon.offline_pages()) * BALLOON_PAGE
        return {"seconds": roaming_after(process.output) * BACK * MIB / given,
                "given": given / MIB}
