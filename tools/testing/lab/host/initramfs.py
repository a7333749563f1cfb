# SPDX-License-Identifier: GPL-2.0
"""Builds the guest's initramfs: busybox, kmod, a few modules, the lab's programs."""

import os
import re
import shutil
import stat
import subprocess
import time
from pathlib import Path

from .paths import BUILD, GUEST_SOURCES, Unusable, alone

MODULE = "virtio_balloon"
DISK_MODULE = "virtio_blk"
SWAP_MODULE = "zram"
PROGRAMS = ("init", "memtool", "attrreader", "failnth", "pollattr", "breakdev", "unloadhalf")
KMOD_NAMES = ("modprobe", "modinfo", "insmod", "rmmod", "lsmod", "depmod")


def compile_programs():
    """Compile outdated programs of the guest; return their directory."""
    target = BUILD / "guest" / "bin"
    target.mkdir(parents=True, exist_ok=True)
    headers = list(GUEST_SOURCES.glob("*.h"))
    for name in PROGRAMS:
        source, program = GUEST_SOURCES / f"{name}.c", target / name
        newest = max(path.stat().st_mtime for path in (source, *headers))
        if program.exists() and program.stat().st_mtime > newest:
            continue
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-static",
                        "-o", program, source], check=True)
    return target


def shared_libraries(program):
    """The libraries, and the loader, that a dynamically linked program needs."""
    listing = subprocess.run(["ldd", program], check=True, capture_output=True, text=True)
    return [Path(p) for p in re.findall(r"(/\S+) \(0x", listing.stdout)]


class Tree:
    """The files of an initramfs, staged in a directory."""

    def __init__(self, directory):
        shutil.rmtree(directory, ignore_errors=True)
        self.root = directory

    def add(self, source, name):
        """Copy a file to a path in the guest."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)

    def link(self, name, to):
        """Make a symbolic link."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).symlink_to(to)

    def pack(self, archive):
        """Write everything as a cpio archive in the kernel's "newc" format.

        It stays uncompressed: an emulated CPU would spend seconds on it.
        """
        partial = archive.with_suffix(".partial")
        with open(partial, "wb") as out:
            for number, path in enumerate(sorted(self.root.rglob("*")), start=1):
                status = path.lstat()
                if stat.S_ISLNK(status.st_mode):
                    data = os.readlink(path).encode()
                elif stat.S_ISREG(status.st_mode):
                    data = path.read_bytes()
                else:
                    data = b""
                out.write(cpio_entry(number, str(path.relative_to(self.root)),
                                     status.st_mode, data))
            out.write(cpio_entry(0, "TRAILER!!!", 0, b""))
        partial.replace(archive)


def cpio_entry(inode, name, mode, data):
    """One member (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    def padded(content):
        return content + bytes(-len(content) % 4)
    fields = (inode, mode, 0, 0, 1, int(time.time()), len(data), 0, 0, 0, 0, len(name) + 1, 0)
    header = "070701" + "".join(f"{field:08x}" for field in fields)
    return padded(header.encode() + name.encode() + b"\0") + padded(data)


def add_shell(tree):
    """Add busybox, under all its names except those of kmod."""
    busybox = shutil.which("busybox")
    if not busybox:
        raise Unusable("busybox is missing: apt install busybox-static")
    tree.add(busybox, "bin/busybox")
    names = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    for name in names.stdout.split():
        if name not in KMOD_NAMES and name not in ("busybox", "init"):
            tree.link(f"bin/{name}", "busybox")


def add_kmod(tree):
    """Add kmod's modprobe: that of busybox does not know depmod's search order."""
    kmod = shutil.which("kmod", path="/bin:/usr/bin")
    if not kmod:
        raise Unusable("kmod is missing: apt install kmod")
    tree.add(kmod, "bin/kmod")
    for name in KMOD_NAMES:
        tree.link(f"sbin/{name}", "../bin/kmod")
    for library in shared_libraries(kmod):
        tree.add(library, str(library).lstrip("/"))


def with_dependencies(kernel, name):
    """The files of a module and of those that it needs; none if it is built in or missing."""
    for line in (kernel.modules / "modules.dep").read_text(encoding="ascii").splitlines():
        module, _, needed = line.partition(":")
        if Path(module).name.split(".")[0] == name:
            return [kernel.modules / path for path in (module, *needed.split())]
    return []


def add_modules(tree, kernel, peer):
    """Add the kernel's own balloon in its place, ours under updates/, and depmod's files."""
    target = Path("lib/modules") / kernel.release
    stock = list(kernel.modules.glob(f"kernel/drivers/virtio/**/{MODULE}.ko*"))
    if not stock:
        raise Unusable(f"kernel {kernel.release} has no {MODULE} module of its own: "
                       "choose another KERNEL=")
    # Some kernels have these built in; init loads them if the machine needs them.
    others = [path for name in ("virtio/virtio_mmio", f"block/{DISK_MODULE}")
              for path in kernel.modules.glob(f"kernel/drivers/{name}.ko*")]
    for path in stock[:1] + others + with_dependencies(kernel, SWAP_MODULE):
        tree.add(path, str(target / path.relative_to(kernel.modules)))
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        tree.add(kernel.modules / name, str(target / name))
    if peer == "ours":
        ours = BUILD / "modules" / f"{MODULE}.ko"
        if not ours.is_file():
            raise Unusable(f"{ours} is missing: run make modules")
        tree.add(ours, str(target / "updates" / ours.name))
        # The kernel's own is stripped as well; debug information would need 4 MiB of the guest.
        subprocess.run(["strip", "--strip-debug", tree.root / target / "updates" / ours.name],
                       check=True)
    depmod = shutil.which("depmod", path="/sbin:/usr/sbin")
    subprocess.run([depmod, "-b", tree.root, kernel.release], check=True)


def build(kernel, peer="ours", programs=()):
    """Build the guest's initramfs for a kernel; return the archive's path.

    peer: "ours", or "stock" for a guest that has only the kernel's own module.
    programs: paths of further programs for the guest's bin/.
    """
    names = "".join(f"-{path.name}" for path in programs)
    archive = BUILD / "guest" / f"initramfs-{kernel.release}-{peer}{names}.cpio"
    with alone("initramfs"):
        compiled = compile_programs()
        tree = Tree(BUILD / "guest" / f"tree-{peer}")
        add_shell(tree)
        add_kmod(tree)
        add_modules(tree, kernel, peer)
        tree.add(compiled / "init", "init")
        for path in (*(compiled / name for name in PROGRAMS[1:]), *programs):
            tree.add(path, f"bin/{path.name}")
        tree.pack(archive)
    return archive


def build_trial():
    """Build an initramfs for the trial boot, which only reports that it runs."""
    archive = BUILD / "guest" / "initramfs-trial.cpio"
    with alone("initramfs"):
        tree = Tree(BUILD / "guest" / "tree-trial")
        tree.add(compile_programs() / "init", "init")
        tree.pack(archive)
    return archive
