# SPDX-License-Identifier: GPL-2.0
"""Module and device come and go, and no page is lost."""

import pytest

from host.paths import MIB

MEMORY = 1024 * MIB
SMALL = 512 * MIB  # a target that the guest can afford, also in the debug kernel


def test_remove_and_load(balloon, data):
    """modprobe -r returns all pages, the next modprobe takes them again."""
    data.fill(128 * MIB)
    balloon.reach(512 * MIB)
    balloon.unload()
    assert balloon.actual() == MEMORY
    balloon.check_nothing_kept()
    balloon.load()
    balloon.wait(512 * MIB)
    balloon.check_accounts()


@pytest.mark.debug
@pytest.mark.parametrize("start, target", [(MEMORY, SMALL), (SMALL, MEMORY)],
                         ids=["inflating", "deflating"])
def test_remove_while_moving(balloon, start, target):
    """modprobe -r in the middle of a move, three times; then the move completes."""
    for _ in range(3):
        balloon.reach(start)
        balloon.start(target)
        balloon.unload()
        balloon.check_nothing_kept()
        balloon.load()
        balloon.wait(target)
        balloon.check_accounts()


@pytest.fixture(name="replugged")
def fixture_replugged(balloon):
    """A balloon whose device the test may remove."""
    yield balloon
    if not balloon.guest.plugged:
        balloon.guest.plug()


@pytest.mark.debug
@pytest.mark.needs("hotplug")
def test_unplug(replugged):
    """device_del of a full balloon returns all pages; a new device works."""
    replugged.reach(512 * MIB)
    replugged.guest.unplug()
    replugged.check_nothing_kept()
    replugged.guest.plug()
    replugged.reach(700 * MIB)


@pytest.mark.debug
@pytest.mark.needs("hotplug")
def test_unplug_while_inflating(replugged):
    """device_del in the middle of inflation causes no hang and loses no page."""
    for _ in range(3):
        replugged.start(SMALL)
        replugged.guest.unplug()
        replugged.check_nothing_kept()
        replugged.guest.plug()
        replugged.reach(900 * MIB)


@pytest.mark.needs("hotplug")
def test_unplug_without_driver(replugged):
    """The device goes and comes while no module is loaded."""
    replugged.unload()
    replugged.guest.unplug()
    replugged.guest.plug()
    replugged.load()
    replugged.reach(800 * MIB)


@pytest.mark.debug
@pytest.mark.ours
def test_readers_race_with_removal(balloon):
    """Ten seconds of reading sysfs while the module is removed and loaded."""
    guest = balloon.guest
    balloon.reach(900 * MIB)
    reader = guest.spawn("attrreader 10 '/sys/bus/virtio/devices/virtio*/balloon/*'")
    rounds = 0
    while not reader.ended(0):
        balloon.unload()
        balloon.load()
        rounds += 1
    print(f"{rounds} rounds: {reader.wait()}")
    assert rounds > 1
    balloon.wait(900 * MIB)
    balloon.check_accounts()
