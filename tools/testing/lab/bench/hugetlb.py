# SPDX-License-Identifier: GPL-2.0
"""A guest in hugetlbfs memory: does the host get whole huge pages back?"""

import contextlib
import re
import subprocess
from pathlib import Path

from host.balloon import Balloon
from host.paths import BUILD, MIB

from .lab import Setup
from .scenario import Scenario
from .table import Row

MEMORY = 2048  # MiB
INFLATED = 1024  # MiB
HUGE_PAGE = 2  # MiB
PAGES = Path("/proc/sys/vm/nr_hugepages")
MOUNT = BUILD / "hugetlbfs"


def free_pages():
    """Number of free huge pages."""
    return int(re.search(r"^HugePages_Free: *(\d+)", Path("/proc/meminfo").read_text("ascii"),
                         re.MULTILINE)[1])


@contextlib.contextmanager
def reserved():
    """A file system with the guest's huge pages; OSError if the host cannot spare them."""
    missing = max(MEMORY // HUGE_PAGE - free_pages(), 0)
    before = int(PAGES.read_text("ascii"))
    try:
        PAGES.write_text(f"{before + missing}\n", "ascii")
        if free_pages() < MEMORY // HUGE_PAGE:
            raise OSError("too little memory is free in one piece")
        MOUNT.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", "-t", "hugetlbfs", "-o", f"pagesize={HUGE_PAGE}M", "none",
                               MOUNT], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(done.stderr.strip())
        try:
            yield
        finally:
            subprocess.run(["umount", MOUNT], check=False)
    finally:
        with contextlib.suppress(OSError):
            PAGES.write_text(f"{before}\n", "ascii")


class HugePages(Scenario):
    """The host gets a huge page back if one message names all of it (a rule of QEMU)."""
    NAME = "hugetlbfs"
    TITLE = "1 GiB of a guest of 2 GiB to the host, whose huge pages the guest has"
    SETUPS = {peer: Setup(peer, memory=MEMORY, extra=(
        "-object", f"memory-backend-file,id=ram,size={MEMORY}M,mem-path={MOUNT},share=on",
        "-machine", "memory-backend=ram")) for peer in ("ours", "stock")}
    ROWS = (
        Row("returned", "returned to the host, % of what was inflated", peer="stock",
            decimals=1, more=True, at_least=95, aim="100"),
    )

    def unable(self):
        try:
            with reserved():
                return None
        except OSError as error:
            return (f"{MEMORY // HUGE_PAGE} huge pages are not to be had ({error}): run it as root "
                    f"on a host that can spare {MEMORY} MiB")

    def around(self):
        return reserved()

    def measure(self, guest, contestant):
        balloon = Balloon(guest)
        balloon.load()
        # Make all huge pages resident: unused memory cannot come back.
        guest.run("memtool touch 64")
        before = free_pages()
        balloon.reach(guest.memory - INFLATED * MIB)
        return {"returned": (free_pages() - before) * HUGE_PAGE / INFLATED * 100}
