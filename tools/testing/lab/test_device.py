# SPDX-License-Identifier: GPL-2.0
"""All transports over which QEMU offers a balloon.

With TRANSPORT= all tests run over one transport only, these too.
"""

import time
from itertools import takewhile

import pytest

from host import klog
from host.balloon import Balloon
from host.device import SUBSETS, Device
from host.paths import MIB
from host.transport import MMIO, MODERN, TRANSPORTS, balloon_has_vectors, chosen
from host.until import HANG_SECONDS

SMALL = 512 * MIB  # what the guest can afford beside its data
NAMES = list(TRANSPORTS) if chosen() is MODERN else [chosen().name]
# Only some boards can replace a device by another one.
SWAPS = [name for name in NAMES if "hotplug" not in TRANSPORTS[name].board.lacks]
STAYS = [name for name in NAMES if name not in SWAPS]
# These say little that another one does not.
SELDOM = ("transitional", "no-ring-features", "intx")

# Bits of the negotiated features (virtio 1.2, 6).
EVENT_IDX = 29
VERSION_1 = 32
RING_PACKED = 34

# The PCI device ids of a balloon, before virtio 1.0 and from there on (virtio 1.2, 4.1.2).
LEGACY_PCI_ID = "0x1002"
MODERN_PCI_ID = "0x1045"


def check_parent(balloon, transport):
    """Check that the balloon's parent has the transport's driver and device id."""
    guest = balloon.guest
    parent = f"/sys/bus/virtio/devices/{balloon.device()}/.."
    driver = guest.run(f"readlink {parent}/driver").strip()
    assert driver.rpartition("/")[2] == transport.board.parent
    if transport.board.parent == "virtio-pci":
        assert guest.read(f"{parent}/device").strip() == \
            (LEGACY_PCI_ID if transport.legacy else MODERN_PCI_ID)


def check_features(balloon, transport):
    """Check that the negotiated features are those of the transport."""
    bits = balloon.guest.read(f"/sys/bus/virtio/devices/{balloon.device()}/features")
    assert {bit: bits[bit] == "1" for bit in (EVENT_IDX, VERSION_1, RING_PACKED)} == {
        EVENT_IDX: "event_idx=off" not in transport.properties,
        VERSION_1: transport.modern,
        RING_PACKED: "packed=on" in transport.properties}


def check_interrupts(balloon, transport):
    """Check that interrupts came, by MSI-X if the device has it, else by a line."""
    rows = [row.replace(",", " ").replace("-", " ").split()
            for row in balloon.guest.read("/proc/interrupts").splitlines()]
    rows = [row for row in rows if balloon.device() in row]
    msix = (transport.board.parent == "virtio-pci" and transport.name != "intx"
            and balloon_has_vectors())
    assert rows, "no interrupt is the balloon's"
    assert all(any("MSI" in word for word in row) == msix for row in rows), rows
    assert any(int(count) for row in rows for count in takewhile(str.isdigit, row[1:])), rows


def check_moves(balloon, rng):
    """Move to a target, to others halfway, and back."""
    balloon.reach(SMALL + 4096)
    for _ in range(2):
        balloon.start(rng.randrange(SMALL, 1000 * MIB))
    balloon.reach(900 * MIB)
    balloon.deflate()
    balloon.check_accounts()


def check_compaction(balloon):
    """Check that pages of the balloon migrate; that uses both queues."""
    guest = balloon.guest
    balloon.scatter(864 * MIB)
    migrated = guest.vmstat()["balloon_migrate"]
    guest.write("/proc/sys/vm/compact_memory", "1")
    assert guest.vmstat()["balloon_migrate"] - migrated > 1000
    balloon.check_accounts()


def check_statistics(balloon):
    """Check that the guest answers requests for statistics, again and again."""
    balloon.statistics(1)
    try:
        answer = balloon.next_stats(int(time.time()))
        answer = balloon.next_stats(answer["last-update"])
    finally:
        balloon.statistics(0)
    assert answer["stats"]["stat-total-memory"] == balloon.guest.meminfo()["MemTotal"]


def check_removal(balloon):
    """Check that modprobe -r during inflation returns all pages, and a new driver works."""
    balloon.start(SMALL)
    balloon.unload()
    balloon.check_nothing_kept()
    balloon.load()
    balloon.wait(SMALL)
    balloon.check_accounts()


@pytest.mark.parametrize("guest", [
    pytest.param(name, marks=pytest.mark.long) if name in SELDOM and len(NAMES) > 1 else name
    for name in NAMES], indirect=True)
def test_transport(balloon, data, rng):
    """All functions of a balloon work over each transport."""
    transport = balloon.guest.transport
    data.fill(64 * MIB)
    # First: a device that was just plugged in takes a moment to come up.
    check_moves(balloon, rng)
    check_parent(balloon, transport)
    check_features(balloon, transport)
    check_interrupts(balloon, transport)
    check_compaction(balloon)
    check_statistics(balloon)
    check_removal(balloon)


def check_refused(guest, since):
    """Check that the driver is not bound, and that it and the kernel log a line each."""
    guest.channel.wait_for(
        lambda: any(r.level <= klog.WARNING and "virtio_balloon virtio" in r.text
                    for r in guest.channel.records[since:]),
        "a line about the refused device", HANG_SECONDS)
    assert Balloon(guest).device() is None
    reasons = [r for r in guest.kernel_log()[since:] if "iommu_platform=off" in r.text]
    assert len(reasons) == 1, reasons
    alarms = guest.alarms(since)
    assert len(alarms) == 1 and "refuses features" in alarms[0].text, alarms


@pytest.mark.ours
@pytest.mark.logs(r"virtio_balloon virtio\d+: ")
@pytest.mark.skipif(chosen().legacy, reason="QEMU offers it where virtio 1.0 is all there is")
def test_access_platform_is_refused(guest, balloon, swap):
    """A device that insists on translated addresses is refused in one line."""
    assert balloon.device()
    since = len(guest.kernel_log())
    swap("virtio-balloon,iommu_platform=on")
    check_refused(guest, since)


@pytest.mark.ours
@pytest.mark.skipif(MMIO.name not in NAMES, reason=f"TRANSPORT={chosen().name}")
def test_access_platform_is_refused_on_mmio(boot):
    """The same on boards that cannot replace a device."""
    with boot("refused", transport=MMIO, device="virtio-balloon,iommu_platform=on") as guest:
        since = len(guest.kernel_log())
        guest.run("modprobe virtio_balloon")
        check_refused(guest, since)


def offering(subset):
    """QEMU's -device argument for a balloon with these features."""
    device = ",".join(["virtio-balloon", *(f"{name}=on" for name in subset)])
    return device + (",iothread=hints" if "free-page-hint" in subset else "")


def check_subset(balloon, subset):
    """Check that the device works with its queues, also after the driver is loaded anew."""
    balloon.wait_device()
    features = Device(balloon).features
    assert {*subset} <= {*features}, features
    balloon.reach(SMALL)
    check_statistics(balloon)
    balloon.unload()
    assert balloon.actual() == balloon.guest.memory
    balloon.load()
    balloon.reach(900 * MIB)


@pytest.mark.long
@pytest.mark.ours
@pytest.mark.parametrize("subset", SUBSETS, ids=lambda subset: "+".join(subset) or "none")
@pytest.mark.parametrize("guest", SWAPS, indirect=True)
def test_subset_of_features(balloon, thread, swap, subset):
    """Each subset of the features works; the table of queues may have holes."""
    assert thread == "hints"
    swap(offering(subset))
    check_subset(balloon, subset)


@pytest.mark.long
@pytest.mark.ours
@pytest.mark.parametrize("subset", SUBSETS, ids=lambda subset: "+".join(subset) or "none")
@pytest.mark.parametrize("name", STAYS)
def test_subset_of_features_from_boot(share, name, subset):
    """The same on boards that cannot replace a device."""
    with share(name="subset", transport=TRANSPORTS[name], device=offering(subset),
               extra=("-object", "iothread,id=hints")) as machine:
        guest = machine.guest(TRANSPORTS[name])
        since = len(guest.kernel_log())
        balloon = Balloon(guest)
        balloon.load()
        check_subset(balloon, subset)
        assert not guest.alarms(since)
