# SPDX-License-Identifier: GPL-2.0
"""The guest's data, and the memory that the host gets."""

from host.paths import MIB

MEMORY = 1024 * MIB
SMALL = 384 * MIB  # a target at which the driver does not hold


def test_data_survives(balloon, data):
    """The data survives while the balloon takes all other memory, and moves."""
    balloon.reach(768 * MIB)
    data.fill_but(192 * MIB)
    for target in (740 * MIB, 900 * MIB, 736 * MIB + 4096, 1000 * MIB):
        balloon.reach(target)
        data.verify()


def test_host_memory_follows(balloon):
    """Inflation frees the host's memory; deflation lets the guest use it again."""
    guest = balloon.guest
    guest.run("memtool touch 128")
    full = guest.rss()
    balloon.reach(SMALL)
    small = guest.rss()
    balloon.deflate()
    guest.run("memtool touch 128")
    again = guest.rss()
    moved = MEMORY - SMALL
    # Memory that the guest did not touch was never resident, hence the 128 MiB.
    assert full - small > moved - 128 * MIB - 32 * MIB
    assert again - small > moved - 128 * MIB - 32 * MIB
    assert small < SMALL + 192 * MIB


def test_vmstat_counts(balloon):
    """balloon_inflate and balloon_deflate count each page once."""
    before = balloon.guest.vmstat()
    balloon.reach(512 * MIB)
    balloon.deflate()
    after = balloon.guest.vmstat()
    for name in ("balloon_inflate", "balloon_deflate"):
        assert after[name] - before[name] == 512 * MIB // 4096
