# SPDX-License-Identifier: GPL-2.0
"""F_PAGE_POISON: what a guest believes to be in its free pages is there when it uses them."""

from typing import NamedTuple

import pytest

from host.device import Device
from host.paths import MIB

pytestmark = pytest.mark.ours
REPORT_BLOCKS = 32  # PAGE_REPORTING_CAPACITY: free blocks in one report
BLOCK = 4 * MIB  # the largest


class Boot(NamedTuple):
    """A way to boot, and what the guest then writes to the pages it frees."""
    options: dict
    fill: int | None


BOOTS = {
    "plain": Boot({}, None),
    "init_on_free": Boot({"name": "init_on_free", "init_args": "init_on_free=1"}, 0),
    # Checks, too, what is in a page that it is about to use, and says so in its log.
    # A page costs it so much that it has few.
    "page_poison": Boot({"name": "page_poison", "build": "debug", "init_args": "page_poison=1",
                         "memory": 512}, 0xaaaaaaaa),
}


def each(but=None):
    """Each way to boot, with a device that offers to be told of poison, and with one that does not.

    Less one of these.
    """
    cases = [(kind, offers) for kind in BOOTS for offers in ("on", "off")]
    return pytest.mark.parametrize(
        "kind, offers", [case for case in cases if case != but],
        ids=["-".join(case) for case in cases if case != but], indirect=True,
        scope="module")  # so that each guest is booted once


# Nothing is reported there, and init_on_free's is the same at less expense.
DEAREST = "page_poison", "off"


@pytest.fixture(scope="module", name="kind")
def fixture_kind(request):
    """How the guest was booted."""
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
    """A function: MiB of this guest that are as much to it as so many to one of 1 GiB."""
    return lambda mib: mib * balloon.guest.memory // (1024 * MIB)


@pytest.fixture(scope="module", name="offers")
def fixture_offers(request):
    """The device's property."""
    return request.param


@pytest.fixture(name="offered")
def fixture_offered(offers, balloon, swap, size):
    """Does the device, which takes reports, offer to be told of poison?"""
    swap(f"virtio-balloon-pci,page-poison={offers},free-page-reporting=on", "port0")
    balloon.reach(size(900) * MIB)
    return offers == "on"


@each()
def test_negotiation(balloon, kind, offered):
    """The device is told where there is something to tell, and reports depend on it."""
    poisons = kind.fill is not None
    device = Device(balloon)
    assert ("page-poison" in device.features) == (poisons and offered)
    assert ("free-page-reporting" in device.features) == (offered or not poisons)
    assert device.queue("free-page-reporting").ready == (offered or not poisons)
    if offered:
        assert device.poison_val() == (kind.fill or 0)


@each(but=DEAREST)
def test_freed_memory(balloon, kind, offered, size):
    """What a process frees goes to the host unless contents would be lost, and returns as zeroes.

    QEMU keeps what it cannot fill again: after all but zeroes.
    """
    guest, device = balloon.guest, Device(balloon)
    balloon.reach(size(640) * MIB)  # what is free then is looked at soon
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
    """Memory is taken, filled, freed, reported and used again: nobody's data suffers."""
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
    guest.run(f"memtool zeroes {size(400)}")  # what the balloon had comes first
