# SPDX-License-Identifier: GPL-2.0
"""A guest that suspends has no balloon; after it resumes, the balloon has its target again.

After suspend to RAM the guest is in the same QEMU, which remembers the target.  After
hibernation it resumes in a new QEMU, which has no target until the host sets one.
"""

import contextlib
import re
import subprocess
import threading
import time

import pytest

from host.balloon import Balloon
from host.device import Device
from host.disk import empty
from host.guest import CommandFailed
from host.initramfs import DISK_MODULE
from host.paths import BALLOON_PAGE, MIB, QEMU
from host.qmp import Disconnected
from host.transport import Q35
from host.until import HANG_SECONDS, until

MEMORY = 1024 * MIB
SMALL = 450 * MIB  # with the data in the guest, a target at which the driver does not hold
DISK = "/dev/vda"
MANY = 10  # rounds
TRACING = "/sys/kernel/tracing"

# Device and kernel parameters; init_on_free makes the driver accept page-poison.
MACHINES = {
    "full": ("virtio-balloon-pci,deflate-on-oom=on,free-page-hint=on,iothread=thread0,"
             "page-poison=on,free-page-reporting=on", "init_on_free=1"),
    "plain": ("virtio-balloon-pci", ""),
}

# For tests that need one machine only: this one has all features.
FULL = pytest.mark.parametrize("machine", ["full"], indirect=True, scope="module")
MOVES = pytest.mark.parametrize("start, target", [(MEMORY, SMALL), (SMALL, MEMORY)],
                                ids=["inflating", "deflating"])


@pytest.fixture(scope="module", name="machine", params=list(MACHINES))
def fixture_machine(share, request):
    """A guest with a disk; each QEMU that resumes it has the same balloon device."""
    device, parameters = MACHINES[request.param]
    with empty("disk", MEMORY // MIB) as disk, \
            share(name=f"suspend-{request.param}", device=device, init_args=parameters,
                  cpus="in turn",
                  extra=("-object", "iothread,id=thread0", *disk)) as machine:
        yield machine


@pytest.fixture(name="swap_space")
def fixture_swap_space(balloon):
    """Swap space for the hibernation image."""
    balloon.guest.run(f"modprobe {DISK_MODULE} && mkswap {DISK} && swapon {DISK}")
    yield
    balloon.guest.run(f"swapoff {DISK}")


@pytest.fixture(name="given")
def fixture_given(balloon):
    """A function: bytes that tasks except the kthread gave back since its last call."""
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
    """Yield rounds to suspend in, until `times` of them were in the middle of a move of `size`."""
    for _ in range(MANY):
        given()
        yield
        times -= 0 < given() < size
        if not times:
            return
    pytest.fail(f"the balloon mostly rested when the guest suspended, {MANY} times")


@contextlib.contextmanager
def to_and_fro(balloon, margin=150 * MIB):
    """In the block the host changes each target early, so that the balloon hardly ever rests."""
    qmp = balloon.guest.qmp  # of this QEMU: the thread must not follow the guest to the next
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
    """Number of balloon pages at a target."""
    return (MEMORY - target) // BALLOON_PAGE


def pages_moved(guest):
    """Pages that have gone into and out of the balloon so far."""
    vmstat = guest.vmstat()
    return vmstat["balloon_inflate"], vmstat["balloon_deflate"]


@pytest.mark.parametrize("machine", [pytest.param("full", marks=pytest.mark.debug), "plain"],
                         indirect=True, scope="module")
def test_inflated(balloon, data):
    """The driver gives all pages back before each suspend, and takes them again afterwards."""
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
    """A suspend interrupts a move, which completes after the resume."""
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
    """A holding balloon gives its pages back, and gets as far as before after the resume."""
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
    """After the resume, the driver goes to the target that is set then."""
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
    """The host sets targets before, during and after the suspend."""
    data.fill(128 * MIB)
    with to_and_fro(balloon):
        for _ in halfway(given, MEMORY - SMALL, times=4):
            with balloon.guest.asleep():
                assert balloon.actual() == MEMORY
    balloon.reach(640 * MIB)


@FULL
def test_features_go_on(balloon):
    """Statistics and reports of free pages also work after the resume."""
    assert "free-page-reporting" in Device(balloon).features
    balloon.reach(800 * MIB)
    balloon.statistics(1)
    try:
        for _ in range(2):
            # The first statistics may be those that the driver posts at its start.
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
    """In the new QEMU the balloon stays empty until the host sets a target."""
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
    # Devices work again while the image is written, but the balloon must stay empty.
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
    """The balloon also moves in the kernel that reads the image."""
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
    """Content of a file in the power directory of the device."""
    return balloon.guest.read(f"/sys/bus/virtio/devices/{balloon.device()}/power/{name}").strip()


@pytest.fixture(name="waking")
def fixture_waking(balloon):
    """A balloon whose events may keep the guest awake, if the driver offers this."""
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
    """A target and a request for statistics keep the guest awake until they are served."""
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
    """Check that the guest serves requests of the host after suspend-to-idle."""
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
    """If the device is reset at suspend, the balloon is empty during the suspend."""
    data.fill(64 * MIB)
    inflated, _ = pages_moved(balloon.guest)
    check_idle_sleep(balloon)
    assert pages_moved(balloon.guest)[0] == inflated + pages(600 * MIB) + pages(SMALL)


def keeps_power():
    """Can QEMU's device keep its state at suspend?  QEMU 9.1 and later can."""
    answer = subprocess.run([QEMU, "-device", f"{Q35.balloon},help"], check=True,
                            capture_output=True, text=True)
    return "x-pcie-pm-no-soft-reset=" in answer.stdout


@pytest.mark.long
@pytest.mark.any_transport
@pytest.mark.skipif(not keeps_power(),
                    reason="QEMU is older than 9.1: set QEMU= to what newer_qemu.sh says")
def test_idle_sleep_without_reset(boot):
    """If the device keeps its state, the balloon keeps its pages during the suspend."""
    with boot("lasting", device="virtio-balloon,x-pcie-pm-no-soft-reset=on",
              cpus="in turn") as guest:
        since = len(guest.kernel_log())
        balloon = Balloon(guest)
        balloon.load()
        check_idle_sleep(balloon)
        assert pages_moved(guest)[0] == pages(SMALL)
        assert balloon.offline_pages() == pages(700 * MIB)
        assert not guest.alarms(since)
