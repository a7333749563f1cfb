# SPDX-License-Identifier: GPL-2.0
"""A guest takes its balloon along when it migrates.

Free page hints are not used here: QEMU asks a running guest for them at the
start of a migration, which an emulated guest (TCG) does not survive in QEMU 7.2,
whichever driver it has; migrate() says why.
"""

import time

import pytest

from host.balloon import Balloon
from host.guest import HANG_SECONDS
from host.paths import MIB

MEMORY = 1024 * MIB
LIVE = 100  # MiB that must arrive intact


@pytest.fixture(scope="module", name="traveller")
def fixture_traveller(boot):
    """A guest of its own, as a hot-plugged device cannot be told to the destination."""
    with boot("migration") as guest:
        guest.run(f"memtool fill /data/live {LIVE} 7")
        yield guest


@pytest.fixture(name="travelling")
def fixture_travelling(traveller):
    """Its balloon, module loaded; data and log are checked after each journey."""
    since = len(traveller.kernel_log())
    balloon = Balloon(traveller)
    balloon.load()
    yield balloon
    traveller.run(f"memtool verify /data/live {LIVE} 7")
    balloon.load()
    balloon.deflate()
    assert not traveller.alarms(since)


def progress(guest):
    """query-migrate's answer, a little later than the last one."""
    guest.qmp.wait_event("STOP", len(guest.qmp.events), 0.1)
    answer = guest.qmp.execute("query-migrate")
    assert answer.get("status") != "failed"
    return answer


def migrate(guest):
    """Migrate, and wait for the end of it.

    QEMU 7.2's emulation does not notice writes through its TLB to pages that it
    had for dirty already when migration starts.  So the guest rests until the
    first look at what is dirty, and next to nothing is sent before.
    """
    deadline = time.monotonic() + HANG_SECONDS
    with guest.destination() as uri:
        guest.qmp.execute("migrate-set-parameters", **{"max-bandwidth": MIB})
        guest.qmp.execute("stop")
        guest.qmp.execute("migrate", uri=uri)
        while not progress(guest).get("ram", {}).get("dirty-sync-count"):
            assert time.monotonic() < deadline
        guest.qmp.execute("cont")
        guest.qmp.execute("migrate-set-parameters", **{"max-bandwidth": 1024 * MIB})
        while progress(guest)["status"] != "completed":
            assert time.monotonic() < deadline


def test_balloon_arrives(travelling):
    """The destination knows the balloon's size; the guest moves on from there."""
    travelling.reach(600 * MIB)
    migrate(travelling.guest)
    assert travelling.actual() == 600 * MIB
    assert travelling.offline_pages() == (MEMORY - 600 * MIB) // 4096
    travelling.reach(800 * MIB)


def test_migrates_while_inflating(travelling):
    """The balloon goes on towards its target where the guest arrives."""
    travelling.set(500 * MIB)
    migrate(travelling.guest)
    travelling.wait(500 * MIB)
    assert travelling.offline_pages() == (MEMORY - 500 * MIB) // 4096


def test_removal_after_migration(travelling):
    """modprobe -r at the destination returns everything."""
    travelling.reach(600 * MIB)
    migrate(travelling.guest)
    travelling.unload()
    assert travelling.offline_pages() == 0
    assert travelling.actual() == MEMORY
