# SPDX-License-Identifier: GPL-2.0
"""F_REPORTING: memory that the guest frees goes back to the host by itself."""

import pytest

from host.paths import MIB

DEVICE = "virtio-balloon,free-page-reporting=on"


@pytest.fixture(name="reporter")
def fixture_reporter(balloon, swap):
    """A balloon that reports free memory."""
    swap(DEVICE)
    return balloon


def use_and_free(guest, size):
    """The host gets most of what a process of the guest used."""
    guest.run(f"memtool fill /data/used {size} 1")
    full = guest.rss()
    guest.run("rm /data/used")
    guest.wait_rss_below(full - size * MIB * 8 // 10)


def test_freed_memory_goes_back(reporter):
    """No target changes, nothing is in the balloon: the host's memory falls anyway."""
    for _ in range(2):
        use_and_free(reporter.guest, 600)
    assert reporter.actual() == reporter.guest.memory


def test_beside_an_inflated_balloon(reporter):
    """Reporting and ballooning do not disturb each other."""
    reporter.reach(700 * MIB)
    use_and_free(reporter.guest, 300)
    reporter.check_accounts()
    reporter.reach(900 * MIB)
    use_and_free(reporter.guest, 300)


def test_data_survives_reports(reporter, data):
    """What is in use is never reported."""
    data.fill(300 * MIB)
    use_and_free(reporter.guest, 400)
    data.verify()
    reporter.unload()
    data.verify()
