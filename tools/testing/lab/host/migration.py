# SPDX-License-Identifier: GPL-2.0
"""A migration, as its source sees it."""

import contextlib

from .until import Stuck, until

# For a guest whose driver is to tell what need not be sent.
HINTS = ("-object", "iothread,id=hints")
HINTING = "virtio-balloon-pci,free-page-hint=on,iothread=hints"
CRAWL = 100  # bytes a second, for one that is not to end; QEMU takes less than 10 for no limit


def progress(guest, condition, watch=lambda: None):
    """Wait until `condition` holds for query-migrate's answer; return that.

    `watch` is called at every look.
    """
    answer = None

    def come():
        nonlocal answer
        answer = guest.qmp.execute("query-migrate")
        watch()
        if answer.get("status") == "failed":
            raise Stuck(f"the migration failed: {answer}")
        return condition(answer)
    # Nothing tells how far a migration is.
    until(come, lambda: f"the migration goes on from {answer}",
          pause=guest.qmp.pause("STOP", 0.05))
    return answer


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
