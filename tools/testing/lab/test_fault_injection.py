# SPDX-License-Identifier: GPL-2.0
"""Allocations fail, in turn or at random: nothing breaks, and no page is lost."""

import contextlib
import re
import time

import pytest

from host import leaks
from host.balloon import DRIVER, Balloon
from host.device import Device
from host.faults import NO_PAGE, NO_SLAB, NO_WORKER, NOT_BOUND, Faults
from host.migration import CRAWL, HINTS, bandwidth, progress
from host.paths import MIB
from host.until import until

pytestmark = [pytest.mark.ours, pytest.mark.any_transport]

MEMORY = 1024 * MIB
PLAIN = "virtio-balloon"
EVERYTHING = ("virtio-balloon,deflate-on-oom=on,free-page-hint=on,iothread=hints,"
              "free-page-reporting=on,page-poison=on")


@contextlib.contextmanager
def unbound(balloon):
    """The guest while its balloon's device has no driver."""
    balloon.load()
    device = balloon.wait_device()
    balloon.guest.write(f"{DRIVER}/unbind", device)
    yield balloon.guest
    balloon.guest.write(f"{DRIVER}/bind", device)


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest whose kernel can inject allocation failures and tracks the owner of each page."""
    with share(name="faults", build="debug", init_args="page_owner=on", extra=HINTS) as own:
        yield own
        with unbound(Balloon(own.guest())) as guest:
            lost = leaks.objects(guest)
        assert not lost, "\n".join(lost)


@pytest.fixture(name="faults")
def fixture_faults(balloon):
    """Failures of allocations on demand; the test fails if a page is lost."""
    faults = Faults(balloon.guest)
    faults.prepare()
    yield faults
    faults.set()
    with unbound(balloon) as guest:
        lost = leaks.pages(guest)
    assert not lost, "\n".join(lost)


@pytest.mark.logs(NOT_BOUND)
@pytest.mark.logs(NO_WORKER)
@pytest.mark.parametrize("device, task, least", [
    (EVERYTHING, "self", 60), (PLAIN, "kthreadd", 5)], ids=["self", "thread"])
def test_each_step_of_probe(balloon, swap, faults, device, task, least):
    """Each allocation of probe fails in turn, in the binding task and in kthreadd.

    The driver is then either bound and works, or it is not bound and leaves nothing.
    """
    guest = balloon.guest
    swap(device)
    name = balloon.wait_device()
    balloon.reach(MEMORY - 4 * MIB)
    pid = {"self": "self", "kthreadd": "2"}[task]
    output = guest.run(f"failnth {pid} {DRIVER} {name}")
    print(output)
    steps, failed, bound = map(int, re.search(r"(\d+) steps: (\d+) not bound, (\d+) bound",
                                              output).groups())
    assert steps == failed + bound
    assert failed >= least
    balloon.check_nothing_kept()
    faults.prepare()
    guest.write(f"{DRIVER}/bind", name)
    balloon.wait(MEMORY - 4 * MIB)
    balloon.check_accounts()


@pytest.mark.parametrize("rate", [pytest.param(10, marks=pytest.mark.long), 70])
def test_inflation(balloon, data, faults, rate):
    """The kthread gets only some of the pages, and still reaches its target."""
    data.fill(64 * MIB)
    assert faults.mark(faults.DRIVER)
    with faults(failslab=rate, fail_page_alloc=rate):
        balloon.reach(700 * MIB)
    balloon.reach(600 * MIB)


def test_inflation_without_a_page(balloon, faults):
    """The driver takes nothing while each allocation fails, and reaches its target afterwards."""
    assert faults.mark(faults.DRIVER)
    with faults(failslab=100, fail_page_alloc=100):
        balloon.set(700 * MIB)
        balloon.wait_state("holding")
        assert balloon.attribute("hold_reason") == "allocation"
        assert balloon.actual() == MEMORY
    balloon.wait(700 * MIB)
    balloon.check_accounts()


def test_deflation_allocates_nothing(balloon, data, faults):
    """Deflation works while each allocation of the driver fails."""
    data.fill(64 * MIB)
    balloon.reach(600 * MIB)
    assert faults.mark(faults.DRIVER)
    before = faults.injected()
    faults.set(failslab=100, fail_page_alloc=100)
    balloon.reach(MEMORY)
    faults.set()
    assert faults.injected() == before, "deflation has asked for memory"


@pytest.mark.logs(NO_PAGE)
@pytest.mark.logs(NO_SLAB)
@pytest.mark.parametrize("rate", [10, pytest.param(50, marks=pytest.mark.long)])
def test_compaction(balloon, data, rng, faults, rate):
    """Allocations fail in compaction, and in the kthread that posts the migrated pages."""
    guest = balloon.guest
    data.fill(64 * MIB)
    migrated = guest.vmstat()["balloon_migrate"]
    # sysfs may have no memory for a pass, so the loop goes on.
    with guest.job("while :; do echo 1 > /proc/sys/vm/compact_memory; done"):
        assert faults.mark(faults.DRIVER) and faults.mark("sh")
        with faults(failslab=rate, fail_page_alloc=rate):
            until(lambda: guest.vmstat()["balloon_migrate"] >= migrated + 100,
                  "100 pages migrate",
                  pause=lambda: balloon.start(rng.randrange(600 * MIB, 900 * MIB)))
    balloon.reach(800 * MIB)


@pytest.mark.parametrize("rate", [20, pytest.param(100, marks=pytest.mark.long)])
def test_hinting(balloon, swap, data, faults, rate):
    """A host asks for hints while the worker gets few blocks or none."""
    guest = balloon.guest
    swap(EVERYTHING)
    balloon.wait_device()
    device = Device(balloon)
    data.fill(64 * MIB)
    faults.mark(faults.WORKERS)
    free = guest.meminfo()["MemFree"]
    with faults(fail_page_alloc=rate, min_order=9):
        for _ in range(2):
            before = device.queue("free-page-hint").used
            bandwidth(guest, CRAWL)
            guest.qmp.execute("migrate", uri="exec:cat >/dev/null")
            device.wait_used("free-page-hint", before, 1)
            guest.qmp.execute("migrate_cancel")
            progress(guest, lambda answer: answer["status"] == "cancelled")
    until(lambda: guest.meminfo()["MemFree"] >= free - 32 * MIB, "what was lent comes back",
          tick=0.05)
    balloon.reach(700 * MIB)


def test_statistics(balloon, faults):
    """The host gets statistics while each allocation of the worker fails."""
    balloon.reach(800 * MIB)
    faults.mark(faults.WORKERS)
    faults.set(failslab=100, fail_page_alloc=100)
    balloon.statistics(1)
    try:
        for _ in range(3):
            balloon.next_stats(int(time.time()))
    finally:
        faults.set()
        balloon.statistics(0)


@pytest.mark.logs(NOT_BOUND)
@pytest.mark.logs(NO_PAGE)
@pytest.mark.logs(NO_SLAB)
@pytest.mark.parametrize("rate", [pytest.param(2, marks=pytest.mark.long), 10])
def test_bind(balloon, faults, rate):
    """Ten times, the driver is bound while some allocations of the binding task fail."""
    guest = balloon.guest
    balloon.reach(1000 * MIB)
    device = balloon.device()
    with faults(failslab=rate, fail_page_alloc=rate):
        for _ in range(10):
            guest.run(f"cd {DRIVER}; echo {device} > unbind; echo 1 > /proc/self/make-it-fail;"
                      f" echo {device} > bind", check=False)
    if balloon.device():
        guest.write(f"{DRIVER}/unbind", device)
    balloon.check_nothing_kept()
    guest.write(f"{DRIVER}/bind", device)
    balloon.wait(1000 * MIB)
    balloon.check_accounts()
