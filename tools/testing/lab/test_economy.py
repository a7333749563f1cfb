# SPDX-License-Identifier: GPL-2.0
"""Counts that show a balloon's cost; they do not depend on the speed of the machine."""

import time

import pytest

from host.device_trace import DeviceTrace
from host.paths import MIB

pytestmark = [pytest.mark.ours, pytest.mark.any_transport]

MOVED = 512 * MIB
MESSAGES = MOVED // (4 * MIB)  # of 1024 page frame numbers each
MESSAGES_PER_NOTIFICATION = 4
REPORT_SECONDS = 0.01  # between two reports of the size, at least
SLACK = 8  # small messages before the canary's acknowledgment, and at the end
# How often each lock is taken for a message, at most.
LOCKS = {"&bd->balloon_lock": 4, "&bm->pages_lock": 32}


@pytest.mark.parametrize("way", ["inflate", "deflate"])
def test_host_is_left_alone(balloon, way):
    """Few notifications and few writes of the configuration move many pages."""
    guest = balloon.guest
    trace, small = DeviceTrace(guest), guest.memory - MOVED
    if way == "deflate":
        balloon.reach(small)
    begin = time.monotonic()
    move = trace.move(small if way == "inflate" else guest.memory)
    seconds = time.monotonic() - begin
    print(f"{way}: {move.notifications} notifications, {move.config_writes} configuration writes "
          f"in {seconds:.2f} s")
    assert move.notifications <= MESSAGES // MESSAGES_PER_NOTIFICATION * 3 // 2 + SLACK
    assert move.config_writes <= min(MESSAGES, seconds / REPORT_SECONDS) + SLACK


def locks_taken(guest, moves):
    """How often each of LOCKS is taken while `moves` runs, counted by LOCK_STAT."""
    guest.write("/proc/lock_stat", "0")
    moves()
    counts = {}
    for line in guest.read("/proc/lock_stat").splitlines():
        name, colon, figures = line.strip().partition(": ")
        if colon and name in LOCKS:
            counts[name] = int(figures.split()[7])
    return counts


@pytest.mark.debug("only")
@pytest.mark.parametrize("way", ["inflate", "deflate"])
def test_locks_are_taken_once_for_many_pages(balloon, way):
    """The driver takes its locks for each message, not for each page."""
    guest = balloon.guest
    small = guest.memory - MOVED
    if way == "deflate":
        balloon.reach(small)
    target = small if way == "inflate" else guest.memory

    def move():
        balloon.set(target)
        balloon.wait(target)
    counts = locks_taken(guest, move)
    print(f"{way}: {counts} for {MESSAGES} messages")
    assert set(counts) == set(LOCKS)
    assert all(0 < counts[name] < most * MESSAGES for name, most in LOCKS.items()), counts
