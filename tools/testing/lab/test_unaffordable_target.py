# SPDX-License-Identifier: GPL-2.0
"""What a target that a guest cannot afford does to its processes."""

import math

import pytest

from host import memtool
from host.chosen import PEER
from host.paths import MIB


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest whose clock counts instructions, as speeds are compared here."""
    with share(name="unaffordable", cpus="counted") as own:
        yield own


def probing(seconds):
    """A command that runs others for so many seconds, on a CPU of their own."""
    return f"taskset 2 memtool probe {seconds * 14} 50"


def last_percent(output):
    """What the slowest hundredth of them took at least, in ms."""
    return memtool.percentile([probe.seconds * 1e3 for probe in memtool.probes(output)], 99)


def thread_ns(balloon):
    """What the balloon's thread has had of the CPUs."""
    pid = balloon.guest.run("pidof vballoon").strip()
    return int(balloon.guest.read(f"/proc/{pid}/schedstat").split()[0])


def check_holding(balloon, meanwhile):
    """It says why, and does next to nothing until that job's end."""
    guest = balloon.guest
    balloon.wait_attribute("hold_reason", "floor")
    balloon.wait_state("holding")
    begin, used = guest.uptime_ns(), thread_ns(balloon)
    meanwhile.wait()
    elapsed = guest.uptime_ns() - begin
    share = (thread_ns(balloon) - used) / elapsed
    print(f"the balloon's thread had {share:.4%} of a CPU for {elapsed / 1e9:.0f} s")
    assert share < 0.005


@pytest.mark.usefixtures("ballast")
def test_target_that_cannot_be_afforded(balloon):
    """64 MiB for a guest that uses 500: it lives, and its processes do not feel it.

    Nobody is killed, it says why it holds, and what becomes free is taken.
    """
    guest = balloon.guest
    since, kills = len(guest.kernel_log()), guest.vmstat()["oom_kill"]
    with guest.job("taskset 1 memtool roam 200") as process:
        process.wait_output("roaming")
        usual = last_percent(guest.run(probing(30)))
        turn = memtool.roamed(process.output).seconds
        pace = memtool.writes_per_second(process.output, 0, turn)
        balloon.set(64 * MIB)
        with guest.job(probing(60)) as probes:
            if PEER == "ours":
                check_holding(balloon, probes)
            delayed = last_percent(probes.wait())
        new_pace = memtool.writes_per_second(process.output, turn, math.inf)
        print(f"99th percentile of a command's time: {usual:.1f} ms, then {delayed:.1f} ms")
        print(f"writes per second: {pace:.0f}, then {new_pace:.0f}")
        assert not process.ended(0)
        assert delayed < 2 * usual
        assert new_pace > 0.9 * pace
        assert guest.meminfo()["MemAvailable"] > 40 * MIB
        held = balloon.actual()
    seconds = balloon.wait_below(held - 150 * MIB)
    print(f"freed memory was taken within {seconds:.1f} s")
    assert seconds < 30
    assert guest.vmstat()["oom_kill"] == kills
    assert len(guest.driver_lines(since)) <= 2
