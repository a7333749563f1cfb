# SPDX-License-Identifier: GPL-2.0
"""A guest keeps its balloon when it migrates, and hints memory that need not be sent.

QEMU 7.2's emulation (TCG) can lose writes while it synchronizes the dirty bitmap.  A
TLB entry that a CPU fills at this moment lets writes through that no later
synchronization notices.  At the first synchronization, each entry in the TLB does so.
A guest that runs meanwhile arrives with outdated pages, with each driver.  So the
guests here rest during a synchronization, or flush their TLBs after the first one
and before QEMU sends any page.
"""

import contextlib

import pytest

from host.balloon import Balloon
from host.migration import CRAWL, HINTING, HINTS, bandwidth, looks, progress
from host.paths import MIB
from host.until import until

MEMORY = 1024 * MIB
LIVE = 100  # MiB of data that must arrive intact
SHORT_LOOKS = 20  # while hints go on
MOVABLE = 400  # MiB of ZONE_MOVABLE in the second guest


@pytest.fixture(scope="module", name="traveller")
def fixture_traveller(boot):
    """A guest of its own, as a hot-plugged device cannot be told to the destination."""
    with boot("migration") as guest:
        guest.run(f"memtool fill /data/live {LIVE} 7")
        yield guest


@pytest.fixture(scope="module", name="hinter")
def fixture_hinter(boot):
    """A guest of its own, with hints, and with memory in ZONE_MOVABLE."""
    with boot("hints", device=HINTING, extra=HINTS,
              init_args=f"movablecore={MOVABLE}M") as guest:
        guest.run(f"memtool fill /data/live {LIVE} 7")
        yield guest


@contextlib.contextmanager
def journey(guest):
    """The guest's balloon, module loaded; data and log are checked after each journey."""
    since = len(guest.kernel_log())
    balloon = Balloon(guest)
    balloon.load()
    yield balloon
    guest.run(f"memtool verify /data/live {LIVE} 7")
    balloon.load()
    balloon.deflate()
    assert not guest.alarms(since)


@pytest.fixture(name="travelling")
def fixture_travelling(traveller):
    """The balloon of a guest that migrates without hints."""
    with journey(traveller) as balloon:
        yield balloon


@pytest.fixture(name="hinting")
def fixture_hinting(hinter):
    """The balloon of a guest that migrates with hints."""
    with journey(hinter) as balloon:
        yield balloon


def arrive(guest):
    """Stop the guest, and send the rest of its memory; return QEMU's counters."""
    answer = guest.qmp.execute("query-migrate")
    assert looks(answer) == 1, answer
    guest.qmp.execute("stop")
    bandwidth(guest, 1024 * MIB)
    return progress(guest, lambda answer: answer["status"] == "completed")["ram"]


def go_on(guest):
    """Let the guest run at the destination; QEMU ignores an earlier "cont"."""
    # QEMU sends no event unless it was asked for events before.
    until(lambda: guest.qmp.execute("query-status")["status"] == "paused",
          lambda: f"from {guest.qmp.execute('query-status')} to paused")
    guest.qmp.execute("cont")


def migrate(guest):
    """Migrate the guest, which runs while a part of its memory is sent."""
    with guest.destination() as uri:
        bandwidth(guest, MIB)
        guest.qmp.execute("stop")
        guest.qmp.execute("migrate", uri=uri)
        progress(guest, looks)
        guest.qmp.execute("cont")
        bandwidth(guest, 32 * MIB)
        progress(guest, lambda answer: answer["ram"]["remaining"] < answer["ram"]["total"] * 7 // 8)
        sent = arrive(guest)
    go_on(guest)
    return sent


@contextlib.contextmanager
def asking(guest):
    """A migration that asks for hints, and sends hardly any memory."""
    with guest.destination() as uri:
        bandwidth(guest, CRAWL)
        guest.qmp.execute("migrate", uri=uri)
        progress(guest, looks)
        # A new process on each CPU has new page tables, so the TLB gets empty.
        guest.run("taskset 1 true; taskset 2 true")
        yield


def wait_free(guest, condition):
    """Wait until `condition` holds for the guest's free memory, in bytes."""
    # There is no event when mm frees a page.
    until(lambda: condition(guest.meminfo()["MemFree"]),
          lambda: f"{guest.meminfo()['MemFree']} bytes are free, and should not be",
          pause=guest.qmp.pause("STOP", 0.05))


def wait_lent(guest):
    """Wait until most of the free memory is lent to the host."""
    wait_free(guest, lambda free: free < 160 * MIB)


def wait_returned(guest, before):
    """Wait until all lent memory is back."""
    wait_free(guest, lambda free: free > before - 32 * MIB)


def migrate_with_hints(guest):
    """Migrate the guest once it has hinted its free memory."""
    free = guest.meminfo()["MemFree"]
    with asking(guest):
        wait_lent(guest)
        sent = arrive(guest)
    go_on(guest)
    wait_returned(guest, free)
    return sent


def test_balloon_arrives(travelling):
    """The destination knows the balloon's size, and the balloon moves on from there."""
    travelling.reach(600 * MIB)
    migrate(travelling.guest)
    assert travelling.actual() == 600 * MIB
    assert travelling.offline_pages() == (MEMORY - 600 * MIB) // 4096
    travelling.reach(800 * MIB)


def test_migrates_while_inflating(travelling):
    """At the destination, the balloon goes on towards its target."""
    travelling.set(500 * MIB)
    migrate(travelling.guest)
    travelling.wait(500 * MIB)
    assert travelling.offline_pages() == (MEMORY - 500 * MIB) // 4096


def test_removal_after_migration(travelling):
    """modprobe -r at the destination returns all pages."""
    travelling.reach(600 * MIB)
    migrate(travelling.guest)
    travelling.unload()
    assert travelling.offline_pages() == 0
    assert travelling.actual() == MEMORY


def test_hints_save_pages(travelling, hinting):
    """With hints, QEMU does not send memory that was used and is free again."""
    sent = {}
    for name, balloon, go in (("plain", travelling, migrate),
                              ("hints", hinting, migrate_with_hints)):
        balloon.guest.run("memtool touch 128")
        sent[name] = go(balloon.guest)["normal"] * 4096 // MIB
    print(f"MiB sent: {sent}")
    assert sent["plain"] > 700
    assert sent["hints"] < sent["plain"] // 2


@pytest.mark.debug
def test_hints_again(hinting):
    """Each migration asks for hints, and the balloon moves between migrations."""
    for target in (700 * MIB, MEMORY):
        migrate_with_hints(hinting.guest)
        hinting.reach(target)
        assert hinting.offline_pages() == (MEMORY - target) // 4096


def test_hints_of_cancelled_migrations(hinting):
    """Lent memory comes back when the migration is cancelled, three times."""
    guest = hinting.guest
    free = guest.meminfo()["MemFree"]
    for _ in range(3):
        with asking(guest):
            wait_lent(guest)
            guest.qmp.execute("migrate_cancel")
            progress(guest, lambda answer: answer["status"] == "cancelled")
        wait_returned(guest, free)


def test_lent_memory_comes_back_under_pressure(hinting):
    """A process gets lent memory while the migration still goes on."""
    guest = hinting.guest
    kills = guest.vmstat()["oom_kill"]
    with asking(guest):
        wait_lent(guest)
        guest.run("memtool fill /data/needed 500 3")
        guest.run("memtool verify /data/needed 500 3")
        guest.qmp.execute("migrate_cancel")
        progress(guest, lambda answer: answer["status"] == "cancelled")
    guest.run("memtool verify /data/needed 500 3; rm /data/needed")
    assert guest.vmstat()["oom_kill"] == kills


@pytest.mark.ours
def test_hints_leave_each_zone_alone(hinting):
    """Hints stop at each zone's high watermark: below the low one kswapd takes blocks back.

    Other allocations may use the memory between the two watermarks meanwhile.
    """
    guest = hinting.guest
    runs = guest.vmstat()["pageoutrun"]
    with asking(guest):
        wait_lent(guest)
        for _ in range(SHORT_LOOKS):
            assert not guest.short_zones()
        assert guest.vmstat()["pageoutrun"] == runs
        guest.qmp.execute("migrate_cancel")
        progress(guest, lambda answer: answer["status"] == "cancelled")


@pytest.mark.ours
def test_statistics_count_what_is_lent(hinting):
    """Statistics count lent memory as free and available: the guest can have it back."""
    guest = hinting.guest
    hinting.statistics(1)
    last = hinting.next_second()
    before = guest.meminfo()
    with asking(guest):
        wait_lent(guest)
        hinting.ask()
        stats = hinting.next_stats(last)["stats"]
        lent = before["MemFree"] - guest.meminfo()["MemFree"]
        guest.qmp.execute("migrate_cancel")
        progress(guest, lambda answer: answer["status"] == "cancelled")
    hinting.statistics(0)
    wait_returned(guest, before["MemFree"])
    said = {name: stats[f"stat-{name}-memory"] for name in ("free", "available")}
    print(f"{lent // MIB} MiB lent; MiB said to be:",
          {name: size // MIB for name, size in said.items()})
    assert said["free"] > before["MemFree"] - 32 * MIB
    assert said["available"] > before["MemAvailable"] - 32 * MIB


def test_hints_while_inflating(hinting):
    """Hints and inflation share the free memory, and the balloon reaches its target."""
    guest = hinting.guest
    hinting.set(500 * MIB)
    with asking(guest):
        wait_lent(guest)
        arrive(guest)
    go_on(guest)
    hinting.wait(500 * MIB)
    assert hinting.offline_pages() == (MEMORY - 500 * MIB) // 4096


@pytest.mark.debug
def test_removal_with_lent_memory(hinting):
    """modprobe -r returns lent memory; the next driver hints again."""
    guest = hinting.guest
    free = guest.meminfo()["MemFree"]
    with asking(guest):
        wait_lent(guest)
        hinting.unload()
        wait_returned(guest, free)
        guest.qmp.execute("migrate_cancel")
        progress(guest, lambda answer: answer["status"] == "cancelled")
    hinting.load()
    migrate_with_hints(guest)
