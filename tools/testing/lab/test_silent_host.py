# SPDX-License-Identifier: GPL-2.0
"""A host that says nothing for a while is waited for; then all goes on as before.

There are three ways to be silent:

stopped: QEMU gets SIGSTOP.  The guest does not run either, but its clock does.
paused: QEMU stops the guest, and its clock, by QMP.
deaf: the guest runs, and QEMU does not look at its queues.  So a host behaves whose
main loop waits for a disk.  QEMU still answers who reads or writes its registers,
and raises no interrupt; it raises the next one when it tells the target again.
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
REPORT_DELAY = 2  # seconds that mm waits with a report
NEVER = 1 << 20  # seconds between two questions
NOWHERE = "exec:cat >/dev/null"  # a migration

DEVICE = "virtio-balloon,free-page-hint=on,iothread=hints,free-page-reporting=on"
# The guest's own watchdogs would blame it for its host's silence.
ARGUMENTS = ("iomem=relaxed nowatchdog rcupdate.rcu_cpu_stall_suppress=1 "
             "workqueue.cpu_intensive_thresh_us=0")

# The driver has a patience of ten seconds.
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
    """The guest does not run in the block, nor does its clock."""
    balloon.guest.qmp.execute("stop")
    try:
        yield
    finally:
        balloon.guest.qmp.execute("cont")


@contextlib.contextmanager
def deaf(balloon):
    """QEMU's balloon leaves its queues alone in the block."""
    device = f"/sys/bus/virtio/devices/{balloon.device()}/.."
    balloon.guest.run(f"breakdev {device} deaf")
    try:
        yield
    finally:
        balloon.guest.run(f"breakdev {device} hear")


def alive(balloon):
    """Fail where the driver has given up."""
    assert balloon.attribute("state") != "dead", "the driver has given up"


def arrive(balloon, target):
    """Wait for the target, as long as the driver is alive."""
    balloon.wait(target, watch=lambda: alive(balloon))


def wait_free(guest, condition):
    """Wait until `condition` holds for the guest's free memory, in bytes."""
    progress(guest, lambda answer: condition(guest.meminfo()["MemFree"]))


# A guest whose clock stands still notices nothing: that is for make check-long.
PAUSED = pytest.param(paused, marks=pytest.mark.long)


@contextlib.contextmanager
def migrating(guest):
    """A migration in the block that asks for hints, and does not take place."""
    bandwidth(guest, CRAWL)
    guest.qmp.execute("migrate", uri=NOWHERE)
    try:
        yield
    finally:
        guest.qmp.execute("migrate_cancel")
        progress(guest, lambda answer: answer["status"] == "cancelled")


def check_hints(guest):
    """Free memory is lent to a migration, and comes back."""
    free = guest.meminfo()["MemFree"]
    with migrating(guest):
        wait_free(guest, lambda now: now < free - LENT)
    wait_free(guest, lambda now: now > free - 32 * MIB)


def check_statistics(balloon):
    """Statistics are answered, again and again."""
    balloon.statistics(1)
    try:
        answer = balloon.next_stats(int(time.time()))
        balloon.next_stats(answer["last-update"])
    finally:
        balloon.statistics(0)


def check_all(balloon):
    """A balloon that does all that a balloon does."""
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
    """A function that has the host miss something.

    target: told once more after the silence.  begin: something that needs the host.
    begun: returns when the host has begun with it.  unheard: a deaf host does not
    even hear of it.
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
    """A driver that has given up is removed, so that the next test finds another."""
    yield
    if balloon.attribute("state") == "dead":
        balloon.unload()


@pytest.mark.parametrize("start, target", [(MEMORY, SMALL), (SMALL, MEMORY)],
                         ids=["inflating", "deflating"])
def test_moving(balloon, silence, seconds, start, target):
    """A move goes on when the host does."""
    balloon.reach(start)
    silence(balloon, seconds, target, lambda: balloon.set(target), lambda: balloon.start(target))
    arrive(balloon, target)
    check_all(balloon)


@pytest.mark.parametrize("silence", [stopped, PAUSED], indirect=True,
                         ids=lambda how: how.__name__)
def test_statistics(balloon, silence, seconds):
    """A question is answered late.  (A deaf QEMU 7.2 loses the buffer of its question.)"""
    balloon.reach(SMALL)
    balloon.statistics(0)
    asked = int(time.time())
    silence(balloon, seconds, SMALL, lambda: balloon.statistics(NEVER))
    balloon.next_stats(asked - 1)
    check_all(balloon)


def test_report(balloon, silence, seconds):
    """Free memory that the host does not take yet is not lost, nor is the balloon."""
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
    """What is lent comes back, and the next migration is told what is free."""
    guest = balloon.guest
    balloon.reach(AFTERWARDS)
    free = guest.meminfo()["MemFree"]
    with contextlib.ExitStack() as migration:
        silence(balloon, seconds, AFTERWARDS, lambda: migration.enter_context(migrating(guest)),
                lambda: wait_free(guest, lambda now: now < free - 16 * MIB))
        alive(balloon)
    wait_free(guest, lambda now: now > free - 32 * MIB)
    check_all(balloon)
