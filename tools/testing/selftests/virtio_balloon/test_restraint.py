# SPDX-License-Identifier: GPL-2.0
"""A target that the guest cannot afford does not hurt it."""

import time

import pytest

from host import klog
from host.guest import HANG_SECONDS
from host.paths import MIB

BALLAST = "/data/ballast"
RESERVE = "virtio-balloon,deflate-on-oom=on"
SMALL = 400 * MIB

pytestmark = pytest.mark.ours


@pytest.fixture(name="ballast")
def fixture_ballast(balloon):
    """300 MiB that the guest cannot do without."""
    balloon.guest.run(f"memtool fill {BALLAST} 300 1")
    yield
    balloon.deflate()
    balloon.guest.run(f"memtool verify {BALLAST} 300 1 && rm {BALLAST}")


def wait_actual_below(balloon, size):
    """Wait until the guest is smaller than that; return the seconds it took."""
    begin = time.monotonic()
    qmp = balloon.guest.qmp
    while balloon.actual() >= size:
        assert time.monotonic() < begin + HANG_SECONDS, f"{balloon.actual()} for {HANG_SECONDS} s"
        qmp.wait_event("BALLOON_CHANGE", len(qmp.events), 0.1)
    return time.monotonic() - begin


@pytest.mark.usefixtures("ballast")
def test_target_that_cannot_be_afforded(balloon):
    """64 MiB for a guest that uses 500: it lives, nobody is killed, and says why it holds."""
    guest = balloon.guest
    since, kills = len(guest.kernel_log()), guest.vmstat()["oom_kill"]
    floor = int(balloon.attribute("floor_kib")) * 1024
    with guest.job("memtool roam 200") as process:
        process.wait_output("roaming")
        balloon.set(64 * MIB)
        balloon.wait_attribute("hold_reason", "floor")
        balloon.wait_state("holding")
        held = balloon.actual()
        for _ in range(20):
            guest.run("true")
        assert guest.meminfo()["MemAvailable"] > floor - floor // 4
        assert not process.ended(0)
    seconds = wait_actual_below(balloon, held - 150 * MIB)
    print(f"freed memory was taken within {seconds:.1f} s")
    assert seconds < 30
    assert guest.vmstat()["oom_kill"] == kills
    assert len(klog.of_driver(guest.kernel_log()[since:])) <= 2


def test_floor_at_run_time(balloon):
    """A changed floor is gone by at once; it is how far a target without an end leads."""
    guest = balloon.guest
    path = f"/sys/bus/virtio/devices/{balloon.device()}/balloon/floor_kib"
    guest.write(path, str(400 << 10))
    balloon.set(1)
    balloon.wait_attribute("hold_reason", "floor")
    high = balloon.actual()
    assert guest.meminfo()["MemAvailable"] > 360 * MIB
    guest.write(path, str(200 << 10))
    wait_actual_below(balloon, high - 100 * MIB)
    balloon.wait_attribute("hold_reason", "floor")
    assert guest.meminfo()["MemAvailable"] > 160 * MIB
    balloon.unload()
    balloon.load()  # where it follows from the guest's size again
    assert int(balloon.attribute("floor_kib")) < 100 << 10
    balloon.deflate()


def test_large_process_gets_memory_back(balloon, swap):
    """With deflate-on-oom, most of a nearly full balloon is there for who needs it at once."""
    swap(RESERVE)
    guest = balloon.guest
    kills = guest.vmstat()["oom_kill"]
    for _ in range(3):
        balloon.set(SMALL)
        balloon.wait(SMALL)
        begin = time.monotonic()
        with guest.job(f"memtool roam {guest.memory * 6 // 10 // MIB}") as process:
            process.wait_output("roaming")
            print(f"60 % of memory within {time.monotonic() - begin:.1f} s")
            assert guest.memory - balloon.offline_pages() * 4096 > SMALL
        assert guest.vmstat()["oom_kill"] == kills
        balloon.wait(SMALL)
    balloon.set(guest.memory)
    balloon.wait(guest.memory)
