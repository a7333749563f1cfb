# SPDX-License-Identifier: GPL-2.0
"""Chooses QEMU's accelerator: KVM only if a guest really boots under it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from . import initramfs, kernel
from .guest import Guest, GuestDied
from .paths import BUILD, QEMU, Unusable, alone
from .qmp import Disconnected

# A guest under KVM needs two or three seconds to come to its init.
TRIAL_SECONDS = 60


class Accelerator(NamedTuple):
    """An accelerator, its arguments of QEMU and of the kernel, and the reason of the choice.

    arguments: of QEMU, for each way to run the guest's CPUs; the same for all ways under KVM.
      parallel: as on hardware
      in turn: for a guest that patches its kernel's code while it runs
      counted: for a guest whose clock counts instructions
    clock: further arguments of the kernel if the board lacks a clock.
    """
    name: str
    arguments: dict
    kernel: str
    reason: str
    clock: str = ""

    def run(self, cpus, guest_kernel):
        """QEMU's arguments for a guest's CPUs and its kernel."""
        return tuple(argument.format(cache=guest_kernel.translated)
                     for argument in self.arguments[cpus])


# The same CPU for both accelerators; each nested hypervisor supports it.
CPU = ("-cpu", "qemu64")
LOOPS_PER_JIFFY = 10_000_000
CPUS = ("parallel", "in turn", "counted")


def kvm(reason):
    """Hardware virtualisation."""
    return Accelerator("KVM", dict.fromkeys(CPUS, ("-accel", "kvm", *CPU)), "", reason)


def tcg(reason):
    """Emulation.

    The cache of translated code counts as QEMU's resident memory.  It is small, so
    that it does not hide the balloon's effect on resident memory.  A kernel with
    run-time checks has several times the code, and needs a larger cache: otherwise
    QEMU would translate the code again and again.

    The kernel boots on one CPU, and init starts the other.  When one CPU patches
    kernel code, QEMU 7.2 may let the other CPU hit an int3 that the first one has
    already removed.  Most patching happens during boot.  Some guests patch code
    later, so their CPUs run in turn: the freezer patches try_to_freeze(), page
    reporting the page allocator.

    A clock that counts instructions, 16 ns each, does not depend on the host's load,
    as long as the guest has work to do.

    The kernel's calibration of the delay loop takes seconds on an emulated CPU, and
    fails.  So the kernel gets a fixed value, on which nothing here depends.

    The guest sees the host's time stamp counter.  A guest without a clock to measure
    its frequency, and without KVM, gets the frequency as an argument.
    """
    in_turn = ("-accel", "tcg,thread=single,tb-size={cache}", *CPU)
    arguments = {
        "parallel": ("-accel", "tcg,thread=multi,tb-size={cache}", *CPU),
        "in turn": in_turn,
        "counted": (*in_turn, "-icount", "shift=4"),
    }
    return Accelerator("TCG", arguments, f"maxcpus=1 lpj={LOOPS_PER_JIFFY}", reason,
                       f"tsc=reliable tsc_early_khz={tsc_khz()}")


def tsc_khz():
    """Frequency of the host's time stamp counter.

    A bogomips is 500 kHz, because the kernel's delay loop counts this counter.
    """
    lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    return next(int(float(line.partition(":")[2]) * 500) for line in lines
                if line.startswith("bogomips"))


def try_kvm(release):
    """Boot a guest under KVM; return None if it came up, else the reason of the failure."""
    if not Path("/dev/kvm").exists():
        return "/dev/kvm does not exist"
    try:
        with open("/dev/kvm", "r+b", buffering=0):
            pass
    except OSError as error:
        return f"/dev/kvm does not open: {error.strerror}"
    try:
        guest = Guest("trial", kernel.installed(release), initramfs.build_trial(), kvm("trial"),
                      memory=256, device=None)
    except Unusable as error:
        return str(error)
    try:
        return watch_boot(guest)
    finally:
        guest.kill()


def watch_boot(guest):
    """Wait for the first of: init reports, QEMU pauses on an error, QEMU ends."""
    for _ in range(TRIAL_SECONDS * 10):
        try:
            if guest.channel.ready(within=0.1):
                return None
            status = guest.qmp.execute("query-status")["status"]
        except (Disconnected, GuestDied):
            return "QEMU ended during the trial boot"
        if status not in ("running", "prelaunch"):
            return f"the trial boot stopped with status {status}"
    return f"the trial boot did not come up within {TRIAL_SECONDS} s"


def choose(release):
    """Choose once for this QEMU, kernel and boot of the host; keep the answer in build/."""
    if not shutil.which(QEMU):
        raise Unusable(f"{QEMU} is not installed: apt install qemu-system-x86")
    version = subprocess.run([QEMU, "-version"], check=True, capture_output=True, text=True)
    question = [version.stdout.splitlines()[0], release,
                Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()]
    cache = BUILD / "accel.json"
    with alone("accel"):
        try:
            known = json.loads(cache.read_text(encoding="utf-8"))
            answered = known["question"] == question
        except (OSError, ValueError, KeyError, TypeError):
            answered = False  # no answer is kept yet, or one of an older version
        if not answered:
            known = {"question": question, "problem": try_kvm(release)}
            cache.write_text(json.dumps(known) + "\n", encoding="utf-8")
    if known["problem"] is None:
        return kvm("a trial guest booted")
    return tcg(f"KVM does not work here: {known['problem']}")
