# SPDX-License-Identifier: GPL-2.0
"""Memory that a guest's driver holds although it is not in the balloon.

That is what is on trial, and what is lent as free page hints.  Neither has a file
in sysfs.  The driver has it from the page allocator like any user, and no line of
/proc/meminfo names such a user.
"""

import time

from .guest import HANG_SECONDS, PAGE_SIZE
from .paths import MIB

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
        deadline = time.monotonic() + HANG_SECONDS
        while (size := self.size()) < least:
            assert time.monotonic() < deadline, \
                f"{size // MIB} MiB are held, not {least // MIB}, for {HANG_SECONDS} s"
            # Nothing tells when the driver takes a page.
            self.guest.qmp.wait_event("STOP", len(self.guest.qmp.events), 0.005)
        return size
