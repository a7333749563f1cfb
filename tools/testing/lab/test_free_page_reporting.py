# SPDX-License-Identifier: GPL-2.0
"""F_REPORTING: memory that the guest frees goes back to the host without a target."""

import pytest

from host.paths import MIB

DEVICE = "virtio-balloon,free-page-reporting=on"


@pytest.fixture(scope="module", name="machine")
def fixture_machine(reporting_machine):
    """A guest that can report free memory."""
    return reporting_machine


@pytest.fixture(name="reporter")
def fixture_reporter(balloon, swap):
    """A balloon that reports free memory."""
    swap(DEVICE)
    return balloon


def test_freed_memory_goes_back(reporter):
    """With an empty balloon and no new target, the guest's memory on the host shrinks."""
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
    """The guest never reports memory in use."""
    data.fill(100 * MIB)
    reporter.guest.use_and_free(200)
    data.verify()
    reporter.unload()
    data.verify()
