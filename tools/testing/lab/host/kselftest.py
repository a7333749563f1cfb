# SPDX-License-Identifier: GPL-2.0
"""The kselftest of the series, built and run in the kernel's tree."""

import subprocess

from .paths import BUILD, LAB, Unusable, alone

TARGET = "virtio_balloon"
TREE = BUILD / "linux"
OUTPUT = BUILD / "kselftest"
PROGRAMS = ("balloon_sysfs", "balloon_memory")
SKIPPED = 4  # KSFT_SKIP, tools/testing/selftests/kselftest.h


def make(*goals):
    """Bring the kernel's tree up to date, and make goals of the kselftest; return its output.

    The programs are linked statically, because guests have no libraries.
    """
    with alone("kselftest"):
        result = subprocess.run(["sh", LAB / "tree.sh"], check=False, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if not result.returncode:
            result = subprocess.run(
                ["make", "-C", TREE / "tools/testing/selftests", f"TARGETS={TARGET}",
                 f"O={OUTPUT}", "USERCFLAGS=-Werror", "USERLDFLAGS=-static", *goals],
                check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        print(result.stdout, end="")
        raise Unusable("the kselftest does not build: see above")
    return result.stdout


def build():
    """Build the kselftest; return the paths of its programs."""
    make()
    return tuple(OUTPUT / "kselftest" / TARGET / name for name in PROGRAMS)
