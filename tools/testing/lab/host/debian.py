# SPDX-License-Identifier: GPL-2.0
"""A Debian guest with systemd and real programs, beside init's command channel.

The image has the machine's own release, from the machine's own package sources.
"""

import contextlib
import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

from . import disk
from .initramfs import DISK_MODULE
from .paths import BUILD, Unusable, alone
from .until import until

PACKAGES = ("systemd", "systemd-sysv", "udev", "dbus", "kmod", "procps", "e2fsprogs",
            "util-linux-extra", "fio", "numactl", "postgresql", "redis-server", "redis-tools",
            "stress-ng")
# Disabled, so that only the services of a plain Debian guest run by themselves.
IDLE = ("postgresql.service", "redis-server.service", "apt-daily.timer",
        "apt-daily-upgrade.timer", "e2scrub_all.timer", "dpkg-db-backup.timer", "fstrim.timer")
SOURCES = ("/etc/apt/sources.list", "/etc/apt/sources.list.d/*.list",
           "/etc/apt/sources.list.d/*.sources")
DATA = "/srv"
SYSTEMD = "/run/systemd/private"
DISK = "data"  # QEMU's name of the disk for DATA
INIT_ARGS = f"-- load={DISK_MODULE} root=/dev/vda"


def release():
    """The code name of the machine's own release."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def sources():
    """The files that list the machine's package sources."""
    return [str(path) for pattern in SOURCES for path in sorted(Path("/").glob(pattern[1:]))]


def image():
    """The path of the image; it is built at the first use."""
    content = hashlib.sha256(repr((PACKAGES, IDLE)).encode()).hexdigest()[:8]
    path = BUILD / "guest" / f"debian-{release()}-{content}.img"
    with alone("debian"):
        if not path.exists():
            build(path)
    return path


def build(path):
    """Build the image."""
    program = shutil.which("mmdebstrap")
    if not program:
        raise Unusable("mmdebstrap is missing: apt install mmdebstrap genext2fs")
    print(f"building a Debian guest of {release()}, once: some minutes", flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, log = path.with_suffix(".partial"), path.with_suffix(".log")
    with open(log, "wb") as out:
        result = subprocess.run(
            [program, "--variant=apt", "--format=ext2", f"--include={','.join(PACKAGES)}",
             "--aptopt=Apt::Install-Recommends \"false\"",
             f"--customize-hook=chroot \"$1\" systemctl disable {' '.join(IDLE)}",
             "--customize-hook=mkdir -p \"$1/usr/lib/modules\"",
             release(), str(partial), *sources()],
            stdout=out, stderr=subprocess.STDOUT, check=False)
    if result.returncode:
        raise Unusable(f"mmdebstrap could not build the Debian guest: see {log}")
    partial.replace(path)


@contextlib.contextmanager
def disks(size):
    """QEMU's arguments for the image, which does not change, and for an empty disk of `size` MiB.

    QEMU has to start in the block.
    """
    with disk.empty(DISK, size) as data:
        yield ["-drive", f"file={image()},format=raw,if=none,id=root,snapshot=on,cache=unsafe",
               "-device", "virtio-blk-pci,drive=root", *data]


def throttle(guest, iops):
    """Limit the guest's data disk to `iops` requests a second; 0 for no limit."""
    guest.qmp.execute("block_set_io_throttle", device=DISK, bps=0, bps_rd=0, bps_wr=0,
                      iops=iops, iops_rd=0, iops_wr=0)


def wait_booted(guest):
    """Wait until systemd has started everything; prepare the data disk."""
    # PID 1 has no socket yet while it is read from the disk.
    until(lambda: guest.run(f"test -S {SYSTEMD} && echo yes", check=False), "systemd starts")
    guest.run("systemctl is-system-running --wait || systemctl --failed")
    guest.run(f"mkfs.ext4 -q -E lazy_itable_init=0,nodiscard /dev/vdb && mount /dev/vdb {DATA}")
