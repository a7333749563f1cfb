# SPDX-License-Identifier: GPL-2.0
"""The user of a contiguous area (CMA) gets the area, whatever memory the driver holds.

mm lends the area's pages to movable allocations.  The owner of such a page has to let
mm move the page, or has to free it when the area is needed.
"""

import pytest

from host.disk import opened, zeroes
from host.guest import PAGE_SIZE
from host.held import Held
from host.migration import HINTING, HINTS, crawling
from host.paths import MIB

pytestmark = [pytest.mark.ours, pytest.mark.any_transport]

AREA = 128  # MiB
LEFT = 190 * MIB  # free, half of it in the area: mm balances this
IN_AREA = 16 * MIB  # of balloon, at least
ON_TRIAL = 48 * MIB  # at least
LENT = 256 * MIB  # at least: more than is free outside of the area
CACHE = 900  # MiB of the disk: more than the memory
CMA = "/sys/kernel/debug/cma/reserved"


class Area:
    """The guest's area, which the kernel's command line has asked for."""

    def __init__(self, guest):
        self.guest = guest
        start, self.count = (int(guest.read(f"{CMA}/{name}")) for name in ("base_pfn", "count"))
        self.pages = range(start, start + self.count)
        assert self.count * PAGE_SIZE == AREA * MIB

    def marked(self):
        """Bytes of the area that are in the balloon."""
        return PAGE_SIZE * int(
            self.guest.run(f"memtool offline {self.pages.start} {self.pages.stop}"))

    def used(self):
        """Pages that the user has allocated from the area."""
        return int(self.guest.read(f"{CMA}/used"))

    def take(self):
        """Allocate the whole area."""
        self.guest.run(f"echo {self.count} >{CMA}/alloc")
        assert self.used() == self.count
        assert self.marked() == 0

    def give(self):
        """Free the whole area, if the allocation succeeded."""
        if self.used():
            self.guest.run(f"echo {self.count} >{CMA}/free")
        assert self.used() == 0


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest of its own, as Debian's kernel has no CMA."""
    with share(name="cma", build="debug", init_args=f"cma={AREA}M", device=HINTING,
               extra=(*HINTS, *zeroes(CACHE))) as own:
        yield own


@pytest.fixture(name="area")
def fixture_area(balloon):
    """The area, none of it allocated before the test and after it."""
    area = Area(balloon.guest)
    yield area
    area.give()


def test_area_under_balloon(balloon, area, data):
    """Balloon pages in the area move out of it, the page of the canary among them."""
    guest = balloon.guest
    balloon.unload()  # a newly loaded driver has to send its canary again
    balloon.load()
    data.fill(32 * MIB)
    balloon.reach(guest.memory - (guest.meminfo()["MemFree"] - LEFT) // PAGE_SIZE * PAGE_SIZE)
    inside = area.marked()
    print(f"{inside // MIB} MiB of the balloon are in the area")
    assert inside > IN_AREA
    area.take()
    balloon.check_accounts()


def test_area_beside_hints(balloon, area):
    """Hinted blocks in the area come back."""
    guest = balloon.guest
    held = Held(guest)
    with crawling(guest):
        print(f"{held.wait(LENT) // MIB} MiB are lent")
        area.take()
        print(f"{held.size() // MIB - AREA} MiB are lent once the area is allocated")
    balloon.check_accounts()


def test_area_beside_trial(balloon, area):
    """Pages on trial in the area make room while the balloon inflates."""
    guest = balloon.guest
    target = guest.memory - 300 * MIB
    with opened(guest) as disk:
        with guest.job(f"memtool reread {disk} 0 {CACHE}") as reader:
            reader.wait_output("\n")
        held = Held(guest)
        balloon.set(target)
        print(f"{held.wait(ON_TRIAL) // MIB} MiB are on trial")
        area.take()
        area.give()
        balloon.wait(target)
        balloon.check_accounts()
