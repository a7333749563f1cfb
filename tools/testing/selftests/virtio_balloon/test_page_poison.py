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
    "page_poison": Boot({"name": "page_poison", "build": "poison", "init_args": "page_poison=1"},
                        0xaaaaaaaa),
}


@pytest.fixture(scope="module", name="kind", params=BOOTS.values(), ids=BOOTS)
def fixture_kind(request):
    """How the guest was booted."""
    return request.param


@pytest.fixture(scope="module", name="machine")
def fixture_machine(reporting_machine, share, kind):
    """A guest for each way to boot."""
    if not kind.options:
        yield reporting_machine
        return
    with share(cpus="in turn", **kind.options) as own:
        yield own


@pytest.fixture(name="offered", params=["on", "off"])
def fixture_offered(request, balloon, swap):
    """Does the device, which takes reports, offer to be told of poison?"""
    swap(f"virtio-balloon-pci,page-poison={request.param},free-page-reporting=on", "port0")
    balloon.reach(900 * MIB)
    return request.param == "on"


def test_negotiation(balloon, kind, offered):
    """The device is told where there is something to tell, and reports depend on it."""
    poisons = kind.fill is not None
    device = Device(balloon)
    assert ("page-poison" in device.features) == (poisons and offered)
    assert ("free-page-reporting" in device.features) == (offered or not poisons)
    assert device.queue("free-page-reporting").ready == (offered or not poisons)
    if offered:
        assert device.poison_val() == (kind.fill or 0)


def test_freed_memory(balloon, kind, offered):
    """What a process frees goes to the host unless contents would be lost, and returns as zeroes.

    QEMU keeps what it cannot fill again: after all but zeroes.
    """
    guest, device = balloon.guest, Device(balloon)
    balloon.deflate()
    reported = "free-page-reporting" in device.features
    since = device.queue("free-page-reporting").used
    guest.run("memtool fill /data/used 400 1")
    full = guest.rss()
    guest.run("rm /data/used")
    if reported and not kind.fill:
        guest.wait_rss_below(full - 320 * MIB)
    elif reported:
        device.wait_used("free-page-reporting", since, 320 * MIB // BLOCK // REPORT_BLOCKS)
        assert guest.rss() > full - 32 * MIB
    guest.run("memtool zeroes 128")


def test_contents(balloon, kind, offered, data):
    """Memory is taken, filled, freed, reported and used again: nobody's data suffers."""
    guest, device = balloon.guest, Device(balloon)
    data.fill(128 * MIB)
    for target in (600, 800):
        balloon.reach(target * MIB)
        since = device.queue("free-page-reporting").used
        guest.run(f"memtool fill /data/used 192 2")
        guest.run("rm /data/used")
        if offered or kind.fill is None:
            device.wait_used("free-page-reporting", since, 1)
        data.verify()
    balloon.unload()
    balloon.check_nothing_kept()
    guest.run("memtool zeroes 128")
