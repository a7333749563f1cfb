# SPDX-License-Identifier: GPL-2.0
"""Paths of the source tree, and the error that users see."""

import contextlib
import fcntl
import os
import re
from pathlib import Path

LAB = Path(__file__).resolve().parent.parent
ROOT = LAB.parents[2]
GUEST_SOURCES = LAB / "guest"
# The Makefile passes its own choice; all results are below this directory.
BUILD = Path(os.environ.get("BUILD") or ROOT / "build").resolve()
QEMU = os.environ.get("QEMU") or "qemu-system-x86_64"

MIB = 1 << 20
BALLOON_PAGE = 4096  # bytes, whatever the guest's page size (virtio 1.2, 5.5.6)


def shown(path):
    """A path relative to the current directory, for messages."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


class Unusable(Exception):
    """The user's input or machine is unusable; one line with the problem and the remedy."""


@contextlib.contextmanager
def alone(name):
    """Keep other processes with the same BUILD out of blocks of this name."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / f"{name}.lock", "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def newest_kernel():
    """Release of the newest installed 6.12 cloud kernel."""
    releases = installed_kernels()
    ours = [r for r in releases if re.fullmatch(r"6\.12\..*cloud-amd64", r)]
    if not ours:
        raise Unusable("no 6.12 cloud kernel is installed: "
                       "apt install linux-image-6.12-cloud-amd64")
    return ours[-1]


def installed_kernels():
    """Releases with a kernel image and modules, oldest first."""
    def by_number(release):
        return [int(n) for n in re.findall(r"\d+", release)]
    return sorted((p.name.removeprefix("vmlinuz-") for p in Path("/boot").glob("vmlinuz-*")
                   if modules_of(p.name.removeprefix("vmlinuz-")).is_dir()), key=by_number)


def modules_of(release):
    """Directory of the installed kernel's modules."""
    return Path("/lib/modules") / release


def kernel_image(release):
    """Path of the installed kernel's image."""
    image = Path("/boot") / f"vmlinuz-{release}"
    if "/" in release or not image.is_file() or not modules_of(release).is_dir():
        known = " ".join(installed_kernels()) or "none"
        raise Unusable(f"kernel {release} is not installed (installed: {known}): "
                       "choose one with KERNEL= or apt install its linux-image package")
    return image
