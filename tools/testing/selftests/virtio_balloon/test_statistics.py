# SPDX-License-Identifier: GPL-2.0
"""F_STATS_VQ: the guest tells what it needs its memory for, whatever else goes on."""

import time

import pytest

from host.balloon import Balloon
from host.paths import MIB

NEVER = 1 << 20  # seconds between two questions


@pytest.fixture(name="stats")
def fixture_stats(balloon):
    """A balloon that is asked for statistics every second."""
    balloon.statistics(1)
    yield balloon
    balloon.statistics(0)


def test_statistics_match(stats):
    """The guest's statistics are those of /proc/meminfo and /proc/vmstat."""
    guest = stats.guest
    stats.reach(700 * MIB)
    before = guest.vmstat()
    reported = stats.next_stats(int(time.time()))["stats"]
    after, meminfo = guest.vmstat(), guest.meminfo()
    assert reported["stat-total-memory"] == meminfo["MemTotal"]
    for name, field in (("free-memory", "MemFree"), ("available-memory", "MemAvailable"),
                        ("disk-caches", "Cached")):
        difference = abs(reported[f"stat-{name}"] - meminfo[field])
        assert difference < 32 * MIB, f"{name} is {difference} bytes from {field}"
    for name, field in (("major-faults", "pgmajfault"), ("minor-faults", "pgfault"),
                        ("swap-in", "pswpin"), ("swap-out", "pswpout"),
                        ("htlb-pgalloc", "htlb_buddy_alloc_success"),
                        ("htlb-pgfail", "htlb_buddy_alloc_fail")):
        unit = 4096 if name.startswith("swap") else 1
        assert before[field] <= reported[f"stat-{name}"] // unit <= after[field], name


def next_second(balloon):
    """Wait until a new answer can be told from the last one, whose second it returns."""
    last = balloon.next_stats(0)["last-update"]
    while int(time.time()) <= last:
        time.sleep(0.01)
    return last


def ask(balloon):
    """Ask now: QEMU does so where questions were switched off before."""
    balloon.statistics(0)
    balloon.statistics(NEVER)


def test_interval_changes(stats):
    """The interval can be changed at any time, from long ones to short ones, too."""
    for interval in (2, 1, NEVER, 1):
        stats.statistics(interval)
        if interval != NEVER:
            stats.next_stats(int(time.time()))


@pytest.fixture(scope="module", name="large")
def fixture_large(boot):
    """The balloon of a guest of 4 GiB."""
    with boot("large", memory=4096) as guest:
        balloon = Balloon(guest)
        balloon.load()
        yield balloon


@pytest.mark.parametrize("target", [1024 * MIB, 4096 * MIB], ids=["inflating", "deflating"])
def test_answers_while_moving(large, target):
    """A question that comes when 3 GiB begin to move is answered long before they have."""
    large.reach(5120 * MIB - target)
    last = next_second(large)
    large.set(target)
    ask(large)
    large.next_stats(last)
    moved = 3072 * MIB - abs(large.actual() - target)
    large.wait(target)
    print(f"answered when {moved // MIB} MiB had moved")
    assert moved < 2048 * MIB


@pytest.mark.debug
def test_answers_during_compaction(stats):
    """Questions are answered while mm compacts memory without a pause."""
    guest = stats.guest
    stats.reach(700 * MIB)
    scanned = guest.vmstat()["compact_migrate_scanned"]
    with guest.job("while echo 1 > /proc/sys/vm/compact_memory; do :; done") as job:
        for _ in range(3):
            last = next_second(stats)
            ask(stats)
            stats.next_stats(last)
        assert job.status is None, f"compaction ended by itself: {job.output}"
    assert guest.vmstat()["compact_migrate_scanned"] > scanned
