# SPDX-License-Identifier: GPL-2.0
"""A device that breaks costs the guest no memory, and the driver sets it up again by itself.

The driver gives every page back, sets the device up again and goes to the target
again.  It says so in one line of the log, and "recovering" is its state meanwhile.

There are three ways to break:

rings: QEMU finds at once that a queue has an address without memory.
index: QEMU finds an impossible index in a queue at the next notification.
reset: the device is as after power-on, and stays silent.

QEMU sets DEVICE_NEEDS_RESET in the first two, and raises an interrupt.  The driver
notices the third only while it waits for the device: an idle balloon does not poll.
"""

import time

import pytest

from host import klog
from host.device import Device
from host.paths import BALLOON_PAGE, MIB
from host.until import HANG_SECONDS, until

MEMORY = 1024 * MIB
SMALL = 512 * MIB
SMALLER = 400 * MIB
PART = 64 * MIB  # of a move, before the device breaks
MANY = 10
STORM = 10  # seconds
QUEUES = ("inflate", "deflate")

WAYS = pytest.mark.parametrize("way", ["rings", "index", "reset"])
MOVES = pytest.mark.parametrize("start, target", [(MEMORY, SMALL), (SMALL, MEMORY)],
                                ids=["inflating", "deflating"])

pytestmark = [pytest.mark.any_transport, pytest.mark.ours,
              pytest.mark.logs(r"virtio_balloon virtio\d+: ")]


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest that reports free pages, and whose programs get at its devices."""
    with share(name="broken", device="virtio-balloon,free-page-reporting=on",
               init_args="iomem=relaxed", cpus="in turn") as machine:
        yield machine


@pytest.fixture(autouse=True)
def fixture_reload(balloon):
    """Load the driver anew for each test, without the state of the last test."""
    yield
    balloon.unload()


def breaker(balloon, way, queue=0):
    """Arguments of the guest's program that breaks the device in this way."""
    if way == "index":
        way = f"index {queue} {Device(balloon).queue(QUEUES[queue]).used}"
    return f"/sys/bus/virtio/devices/{balloon.device()}/..", way


def break_now(balloon, way):
    """Break the device."""
    device, how = breaker(balloon, way)
    balloon.guest.run(f"breakdev {device} {how}")


class Episode:
    """A balloon since the moment at which its device broke and it held `held` bytes."""

    def __init__(self, balloon, held):
        self._balloon = balloon
        self._held = held // BALLOON_PAGE
        self._since = len(balloon.guest.kernel_log())
        self._deflated = self._count()

    def _count(self):
        return self._balloon.guest.vmstat()["balloon_deflate"]

    def wait_given_back(self, within=HANG_SECONDS):
        """Wait until every page of the balloon went back to the guest."""
        given = 0

        def returned():
            nonlocal given
            given = self._count() - self._deflated
            if given >= self._held:
                return True
            self.check_alive()
            return False
        # There is no event when pages go back.
        until(returned, lambda: f"{given} of {self._held} pages are back, not all", limit=within)

    def check_alive(self):
        """Fail if the driver has given up."""
        state = self._balloon.attribute("state")
        assert state != "dead", f"the driver has given up: {self.warnings()}"

    def warnings(self):
        """Warnings of the driver in the log."""
        return [record.text for record in
                klog.of_driver(self._balloon.guest.kernel_log()[self._since:])
                if record.level <= klog.WARNING]

    def check_over(self, target):
        """Check that the balloon reaches its target, works as before, and has warned once."""
        balloon = self._balloon
        balloon.wait(target, watch=self.check_alive)
        balloon.reach(target)
        balloon.statistics(1)
        try:
            answer = balloon.next_stats(int(time.time()))
            balloon.next_stats(answer["last-update"])
        finally:
            balloon.statistics(0)
        balloon.guest.use_and_free(200)
        assert len(self.warnings()) == 1, self.warnings()


def test_pages_come_back_at_once(balloon):
    """The guest has all pages at once, and the recovered balloon soon has them again."""
    balloon.reach(SMALL)
    start = time.monotonic()
    balloon.reach(MEMORY)
    deflation = time.monotonic() - start
    balloon.reach(SMALL)
    episode = Episode(balloon, MEMORY - SMALL)
    break_now(balloon, "rings")
    # A deflation takes longer, because the driver names each page to the host.
    episode.wait_given_back(deflation + 1)
    episode.check_over(SMALL)


@pytest.mark.parametrize("way", ["rings", "index"])
def test_idle(balloon, way):
    """The host sets another target after the device broke."""
    balloon.reach(SMALL)
    episode = Episode(balloon, MEMORY - SMALL)
    break_now(balloon, way)
    balloon.set(SMALLER)
    episode.wait_given_back()
    episode.check_over(SMALLER)


@MOVES
@WAYS
def test_moving(balloon, way, start, target):
    """The device breaks in the middle of a move."""
    guest = balloon.guest
    balloon.reach(start)
    device, how = breaker(balloon, way, queue=int(start < target))
    job = guest.spawn(f"breakdev {device} after {PART // 1024} {how}")
    job.wait_output("watching\n")
    # The least size that the balloon has when the device breaks.
    episode = Episode(balloon, PART if target < start else MEMORY - start)
    balloon.set(target)
    job.wait()
    episode.wait_given_back()
    episode.check_over(target)


@pytest.mark.long
def test_again_and_again(balloon):
    """The device breaks ten times in a row, each time after the balloon is at its target.

    The device never works for a minute, so the driver counts a single episode.
    """
    balloon.reach(SMALL)
    since = len(balloon.guest.kernel_log())
    for _ in range(MANY):
        episode = Episode(balloon, MEMORY - SMALL)
        break_now(balloon, "rings")
        episode.wait_given_back()
        balloon.wait(SMALL, watch=episode.check_alive)
        balloon.wait_state("idle")
        balloon.check_accounts()
    warnings = [record for record in klog.of_driver(balloon.guest.kernel_log()[since:])
                if record.level <= klog.WARNING]
    assert 1 <= len(warnings) < MANY // 2, warnings


def test_breaks_as_soon_as_it_works(balloon):
    """While a device breaks after each set-up, the driver backs off and holds no page."""
    guest = balloon.guest
    balloon.reach(SMALL)
    episode = Episode(balloon, MEMORY - SMALL)
    path = f"/sys/bus/virtio/devices/{balloon.device()}/balloon/state"
    device, _ = breaker(balloon, "storm")
    job = guest.spawn(f"breakdev {device} storm {STORM}")
    states = set()
    while not job.ended(0):
        states.add(guest.read(path).strip())
    times = [float(line) for line in job.wait().split()]
    print(f"set up at {times}, states: {states}")
    assert "recovering" in states
    assert "dead" not in states
    early = sum(moment < STORM / 2 for moment in times)
    assert early > 2, "the driver did not try again"
    assert len(times) - early < early, "the driver did not back off"
    balloon.wait(SMALL, watch=episode.check_alive)
    balloon.reach(SMALL)
