# SPDX-License-Identifier: GPL-2.0
"""The balloon moves to the targets of the host."""

import pytest

from host.paths import MIB
from host.qmp import QMPError

MEMORY = 1024 * MIB
SMALL = 384 * MIB  # a target at which the driver does not hold


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
    """Inflation to a target and deflation; each page is accounted for after both."""
    balloon.reach(target)
    assert balloon.actual() == target
    balloon.deflate()


@pytest.mark.parametrize("missing", [1, 4095, 4097, 8191, MEMORY - 700000001])
def test_moves_whole_pages_only(balloon, missing):
    """For a target between two pages, the guest keeps the whole page."""
    balloon.reach(MEMORY - missing)
    assert balloon.actual() == MEMORY - missing // 4096 * 4096


def test_byte_by_byte(balloon):
    """Targets a byte apart, across a page boundary, in both directions."""
    balloon.reach(512 * MIB)
    for target in [512 * MIB + n for n in (1, 2, 3, 4095, 4096, 4097, 4096, 4095, 1, 0, -1)]:
        balloon.reach(target)


def test_target_of_all_memory(balloon):
    """A target of all memory leaves the balloon empty, or empties it."""
    balloon.reach(MEMORY)
    balloon.reach(600 * MIB)
    balloon.reach(MEMORY)


def test_target_beyond_memory(balloon):
    """A target above the guest's memory means all memory."""
    balloon.reach(600 * MIB)
    balloon.reach(3 * MEMORY)
    assert balloon.actual() == MEMORY


def test_target_of_zero_is_refused(balloon):
    """QEMU refuses zero; the balloon keeps its size and goes on working."""
    balloon.reach(700 * MIB)
    with pytest.raises(QMPError):
        balloon.set(0)
    assert balloon.actual() == 700 * MIB
    balloon.reach(800 * MIB)


@pytest.mark.ours
def test_target_of_one_byte(balloon):
    """The driver moves towards an impossible target; the guest survives and gets all back."""
    balloon.set(1)
    balloon.wait_state("holding")
    assert balloon.actual() < 512 * MIB
    balloon.deflate()
    balloon.guest.run("true")


@pytest.mark.debug
def test_target_changes_halfway(balloon, data, rng):
    """Twenty targets, each set while the balloon moves to the last one.

    The guest can afford all of them, also if KASAN takes 200 MiB.
    """
    data.fill(64 * MIB)
    for _ in range(20):
        balloon.start(rng.randrange(550 * MIB, MEMORY))
    balloon.reach(640 * MIB)


@pytest.mark.debug
def test_turns_round(balloon):
    """A new target during inflation replaces the old one."""
    balloon.start(SMALL)
    balloon.reach(MEMORY)
    balloon.start(SMALL)
    balloon.reach(900 * MIB)


def test_event_agrees_with_query(balloon):
    """The last BALLOON_CHANGE has the same size as query-balloon."""
    qmp = balloon.guest.qmp
    for target in (600 * MIB, 900 * MIB, 512 * MIB):
        since = len(qmp.events)
        balloon.reach(target)
        event, _ = qmp.wait_event("BALLOON_CHANGE", since, timeout=60,
                                  matching=lambda data, size=target: data["actual"] == size)
        assert event, "no BALLOON_CHANGE with the final size"
        assert balloon.actual() == target
