# SPDX-License-Identifier: GPL-2.0
"""A guest powers off and reboots as fast as one without a balloon.

QEMU ends in both cases, because it is started with -no-reboot.
"""

import contextlib
import time

import pytest

from host import klog
from host.balloon import Balloon
from host.migration import CRAWL, HINTING, HINTS, bandwidth, progress
from host.paths import MIB
from host.until import HANG_SECONDS

MEMORY = 2048 * MIB  # so that a move takes a while
SMALL = 700 * MIB
LENT = 256 * MIB
SLOWER = 1.0  # seconds more than without a balloon
NOWHERE = "exec:cat >/dev/null"  # destination of a migration

# The limit is in seconds of the host: a guest on a busy host may exceed it.
pytestmark = [pytest.mark.any_transport, pytest.mark.long]


def seconds_to_end(guest, way):
    """End the guest in this way; return the seconds that it took."""
    since = len(guest.qmp.events)
    asked = time.time()
    guest.channel.send(way)
    event, _ = guest.qmp.wait_event("SHUTDOWN", since, HANG_SECONDS)
    assert event, f"no end for {HANG_SECONDS} s"
    guest.wait_end()
    stamp = event["timestamp"]
    return stamp["seconds"] + stamp["microseconds"] / 1e6 - asked


@contextlib.contextmanager
def booted(boot, name, **options):
    """A guest that the block ends."""
    guest = boot(f"shutdown-{name}", memory=MEMORY // MIB, **options).__enter__()
    try:
        yield guest
    finally:
        guest.kill()
    alarms = [line for line in guest.console().splitlines() if klog.SPLAT.search(line)]
    assert not alarms, "\n".join(alarms)


@pytest.fixture(scope="module", name="without", params=["poweroff", "reboot"])
def fixture_without(boot, request):
    """A way to end, and the seconds that a guest without a balloon needs for it."""
    with booted(boot, f"{request.param}-without", device=None) as guest:
        seconds = seconds_to_end(guest, request.param)
    print(f"{request.param} without a balloon: {seconds:.2f} s")
    return request.param, seconds


def inflate(balloon):
    """The balloon inflates."""
    balloon.start(SMALL)
    assert balloon.actual() > SMALL, "the move was over"


def deflate(balloon):
    """The balloon deflates."""
    balloon.set(SMALL)
    balloon.wait(SMALL)
    balloon.start(MEMORY)
    assert balloon.actual() < MEMORY, "the move was over"


def hint(balloon):
    """The guest lends its free memory to a migration, but has not lent all of it yet."""
    guest = balloon.guest
    free = guest.meminfo()["MemFree"]
    bandwidth(guest, CRAWL)
    guest.qmp.execute("migrate", uri=NOWHERE)
    progress(guest, lambda answer: guest.meminfo()["MemFree"] < free - LENT)


@pytest.mark.parametrize("activity", [inflate, deflate, hint])
def test_end(boot, without, activity):
    """The guest ends at most a second later than one without a balloon."""
    way, at_most = without[0], without[1] + SLOWER
    with booted(boot, f"{way}-{activity.__name__}", device=HINTING, extra=HINTS) as guest:
        balloon = Balloon(guest)
        balloon.load()
        activity(balloon)
        seconds = seconds_to_end(guest, way)
    print(f"{way} while the balloon has to {activity.__name__}: {seconds:.2f} s")
    assert seconds < at_most
