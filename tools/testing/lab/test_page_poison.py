# SPDX-License-Identifier: GPL-2.0
"""F_PAGE_POISON: free pages have the contents that the guest expects."""

from typing import NamedTuple

import pytest

from host.device import Device
from host.paths import MIB

pytestmark = pytest.mark.ours
REPORT_BLOCKS = 32  # PAGE_REPORTING_CAPACITY: free blocks in one report
BLOCK = 4 * MIB  # the largest


class Boot(NamedTuple):
    """A way to boot, and the value that the guest then writes to the pages it frees."""
    options: dict
    fill: int | None


BOOTS = {
    "plain": Boot({}, None),
    "init_on_free": Boot({"name": "init_on_free", "init_args": "init_on_free=1"}, 0),
    # This guest also checks a page before it uses the page, and logs wrong contents.
    # The checks are slow, so it has little memory.
    "page_poison": Boot({"name": "page_poison", "build": "debug", "init_args": "page_poison=1",
                         "memory": 512}, 0xaaaaaaaa),
}


def each(but=None):
    """Parametrize a test by each way to boot, each with and without F_PAGE_POISON.

    The combination `but` is left out.
    """
    cases = [(kind, offers) for kind in BOOTS for offers in ("on", "off")]
    return pytest.mark.parametrize(
        "kind, offers", [case for case in cases if case != but],
        ids=["-".join(case) for case in cases if case != but], indirect=True,
        scope="module")  # so that each guest is booted once


# The guest does not report then, as with init_on_free, which is faster to test.
DEAREST = "page_poison", "off"


@pytest.fixture(scope="module", name="kind")
def fixture_kind(request):
    """The way in which the guest was booted."""
    return BOOTS[request.param]


@pytest.fixture(scope="module", name="machine")
def fixture_machine(reporting_machine, share, kind):
    """A guest for each way to boot."""
    if not kind.options:
        yield reporting_machine
        return
    with share(cpus="in turn", **kind.options) as own:
        yield own


@pytest.fixture(name="size")
def fixture_size(balloon):
    """A function that scales MiB of a guest of 1 GiB to this guest."""
    return lambda mib: mib * balloon.guest.memory // (1024 * MIB)


@pytest.fixture(scope="module", name="offers")
def fixture_offers(request):
    """Value of the device's property page-poison."""
    return request.param


@pytest.fixture(name="offered")
def fixture_offered(offers, balloon, swap, size):
    """Whether the device offers F_PAGE_POISON; it also takes reports."""
    swap(f"virtio-balloon-pci,page-poison={offers},free-page-reporting=on", "port0")
    balloon.reach(size(900) * MIB)
    return offers == "on"


@each()
def test_negotiation(balloon, kind, offered):
    """Only a guest that poisons tells the device; without F_PAGE_POISON it does not report."""
    poisons = kind.fill is not None
    device = Device(balloon)
    assert ("page-poison" in device.features) == (poisons and offered)
    assert ("free-page-reporting" in device.features) == (offered or not poisons)
    assert device.queue("free-page-reporting").ready == (offered or not poisons)
    if offered:
        assert device.poison_val() == (kind.fill or 0)


@each(but=DEAREST)
def test_freed_memory(balloon, kind, offered, size):
    """Freed memory goes to the host unless its contents would be lost; it returns as zeroes.

    QEMU keeps the memory if the poison value is not zero, as it cannot restore the value.
    """
    guest, device = balloon.guest, Device(balloon)
    balloon.reach(size(640) * MIB)  # with less free memory, mm reports it sooner
    reported = "free-page-reporting" in device.features
    since = device.queue("free-page-reporting").used
    guest.run(f"memtool fill /data/used {size(240)} 1")
    full = guest.rss()
    guest.run("rm /data/used")
    if reported and not kind.fill:
        guest.wait_rss_below(full - size(128) * MIB)
    elif reported:
        device.wait_used("free-page-reporting", since,
                         size(128) * MIB // BLOCK // REPORT_BLOCKS or 1)
        assert guest.rss() > full - size(32) * MIB
    guest.run(f"memtool zeroes {size(128)}")


@each(but=DEAREST)
def test_contents(balloon, kind, offered, data, size):
    """No data is lost while memory is ballooned, filled, freed, reported and used again."""
    guest, device = balloon.guest, Device(balloon)
    data.fill(size(64) * MIB)
    for target in (700, 850):
        balloon.reach(size(target) * MIB)
        since = device.queue("free-page-reporting").used
        guest.run(f"memtool fill /data/used {size(96)} 2")
        guest.run("rm /data/used")
        if offered or kind.fill is None:
            device.wait_used("free-page-reporting", since, 1)
        data.verify()
    balloon.unload()
    balloon.check_nothing_kept()
    guest.run(f"memtool zeroes {size(400)}")  # gets the balloon's former pages first
