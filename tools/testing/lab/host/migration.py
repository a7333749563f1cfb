# SPDX-License-Identifier: GPL-2.0
"""A migration, as its source sees it."""

import contextlib
import time

from .balloon import Stuck
from .guest import HANG_SECONDS

# For a guest whose driver is to tell what need not be sent.
HINTS = ("-object", "iothread,id=hints")
HINTING = "virtio-balloon-pci,free-page-hint=on,iothread=hints"
CRAWL = 100  # bytes a second, for one that is not to end; QEMU takes less than 10 for no limit


def progress(guest, condition, watch=lambda: None):
    """Wait until `condition` holds for query-migrate's answer; return that.

    `watch` is called at every look.
    """
    deadline = time.monotonic() + HANG_SECONDS
    while True:
        answer = guest.qmp.execute("query-migrate")
        watch()
        if answer.get("status") == "failed":
            raise Stuck(f"the migration failed: {answer}")
        if condition(answer):
            return answer
        if time.monotonic() > deadline:
            raise Stuck(f"the migration stands still for {HANG_SECONDS} s: {answer}")
        # Nothing tells how far a migration is.
        guest.qmp.wait_event("STOP", len(guest.qmp.events), 0.05)


def looks(answer):
    """How often QEMU has looked at what is dirty."""
    return answer.get("ram", {}).get("dirty-sync-count", 0)


@contextlib.contextmanager
def crawling(guest):
    """A migration to nowhere, at whose start QEMU asks for hints; it is cancelled in the end."""
    bandwidth(guest, CRAWL)
    guest.qmp.execute("migrate", uri="exec:cat > /dev/null")
    try:
        progress(guest, looks)
        yield
        assert guest.qmp.execute("query-migrate")["status"] == "active"
    finally:
        guest.qmp.execute("migrate_cancel")
        progress(guest, lambda answer: answer["status"] == "cancelled")


def bandwidth(guest, size):
    """Bytes a second that may be sent from now on."""
    guest.qmp.execute("migrate-set-parameters", **{"max-bandwidth": size})
