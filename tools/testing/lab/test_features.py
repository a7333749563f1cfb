# SPDX-License-Identifier: GPL-2.0
"""Combinations of the device's features, and unplugging while they are in use."""

import contextlib

import pytest

from host.balloon import DRIVER
from host.guest import BALLOON_ID
from host.device import OPTIONS, SUBSETS, Device
from host.paths import MIB
from host.qmp import QMPError
from host.until import until

pytestmark = pytest.mark.ours
SMALL = 384 * MIB  # what the guest can afford without its driver holding back

# Only a guest that writes to the pages it frees uses this feature, and without it such a guest
# does not report (test_page_poison.py).  So that guest gets it with each subset.
POISON = "page-poison"


@pytest.fixture(scope="module", name="poisons",
                params=[False, pytest.param(True, marks=pytest.mark.long)],
                ids=["plain", "init_on_free"])
def fixture_poisons(request):
    """Does the guest write to the pages it frees?"""
    return request.param


@pytest.fixture(scope="module", name="machine")
def fixture_machine(reporting_machine, share, poisons):
    """A guest that writes to the pages it frees, or one that does not."""
    if not poisons:
        yield reporting_machine
        return
    with share(name="features", init_args="init_on_free=1", cpus="in turn") as own:
        yield own


@pytest.fixture(name="plug")
def fixture_plug(balloon, thread, swap):
    """A function that puts a device with these features in the plain one's place."""
    def plug(features):
        device = ",".join(["virtio-balloon-pci", *(f"{name}=on" for name in sorted(features))])
        if "free-page-hint" in features:
            device += f",iothread={thread}"
        if balloon.guest.plugged:
            swap(device, "port0")
        else:
            balloon.guest.plug(device)
    return plug


@pytest.mark.parametrize("subset", SUBSETS, ids=lambda subset: "+".join(subset) or "none")
def test_subset(balloon, plug, poisons, subset):
    """The driver accepts just the offered features; moves and removal work with each subset."""
    features = {*subset, *([POISON] if poisons else [])}
    plug(features)
    balloon.reach(600 * MIB)
    assert Device(balloon).features == features | {"stats"}
    balloon.reach(800 * MIB)
    balloon.unload()
    assert balloon.actual() == balloon.guest.memory
    balloon.check_nothing_kept()
    balloon.load()
    balloon.wait(800 * MIB)
    balloon.check_accounts()


@pytest.fixture(name="everything")
def fixture_everything(balloon, plug):
    """A function that plugs a device with every feature in, and waits for its driver."""
    def everything():
        plug({*OPTIONS, POISON})
        balloon.reach(900 * MIB)
        assert Device(balloon).features == {*OPTIONS, POISON, "stats"}
    everything()
    return everything


with_everything = pytest.mark.parametrize("poisons", [True], indirect=True,
                                          ids=["every-feature"])


@with_everything
def test_unplug_while_inflating(balloon, everything):
    """device_del in the middle of inflation."""
    for _ in range(3):
        balloon.start(SMALL)
        balloon.guest.unplug()
        balloon.check_nothing_kept()
        everything()


@pytest.mark.debug
@with_everything
def test_unplug_while_reporting(balloon, everything, data):
    """device_del in the middle of reports of memory that a process has freed."""
    guest = balloon.guest
    data.fill(64 * MIB)
    for _ in range(2):
        device = Device(balloon)
        guest.run("memtool fill /data/freed 120 9")
        since = device.queue("free-page-reporting").used
        guest.run("rm /data/freed")
        device.wait_used("free-page-reporting", since, 1)
        guest.unplug()
        balloon.check_nothing_kept()
        data.verify()
        everything()
    guest.run("memtool zeroes 128")


@contextlib.contextmanager
def hinting(balloon):
    """In the block, hints for a migration are under way.  Its end cancels the migration.

    The rate is at least 10 bytes a second: QEMU takes a lower one as no limit.
    """
    guest, device = balloon.guest, Device(balloon)
    free = guest.meminfo()["MemFree"]
    since = device.queue("free-page-hint").used
    with guest.destination() as uri:
        guest.qmp.execute("migrate-set-parameters", **{"max-bandwidth": 65536})
        guest.qmp.execute("migrate", uri=uri)
        device.wait_used("free-page-hint", since, 32)
        assert guest.meminfo()["MemFree"] < free - 64 * MIB, "nothing is lent"
        yield
        guest.qmp.execute("migrate_cancel")
        # QEMU sends no event unless it was asked for events before.
        until(lambda: guest.qmp.execute("query-migrate")["status"] == "cancelled",
              "the migration is called off")


def remove_driver(balloon):
    """modprobe -r; lent memory must be free at once."""
    free = balloon.guest.meminfo()["MemFree"]
    balloon.unload()
    assert balloon.guest.meminfo()["MemFree"] > free + 64 * MIB


def remove_device(balloon):
    """The guest removes the PCI device by itself; lent memory must be free at once."""
    free = balloon.guest.meminfo()["MemFree"]
    link = f"{DRIVER}/{balloon.device()}"
    balloon.guest.run(f"echo 1 > $(realpath {link}/..)/remove")
    assert balloon.guest.meminfo()["MemFree"] > free + 64 * MIB


@with_everything
@pytest.mark.parametrize("act", [lambda _: None, remove_driver, remove_device],
                         ids=["called-off", "driver-removed", "device-removed"])
def test_unplug_while_hinting(balloon, everything, data, act):
    """Hints end halfway; QEMU refuses device_del until the migration is cancelled."""
    guest = balloon.guest
    balloon.deflate()
    data.fill(100 * MIB)
    free = guest.meminfo()["MemFree"]
    with hinting(balloon):
        with pytest.raises(QMPError, match="while migrating"):
            guest.qmp.execute("device_del", id=BALLOON_ID)
        act(balloon)
    guest.unplug()
    balloon.check_nothing_kept()
    assert guest.meminfo()["MemFree"] > free - 32 * MIB
    data.verify()
    balloon.load()
    everything()
