# SPDX-License-Identifier: GPL-2.0
"""F_DEFLATE_ON_OOM: the balloon is the guest's last reserve."""

import pytest

from host.held import Held
from host.migration import crawling
from host.paths import MIB

SMALL = 400 * MIB
TARGET = 600 * MIB  # the guest then has as much to lend as the balloon holds
LENT = 320 * MIB  # at least


def test_memory_stays_the_guests(reserve):
    """MemTotal does not change, because the guest may take pages back (virtio 1.2, 5.5.6)."""
    reserve.set(512 * MIB)
    reserve.wait(512 * MIB)
    assert reserve.guest.meminfo()["MemTotal"] == reserve.guest.whole
    assert reserve.offline_pages() == 512 * MIB // 4096


def test_large_allocation_succeeds(reserve):
    """A process gets most of the balloon, no process is killed, and the balloon returns."""
    guest = reserve.guest
    for seed in range(3):
        reserve.set(SMALL)
        reserve.wait(SMALL)
        kills = guest.vmstat()["oom_kill"]
        guest.run(f"memtool fill /data/large 700 {seed}")
        given = reserve.guest.memory - SMALL - reserve.offline_pages() * 4096
        guest.run(f"memtool verify /data/large 700 {seed}")
        reserve.check_accounts()
        guest.run("rm /data/large")
        assert given > 256 * MIB
        assert guest.vmstat()["oom_kill"] == kills
        reserve.wait(SMALL)
        assert reserve.offline_pages() * 4096 == guest.memory - SMALL


@pytest.mark.debug
def test_removal_after_giving(reserve):
    """modprobe -r while the balloon holds back after an out-of-memory."""
    guest = reserve.guest
    reserve.set(SMALL)
    reserve.wait(SMALL)
    guest.run("memtool fill /data/large 700 1")
    guest.run("rm /data/large")
    reserve.unload()
    assert reserve.offline_pages() == 0
    reserve.load()
    reserve.wait(SMALL)


@pytest.fixture(name="iothread")
def fixture_iothread(guest):
    """The name of a thread in which QEMU reads hints."""
    guest.qmp.execute("object-add", **{"qom-type": "iothread"}, id="hints")
    yield "hints"
    guest.qmp.execute("object-del", id="hints")


@pytest.fixture(name="lender")
def fixture_lender(iothread, balloon, swap):
    """A balloon with deflate-on-oom, of a guest that also lends its free memory."""
    swap(f"virtio-balloon,deflate-on-oom=on,free-page-hint=on,iothread={iothread}")
    yield balloon
    balloon.set(balloon.guest.memory)
    balloon.wait(balloon.guest.memory)


@pytest.mark.ours
@pytest.mark.any_transport
def test_hints_go_back_before_the_balloon(lender):
    """A process gets lent memory first; no page leaves the balloon for it."""
    guest = lender.guest
    lender.set(TARGET)
    lender.wait(TARGET)
    lender.wait_state("idle")
    held = Held(guest)
    with crawling(guest):
        lent = held.wait(LENT)
        before = guest.vmstat()
        guest.run(f"memtool fill /data/large {lent * 3 // 4 // MIB} 1")
        after, left = guest.vmstat(), held.size()
    guest.run(f"memtool verify /data/large {lent * 3 // 4 // MIB} 1; rm /data/large")
    given = (after["balloon_deflate"] - before["balloon_deflate"]) * 4096
    print(f"{lent // MIB} MiB lent, {left // MIB} afterwards, {given // MIB} MiB of balloon given")
    assert after["oom_kill"] == before["oom_kill"]
    assert given == 0
