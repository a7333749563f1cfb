# SPDX-License-Identifier: GPL-2.0
"""The driver waits for a silent host, and goes on when the host does.

There are three ways to be silent:

stopped: QEMU gets SIGSTOP.  The guest stops too, but its clock goes on.
paused: QEMU stops the guest and its clock, by QMP.
deaf: the guest runs, but QEMU does not read the queues.  A host whose main loop waits
for a disk behaves in this way.  QEMU still serves accesses to the device's registers,
but raises no interrupt until it sets the target again.
"""

import contextlib
import os
import signal
import time

import pytest

from host.migration import CRAWL, HINTS, bandwidth, progress
from host.paths import MIB

MEMORY = 1024 * MIB
SMALL = 512 * MIB
AFTERWARDS = 800 * MIB
REPORTED = 300  # MiB
LENT = 256 * MIB
REPORT_DELAY = 2  # seconds by which mm delays a report
NEVER = 1 << 20  # seconds between two requests for statistics
NOWHERE = "exec:cat >/dev/null"  # destination of a migration

DEVICE = "virtio-balloon,free-page-hint=on,iothread=hints,free-page-reporting=on"
# The guest's watchdogs would mistake the host's silence for a hang of the guest.
ARGUMENTS = ("iomem=relaxed nowatchdog rcupdate.rcu_cpu_stall_suppress=1 "
             "workqueue.cpu_intensive_thresh_us=0")

# The driver's patience, BALLOON_HOST_PATIENCE_MS, is ten seconds.
SECONDS = pytest.mark.parametrize("seconds", [12, pytest.param(60, marks=pytest.mark.long)])

pytestmark = [pytest.mark.any_transport, SECONDS]


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest whose balloon has all features."""
    with share(name="silent", device=DEVICE, extra=HINTS, init_args=ARGUMENTS,
               cpus="in turn") as machine:
        yield machine


@contextlib.contextmanager
def stopped(balloon):
    """QEMU does not run in the block."""
    os.kill(balloon.guest.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(balloon.guest.pid, signal.SIGCONT)


@contextlib.contextmanager
def paused(balloon):
    """The guest and its clock stand still in the block."""
    balloon.guest.qmp.execute("stop")
    try:
        yield
    finally:
        balloon.guest.qmp.execute("cont")


@contextlib.contextmanager
def deaf(balloon):
    """QEMU does not read the balloon's queues in the block."""
    device = f"/sys/bus/virtio/devices/{balloon.device()}/.."
    balloon.guest.run(f"breakdev {device} deaf")
    try:
        yield
    finally:
        balloon.guest.run(f"breakdev {device} hear")


def alive(balloon):
    """Fail if the driver has given up."""
    assert balloon.attribute("state") != "dead", "the driver has given up"


def arrive(balloon, target):
    """Wait for the target, as long as the driver is alive."""
    balloon.wait(target, watch=lambda: alive(balloon))


def wait_free(guest, condition):
    """Wait until `condition` holds for the guest's free memory, in bytes."""
    progress(guest, lambda answer: condition(guest.meminfo()["MemFree"]))


# A guest whose clock stands still cannot notice the pause, so only make check-long tests this.
PAUSED = pytest.param(paused, marks=pytest.mark.long)


@contextlib.contextmanager
def migrating(guest):
    """A migration in the block that asks for hints and is cancelled."""
    bandwidth(guest, CRAWL)
    guest.qmp.execute("migrate", uri=NOWHERE)
    try:
        yield
    finally:
        guest.qmp.execute("migrate_cancel")
        progress(guest, lambda answer: answer["status"] == "cancelled")


def check_hints(guest):
    """Check that the guest lends free memory to a migration, and gets it back."""
    free = guest.meminfo()["MemFree"]
    with migrating(guest):
        wait_free(guest, lambda now: now < free - LENT)
    wait_free(guest, lambda now: now > free - 32 * MIB)


def check_statistics(balloon):
    """Check that the guest answers requests for statistics, again and again."""
    balloon.statistics(1)
    try:
        answer = balloon.next_stats(int(time.time()))
        balloon.next_stats(answer["last-update"])
    finally:
        balloon.statistics(0)


def check_all(balloon):
    """Check that all functions of the balloon work."""
    alive(balloon)
    balloon.set(AFTERWARDS)
    arrive(balloon, AFTERWARDS)
    balloon.reach(AFTERWARDS)
    check_statistics(balloon)
    balloon.guest.use_and_free(REPORTED)
    check_hints(balloon.guest)
    alive(balloon)


@pytest.fixture(name="silence", params=[stopped, PAUSED, deaf], ids=lambda how: how.__name__)
def fixture_silence(request):
    """A function that silences the host during an activity.

    target: the target that is set again after the silence.  begin: a function that
    starts the activity.  begun: a function that returns when the host has begun to
    serve it.  unheard: a deaf host does not notice the activity at all.
    """
    def silence(balloon, seconds, target, begin, begun=lambda: None, unheard=False):
        with contextlib.ExitStack() as silent:
            if request.param is deaf and unheard:
                silent.enter_context(deaf(balloon))
                begin()
            else:
                begin()
                begun()
                silent.enter_context(request.param(balloon))
            time.sleep(seconds)
        balloon.set(target)
    return silence


@pytest.fixture(autouse=True)
def fixture_reload(balloon):
    """Remove a driver that has given up, so that the next test finds a new one."""
    yield
    if balloon.attribute("state") == "dead":
        balloon.unload()


@pytest.mark.parametrize("start, target", [(MEMORY, SMALL), (SMALL, MEMORY)],
                         ids=["inflating", "deflating"])
def test_moving(balloon, silence, seconds, start, target):
    """A move goes on when the host goes on."""
    balloon.reach(start)
    silence(balloon, seconds, target, lambda: balloon.set(target), lambda: balloon.start(target))
    arrive(balloon, target)
    check_all(balloon)


@pytest.mark.parametrize("silence", [stopped, PAUSED], indirect=True,
                         ids=lambda how: how.__name__)
def test_statistics(balloon, silence, seconds):
    """A request for statistics is answered late.  (A deaf QEMU 7.2 loses the buffer.)"""
    balloon.reach(SMALL)
    balloon.statistics(0)
    asked = int(time.time())
    silence(balloon, seconds, SMALL, lambda: balloon.statistics(NEVER))
    balloon.next_stats(asked - 1)
    check_all(balloon)


def test_report(balloon, silence, seconds):
    """Neither the blocks of an unanswered report nor the balloon are lost."""
    guest = balloon.guest
    balloon.reach(AFTERWARDS)
    guest.run(f"memtool fill /data/used {REPORTED} 1")
    full = guest.rss()

    silence(balloon, REPORT_DELAY + seconds, AFTERWARDS, lambda: guest.run("rm /data/used"),
            lambda: guest.wait_rss_below(full - 16 * MIB), unheard=True)
    alive(balloon)
    guest.wait_rss_below(full - REPORTED * MIB * 8 // 10)
    check_all(balloon)


def test_hints(balloon, silence, seconds):
    """Lent memory comes back, and the next migration gets hints."""
    guest = balloon.guest
    balloon.reach(AFTERWARDS)
    free = guest.meminfo()["MemFree"]
    with contextlib.ExitStack() as migration:
        silence(balloon, seconds, AFTERWARDS, lambda: migration.enter_context(migrating(guest)),
                lambda: wait_free(guest, lambda now: now < free - 16 * MIB))
        alive(balloon)
    wait_free(guest, lambda now: now > free - 32 * MIB)
    check_all(balloon)
