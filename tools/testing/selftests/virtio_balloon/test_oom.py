# SPDX-License-Identifier: GPL-2.0
"""F_DEFLATE_ON_OOM: the balloon is the guest's last reserve."""

import pytest

from host.paths import MIB

SMALL = 400 * MIB


def test_memory_stays_the_guests(reserve):
    """MemTotal does not change, as the memory is the guest's if it insists (virtio 1.2, 5.5.6)."""
    reserve.set(512 * MIB)
    reserve.wait(512 * MIB)
    assert reserve.guest.meminfo()["MemTotal"] == reserve.guest.whole
    assert reserve.offline_pages() == 512 * MIB // 4096


def test_large_allocation_succeeds(reserve):
    """What needs most of the ballooned memory gets it, nobody is killed, the balloon returns."""
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
