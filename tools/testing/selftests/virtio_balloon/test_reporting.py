# SPDX-License-Identifier: GPL-2.0
"""What host and administrator are told."""

import time

import pytest

from host.guest import HANG_SECONDS
from host.paths import MIB

SMALL = 384 * MIB  # what the guest can afford without its driver holding back
EVENTS = "/sys/kernel/tracing/events/virtio_balloon"


def next_stats(balloon, after):
    """The first statistics that arrived later than `after`, in seconds since the epoch."""
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        stats = balloon.guest_stats()
        if stats["last-update"] > after:
            return stats
        # QEMU has no event for this; its clock counts whole seconds.
        time.sleep(0.1)
    raise AssertionError(f"no statistics for {HANG_SECONDS} s")


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
    reported = next_stats(stats, int(time.time()))["stats"]
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


def test_statistics_while_moving(stats):
    """Questions are answered while pages move, not only when the balloon rests."""
    balloon, guest = stats, stats.guest
    targets = [SMALL, guest.memory]
    stamps = []
    while len(stamps) < 5:
        balloon.set(targets[0])
        while balloon.actual() != targets[0]:
            stamp = balloon.guest_stats()["last-update"]
            if stamp not in stamps:
                stamps.append(stamp)
        targets.reverse()
    gaps = [later - earlier for earlier, later in zip(stamps[1:], stamps[2:])]
    print(f"seconds between statistics: {gaps}")
    # A second until QEMU asks, one to answer, one that its whole seconds hide.
    assert max(gaps) <= 3


@pytest.mark.ours
def test_modprobe_chooses_ours(balloon):
    """updates/ comes before the kernel's own module, and the loaded one is out of tree."""
    guest = balloon.guest
    assert "/updates/" in guest.run("modinfo -F filename virtio_balloon")
    assert "O" in guest.read("/sys/module/virtio_balloon/taint")


@pytest.mark.ours
def test_sysfs(balloon):
    """The files under balloon/ say where the balloon is and what it does."""
    balloon.reach(600 * MIB)
    balloon.wait_state("idle")
    # Sizes are the guest's, as QMP's are, or the balloon's: 1024 - 600 MiB.
    assert {name: balloon.attribute(name) for name in
            ("target_kib", "actual_kib", "isolated_kib", "retry_delay_ms")} == {
                "target_kib": str(424 * 1024), "actual_kib": str(424 * 1024),
                "isolated_kib": "0", "retry_delay_ms": "0"}
    balloon.deflate()
    balloon.wait_state("idle")
    assert balloon.attribute("actual_kib") == "0"


@pytest.mark.ours
def test_tracepoints(balloon):
    """Each tracepoint fires when its thing happens."""
    guest = balloon.guest
    # Switching events changes kernel code, which QEMU 7.2's emulation does not
    # always survive where another CPU runs through it (see host/accel.py): so
    # only while the balloon rests, and without the names of processes, for which
    # the scheduler's own tracepoints would be switched, too.
    balloon.wait_state("idle")
    guest.write("/sys/kernel/tracing/options/record-cmd", "0")
    names = set(guest.run(f"ls {EVENTS}").split()) - {"enable", "filter"}
    assert names >= {"inflate", "deflate", "migrate", "wait"}
    guest.write("/sys/kernel/tracing/trace", " ")
    guest.write(f"{EVENTS}/enable", "1")
    try:
        with guest.job("memtool fragment 128") as holder:
            holder.wait_output("holding")
            balloon.reach(864 * MIB)
        guest.write("/proc/sys/vm/compact_memory", "1")
        balloon.deflate()
        balloon.set(1)
        balloon.wait_state("waiting")
        balloon.deflate()
        balloon.wait_state("idle")
    finally:
        guest.write(f"{EVENTS}/enable", "0")
    trace = guest.run("grep -o 'virtio[0-9]*\\|inflate:\\|deflate:\\|migrate:\\|wait:' "
                      "/sys/kernel/tracing/trace | sort | uniq -c")
    guest.write("/sys/kernel/tracing/trace", " ")
    for name in ("inflate", "deflate", "migrate", "wait"):
        assert f"{name}:" in trace, f"{name} did not fire:\n{trace}"
    assert balloon.device() in trace
