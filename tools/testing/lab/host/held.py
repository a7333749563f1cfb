# SPDX-License-Identifier: GPL-2.0
"""Memory that a guest's driver holds outside of the balloon.

This is memory on trial, and memory that is lent as free page hints.  Not each driver has
sysfs files for them.  The driver allocates the memory like any user, and no line of
/proc/meminfo shows it.
"""

from .guest import PAGE_SIZE
from .paths import MIB
from .until import until

ACCOUNTED = ("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "Slab", "KernelStack",
             "PageTables", "Percpu")


class Held:
    """Memory that the driver has taken since the creation of this object."""

    def __init__(self, guest):
        self.guest = guest
        self._before = 0
        self._before = self.size()

    def size(self, meminfo=None):
        """Bytes that the driver holds, by this /proc/meminfo or by a new one."""
        meminfo = meminfo or self.guest.meminfo()
        at_hand = self.guest.cached_pages() * PAGE_SIZE  # per-CPU lists: no line shows them either
        return (meminfo["MemTotal"] - sum(meminfo[name] for name in ACCOUNTED) - at_hand
                - self._before)

    def wait(self, least):
        """Wait until the driver holds at least `least` bytes; return how many it holds."""
        size = 0

        def held():
            nonlocal size
            size = self.size()
            return size >= least
        # There is no event when the driver takes a page.
        until(held, lambda: f"from {size // MIB} MiB that are held to {least // MIB}",
              pause=self.guest.qmp.pause("STOP", 0.005))
        return size
