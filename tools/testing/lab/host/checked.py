# SPDX-License-Identifier: GPL-2.0
"""A balloon whose every page is accounted for, and data that it must not touch."""

from .balloon import Balloon
from .chosen import PEER
from .device import Device
from .guest import PAGE_SIZE
from .paths import MIB
from .until import until


class CheckedBalloon(Balloon):
    """A balloon whose every page can be asked for."""

    def _accounts(self):
        """Bytes in the balloon, marked as such, and gone from MemTotal, while none moves."""
        actual, marked, missing = self.unmoved(lambda: (
            self.actual(), self.marked_pages() * PAGE_SIZE - self.at_hand(),
            self.guest.whole - self.guest.meminfo()["MemTotal"]), self.rests)
        return self.guest.memory - actual, marked, missing

    def check_accounts(self):
        """Device, MemTotal and page flags agree on the balloon's size.

        A page that replaced another is marked once the host has acknowledged it, which no
        count or state tells: one that never is fails this in the end.
        """
        ballooned = marked = missing = 0

        def all_marked():
            nonlocal ballooned, marked, missing
            ballooned, marked, missing = self._accounts()
            return marked >= ballooned
        until(all_marked, lambda: f"{marked} bytes are PG_offline, all {ballooned} of the "
              f"balloon's; {missing} are gone from MemTotal", tick=0)
        # What the guest may take back whenever it likes is not gone (virtio 1.2, 5.5.6).
        stays = ballooned and "deflate-on-oom" in Device(self).features
        gone = 0 if stays else ballooned
        assert (marked, missing) == (ballooned, gone), \
            f"bytes: {ballooned} in the balloon, {marked} PG_offline, {missing} gone from MemTotal"

    def at_hand(self):
        """What is marked and not in the balloon, as the guest has it back when it needs it."""
        return sum(int(self.attribute(name) or 0) for name in ("on_trial_kib", "lent_kib")) * 1024

    def check_nothing_kept(self):
        """With no driver every page is the guest's again."""
        marked, total = self.offline_pages(), self.guest.meminfo()["MemTotal"]
        assert (marked, total) == (0, self.guest.whole), \
            f"{marked} pages are PG_offline, MemTotal is {total}, not {self.guest.whole}"

    def reach(self, target):
        """Reach the target and check that every page is accounted for."""
        super().reach(target)
        if PEER == "ours":
            # One that was loaded a moment ago may still be on its way back from an older target.
            self.wait_state("idle")
            self.wait(target)
        self.check_accounts()


class Data:
    """Files full of a known pattern in the guest's memory."""

    def __init__(self, guest):
        self._guest = guest
        self._files = {}

    def fill(self, size):
        """Fill `size` bytes."""
        number = len(self._files) + 1
        self._files[number] = size // MIB
        self._guest.run(f"memtool fill /data/{number} {size // MIB} {number}")

    def fill_but(self, keep):
        """Fill the memory that is available now but for `keep` bytes."""
        self.fill(self._guest.meminfo()["MemAvailable"] - keep)

    def verify(self):
        """Check every page."""
        for number, size in self._files.items():
            self._guest.run(f"memtool verify /data/{number} {size} {number}")
