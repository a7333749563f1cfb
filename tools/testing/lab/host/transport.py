# SPDX-License-Identifier: GPL-2.0
"""The transports over which QEMU offers a balloon, by the names that TRANSPORT= takes."""

import functools
import os
import subprocess
from typing import NamedTuple

from .paths import QEMU, Unusable

# The name of a balloon in a -device argument for any transport.
ANY_BALLOON = "virtio-balloon"
# The property for a balloon with only an interrupt line, in a QEMU whose balloon has MSI-X.
NO_VECTORS = "vectors=0"


class Board(NamedTuple):
    """A machine that QEMU emulates.

    arguments: the machine, its buses, and the virtio-serial device whose first
    port is the command channel.  balloon: QEMU's name of a balloon for this board.
    parent: the guest's driver of the transport.  lacks: names of missing functions, for
    the mark "needs" of tests; "clock" is a clock to measure the time stamp counter by.
    """
    name: str
    arguments: tuple
    balloon: str
    parent: str
    lacks: tuple


Q35 = Board("q35", (
    "-machine", "q35", "-device", "virtio-serial-pci",
    # PCI Express and conventional PCI; both take devices at any time.
    "-device", "pcie-root-port,id=port0,chassis=1",
    "-device", "pcie-root-port,id=port1,chassis=2",
    "-device", "pcie-pci-bridge,id=pci0,bus=port1",
), "virtio-balloon-pci", "virtio-pci", ())


def microvm(legacy):
    """A machine without PCI; the guest finds its devices through ACPI."""
    return Board("microvm", (
        "-machine", "microvm,acpi=on", "-global", f"virtio-mmio.force-legacy={legacy}",
        "-device", "virtio-serial-device",
    ), "virtio-balloon-device", "virtio-mmio", ("clock", "hotplug", "S3"))


class Transport(NamedTuple):
    """One way to a balloon.

    properties: of QEMU's balloon device.  bus: its bus; "port0" is PCI Express, "pci0"
    is conventional PCI, on which QEMU has legacy and transitional devices.  legacy: the
    device supports virtio 0.9.  modern: the device supports virtio 1.0, and the driver
    uses it.
    """
    name: str
    board: Board
    properties: str = ""
    bus: str = None
    legacy: bool = False
    modern: bool = True

    def device(self, device):
        """QEMU's -device argument for `device`, which may be ANY_BALLOON, on this transport."""
        driver, _, properties = device.partition(",")
        if driver == ANY_BALLOON:
            driver = self.board.balloon
        own = self.properties
        if own == NO_VECTORS and not balloon_has_vectors():
            own = ""
        return ",".join(filter(None, (driver, own, properties)))


@functools.cache
def balloon_has_vectors():
    """Has QEMU's PCI balloon MSI-X?  Before QEMU 10.0 it has INTx only, and no such property."""
    answer = subprocess.run([QEMU, "-device", f"{Q35.balloon},help"], check=True,
                            capture_output=True, text=True)
    return "vectors=" in answer.stdout


MODERN = Transport("modern", Q35, bus="port0")
MMIO = Transport("mmio", microvm(legacy="off"))

TRANSPORTS = {transport.name: transport for transport in (
    MODERN,
    Transport("transitional", Q35, "disable-legacy=off", "pci0", legacy=True),
    Transport("legacy", Q35, "disable-legacy=off,disable-modern=on", "pci0", legacy=True,
              modern=False),
    Transport("packed", Q35, "packed=on", "port0"),
    Transport("no-ring-features", Q35, "event_idx=off,indirect_desc=off", "port0"),
    Transport("intx", Q35, NO_VECTORS, "port0"),
    MMIO,
    Transport("mmio-legacy", microvm(legacy="on"), legacy=True, modern=False),
)}


def chosen():
    """The transport that the user chose by TRANSPORT=."""
    name = os.environ.get("TRANSPORT") or MODERN.name
    if name not in TRANSPORTS:
        raise Unusable(f"TRANSPORT: '{name}' is unknown: choose from {' '.join(TRANSPORTS)}")
    return TRANSPORTS[name]
