# SPDX-License-Identifier: GPL-2.0
"""The kinds of balloon device that QEMU has."""

import pytest

from host.guest import HANG_SECONDS
from host.paths import MIB


@pytest.mark.parametrize("device, bus, version_1", [
    ("virtio-balloon-pci,disable-modern=on,disable-legacy=off", "pci0", False),
    ("virtio-balloon-pci-transitional", "pci0", True),
    ("virtio-balloon-pci-non-transitional", "port0", True),
    ("virtio-balloon-pci,packed=on", "port0", True),
    ("virtio-balloon-pci,event_idx=off,indirect_desc=off", "port0", True),
], ids=["legacy", "transitional", "modern", "packed-ring", "no-ring-features"])
def test_transport(balloon, swap, device, bus, version_1):
    """Each kind of device is served, with the byte order it asks for."""
    swap(device, bus)
    balloon.reach(512 * MIB + 4096)
    features = balloon.guest.read(f"/sys/bus/virtio/devices/{balloon.device()}/features")
    assert (features[32] == "1") == version_1  # VIRTIO_F_VERSION_1
    balloon.reach(900 * MIB)


@pytest.mark.ours
@pytest.mark.logs(r"virtio_balloon virtio\d+: ")
def test_access_platform_is_refused(balloon, swap):
    """A device that insists on translated addresses is refused in one line."""
    guest = balloon.guest
    since = len(guest.kernel_log())
    swap("virtio-balloon-pci,iommu_platform=on", "port0")
    guest.channel.wait_for(
        lambda: any("virtio_balloon virtio" in r.text for r in guest.channel.records[since:]),
        "a line about the refused device", HANG_SECONDS)
    assert balloon.device() is None
    lines = [r for r in guest.kernel_log()[since:] if "virtio_balloon" in r.text and r.level <= 4]
    assert len(lines) == 1, lines
