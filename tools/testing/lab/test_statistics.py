# SPDX-License-Identifier: GPL-2.0
"""F_STATS_VQ: the guest sends statistics, also during other activities."""

import time

import pytest

from host.balloon import NEVER, Balloon
from host.paths import MIB


@pytest.fixture(name="stats")
def fixture_stats(balloon):
    """A balloon that QEMU asks for statistics every second."""
    balloon.statistics(1)
    yield balloon
    balloon.statistics(0)


def clean_caches(meminfo):
    """Memory that can be reclaimed without I/O (virtio 1.2, 5.5.6.4)."""
    return (meminfo["Active(file)"] + meminfo["Inactive(file)"]
            - meminfo["Dirty"] - meminfo["Writeback"])


def test_statistics_match(stats):
    """The guest's statistics are those of /proc/meminfo and /proc/vmstat."""
    guest = stats.guest
    stats.reach(700 * MIB)
    before = guest.vmstat()
    reported = stats.next_stats(int(time.time()))["stats"]
    after, meminfo = guest.vmstat(), guest.meminfo()
    assert reported["stat-total-memory"] == meminfo["MemTotal"]
    meminfo["clean caches"] = clean_caches(meminfo)
    for name, field in (("free-memory", "MemFree"), ("available-memory", "MemAvailable"),
                        ("disk-caches", "clean caches")):
        difference = abs(reported[f"stat-{name}"] - meminfo[field])
        assert difference < 32 * MIB, f"{name} is {difference} bytes from {field}"
    for name, field in (("major-faults", "pgmajfault"), ("minor-faults", "pgfault"),
                        ("swap-in", "pswpin"), ("swap-out", "pswpout"),
                        ("htlb-pgalloc", "htlb_buddy_alloc_success"),
                        ("htlb-pgfail", "htlb_buddy_alloc_fail")):
        unit = 4096 if name.startswith("swap") else 1
        assert before[field] <= reported[f"stat-{name}"] // unit <= after[field], name


def test_interval_changes(stats):
    """The interval can change at any time, also from a long to a short one."""
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
    """The guest answers a request long before a move of 3 GiB ends."""
    large.reach(5120 * MIB - target)
    last = large.next_second()
    large.set(target)
    large.ask()
    large.next_stats(last)
    moved = 3072 * MIB - abs(large.actual() - target)
    large.wait(target)
    print(f"answered when {moved // MIB} MiB had moved")
    assert moved < 2048 * MIB


@pytest.mark.ours
def test_shared_memory_is_no_cache(stats):
    """Files in a tmpfs need I/O to be reclaimed, so they are not disk caches."""
    guest = stats.guest
    before = stats.next_stats(int(time.time()))["stats"]["stat-disk-caches"]
    guest.run("memtool fill /data/shared 200 1")
    after = stats.next_stats(int(time.time()))["stats"]["stat-disk-caches"]
    guest.run("rm /data/shared")
    print(f"caches: {before // MIB} MiB, then {after // MIB}")
    assert abs(after - before) < 8 * MIB


@pytest.mark.debug
def test_answers_during_compaction(stats):
    """The guest answers requests while mm compacts memory without a pause."""
    guest = stats.guest
    stats.reach(700 * MIB)
    scanned = guest.vmstat()["compact_migrate_scanned"]
    with guest.job("while echo 1 > /proc/sys/vm/compact_memory; do :; done") as job:
        for _ in range(3):
            last = stats.next_second()
            stats.ask()
            stats.next_stats(last)
        assert job.status is None, f"compaction ended by itself: {job.output}"
    assert guest.vmstat()["compact_migrate_scanned"] > scanned
