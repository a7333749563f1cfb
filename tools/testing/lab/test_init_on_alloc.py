# SPDX-License-Identifier: GPL-2.0
"""A kernel of the series gives pages away without zeroing them first."""

import pytest

from host.paths import MIB

pytestmark = pytest.mark.ours
SMALL = 500 * MIB  # what a kernel that keeps so many books can afford
HUGE_PAGE = 2 * MIB  # what the host may make resident at a time


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest that zeroes what it allocates, as most distributions' do."""
    with share(name="init_on_alloc", build="debug", init_args="init_on_alloc=1",
               cpus="in turn") as own:
        yield own


def faults(guest):
    """Pages that the host has had to provide, of either size."""
    with open(f"/proc/{guest.pid}/stat", encoding="ascii") as stat:
        return int(stat.read().rpartition(")")[2].split()[7])


def test_host_provides_nothing(balloon):
    """Memory that was never used goes to the host without having been there."""
    first = balloon.guest.memory - 16 * MIB
    balloon.reach(first)  # what QEMU has to translate for it takes pages of its own
    before = faults(balloon.guest)
    balloon.reach(SMALL)
    provided = faults(balloon.guest) - before
    print(f"{provided} page faults")
    assert provided < (first - SMALL) // HUGE_PAGE // 2


def test_next_owner_gets_zeroes(balloon):
    """What a process left in its memory is not seen by who gets that from the balloon."""
    guest = balloon.guest
    guest.run("memtool fill /data/left 400 1")
    guest.run("rm /data/left")
    balloon.reach(SMALL)
    balloon.deflate()
    guest.run("memtool zeroes 128")
