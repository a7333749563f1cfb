# SPDX-License-Identifier: GPL-2.0
"""Balloon pages do not stand in compaction's way."""

import contextlib

import pytest

from host.paths import MIB

# A pass may end early, at the position of a pass that the kernel began by itself.
PASSES = 5
ROUNDS = 5


@contextlib.contextmanager
def endless_compaction(guest):
    """Compact memory again and again in the background."""
    with guest.job("while echo 1 > /proc/sys/vm/compact_memory; do :; done") as job:
        yield
        assert job.status is None, f"compaction ended by itself: {job.output}"


def test_blocks_stay_with_the_guest(balloon):
    """In a fragmented guest the driver takes single pages: page tables need larger blocks."""
    guest = balloon.guest
    with guest.job("memtool fragment 128") as holder:
        holder.wait_output("holding")
        before = guest.free_huge_blocks()
        balloon.reach(864 * MIB)
        after = guest.free_huge_blocks()
    print(f"free 2 MiB blocks: {before}, then {after}")
    assert before > 30
    assert after > before // 2


@pytest.mark.debug
def test_huge_blocks_come_back(balloon, data):
    """Compaction gathers scattered pages, by the kernel itself or on request."""
    guest = balloon.guest
    data.fill(32 * MIB)
    migrated = guest.vmstat()["balloon_migrate"]
    balloon.scatter(864 * MIB)
    before = guest.free_huge_blocks()
    for _ in range(PASSES):
        guest.write("/proc/sys/vm/compact_memory", "1")
        guest.shrink_per_cpu_lists()
    moved = guest.vmstat()["balloon_migrate"] - migrated
    after = guest.free_huge_blocks()
    print(f"{moved} pages migrated; free 2 MiB blocks: {before}, then {after}")
    assert moved > 1000
    assert after > before + 100
    balloon.check_accounts()


def test_against_moving_targets(balloon, data, rng):
    """Rounds of scattering, compaction and changing targets lose no page."""
    guest = balloon.guest
    data.fill(128 * MIB)
    migrated = guest.vmstat()["balloon_migrate"]
    for _ in range(ROUNDS):
        balloon.scatter(rng.randrange(864 * MIB, 928 * MIB))
        with endless_compaction(guest):
            for _ in range(4):
                balloon.start(rng.randrange(600 * MIB, 900 * MIB))
            final = rng.randrange(600 * MIB, 900 * MIB)
            balloon.set(final)
            balloon.wait(final)
        balloon.check_accounts()
        data.verify()
        balloon.deflate()
    assert guest.vmstat()["balloon_migrate"] > migrated
