# SPDX-License-Identifier: GPL-2.0
"""Disks of guests: zeroes to fill the page cache with, and empty ones to write to."""

import contextlib
import os
import tempfile

from .initramfs import DISK_MODULE
from .paths import BUILD, MIB

DISK = "/dev/vda"


def zeroes(size):
    """QEMU's arguments for a disk of `size` MiB that has no file on the host."""
    return ("-blockdev", f"null-co,node-name=zeroes,size={size * MIB},read-zeroes=on",
            "-device", "virtio-blk-pci,drive=zeroes")


@contextlib.contextmanager
def empty(name, size):
    """QEMU's arguments for an empty disk of `size` MiB; QEMU has to start in the block.

    name: QEMU's name of the disk.
    """
    # The file has no name, so it cannot be left behind.
    with tempfile.TemporaryFile(dir=BUILD) as file:
        file.truncate(size * MIB)
        yield ["-drive", f"file=/proc/{os.getpid()}/fd/{file.fileno()},format=raw,if=none,"
                         f"id={name},cache=unsafe",
               "-device", f"virtio-blk-pci,drive={name}"]


@contextlib.contextmanager
def opened(guest):
    """The disk, kept open in the block: closing it would drop its page cache."""
    guest.run(f"modprobe {DISK_MODULE}")
    with guest.job(f"exec sleep 999999 <{DISK}"):
        yield DISK
