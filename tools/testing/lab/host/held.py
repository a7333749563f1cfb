# SPDX-License-Identifier: GPL-2.0
"""Memory that a guest's driver holds although it is not in the balloon.

That is what is on trial, and what is lent as free page hints.  Neither has a file
in sysfs.  The driver has it from the page allocator like any user, and no line of
/proc/meminfo names such a user.
"""

from .guest import PAGE_SIZE
from .paths import MIB
from .until import until

ACCOUNTED = ("MemFree", "Buffers", "Cached", "SwapCached", "AnonPages", "Slab", "KernelStack",
             "PageTables", "Percpu")


class Held:
    """What the driver has come to hold since this was made."""

    def __init__(self, guest):
        self.guest = guest
        self._before = 0
        self._before = self.size()

    def size(self, meminfo=None):
        """Bytes, as of this /proc/meminfo or of now."""
        meminfo = meminfo or self.guest.meminfo()
        at_hand = self.guest.cached_pages() * PAGE_SIZE  # of the CPUs, no line has them either
        return (meminfo["MemTotal"] - sum(meminfo[name] for name in ACCOUNTED) - at_hand
                - self._before)

    def wait(self, least):
        """Wait until the driver holds so many bytes; return how many it is."""
        size = 0

        def held():
            nonlocal size
            size = self.size()
            return size >= least
        # Nothing tells when the driver takes a page.
        until(held, lambda: f"from {size // MIB} MiB that are held to {least // MIB}",
              pause=self.guest.qmp.pause("STOP", 0.005))
        return size
