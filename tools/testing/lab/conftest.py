# SPDX-License-Identifier: GPL-2.0
"""Fixtures of the guest tests.

One guest serves all tests.  Each test finds the guest with the module loaded, an
empty balloon and a plain device, and leaves it so.  A guest that died is replaced, so
that one failure does not hide the results of other tests.
"""

import contextlib
import os
import random
import re

import pytest

from host import transport
from host.checked import CheckedBalloon, Data
from host.chosen import KERNEL, PEER, SEED, TRANSPORT, WORKER
from host.guest import GuestDied
from host.machine import Boot, Machine
from host.paths import BUILD
from host.qmp import Disconnected


def pytest_configure(config):
    """Declare the marks."""
    config.addinivalue_line("markers", "logs(pattern): a kernel message that the test provokes")
    config.addinivalue_line("markers", "ours: about what the kernel's own module does not have")
    config.addinivalue_line("markers", "needs(what): not there on every board of host/transport.py")
    config.addinivalue_line("markers", "debug(only): run in the debug kernel, too, by make check; "
                            "with the word \"only\" in no other")
    config.addinivalue_line("markers", "any_transport: says nothing new on another transport")
    config.addinivalue_line("markers", "long: takes minutes, or another QEMU; only with LONG=1")


def pytest_report_header():
    """Print what is tested, and how to repeat the random parts."""
    return (f"kernel {KERNEL}, module: {PEER}, transport: {TRANSPORT.name}, "
            f"random targets: SEED={SEED}")


def pytest_collection_modifyitems(config, items):
    """Skip tests that this module or machine cannot run; leave out tests that are for others."""
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
    """If a guest was lost, show the last lines of the guest and of QEMU."""
    outcome = yield
    if call.excinfo and call.excinfo.errisinstance((GuestDied, Disconnected)):
        logs = sorted(BUILD.glob(f"guest/{WORKER}-*/*.log"), key=lambda path: path.stat().st_mtime)
        for log in logs[-2:]:
            last = log.read_text(errors="replace").splitlines()[-60:]
            outcome.get_result().sections.append((log.parent.name + "/" + log.name,
                                                  "\n".join(last)))


@pytest.fixture(scope="session", name="boot")
def fixture_boot():
    """A function that boots a guest and returns it, see host/machine.py."""
    return Boot()


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
    """The guest of modules whose devices take reports of free pages."""
    with share(name="reporting", cpus="in turn") as machine:
        yield machine


@pytest.fixture(name="guest")
def fixture_guest(machine, request):
    """The guest, whose kernel log must have no alarming line after the test.

    A test that needs a certain transport passes its name as a parameter:
    @pytest.mark.parametrize("guest", names, indirect=True).
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


@pytest.fixture(name="balloon")
def fixture_balloon(guest):
    """An empty balloon, module loaded; the balloon must also get empty after the test."""
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


@pytest.fixture(name="thread")
def fixture_thread(guest):
    """Name of an I/O thread of QEMU that can serve hints."""
    guest.qmp.execute("object-add", **{"qom-type": "iothread", "id": "hints"})
    yield "hints"
    guest.qmp.execute("object-del", id="hints")


@pytest.fixture(name="reserve")
def fixture_reserve(balloon, swap):
    """A balloon that gives memory back under pressure."""
    swap("virtio-balloon,deflate-on-oom=on")
    yield balloon
    balloon.set(balloon.guest.memory)
    balloon.wait(balloon.guest.memory)


@pytest.fixture(name="rng")
def fixture_rng(request):
    """Random numbers of this test; they depend only on SEED."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(name="data")
def fixture_data(balloon):
    """Data that must be intact at the end of the test, and again with an empty balloon."""
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
