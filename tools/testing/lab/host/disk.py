# SPDX-License-Identifier: GPL-2.0
"""A disk of zeroes, with which a guest can fill its page cache."""

import contextlib

from .initramfs import DISK_MODULE
from .paths import MIB

DISK = "/dev/vda"


def zeroes(size):
    """QEMU's arguments for a disk of `size` MiB that has no file on the host."""
    return ("-blockdev", f"null-co,node-name=zeroes,size={size * MIB},read-zeroes=on",
            "-device", "virtio-blk-pci,drive=zeroes")


@contextlib.contextmanager
def opened(guest):
    """The disk, kept open in the block: closing it would drop its page cache."""
    guest.run(f"modprobe {DISK_MODULE}")
    with guest.job(f"exec sleep 999999 <{DISK}"):
        yield DISK
