# SPDX-License-Identifier: GPL-2.0
"""A balloon that accounts for each of its pages, and data that must stay intact."""

from .balloon import Balloon
from .chosen import PEER
from .device import Device
from .guest import PAGE_SIZE
from .paths import MIB
from .until import until


class CheckedBalloon(Balloon):
    """A balloon that accounts for each of its pages."""

    def _accounts(self):
        """Bytes in the balloon, PG_offline bytes, bytes missing in MemTotal, at rest."""
        actual, marked, missing = self.unmoved(lambda: (
            self.actual(), self.marked_pages() * PAGE_SIZE - self.at_hand(),
            self.guest.whole - self.guest.meminfo()["MemTotal"]), self.rests)
        return self.guest.memory - actual, marked, missing

    def check_accounts(self):
        """Device, MemTotal and page flags agree on the balloon's size.

        A page that replaces a migrated one gets its mark when the host acknowledges it.  No
        counter shows that, so this waits; it fails if a page never gets its mark.
        """
        ballooned = marked = missing = 0

        def all_marked():
            nonlocal ballooned, marked, missing
            ballooned, marked, missing = self._accounts()
            return marked >= ballooned
        until(all_marked, lambda: f"{marked} bytes are PG_offline, all {ballooned} of the "
              f"balloon's; {missing} are gone from MemTotal", tick=0)
        # With deflate-on-oom the pages stay in MemTotal (virtio 1.2, 5.5.6).
        stays = ballooned and "deflate-on-oom" in Device(self).features
        gone = 0 if stays else ballooned
        assert (marked, missing) == (ballooned, gone), \
            f"bytes: {ballooned} in the balloon, {marked} PG_offline, {missing} gone from MemTotal"

    def at_hand(self):
        """PG_offline bytes outside of the balloon: the guest gets them back when it needs them."""
        return sum(int(self.attribute(name) or 0) for name in ("on_trial_kib", "lent_kib")) * 1024

    def check_nothing_kept(self):
        """Check that the guest has all pages when no driver is bound."""
        marked, total = self.offline_pages(), self.guest.meminfo()["MemTotal"]
        assert (marked, total) == (0, self.guest.whole), \
            f"{marked} pages are PG_offline, MemTotal is {total}, not {self.guest.whole}"

    def reach(self, target):
        """Reach the target and check that each page is accounted for."""
        super().reach(target)
        if PEER == "ours":
            # A newly loaded driver may still be moving from an older target.
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
        """Fill the available memory except for `keep` bytes."""
        self.fill(self._guest.meminfo()["MemAvailable"] - keep)

    def verify(self):
        """Check every page."""
        for number, size in self._files.items():
            self._guest.run(f"memtool verify /data/{number} {size} {number}")
