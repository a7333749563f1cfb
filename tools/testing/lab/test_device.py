# SPDX-License-Identifier: GPL-2.0
"""The transports over which QEMU offers a balloon, all of them in one run.

With TRANSPORT= all other tests run over one of them, and here only that one.
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
# On some boards a device can be put in another's place, on the others it can not.
SWAPS = [name for name in NAMES if "hotplug" not in TRANSPORTS[name].board.lacks]
STAYS = [name for name in NAMES if name not in SWAPS]

# Bits of the negotiated features (virtio 1.2, 6).
EVENT_IDX = 29
VERSION_1 = 32
RING_PACKED = 34

# What the two sides of virtio 1.0 call a balloon on PCI (virtio 1.2, 4.1.2).
LEGACY_PCI_ID = "0x1002"
MODERN_PCI_ID = "0x1045"


def check_parent(balloon, transport):
    """Below the balloon is the transport's own driver, on the right kind of device."""
    guest = balloon.guest
    parent = f"/sys/bus/virtio/devices/{balloon.device()}/.."
    driver = guest.run(f"readlink {parent}/driver").strip()
    assert driver.rpartition("/")[2] == transport.board.parent
    if transport.board.parent == "virtio-pci":
        assert guest.read(f"{parent}/device").strip() == \
            (LEGACY_PCI_ID if transport.legacy else MODERN_PCI_ID)


def check_features(balloon, transport):
    """What was negotiated is what the transport's name says."""
    bits = balloon.guest.read(f"/sys/bus/virtio/devices/{balloon.device()}/features")
    assert {bit: bits[bit] == "1" for bit in (EVENT_IDX, VERSION_1, RING_PACKED)} == {
        EVENT_IDX: "event_idx=off" not in transport.properties,
        VERSION_1: transport.modern,
        RING_PACKED: "packed=on" in transport.properties}


def check_interrupts(balloon, transport):
    """They have come, by MSI-X where the device has it and over an interrupt line elsewhere."""
    rows = [row.replace(",", " ").replace("-", " ").split()
            for row in balloon.guest.read("/proc/interrupts").splitlines()]
    rows = [row for row in rows if balloon.device() in row]
    msix = (transport.board.parent == "virtio-pci" and transport.name != "intx"
            and balloon_has_vectors())
    assert rows, "no interrupt is the balloon's"
    assert all(any("MSI" in word for word in row) == msix for row in rows), rows
    assert any(int(count) for row in rows for count in takewhile(str.isdigit, row[1:])), rows


def check_moves(balloon, rng):
    """To a target, to others halfway, and back."""
    balloon.reach(SMALL + 4096)
    for _ in range(2):
        balloon.start(rng.randrange(SMALL, 1000 * MIB))
    balloon.reach(900 * MIB)
    balloon.deflate()
    balloon.check_accounts()


def check_compaction(balloon):
    """Pages of the balloon migrate, over both queues."""
    guest = balloon.guest
    balloon.scatter(864 * MIB)
    migrated = guest.vmstat()["balloon_migrate"]
    guest.write("/proc/sys/vm/compact_memory", "1")
    assert guest.vmstat()["balloon_migrate"] - migrated > 1000
    balloon.check_accounts()


def check_statistics(balloon):
    """The statistics queue answers, again and again."""
    balloon.statistics(1)
    try:
        answer = balloon.next_stats(int(time.time()))
        answer = balloon.next_stats(answer["last-update"])
    finally:
        balloon.statistics(0)
    assert answer["stats"]["stat-total-memory"] == balloon.guest.meminfo()["MemTotal"]


def check_removal(balloon):
    """modprobe -r in the middle of inflation returns all; the next driver takes over."""
    balloon.start(SMALL)
    balloon.unload()
    balloon.check_nothing_kept()
    balloon.load()
    balloon.wait(SMALL)
    balloon.check_accounts()


@pytest.mark.parametrize("guest", NAMES, indirect=True)
def test_transport(balloon, data, rng):
    """A balloon does all it can do, over the transport that it says it is on."""
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
    """The driver serves no device; one line says why, and the kernel's one that it is so."""
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
    """The same where a device can not be swapped."""
    with boot("refused", transport=MMIO, device="virtio-balloon,iommu_platform=on") as guest:
        since = len(guest.kernel_log())
        guest.run("modprobe virtio_balloon")
        check_refused(guest, since)


def offering(subset):
    """QEMU's -device argument for a balloon with these features."""
    device = ",".join(["virtio-balloon", *(f"{name}=on" for name in subset)])
    return device + (",iothread=hints" if "free-page-hint" in subset else "")


def check_subset(balloon, subset):
    """The device works with as many queues as it has, and so does the next driver."""
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
    """Every subset of the features on every transport; a table of queues may have holes."""
    assert thread == "hints"
    swap(offering(subset))
    check_subset(balloon, subset)


@pytest.mark.long
@pytest.mark.ours
@pytest.mark.parametrize("subset", SUBSETS, ids=lambda subset: "+".join(subset) or "none")
@pytest.mark.parametrize("name", STAYS)
def test_subset_of_features_from_boot(share, name, subset):
    """The same where a device can not be swapped."""
    with share(name="subset", transport=TRANSPORTS[name], device=offering(subset),
               extra=("-object", "iothread,id=hints")) as machine:
        guest = machine.guest(TRANSPORTS[name])
        since = len(guest.kernel_log())
        balloon = Balloon(guest)
        balloon.load()
        check_subset(balloon, subset)
        assert not guest.alarms(since)
