# SPDX-License-Identifier: GPL-2.0
"""The guests of a bench: their drivers, their kernels, and QEMU's arguments."""

import contextlib
import ctypes
import datetime
import os
import subprocess
from typing import NamedTuple

from host import accel, debian, initramfs, kernel, klog, module
from host.guest import Guest, GuestDied
from host.paths import QEMU
from host.qmp import Disconnected

SERIES = "bench"  # kernel.sh's name for the kernel of the series
PR_SET_THP_DISABLE = 41  # <linux/prctl.h>


class Setup(NamedTuple):
    """A driver and its guest.

    driver: "ours" or "stock", the kernel's own.  kernel: one of kernel.BUILT, which
    contains this driver, or None for the installed one.  huge: the host may provide
    memory in transparent huge pages, if it supports them.  debian: MiB of a data disk for a
    guest that is a Debian system; None for a guest that has only init.
    """
    driver: str
    kernel: str = None
    memory: int = 1024  # MiB
    device: str = "virtio-balloon-pci"
    init_args: str = ""
    cpus: str = "parallel"
    extra: tuple = ()
    huge: bool = True
    debian: int = None


@contextlib.contextmanager
def host_pages(huge):
    """Allow or forbid transparent huge pages for processes that the block starts."""
    def disable(yes):
        if ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, yes, 0, 0, 0):
            raise OSError("prctl() does not know PR_SET_THP_DISABLE: measure on a newer kernel")
    disable(not huge)
    try:
        yield
    finally:
        disable(False)


def spoiled(guest):
    """Has a bug of QEMU's emulation hit the guest, which is not the driver's fault?

    Before init runs the answer is no.
    """
    console = guest.console()
    return klog.EMULATOR_BUG.search(console) is not None or klog.INIT not in console


def unspoiled(attempt):
    """The answer of attempt(), which runs once more if QEMU has spoiled the first one."""
    for _ in range(2):
        answer, was_spoiled = attempt()
        if not was_spoiled:
            return answer
        print("a guest fell over QEMU's emulation, not over its driver: once more", flush=True)
    raise GuestDied("QEMU's emulation has failed twice: see console.log below build/guest/, "
                    "try again")


def in_turn(contestants, number):
    """The items of a dict, reversed in every other round, because the host's speed drifts."""
    return list(contestants.items())[::1 if number % 2 else -1]


def take_turns(generators):
    """Run the generators of a dict in turn; return all that each yields."""
    seen, going = {name: [] for name in generators}, dict(generators)
    while going:
        for name, generator in tuple(going.items()):
            item = next(generator, None)
            if item is None:
                del going[name]
            else:
                seen[name].append(item)
    return seen


class Lab:
    """Boots guests."""

    def __init__(self, release):
        self.release = release
        self.accelerator = accel.choose(release)
        self._systems = {}

    def _system(self, setup):
        """Kernel and initramfs, built once at the first use."""
        key = setup.kernel, setup.driver
        if key not in self._systems:
            if setup.kernel:
                built = kernel.build(setup.kernel)
                self._systems[key] = built, initramfs.build(built, "stock")
            else:
                installed = kernel.installed(self.release)
                if setup.driver == "ours":
                    module.build(self.release)
                self._systems[key] = installed, initramfs.build(installed, setup.driver)
        return self._systems[key]

    def guest(self, name, setup):
        """A guest that is not booted yet."""
        system = self._system(setup)
        with contextlib.ExitStack() as stack:
            stack.enter_context(host_pages(setup.huge))
            init_args, extra = setup.init_args, list(setup.extra)
            if setup.debian:
                init_args = f"{init_args} {debian.INIT_ARGS}"
                extra += stack.enter_context(debian.disks(setup.debian))
            return Guest(f"bench-{name}", *system, self.accelerator,
                         memory=setup.memory, device=setup.device, init_args=init_args,
                         cpus=setup.cpus, extra=extra)

    def measure(self, name, setup, measure):
        """The answer of `measure` for a guest."""
        return unspoiled(lambda: self._attempt([(name, setup)], lambda guests: measure(*guests)))

    def alternate(self, guests, turns):
        """Run several guests at the same time, and measure them in turn; return their figures.

        guests: contestant, name and Setup of each, in their order.  turns(guest, contestant):
        a generator that yields figures at the end of each turn.
        """
        contestants = [contestant for contestant, _, _ in guests]
        return unspoiled(lambda: self._attempt(
            [(name, setup) for _, name, setup in guests],
            lambda running: take_turns({contestant: turns(guest, contestant) for
                                        contestant, guest in zip(contestants, running)})))

    def _attempt(self, wanted, work):
        """The answer of `work` for guests by name and Setup, and whether QEMU spoiled it."""
        running = []
        try:
            for name, setup in wanted:
                running.append(self.guest(name, setup))
            for guest in running:
                # Without "with": the bench does not wait for a power-off.
                guest.__enter__()
            answer = work(running)
            # The figures of a guest that died count as well.
            return answer, any(map(spoiled, running))
        except (GuestDied, Disconnected):
            if not any(map(spoiled, running)):
                raise
            return None, True
        finally:
            for guest in running:
                guest.kill()

    def conditions(self):
        """The conditions of the measurement."""
        version = subprocess.run([QEMU, "-version"], check=True, capture_output=True, text=True)
        return {"date": datetime.date.today().isoformat(), "kernel": self.release,
                "accelerator": self.accelerator.name,
                "qemu": version.stdout.splitlines()[0].replace("emulator version ", ""),
                "vcpus": 2, "host_cpus": os.cpu_count()}
