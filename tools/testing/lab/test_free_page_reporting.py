# SPDX-License-Identifier: GPL-2.0
"""F_REPORTING: memory that the guest frees goes back to the host by itself."""

import pytest

from host.paths import MIB

DEVICE = "virtio-balloon,free-page-reporting=on"


@pytest.fixture(scope="module", name="machine")
def fixture_machine(reporting_machine):
    """A guest that may report."""
    return reporting_machine


@pytest.fixture(name="reporter")
def fixture_reporter(balloon, swap):
    """A balloon that reports free memory."""
    swap(DEVICE)
    return balloon


def test_freed_memory_goes_back(reporter):
    """No target changes, nothing is in the balloon: the host's memory falls anyway."""
    for _ in range(2):
        reporter.guest.use_and_free(600)
    assert reporter.actual() == reporter.guest.memory


def test_beside_an_inflated_balloon(reporter):
    """Reporting and ballooning do not disturb each other."""
    reporter.reach(700 * MIB)
    reporter.guest.use_and_free(300)
    reporter.check_accounts()
    reporter.reach(900 * MIB)
    reporter.guest.use_and_free(300)


@pytest.mark.debug
def test_data_survives_reports(reporter, data):
    """What is in use is never reported."""
    data.fill(100 * MIB)
    reporter.guest.use_and_free(200)
    data.verify()
    reporter.unload()
    data.verify()
