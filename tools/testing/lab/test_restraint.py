# SPDX-License-Identifier: GPL-2.0
"""A target that the guest cannot afford does not hurt it."""

import itertools
import statistics
import time

import pytest

from host.chosen import PEER
from host.memtool import roaming_after
from host.paths import MIB
from host.until import until

SMALL = 320 * MIB


@pytest.mark.ours
def test_floor_at_run_time(balloon):
    """A changed floor is gone by at once; it is how far a target without an end leads."""
    guest = balloon.guest
    balloon.set_attribute("floor_kib", 400 << 10)
    balloon.set(1)
    balloon.wait_attribute("hold_reason", "floor")
    high = balloon.actual()
    assert guest.meminfo()["MemAvailable"] > 360 * MIB
    balloon.set_attribute("floor_kib", 200 << 10)
    balloon.wait_below(high - 100 * MIB)
    balloon.wait_attribute("hold_reason", "floor")
    assert guest.meminfo()["MemAvailable"] > 160 * MIB
    balloon.set_attribute("floor_kib", "auto")  # it follows from the guest's size again
    assert int(balloon.attribute("floor_kib")) < 100 << 10
    balloon.wait_below(SMALL)
    balloon.deflate()


@pytest.mark.ours
def test_policy(balloon):
    """An administrator may give up the floor; the guest's own limits remain."""
    guest = balloon.guest
    balloon.set_attribute("floor_kib", 400 << 10)
    balloon.set(SMALL)
    balloon.wait_attribute("hold_reason", "floor")
    assert balloon.actual() > SMALL
    balloon.set_attribute("policy", "obey")
    balloon.wait(SMALL)
    assert guest.meminfo()["MemAvailable"] < 400 * MIB
    # What it has the balloon keeps: without deflate-on-oom only the host gives back.
    balloon.set_attribute("policy", "full")
    balloon.set(SMALL - 16 * MIB)
    balloon.wait_attribute("hold_reason", "floor")
    assert balloon.actual() == SMALL
    balloon.set_attribute("floor_kib", "auto")
    balloon.deflate()


@pytest.mark.ours
def test_agent_can_poll(balloon):
    """A program that sleeps in poll() learns of each change of state and hold_reason."""
    balloon.set_attribute("floor_kib", 400 << 10)
    names = " ".join(balloon.path(name) for name in ("state", "hold_reason"))
    with balloon.guest.job(f"pollattr {names}") as agent:
        agent.wait_output("hold_reason none\n")
        balloon.set(1)
        agent.wait_output("hold_reason floor\n")
        agent.wait_output("state holding\n")
        balloon.deflate()
        until(lambda: agent.output.count("state idle\n") == 2, "the second idle")
    balloon.set_attribute("floor_kib", "auto")


def roam(balloon, size):
    """Let a process use so many bytes; return the seconds that took, on the guest's clock."""
    with balloon.guest.job(f"memtool roam {size // MIB}") as process:
        process.wait_output("roaming")
        yielded = balloon.guest.memory - balloon.offline_pages() * 4096
    return roaming_after(process.output), yielded


def cut_hold_off_short(balloon):
    """A floor that is set, be it the old one, has the balloon try at once."""
    if PEER == "ours":
        balloon.wait_device()
        balloon.set_attribute("floor_kib", balloon.attribute("floor_kib"))


def stalls(guest):
    """How often somebody has had to reclaim memory by themselves."""
    return sum(count for name, count in guest.vmstat().items() if name.startswith("allocstall"))


def test_large_process_gets_memory_back(reserve):
    """With deflate-on-oom, a nearly full balloon is there for who needs it at once.

    That is before the process has to reclaim by itself, a thousand times with our
    out-of-memory notifier alone.  How long it takes is the bench's, on a host that has
    a CPU for who gives and for who takes.
    """
    guest = reserve.guest
    size = guest.memory * 6 // 10
    kills = guest.vmstat()["oom_kill"]
    times, stalled = [], []
    for cycle in range(6):
        reserve.set(SMALL)
        if cycle > 1:
            cut_hold_off_short(reserve)
        reserve.wait(SMALL)
        before = stalls(guest)
        seconds, whole = roam(reserve, size)
        stalled.append(stalls(guest) - before)
        times.append(seconds)
        assert whole > SMALL
        assert guest.vmstat()["oom_kill"] == kills
    print("60 % of memory, s:", *map("{:.2f}".format, times))
    print("stalls:", *stalled)
    assert statistics.median(stalled) < 200
    reserve.wait(SMALL)


def test_turns(reserve):
    """Who comes and goes does not make the balloon breathe with them."""
    guest = reserve.guest
    reserve.set(SMALL)
    reserve.wait(SMALL)
    sizes, begin = [reserve.actual()], guest.uptime_ns()
    while guest.uptime_ns() < begin + 60e9:
        roam(reserve, 500 * MIB)
        sizes.append(reserve.actual())
        guest.run("sleep 1")
        sizes.append(reserve.actual())
    moves = [now > before for before, now in itertools.pairwise(sizes) if now != before]
    turns = sum(now != before for before, now in itertools.pairwise(moves))
    print(f"{turns} turns in a minute, {sum(moves)} moves up, {len(moves) - sum(moves)} down")
    assert moves[0]
    assert turns <= 8


@pytest.mark.usefixtures("ballast")
def test_swinging_target(balloon):
    """A controller that wants all and nothing in turn, every second for a minute."""
    guest = balloon.guest
    since, kills = len(guest.kernel_log()), guest.vmstat()["oom_kill"]
    with guest.job("memtool roam 200") as process:
        process.wait_output("roaming")
        for swing in range(60):
            balloon.set(guest.memory if swing % 2 else guest.memory // 10)
            time.sleep(1)  # the controller's
            guest.run("true")
        assert not process.ended(0)
    assert guest.vmstat()["oom_kill"] == kills
    assert len(guest.driver_lines(since)) <= 60
