# SPDX-License-Identifier: GPL-2.0
"""The balloon device: its features, its configuration and its queues in QEMU."""

import itertools
from typing import NamedTuple

from .guest import BALLOON_ID
from .until import until

# Bits of the feature word, from 0, with the names of QEMU's properties if there are any.
FEATURES = ("must-tell-host", "stats", "deflate-on-oom", "free-page-hint", "page-poison",
            "free-page-reporting")

# Features that a host may choose for each guest, and all their subsets.
OPTIONS = ("deflate-on-oom", "free-page-hint", "free-page-reporting")
SUBSETS = [subset for size in range(len(OPTIONS) + 1)
           for subset in itertools.combinations(OPTIONS, size)]

# struct virtio_balloon_config (include/uapi/linux/virtio_balloon.h)
POISON_VAL = 12

# struct virtio_pci_cap (include/uapi/linux/virtio_pci.h)
PCI_CAPABILITY_LIST = 0x34
PCI_CAP_ID_VNDR = 9
VIRTIO_PCI_CAP_DEVICE_CFG = 4


class Queue(NamedTuple):
    """A virtqueue: whether the driver has set it up, and the used index (modulo 2^16)."""
    ready: bool
    used: int


def number(data, offset, size=4):
    """A little-endian number in a device's registers."""
    return int.from_bytes(data[offset:offset + size], "little")


def find_config(registers):
    """BAR and offset of the device's configuration, from PCI configuration space."""
    position = registers[PCI_CAPABILITY_LIST]
    while position:
        if (registers[position] == PCI_CAP_ID_VNDR
                and registers[position + 3] == VIRTIO_PCI_CAP_DEVICE_CFG):
            return registers[position + 4], number(registers, position + 8)
        position = registers[position + 1]
    raise ValueError("the device has no VIRTIO_PCI_CAP_DEVICE_CFG")


def query_queue(guest, name, features):
    """A queue of the guest's balloon; QEMU numbers the queues of negotiated features."""
    names = ["inflate", "deflate", "stats"]
    names += [feature for feature in ("free-page-hint", "free-page-reporting")
              if feature in features or feature == name]
    status = guest.qmp.execute(
        "x-query-virtio-queue-status", queue=names.index(name),
        path=f"/machine/peripheral/{BALLOON_ID}/virtio-backend")
    return Queue(status["vring-desc"] != 0, status["used-idx"])


class Device:
    """The device that a balloon's driver is bound to.

    features: the names of the negotiated features.
    """

    def __init__(self, balloon):
        self._guest = balloon.guest
        self._path = f"/sys/bus/virtio/devices/{balloon.device()}"
        bits = self._guest.read(f"{self._path}/features")
        self.features = {name for bit, name in enumerate(FEATURES) if bits[bit] == "1"}

    def poison_val(self):
        """The poison value, read from the device's configuration."""
        pci = f"{self._path}/.."
        bar, offset = find_config(bytes.fromhex(self._guest.run(f"xxd -p {pci}/config")))
        start = int(self._guest.read(f"{pci}/resource").splitlines()[bar].split()[0], 16)
        answer = self._guest.qmp.execute(
            "human-monitor-command",
            **{"command-line": f"xp /1wx {start + offset + POISON_VAL:#x}"})
        return int(answer.split()[-1], 16)

    def queue(self, name):
        """A queue that exists only if the feature `name` is negotiated."""
        return query_queue(self._guest, name, self.features)

    def wait_used(self, name, since, count):
        """Wait for `count` used buffers; only the queue's index shows them."""
        until(lambda: (self.queue(name).used - since) % 65536 >= count,
              f"{name}: {count} buffers")
