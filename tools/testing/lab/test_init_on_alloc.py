# SPDX-License-Identifier: GPL-2.0
"""A kernel of the series does not zero pages for the balloon."""

import pytest

from host.paths import MIB

pytestmark = pytest.mark.ours
SMALL = 500 * MIB  # a target that this debug kernel can afford
HUGE_PAGE = 2 * MIB  # the host may make this much resident at a time


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest that zeroes pages on allocation, as with most distributions."""
    with share(name="init_on_alloc", build="debug", init_args="init_on_alloc=1",
               cpus="in turn") as own:
        yield own


def faults(guest):
    """Pages of either size that the host has provided so far."""
    with open(f"/proc/{guest.pid}/stat", encoding="ascii") as stat:
        return int(stat.read().rpartition(")")[2].split()[7])


def test_host_provides_nothing(balloon):
    """Inflation of unused memory does not make the memory resident on the host."""
    first = balloon.guest.memory - 16 * MIB
    balloon.reach(first)  # QEMU needs pages to translate the code that this runs
    before = faults(balloon.guest)
    balloon.reach(SMALL)
    provided = faults(balloon.guest) - before
    print(f"{provided} page faults")
    assert provided < (first - SMALL) // HUGE_PAGE // 2


def test_next_owner_gets_zeroes(balloon):
    """The next owner of a page from the balloon does not see old contents."""
    guest = balloon.guest
    guest.run("memtool fill /data/left 400 1")
    guest.run("rm /data/left")
    balloon.reach(SMALL)
    balloon.deflate()
    guest.run("memtool zeroes 128")
