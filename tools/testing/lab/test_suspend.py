# SPDX-License-Identifier: GPL-2.0
"""A sleeping guest has no balloon; one that wakes up has the balloon that the host wants.

From RAM it wakes up in the same QEMU, which remembers the target.  From disk it
is resumed in a new QEMU, which has no target until the host sets one.
"""

import contextlib
import os
import re
import subprocess
import tempfile
import threading
import time

import pytest

from host.balloon import Balloon
from host.device import Device
from host.guest import CommandFailed
from host.initramfs import DISK_MODULE
from host.paths import BALLOON_PAGE, BUILD, MIB, QEMU
from host.qmp import Disconnected
from host.transport import Q35
from host.until import HANG_SECONDS, until

MEMORY = 1024 * MIB
SMALL = 450 * MIB  # what the guest can afford beside its data, without its driver holding back
DISK = "/dev/vda"
MANY = 10  # rounds
TRACING = "/sys/kernel/tracing"

# Device and kernel parameters; init_on_free is what page-poison is negotiated for.
MACHINES = {
    "full": ("virtio-balloon-pci,deflate-on-oom=on,free-page-hint=on,iothread=thread0,"
             "page-poison=on,free-page-reporting=on", "init_on_free=1"),
    "plain": ("virtio-balloon-pci", ""),
}

# What the other machine's tests say nothing new about: this one has all that it has.
FULL = pytest.mark.parametrize("machine", ["full"], indirect=True, scope="module")
MOVES = pytest.mark.parametrize("start, target", [(MEMORY, SMALL), (SMALL, MEMORY)],
                                ids=["inflating", "deflating"])


@pytest.fixture(scope="module", name="machine", params=list(MACHINES))
def fixture_machine(share, request):
    """A guest with a disk, and a balloon that the QEMU which resumes it has, too."""
    device, parameters = MACHINES[request.param]
    # Without a name, so that it cannot be left behind; each QEMU opens it by our descriptor.
    with tempfile.TemporaryFile(dir=BUILD) as disk:
        disk.truncate(MEMORY)
        image = f"/proc/{os.getpid()}/fd/{disk.fileno()}"
        with share(name=f"suspend-{request.param}", device=device, init_args=parameters,
                   cpus="in turn",
                   extra=("-object", "iothread,id=thread0",
                          "-drive", f"file={image},format=raw,if=none,id=disk,cache=unsafe",
                          "-device", "virtio-blk-pci,drive=disk")) as machine:
            yield machine


@pytest.fixture(name="swap_space")
def fixture_swap_space(balloon):
    """Where the guest hibernates to."""
    balloon.guest.run(f"modprobe {DISK_MODULE} && mkswap {DISK} && swapon {DISK}")
    yield
    balloon.guest.run(f"swapoff {DISK}")


@pytest.fixture(name="given")
def fixture_given(balloon):
    """A function: bytes that others than the kthread gave back since it was last asked."""
    guest = balloon.guest

    def given():
        trace = guest.run(f"cat {TRACING}/trace; echo >{TRACING}/trace")
        return sum(int(kib) * 1024 for task, kib in
                   re.findall(r"^ *(\S+)-\d+ .* deflate: .* kib=(\d+)", trace, re.MULTILINE)
                   if task != "vballoon")
    guest.write(f"{TRACING}/events/virtio_balloon/deflate/enable", "1")
    given()
    yield given
    guest.write(f"{TRACING}/events/virtio_balloon/deflate/enable", "0")


def halfway(given, size, times=1):
    """Rounds for a test to suspend in, until so many did so in the middle of a move of `size`."""
    for _ in range(MANY):
        given()
        yield
        times -= 0 < given() < size
        if not times:
            return
    pytest.fail(f"the balloon mostly rested when the guest suspended, {MANY} times")


@contextlib.contextmanager
def to_and_fro(balloon, margin=150 * MIB):
    """The balloon hardly ever rests in the block, as the host thinks better of each target."""
    qmp = balloon.guest.qmp  # this QEMU's; a thread of its own must not follow the guest
    enough = threading.Event()

    def drive():
        targets = [SMALL, MEMORY]
        with contextlib.suppress(Disconnected):
            while not enough.wait(0.005):
                if abs(qmp.execute("query-balloon")["actual"] - targets[0]) < margin:
                    targets.reverse()
                qmp.execute("balloon", value=targets[0])
    balloon.start(SMALL)
    host = threading.Thread(target=drive)
    host.start()
    try:
        yield
    finally:
        enough.set()
        host.join()


def pages(target):
    """Pages of a balloon that has reached its target."""
    return (MEMORY - target) // BALLOON_PAGE


def pages_moved(guest):
    """Pages that went into the balloon, and out of it, so far."""
    vmstat = guest.vmstat()
    return vmstat["balloon_inflate"], vmstat["balloon_deflate"]


@pytest.mark.parametrize("machine", [pytest.param("full", marks=pytest.mark.debug), "plain"],
                         indirect=True, scope="module")
def test_inflated(balloon, data):
    """Every page goes back before each sleep, and is taken again after it."""
    data.fill(128 * MIB)
    balloon.reach(600 * MIB)
    for _ in range(2):
        inflated, deflated = pages_moved(balloon.guest)
        with balloon.guest.asleep():
            assert balloon.actual() == MEMORY
        balloon.wait(600 * MIB)
        balloon.check_accounts()
        assert pages_moved(balloon.guest) == \
            (inflated + pages(600 * MIB), deflated + pages(600 * MIB))
        data.verify()


@pytest.mark.ours
@MOVES
def test_while_moving(balloon, data, given, start, target):
    """The move ends with the sleep, and is made after it."""
    data.fill(128 * MIB)
    for _ in halfway(given, abs(target - start)):
        balloon.reach(start)
        balloon.start(target)
        with balloon.guest.asleep():
            assert balloon.actual() == MEMORY
        balloon.wait(target)
        balloon.check_accounts()


@pytest.mark.ours
@FULL
def test_without_memory_to_spare(balloon):
    """What waits for memory gives back what it has, and gets as far again."""
    balloon.set(1)
    balloon.wait_state("holding")
    with balloon.guest.asleep():
        assert balloon.actual() == MEMORY
    balloon.wait_state("holding")
    assert balloon.actual() < 512 * MIB
    balloon.check_accounts()


@FULL
@pytest.mark.parametrize("target", [MEMORY, 800 * MIB, SMALL],
                         ids=["none", "smaller", "larger"])
def test_target_changes_during_sleep(balloon, target):
    """The target that counts is the one at the time of waking up."""
    balloon.reach(600 * MIB)
    inflated, _ = pages_moved(balloon.guest)
    with balloon.guest.asleep():
        balloon.set(target)
    balloon.wait(target)
    balloon.check_accounts()
    balloon.reach(700 * MIB)
    assert pages_moved(balloon.guest)[0] == inflated + max(pages(target), pages(700 * MIB))


@pytest.mark.ours
@FULL
def test_target_changes_all_the_time(balloon, data, given):
    """The host does not care whether the guest is about to sleep, asleep, or waking up."""
    data.fill(128 * MIB)
    with to_and_fro(balloon):
        for _ in halfway(given, MEMORY - SMALL, times=4):
            with balloon.guest.asleep():
                assert balloon.actual() == MEMORY
    balloon.reach(640 * MIB)


@FULL
def test_features_go_on(balloon):
    """Statistics are answered and free pages are reported after the sleep as before it."""
    assert "free-page-reporting" in Device(balloon).features
    balloon.reach(800 * MIB)
    balloon.statistics(1)
    try:
        for _ in range(2):
            # Not only those that the driver offers by itself when it starts.
            first = balloon.next_stats(int(time.time()))
            balloon.next_stats(first["last-update"])
            balloon.guest.use_and_free(300)
            with balloon.guest.asleep():
                assert balloon.actual() == MEMORY
            balloon.wait(800 * MIB)
    finally:
        balloon.statistics(0)
    balloon.check_accounts()


@pytest.mark.usefixtures("swap_space")
def test_hibernation(balloon, data):
    """All pages are the guest's where nobody has set a target, until somebody does."""
    data.fill(64 * MIB)
    qmp = balloon.guest.qmp
    since = len(qmp.events)
    balloon.reach(600 * MIB)
    event, since = qmp.wait_event("BALLOON_CHANGE", since, timeout=HANG_SECONDS,
                                  matching=lambda data: data["actual"] == 600 * MIB)
    assert event
    inflated, deflated = pages_moved(balloon.guest)
    with balloon.guest.hibernated(DISK):
        pass
    # Devices work again while the image is written; the balloon is none of them.
    assert {event["data"]["actual"] for event in qmp.events[since:]
            if event["event"] == "BALLOON_CHANGE"} <= {MEMORY}
    assert balloon.actual() == MEMORY
    balloon.check_accounts()
    assert pages_moved(balloon.guest) == (inflated, deflated + pages(600 * MIB))
    data.verify()
    balloon.reach(700 * MIB)


@pytest.mark.ours
@FULL
@pytest.mark.usefixtures("swap_space")
def test_hibernation_while_moving(balloon, data, given):
    """The kernel that reads the image has a balloon on its way to the target as well."""
    data.fill(64 * MIB)
    for _ in halfway(given, MEMORY - SMALL):
        with to_and_fro(balloon), balloon.guest.hibernated(DISK, modules=["virtio_balloon"]):
            balloon.set(700 * MIB)
        balloon.wait(700 * MIB)
        balloon.check_accounts()


@FULL
@pytest.mark.logs("PM: Cannot (find swap device|get swap writer)")
def test_hibernation_fails(balloon, data):
    """A guest that cannot write its image goes on as before."""
    data.fill(64 * MIB)
    balloon.reach(600 * MIB)
    inflated, deflated = pages_moved(balloon.guest)
    with pytest.raises(CommandFailed):
        balloon.guest.write("/sys/power/state", "disk")
    balloon.wait(600 * MIB)
    balloon.check_accounts()
    assert pages_moved(balloon.guest) == \
        (inflated + pages(600 * MIB), deflated + pages(600 * MIB))


def power(balloon, name):
    """A file of the driver core's about the device's part in power management."""
    return balloon.guest.read(f"/sys/bus/virtio/devices/{balloon.device()}/power/{name}").strip()


@pytest.fixture(name="waking")
def fixture_waking(balloon):
    """A balloon whose events may keep the guest awake; there is no such file if they can not."""
    path = f"/sys/bus/virtio/devices/{balloon.device()}/power/wakeup"
    before = balloon.guest.read(path).strip()
    balloon.guest.write(path, "enabled")
    yield balloon
    balloon.guest.write(path, before)


@FULL
def test_can_wake_up(balloon):
    """An administrator chooses whether the balloon's events keep the guest awake."""
    assert power(balloon, "wakeup") in ("enabled", "disabled")


@FULL
def test_events_keep_awake(waking):
    """A target, and a question, keep the guest awake until they have been dealt with."""
    def wait_relaxed():
        until(lambda: power(waking, "wakeup_active") == "0",
              "a balloon that rests lets the guest sleep")
    count = int(power(waking, "wakeup_active_count"))
    waking.start(SMALL)
    assert power(waking, "wakeup_active") == "1"
    waking.reach(SMALL)
    wait_relaxed()
    moved = int(power(waking, "wakeup_active_count"))
    assert moved > count
    waking.statistics(1)
    try:
        answer = waking.next_stats(int(time.time()))
        waking.next_stats(answer["last-update"])
    finally:
        waking.statistics(0)
    wait_relaxed()
    assert int(power(waking, "wakeup_active_count")) > moved


def check_idle_sleep(balloon):
    """What the host wants while the guest is suspended to idle, it gets after that."""
    balloon.reach(600 * MIB)
    balloon.statistics(0)
    with balloon.guest.idle_asleep():
        balloon.set(SMALL)
        balloon.statistics(1)
        asked = int(time.time())
    balloon.wait(SMALL)
    try:
        balloon.next_stats(asked)
    finally:
        balloon.statistics(0)
    balloon.reach(SMALL)
    balloon.reach(700 * MIB)


@FULL
def test_idle_sleep(balloon, data):
    """A device that is reset before the sleep: the balloon is empty meanwhile."""
    data.fill(64 * MIB)
    inflated, _ = pages_moved(balloon.guest)
    check_idle_sleep(balloon)
    assert pages_moved(balloon.guest)[0] == inflated + pages(600 * MIB) + pages(SMALL)


def keeps_power():
    """Can QEMU's device say that it keeps its state in the sleep?  That came with QEMU 9.1."""
    answer = subprocess.run([QEMU, "-device", f"{Q35.balloon},help"], check=True,
                            capture_output=True, text=True)
    return "x-pcie-pm-no-soft-reset=" in answer.stdout


@pytest.mark.long
@pytest.mark.any_transport
@pytest.mark.skipif(not keeps_power(),
                    reason="QEMU is older than 9.1: set QEMU= to what newer_qemu.sh says")
def test_idle_sleep_without_reset(boot):
    """The balloon keeps its pages in the sleep where its device keeps its state."""
    with boot("lasting", device="virtio-balloon,x-pcie-pm-no-soft-reset=on",
              cpus="in turn") as guest:
        since = len(guest.kernel_log())
        balloon = Balloon(guest)
        balloon.load()
        check_idle_sleep(balloon)
        assert pages_moved(guest)[0] == pages(SMALL)
        assert balloon.offline_pages() == pages(700 * MIB)
        assert not guest.alarms(since)
