# SPDX-License-Identifier: GPL-2.0
"""The balloon goes where the host says."""

import pytest

from host.paths import MIB
from host.qmp import QMPError

MEMORY = 1024 * MIB
SMALL = 384 * MIB  # what the guest can afford without its driver holding back


@pytest.mark.parametrize("target", [
    512 * MIB,
    SMALL,
    1023 * MIB,
    MEMORY - 4096,
    MEMORY - 2 * MIB,
    MEMORY - 2 * MIB - 4096,
    777 * MIB + 13 * 4096,
    300 * MIB + 2 * MIB - 4096,
])
def test_reaches_target(balloon, target):
    """Down to a size and up again, every page accounted for at both ends."""
    balloon.reach(target)
    assert balloon.actual() == target
    balloon.deflate()


@pytest.mark.parametrize("missing", [1, 4095, 4097, 8191, MEMORY - 700000001])
def test_moves_whole_pages_only(balloon, missing):
    """A target between two pages is the page boundary above it."""
    balloon.reach(MEMORY - missing)
    assert balloon.actual() == MEMORY - missing // 4096 * 4096


def test_byte_by_byte(balloon):
    """Targets a byte apart, across a page boundary, in both directions."""
    balloon.reach(512 * MIB)
    for target in [512 * MIB + n for n in (1, 2, 3, 4095, 4096, 4097, 4096, 4095, 1, 0, -1)]:
        balloon.reach(target)


def test_target_of_all_memory(balloon):
    """The whole memory as target: nothing to do, then everything to give back."""
    balloon.reach(MEMORY)
    balloon.reach(600 * MIB)
    balloon.reach(MEMORY)


def test_target_beyond_memory(balloon):
    """More than there is means all there is."""
    balloon.reach(600 * MIB)
    balloon.reach(3 * MEMORY)
    assert balloon.actual() == MEMORY


def test_target_of_zero_is_refused(balloon):
    """QEMU takes no zero; the balloon stays where it is and goes on working."""
    balloon.reach(700 * MIB)
    with pytest.raises(QMPError):
        balloon.set(0)
    assert balloon.actual() == 700 * MIB
    balloon.reach(800 * MIB)


@pytest.mark.ours
def test_target_of_one_byte(balloon):
    """What cannot be had is approached; the guest lives, and gets all of it back."""
    balloon.set(1)
    balloon.wait_state("holding")
    assert balloon.actual() < 512 * MIB
    balloon.deflate()
    balloon.guest.run("true")


@pytest.mark.debug
def test_target_changes_halfway(balloon, data, rng):
    """Twenty targets, each set while the balloon is on its way to the last.

    All of them can be afforded, be it that KASAN takes 200 MiB for itself.
    """
    data.fill(64 * MIB)
    for _ in range(20):
        balloon.start(rng.randrange(550 * MIB, MEMORY))
    balloon.reach(640 * MIB)


@pytest.mark.debug
def test_turns_round(balloon):
    """Inflation that is called off ends where it was told to, not at the old target."""
    balloon.start(SMALL)
    balloon.reach(MEMORY)
    balloon.start(SMALL)
    balloon.reach(900 * MIB)


def test_event_agrees_with_query(balloon):
    """The last BALLOON_CHANGE says what query-balloon says."""
    qmp = balloon.guest.qmp
    for target in (600 * MIB, 900 * MIB, 512 * MIB):
        since = len(qmp.events)
        balloon.reach(target)
        event, _ = qmp.wait_event("BALLOON_CHANGE", since, timeout=60,
                                  matching=lambda data, size=target: data["actual"] == size)
        assert event, "no BALLOON_CHANGE with the final size"
        assert balloon.actual() == target
