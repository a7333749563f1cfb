# SPDX-License-Identifier: GPL-2.0
"""Fixtures of the guest tests.

One guest serves all tests; each finds it with the module loaded, an empty
balloon and a plain device in place, and leaves it so.  Only a guest that died
is replaced, so that one failure does not hide what the other tests say.
"""

import contextlib
import functools
import os
import random
import re
import time
import warnings

import pytest

from host import accel, initramfs, kernel, module, transport
from host.balloon import Balloon
from host.device import Device
from host.guest import HANG_SECONDS, Guest, GuestDied
from host.paths import BUILD, MIB, newest_kernel
from host.qmp import Disconnected

PEER = os.environ.get("PEER") or "ours"
# A release that is installed, or one of kernel.BUILT.
KERNEL = os.environ.get("KERNEL") or newest_kernel()
RELEASE = newest_kernel() if KERNEL in kernel.BUILT else KERNEL
TRANSPORT = transport.chosen()
MEMORY = 1024  # MiB of the guest
# In the environment, so that it is the same in every process of pytest-xdist.
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
os.environ["SEED"] = str(SEED)
# Of those that run at the same time.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
if KERNEL in kernel.BUILT:
    WORKER = f"{KERNEL}-{WORKER}"


def pytest_configure(config):
    """Declare our marks."""
    config.addinivalue_line("markers", "logs(pattern): a kernel message that the test provokes")
    config.addinivalue_line("markers", "ours: about what the kernel's own module does not have")
    config.addinivalue_line("markers", "needs(what): not there on every board of host/transport.py")
    config.addinivalue_line("markers", "debug(only): run in the debug kernel, too, by make check; "
                            "with the word \"only\" in no other")
    config.addinivalue_line("markers", "any_transport: says nothing new on another transport")
    config.addinivalue_line("markers", "long: takes minutes, or another QEMU; only with LONG=1")


def pytest_report_header():
    """Say what is tested, and how to repeat the random parts."""
    return (f"kernel {KERNEL}, module: {PEER}, transport: {TRANSPORT.name}, "
            f"random targets: SEED={SEED}")


def pytest_collection_modifyitems(config, items):
    """Skip what module or machine do not have; leave out what is for others."""
    elsewhere = []
    if TRANSPORT is not transport.MODERN:
        elsewhere += [item for item in items if item.get_closest_marker("any_transport")]
    if not os.environ.get("LONG"):
        elsewhere += [item for item in items if item.get_closest_marker("long")]
    if KERNEL != "debug":
        elsewhere += [item for item in items
                      if any("only" in mark.args for mark in item.iter_markers("debug"))]
    if elsewhere:
        items[:] = [item for item in items if item not in elsewhere]
        config.hook.pytest_deselected(items=elsewhere)
    for item in items:
        needed = {mark.args[0] for mark in item.iter_markers("needs")}
        if "swap" in item.fixturenames:
            needed.add("hotplug")
        for what in needed.intersection(TRANSPORT.board.lacks):
            item.add_marker(pytest.mark.skip(
                reason=f"TRANSPORT={TRANSPORT.name}: QEMU's {TRANSPORT.board.name} has no {what}"))
    if PEER == "stock":
        skip = pytest.mark.skip(reason="PEER=stock")
        for item in items:
            if item.get_closest_marker("ours"):
                item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call):
    """Where a guest was lost, show what it and QEMU said last."""
    outcome = yield
    if call.excinfo and call.excinfo.errisinstance((GuestDied, Disconnected)):
        logs = sorted(BUILD.glob(f"guest/{WORKER}-*/*.log"), key=lambda path: path.stat().st_mtime)
        for log in logs[-2:]:
            last = log.read_text(errors="replace").splitlines()[-60:]
            outcome.get_result().sections.append((log.parent.name + "/" + log.name,
                                                  "\n".join(last)))


@pytest.fixture(scope="session", name="boot")
def fixture_boot():
    """A function that boots a guest and returns it.

    build: a kernel of configs/ to boot.  programs: paths of those that only this guest has.
    """
    accelerator = accel.choose(RELEASE)
    print(f"accelerator: {accelerator.name} ({accelerator.reason})")

    @functools.cache
    def system(name, programs):
        if name in kernel.BUILT:
            built = kernel.build(name)
            return built, initramfs.build(built, "stock", programs)  # its own is ours
        if PEER == "ours":
            module.build(name)
        installed = kernel.installed(name)
        return installed, initramfs.build(installed, PEER, programs)

    def boot(name="test", build=KERNEL, programs=(), **options):
        return Guest(f"{WORKER}-{name}", *system(build, programs), accelerator,
                     **{"memory": MEMORY, "transport": TRANSPORT, **options})
    return boot


class Machine:
    """A guest that tests share."""

    def __init__(self, boot, name="test", build=KERNEL, **options):
        self._boot = functools.partial(boot, build=build, **options)
        self._build = build
        self._name = name
        self._guest = None
        self._count = 0  # of boots; each has its own log

    def guest(self, wanted=TRANSPORT):
        """The running guest; a new one where there is none, or none that could have `wanted`."""
        if self._guest and self._guest.transport.board != wanted.board:
            self.end()
        if self._guest is None:
            self._count += 1
            name = f"{self._name}-{self._count}" if self._count > 1 else self._name
            try:
                self._guest = self._boot(name, transport=wanted).__enter__()
            except GuestDied as error:
                if self._build in kernel.BUILT:  # from the series: some of its lines are ours
                    raise
                # Debian's kernel, no module yet: QEMU's emulation is not always up to that.
                warnings.warn(f"{name}: booted once more: {error}")
                self._guest = self._boot(name, transport=wanted).__enter__()
            self._guest.whole = self._guest.meminfo()["MemTotal"]
        return self._guest

    def discard(self):
        """End a guest that is of no more use."""
        self._guest.kill()
        self._guest = None

    def end(self):
        """Let the guest power off, as any guest does: balloon and all."""
        if self._guest is not None:
            guest, self._guest = self._guest, None
            guest.power_off()


@pytest.fixture(scope="session", name="share")
def fixture_share(boot):
    """A context manager: a guest to share, booted with these options."""
    @contextlib.contextmanager
    def share(**options):
        machine = Machine(boot, **options)
        try:
            yield machine
        except BaseException:
            if machine.guest():
                machine.discard()
            raise
        machine.end()
    return share


@pytest.fixture(scope="session", name="machine")
def fixture_machine(share):
    """The guest of the session; a module may have one of its own in its place."""
    with share() as machine:
        yield machine


@pytest.fixture(scope="session", name="reporting_machine")
def fixture_reporting_machine(share):
    """The guest of those modules whose devices take reports of free pages."""
    with share(name="reporting", cpus="in turn") as machine:
        yield machine


@pytest.fixture(name="guest")
def fixture_guest(machine, request):
    """The guest, whose kernel log must hold nothing alarming after the test.

    A test that wants another transport than the chosen one has its name for
    parameter: @pytest.mark.parametrize("guest", names, indirect=True).
    """
    wanted = transport.TRANSPORTS[getattr(request, "param", TRANSPORT.name)]
    guest = machine.guest(wanted)
    since = len(guest.kernel_log())
    try:
        guest.move_to(wanted)
    except Exception:
        machine.discard()
        raise
    provoked = [mark.args[0] for mark in request.node.iter_markers("logs")]
    yield guest
    try:
        alarms = [a for a in guest.alarms(since)
                  if not any(re.search(pattern, a.text) for pattern in provoked)]
    except Exception:
        machine.discard()
        raise
    assert not alarms, "kernel log:\n" + "\n".join(map(str, alarms))


class CheckedBalloon(Balloon):
    """A balloon whose every page can be asked for."""

    def check_accounts(self):
        """Device, MemTotal and page flags agree on the balloon's size.

        A page that replaced another is marked once the host has acknowledged it, which no
        count or state tells: one that never is fails this in the end.
        """
        deadline = time.monotonic() + HANG_SECONDS
        while True:
            actual, marked, missing = self.unmoved(lambda: (
                self.actual(), self.marked_pages() * 4096 - self.at_hand(),
                self.guest.whole - self.guest.meminfo()["MemTotal"]), self.rests)
            ballooned = self.guest.memory - actual
            if marked >= ballooned or time.monotonic() > deadline:
                break
        # What the guest may take back whenever it likes is not gone (virtio 1.2, 5.5.6).
        stays = ballooned and "deflate-on-oom" in Device(self).features
        gone = 0 if stays else ballooned
        assert (marked, missing) == (ballooned, gone), \
            f"bytes: {ballooned} in the balloon, {marked} PG_offline, {missing} gone from MemTotal"

    def at_hand(self):
        """What is marked and not in the balloon, as the guest has it back when it needs it."""
        return sum(int(self.attribute(name) or 0) for name in ("on_trial_kib", "lent_kib")) * 1024

    def check_nothing_kept(self):
        """With no driver every page is the guest's again."""
        assert self.offline_pages() == 0
        assert self.guest.meminfo()["MemTotal"] == self.guest.whole

    def reach(self, target):
        """Reach the target and check that every page is accounted for."""
        super().reach(target)
        if PEER == "ours":
            # One that was loaded a moment ago may still be on its way back from an older target.
            self.wait_state("idle")
            self.wait(target)
        self.check_accounts()


@pytest.fixture(name="balloon")
def fixture_balloon(guest):
    """An empty balloon, module loaded; whatever the test did, it must be able to end so."""
    balloon = CheckedBalloon(guest)
    balloon.load()
    yield balloon
    balloon.load()
    balloon.deflate()


@pytest.fixture(name="swap")
def fixture_swap(balloon):
    """A function that puts another balloon device in the plain one's place."""
    def swap(device, bus=None):
        balloon.guest.unplug()
        balloon.guest.plug(device, bus)
    yield swap
    balloon.guest.unplug()
    balloon.guest.plug()


@pytest.fixture(name="reserve")
def fixture_reserve(balloon, swap):
    """A balloon that lets go under pressure."""
    swap("virtio-balloon,deflate-on-oom=on")
    yield balloon
    balloon.set(balloon.guest.memory)
    balloon.wait(balloon.guest.memory)


@pytest.fixture(name="rng")
def fixture_rng(request):
    """Random numbers of this test's own, the same for the same SEED."""
    return random.Random(f"{SEED} {request.node.name}")


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
        """Fill the memory that is available now but for `keep` bytes."""
        self.fill(self._guest.meminfo()["MemAvailable"] - keep)

    def verify(self):
        """Check every page."""
        for number, size in self._files.items():
            self._guest.run(f"memtool verify /data/{number} {size} {number}")


@pytest.fixture(name="data")
def fixture_data(balloon):
    """Data that must be intact when the test ends, and with an empty balloon after it."""
    data = Data(balloon.guest)
    yield data
    try:
        data.verify()
        balloon.load()
        balloon.deflate()
        data.verify()
    finally:
        balloon.guest.run("rm -f /data/*")


@pytest.fixture(name="ballast")
def fixture_ballast(balloon):
    """300 MiB that the guest cannot do without."""
    balloon.guest.run("memtool fill /data/ballast 300 1")
    yield
    balloon.deflate()
    balloon.guest.run("memtool verify /data/ballast 300 1 && rm /data/ballast")
