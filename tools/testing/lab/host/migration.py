# SPDX-License-Identifier: GPL-2.0
"""The source of a migration."""

import contextlib

from .until import Stuck, until

# QEMU's arguments for a guest that hints free pages.
HINTS = ("-object", "iothread,id=hints")
HINTING = "virtio-balloon-pci,free-page-hint=on,iothread=hints"
CRAWL = 100  # bytes a second, for a migration that must not end; below 10 is no limit


def progress(guest, condition, watch=lambda: None):
    """Wait until `condition` holds for query-migrate's answer; return the answer.

    `watch` is called at each look.
    """
    answer = None

    def come():
        nonlocal answer
        answer = guest.qmp.execute("query-migrate")
        watch()
        if answer.get("status") == "failed":
            raise Stuck(f"the migration failed: {answer}")
        return condition(answer)
    # There is no event for the progress of a migration.
    until(come, lambda: f"the migration goes on from {answer}",
          pause=guest.qmp.pause("STOP", 0.05))
    return answer


def looks(answer):
    """How often QEMU has synchronized the dirty bitmap."""
    return answer.get("ram", {}).get("dirty-sync-count", 0)


@contextlib.contextmanager
def crawling(guest):
    """A migration without a destination that asks for hints; the block's end cancels it."""
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
    """Limit the bytes that QEMU sends in a second."""
    guest.qmp.execute("migrate-set-parameters", **{"max-bandwidth": size})
