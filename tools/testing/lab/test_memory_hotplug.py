# SPDX-License-Identifier: GPL-2.0
"""Memory that holds balloon pages goes offline and is unplugged.

A DIMM's memory is online as ZONE_MOVABLE, from which the balloon takes its pages
first.  The memory that the guest booted with is in the other zones.

In boot memory mm looks for unmovable pages before it calls any notifier.  One such
page keeps its block online.  So the tests use blocks of boot memory that have no
pages of the kernel.
"""

import contextlib
import re

import pytest

from host.checked import CheckedBalloon
from host.dimm import MEMORY, Dimm, Refused, blocks, change
from host.guest import PAGE_SIZE
from host.held import Held
from host.migration import crawling
from host.paths import MIB
from host.until import HANG_SECONDS, until

BOOT_MEMORY = 1024 * MIB
DIMM = 512 * MIB
LIVE = 96 * MIB  # of data that must stay intact
LARGE = 400 * MIB  # of balloon: fits into the DIMM and into boot memory
ROUNDS = 3
LENT = 320 * MIB  # at least

# The lines that mm logs for a page that it cannot migrate at once.  It tries again.
DUMP = (r"|^do_migrate_range: \d+ callbacks suppressed|^page: refcount:|^flags: 0x"
        r"|^page_type: |^raw: |^page dumped because: ")
# The page is in flight to the host, or back.
ISOLATION_FAILED = r"^failed to isolate pfn" + DUMP + "isolation failed"
# The page is the kernel's.
UNMOVABLE = r"^head: |^(anon|ksm) flags: |^aops:|^memcg:" + DUMP + "unmovable page"
# The driver is about to be removed.
MIGRATION_FAILED = r"^migrating pfn" + DUMP + "migration failure|" + ISOLATION_FAILED


def zones(guest):
    """Read /proc/zoneinfo: {name: (pages, managed, free)} of each populated zone.

    `pages` is the zone's span, a range of page frame numbers.
    """
    found = {}
    for text in guest.read("/proc/zoneinfo").split("Node ")[1:]:
        name = re.match(r"\d+, zone +(\w+)", text)[1]
        managed, spanned, free = (int(re.search(rf"^ +{key} +(\d+)", text, re.MULTILINE)[1])
                                  for key in ("managed", "spanned", "pages free"))
        if spanned:
            start = int(re.search(r"start_pfn: +(\d+)", text)[1])
            found[name] = (range(start, start + spanned), managed, free)
    return found


class MovingBalloon(CheckedBalloon):
    """A balloon in a guest whose memory comes and goes."""

    def __init__(self, guest):
        super().__init__(guest)
        self.dimm = Dimm(guest, "dimm0", DIMM)
        self.boot_zones = {name: managed for name, (_, managed, _) in zones(guest).items()}

    @property
    def size(self):
        """Bytes in the balloon."""
        return self.guest.memory - self.actual()

    def marked(self, pages):
        """PG_offline pages in a range of page frame numbers; the balloon must be at rest."""
        return int(self.guest.run(f"memtool offline {pages.start} {pages.stop}"))

    def in_dimm(self):
        """Balloon pages in the DIMM."""
        return self.marked(self.dimm.pages)

    def lent(self):
        """Bytes that the guest lends to a host that migrates it."""
        return int(self.attribute("lent_kib")) * 1024

    def check_accounts(self):
        """Device, MemTotal, zones and page flags agree on size and place of the balloon."""
        expected = dict(self.boot_zones)
        if self.dimm.online:
            expected["Movable"] = self.dimm.online // PAGE_SIZE
        now = zones(self.guest)
        managed = {name: managed for name, (_, managed, _) in now.items()}
        while True:
            lent = self.attribute("lent_kib")
            marked = {name: self.marked(pages) for name, (pages, _, _) in now.items()}
            if lent == self.attribute("lent_kib"):
                break
        # Lent pages are also marked, and still managed pages of the guest.
        lent = int(lent or 0) * 1024
        assert sum(marked.values()) * PAGE_SIZE == self.size + lent
        if not lent:
            whole = {name: managed[name] + marked[name] for name in now}
            assert whole == expected, f"pages managed: {managed}, in the balloon: {marked}"
        assert self.guest.meminfo()["MemTotal"] == sum(managed.values()) * PAGE_SIZE

    def inflate_by(self, size):
        """Inflate to `size` bytes, and check that they are accounted for."""
        self.reach(self.guest.memory - size)

    def fill_dimm(self):
        """Have most of the balloon's pages in the DIMM."""
        self.inflate_by(LARGE)
        pages = self.in_dimm()
        print(f"{pages} of the balloon's {LARGE // PAGE_SIZE} pages are in the DIMM")
        assert pages > LARGE // PAGE_SIZE // 2
        return pages


@pytest.fixture(scope="module", name="machine_with_slots")
def fixture_machine_with_slots(boot):
    """A guest of its own, as no other has slots for DIMMs."""
    hints = "virtio-balloon-pci,free-page-hint=on,iothread=hinter,free-page-reporting=on"
    with boot("memory-hotplug", slots=2, device=hints, cpus="in turn",
              extra=("-object", "iothread,id=hinter")) as guest:
        guest.write(f"{MEMORY}/auto_online_blocks", "online_movable")
        balloon = MovingBalloon(guest)
        yield balloon


@pytest.fixture(name="boot_memory")
def fixture_boot_memory(machine_with_slots, request):
    """The empty balloon of that guest, without a DIMM; the same after the test."""
    balloon, guest = machine_with_slots, machine_with_slots.guest
    since = len(guest.kernel_log())
    provoked = [mark.args[0] for mark in request.node.iter_markers("logs")]
    balloon.load()
    yield balloon
    balloon.load()
    balloon.deflate()
    balloon.check_accounts()
    alarms = [alarm for alarm in guest.alarms(since)
              if not any(re.search(pattern, alarm.text) for pattern in provoked)]
    assert not alarms, "kernel log:\n" + "\n".join(map(str, alarms))


@pytest.fixture(name="balloon")
def fixture_balloon(boot_memory):
    """The same balloon, with a DIMM that the end of the test unplugs."""
    balloon = boot_memory
    balloon.dimm.plug()
    yield balloon
    try:
        balloon.load()
        balloon.deflate()
    finally:
        if balloon.dimm.blocks:
            balloon.dimm.unplug()


@pytest.mark.debug
def test_offline_then_unplug(balloon, data):
    """Balloon pages migrate out of each block; the balloon keeps its size in all steps."""
    guest, dimm = balloon.guest, balloon.dimm
    data.fill(LIVE)
    pages = balloon.fill_dimm()
    migrated = guest.vmstat()["balloon_migrate"]
    for block in dimm.blocks:
        dimm.change(block, "offline")
        assert balloon.size == LARGE
        balloon.check_accounts()
    assert guest.vmstat()["balloon_migrate"] - migrated >= pages
    assert balloon.in_dimm() == 0
    dimm.unplug()
    assert balloon.size == LARGE
    balloon.check_accounts()
    dimm.plug()
    assert balloon.size == LARGE
    balloon.check_accounts()


def test_unplug_at_once(balloon, data):
    """device_del takes the DIMM with all its balloon pages offline by itself."""
    data.fill(LIVE)
    pages = balloon.fill_dimm()
    migrated = balloon.guest.vmstat()["balloon_migrate"]
    balloon.dimm.unplug()
    assert balloon.guest.vmstat()["balloon_migrate"] - migrated >= pages
    assert balloon.size == LARGE
    balloon.check_accounts()


def wait_progress(job, watch):
    """Call `watch` until a job ends; the job has to write output from time to time."""
    until(lambda: job.ended(0), lambda: f"the end of a job that has written {job.output}",
          progress=lambda: job.output, pause=watch)
    return job.wait()


@pytest.mark.logs(ISOLATION_FAILED)
def test_offline_while_moving(balloon, data, rng):
    """Blocks go offline and come back, again and again, while the balloon changes its size."""
    guest, dimm = balloon.guest, balloon.dimm
    data.fill(LIVE)
    balloon.inflate_by(LARGE)
    migrated = guest.vmstat()["balloon_migrate"]
    targets = [LARGE // 4, LARGE]
    moves = 0

    def move():
        nonlocal moves
        balloon.start(guest.memory - targets[moves % 2])
        moves += 1

    rounds = " ".join(dimm.blocks * ROUNDS)
    with guest.job(f"cd {MEMORY}; for block in {rounds}; do for state in offline online_movable; do"
                   " echo $state > $block/state || exit; echo $block $state; done; done") as job:
        wait_progress(job, move)
    print(f"{moves} targets, {guest.vmstat()['balloon_migrate'] - migrated} pages migrated")
    assert moves > ROUNDS
    assert guest.vmstat()["balloon_migrate"] > migrated
    balloon.inflate_by(rng.randrange(0, LARGE))


@contextlib.contextmanager
def lent_memory(balloon):
    """A migration without a destination, at whose start the guest lends free memory."""
    guest, qmp = balloon.guest, balloon.guest.qmp
    qmp.execute("migrate-set-capabilities",
                capabilities=[{"capability": "events", "state": True}])
    qmp.execute("migrate-set-parameters", **{"max-bandwidth": 1024})
    since = len(qmp.events)
    qmp.execute("migrate", uri="exec:cat > /dev/null")
    try:
        # There is no event when the guest lends memory.
        until(lambda: zones(guest)["Movable"][2] <= balloon.dimm.online // PAGE_SIZE // 4,
              lambda: f"most of the DIMM is lent, of {zones(guest)}", tick=0.1)
        yield
        assert qmp.execute("query-migrate")["status"] == "active"
    finally:
        qmp.execute("migrate_cancel")
        qmp.wait_event("MIGRATION", since, HANG_SECONDS,
                       lambda data: data["status"] == "cancelled")


@pytest.mark.ours
def test_offline_while_lent(balloon):
    """Blocks that were lent as free page hints come back when their memory goes offline.

    The DIMM has no other contents.  A migration of other pages would need memory, and
    the shrinker might then free the lent blocks of the DIMM.
    """
    guest, dimm = balloon.guest, balloon.dimm
    with lent_memory(balloon):
        elsewhere = balloon.lent() - dimm.online
        for block in dimm.blocks:
            dimm.change(block, "offline")
            balloon.check_accounts()
        # Offlining may wake kswapd, which gets some of the other lent blocks back.
        assert balloon.lent() > elsewhere // 2
    # There is no event when lent memory comes back.
    until(lambda: guest.meminfo()["MemFree"] >= BOOT_MEMORY // 2,
          lambda: f"what was lent comes back to {guest.meminfo()}", tick=0.1)


@pytest.mark.logs(MIGRATION_FAILED)
def test_remove_while_going_offline(balloon, data):
    """modprobe -r completes while a block migrates, and the block goes offline."""
    guest, dimm = balloon.guest, balloon.dimm
    data.fill(LIVE)
    interrupted = 0
    for block in dimm.blocks:
        balloon.fill_dimm()
        migrated = guest.vmstat()["balloon_migrate"]
        with guest.job(f"echo offline > {MEMORY}/{block}/state") as job:
            while guest.vmstat()["balloon_migrate"] == migrated and not job.ended(0):
                pass
            interrupted += job.status is None
            balloon.unload()
            assert job.ended(HANG_SECONDS), f"{block} does not go offline"
            job.wait()
        assert guest.run("memtool offline").strip() == "0"
        dimm.change(block, "online_movable")
        balloon.load()
        balloon.wait(guest.memory - LARGE)
        balloon.check_accounts()
    print(f"{interrupted} of {len(dimm.blocks)} migrations were interrupted")
    assert interrupted


@contextlib.contextmanager
def resident(balloon):
    """A balloon at rest."""
    balloon.inflate_by(LARGE)
    yield
    assert balloon.size == LARGE


@contextlib.contextmanager
def lent(balloon):
    """A migration without a destination, to which most of the free memory is lent."""
    held = Held(balloon.guest)
    with crawling(balloon.guest):
        print(f"{held.wait(LENT) // MIB} MiB are lent")
        yield


@pytest.fixture(name="free_of_kernel")
def fixture_free_of_kernel(boot_memory):
    """Blocks of boot memory without pages of the kernel: they could go offline."""
    guest, found = boot_memory.guest, []
    for block in blocks(guest):
        with contextlib.suppress(Refused):
            change(guest, block, "offline")
            found.append(block)
    for block in found:
        change(guest, block, "online_kernel")
    boot_memory.check_accounts()
    print("without the kernel's pages:", *found)
    assert len(found) > 1
    return found


@pytest.mark.ours
@pytest.mark.logs(UNMOVABLE)
@pytest.mark.parametrize("holds", [resident, lent], ids=lambda holds: holds.__name__)
def test_kernel_memory_goes_offline(boot_memory, free_of_kernel, holds):
    """Memory of the driver keeps no block online that has no pages of the kernel."""
    guest, kept = boot_memory.guest, []
    with holds(boot_memory):
        for block in free_of_kernel:
            try:
                change(guest, block, "offline")
            except Refused as refused:
                kept.append(str(refused))
            else:
                change(guest, block, "online_kernel")
    boot_memory.check_accounts()
    assert not kept, kept
