# SPDX-License-Identifier: GPL-2.0
"""The guests of the tests.  They boot when a test first needs them, and after they died."""

import functools
import warnings

from . import accel, initramfs, kernel, module
from .chosen import KERNEL, MEMORY, PEER, RELEASE, TRANSPORT, WORKER
from .guest import Guest, GuestDied


class Boot:
    """Boots guests of the chosen kernel and driver, which are built once."""

    def __init__(self):
        self._accelerator = accel.choose(RELEASE)
        print(f"accelerator: {self._accelerator.name} ({self._accelerator.reason})")
        self._system = functools.cache(self._build)

    @staticmethod
    def _build(name, programs):
        """A kernel, and the initramfs for it."""
        if name in kernel.BUILT:
            built = kernel.build(name)
            return built, initramfs.build(built, "stock", programs)  # it contains ours
        if PEER == "ours":
            module.build(name)
        installed = kernel.installed(name)
        return installed, initramfs.build(installed, PEER, programs)

    def __call__(self, name="test", build=KERNEL, programs=(), **options):
        """A guest; Guest describes the options.

        build: a kernel of configs/ to boot.  programs: paths of further programs of this guest.
        """
        return Guest(f"{WORKER}-{name}", *self._system(build, programs), self._accelerator,
                     **{"memory": MEMORY, "transport": TRANSPORT, **options})


class Machine:
    """A guest that tests share."""

    def __init__(self, boot, name="test", build=KERNEL, **options):
        self._boot = functools.partial(boot, build=build, **options)
        self._build = build
        self._name = name
        self._guest = None
        self._count = 0  # number of boots; each has its own log

    def guest(self, wanted=TRANSPORT):
        """The running guest; a new one if none runs, or if its board lacks `wanted`."""
        if self._guest and self._guest.transport.board != wanted.board:
            self.end()
        if self._guest is None:
            self._count += 1
            name = f"{self._name}-{self._count}" if self._count > 1 else self._name
            try:
                self._guest = self._boot(name, transport=wanted).__enter__()
            except GuestDied as error:
                if self._build in kernel.BUILT:  # the driver may be the cause
                    raise
                # Debian's kernel without the module: QEMU's emulation sometimes fails.
                warnings.warn(f"{name}: booted once more: {error}")
                self._guest = self._boot(name, transport=wanted).__enter__()
            self._guest.whole = self._guest.meminfo()["MemTotal"]
        return self._guest

    def discard(self):
        """End a guest that is unusable."""
        self._guest.kill()
        self._guest = None

    def end(self):
        """Power the guest off as usual, with its balloon."""
        if self._guest is not None:
            guest, self._guest = self._guest, None
            guest.power_off()
