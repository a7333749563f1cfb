# SPDX-License-Identifier: GPL-2.0
"""A guest takes its balloon along when it migrates, and tells what need not be sent.

QEMU 7.2's emulation (TCG) can lose writes while it looks at what is dirty: a
TLB entry that a CPU fills just then, and at the first look any entry that is
there, lets writes through that no later look notices.  A guest that runs
meanwhile arrives with some pages out of date, whichever driver it has.  So the
guests here rest during such looks, or have their TLBs flushed after the first
one and before anything is sent.
"""

import contextlib

import pytest

from host.balloon import Balloon
from host.migration import CRAWL, HINTING, HINTS, bandwidth, looks, progress
from host.paths import MIB
from host.until import until

MEMORY = 1024 * MIB
LIVE = 100  # MiB that must arrive intact
SHORT_LOOKS = 20  # while hints go on
MOVABLE = 400  # MiB of the second guest that only movable pages may be in


@pytest.fixture(scope="module", name="traveller")
def fixture_traveller(boot):
    """A guest of its own, as a hot-plugged device cannot be told to the destination."""
    with boot("migration") as guest:
        guest.run(f"memtool fill /data/live {LIVE} 7")
        yield guest


@pytest.fixture(scope="module", name="hinter")
def fixture_hinter(boot):
    """Likewise, with a balloon that is asked for hints, and memory in ZONE_MOVABLE."""
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
    """Let the guest rest, and send what is left of it; return what QEMU counted."""
    answer = guest.qmp.execute("query-migrate")
    assert looks(answer) == 1, answer
    guest.qmp.execute("stop")
    bandwidth(guest, 1024 * MIB)
    return progress(guest, lambda answer: answer["status"] == "completed")["ram"]


def go_on(guest):
    """Let the guest run where it has arrived; QEMU forgets a "cont" that comes before that."""
    # There is no event unless QEMU was asked for it before.
    until(lambda: guest.qmp.execute("query-status")["status"] == "paused",
          lambda: f"from {guest.qmp.execute('query-status')} to paused")
    guest.qmp.execute("cont")


def migrate(guest):
    """Migrate the guest, which goes on while a part of its memory is sent."""
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
    """A migration that has come to where QEMU asks for hints, and sends next to nothing."""
    with guest.destination() as uri:
        bandwidth(guest, CRAWL)
        guest.qmp.execute("migrate", uri=uri)
        progress(guest, looks)
        # A process of its own on each CPU: new page tables, an empty TLB.
        guest.run("taskset 1 true; taskset 2 true")
        yield


def wait_free(guest, condition):
    """Wait until `condition` holds for the guest's free memory, in bytes."""
    # Nothing tells when mm frees a page.
    until(lambda: condition(guest.meminfo()["MemFree"]),
          lambda: f"{guest.meminfo()['MemFree']} bytes are free, and should not be",
          pause=guest.qmp.pause("STOP", 0.05))


def wait_lent(guest):
    """Wait until most of the free memory is lent to the host."""
    wait_free(guest, lambda free: free < 160 * MIB)


def wait_returned(guest, before):
    """Wait until all of it is back."""
    wait_free(guest, lambda free: free > before - 32 * MIB)


def migrate_with_hints(guest):
    """Migrate the guest once it has told what need not be sent."""
    free = guest.meminfo()["MemFree"]
    with asking(guest):
        wait_lent(guest)
        sent = arrive(guest)
    go_on(guest)
    wait_returned(guest, free)
    return sent


def test_balloon_arrives(travelling):
    """The destination knows the balloon's size; the guest moves on from there."""
    travelling.reach(600 * MIB)
    migrate(travelling.guest)
    assert travelling.actual() == 600 * MIB
    assert travelling.offline_pages() == (MEMORY - 600 * MIB) // 4096
    travelling.reach(800 * MIB)


def test_migrates_while_inflating(travelling):
    """The balloon goes on towards its target where the guest arrives."""
    travelling.set(500 * MIB)
    migrate(travelling.guest)
    travelling.wait(500 * MIB)
    assert travelling.offline_pages() == (MEMORY - 500 * MIB) // 4096


def test_removal_after_migration(travelling):
    """modprobe -r at the destination returns everything."""
    travelling.reach(600 * MIB)
    migrate(travelling.guest)
    travelling.unload()
    assert travelling.offline_pages() == 0
    assert travelling.actual() == MEMORY


def test_hints_save_pages(travelling, hinting):
    """What was used once and is free again is not sent where hints tell so."""
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
    """Each migration asks anew, and the balloon moves between them."""
    for target in (700 * MIB, MEMORY):
        migrate_with_hints(hinting.guest)
        hinting.reach(target)
        assert hinting.offline_pages() == (MEMORY - target) // 4096


def test_hints_of_cancelled_migrations(hinting):
    """What is lent comes back when the migration does not take place; three times."""
    guest = hinting.guest
    free = guest.meminfo()["MemFree"]
    for _ in range(3):
        with asking(guest):
            wait_lent(guest)
            guest.qmp.execute("migrate_cancel")
            progress(guest, lambda answer: answer["status"] == "cancelled")
        wait_returned(guest, free)


def test_lent_memory_comes_back_under_pressure(hinting):
    """A process gets what is lent while the migration still goes on."""
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
    """Each zone keeps its high watermark: below the low one kswapd would take blocks back.

    Other allocations take from what is between the two marks meanwhile.
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
    """What is lent comes back when the guest needs it: to the host it is free and available."""
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
    """Hints and the balloon share what is free; the balloon gets to its target in the end."""
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
    """modprobe -r while memory is lent returns it, and the next modprobe is asked again."""
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
