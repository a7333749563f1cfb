# SPDX-License-Identifier: GPL-2.0
"""The kernels that guests run: installed ones, and those that kernel.sh builds."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from .paths import BUILD, LAB, Unusable, kernel_image, modules_of


BUILT = ("debug", "kcsan", "bench")  # by kernel.sh, for guests


class Kernel(NamedTuple):
    """A kernel and where its files are."""
    release: str
    image: Path
    modules: Path  # its /lib/modules/RELEASE, installed or not
    translated: int = 64  # MiB of QEMU's cache for its translated code


def installed(release):
    """An installed kernel."""
    return Kernel(release, kernel_image(release), modules_of(release))


def build(name):
    """Bring the kernel of configs/NAME.config up to date; it contains this driver."""
    result = subprocess.run(["sh", LAB / "kernel.sh", name], check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        print(result.stdout, end="")
        raise Unusable(f"kernel {name} does not build: see above")
    output = BUILD / "kernel" / name
    release = (output / "include/config/kernel.release").read_text(encoding="ascii").strip()
    return Kernel(release, output / "arch/x86/boot/bzImage",
                  output / "install/lib/modules" / release,
                  64 if name == "bench" else 256)
