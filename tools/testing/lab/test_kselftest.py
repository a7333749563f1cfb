# SPDX-License-Identifier: GPL-2.0
"""The kselftest of the series, in a guest with a balloon and on machines without one."""

import re
from pathlib import Path

import pytest

from host import kselftest
from host.balloon import DRIVER
from host.guest import CommandFailed
from host.paths import MIB

HALF = 512 * MIB
RESULT = re.compile(r"^(ok|not ok) \d+ (.*)$", re.MULTILINE)

pytestmark = pytest.mark.ours


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A guest that also has the programs of the kselftest."""
    with share(name="kselftest", programs=kselftest.build()) as machine:
        yield machine


def results(output):
    """Parse TAP: return each test and the reason of a skip; check that no test failed."""
    found = RESULT.findall(output)
    assert found, output
    assert not [test for result, test in found if result != "ok"], output
    return {test.partition(" # SKIP ")[0]: test.partition(" # SKIP ")[2] for _, test in found}


@pytest.mark.debug
@pytest.mark.parametrize("program", kselftest.PROGRAMS)
def test_half_of_memory(balloon, program):
    """Every test passes, and none is skipped."""
    balloon.reach(HALF)
    skipped = results(balloon.guest.run(program))
    print("\n".join(skipped))
    assert not any(skipped.values()), skipped
    balloon.reach(HALF)


def test_reserve(reserve):
    """Memory of a balloon with deflate-on-oom stays in MemTotal."""
    reserve.reach(HALF)
    assert not any(results(reserve.guest.run("balloon_memory")).values())


def test_empty_balloon(balloon):
    """Tests that need pages in the balloon skip with a reason."""
    skipped = results(balloon.guest.run("balloon_memory"))
    assert {name.partition(".")[2] for name, reason in skipped.items() if reason} == {
        "compaction_keeps_its_size", "returned_memory_is_zero"}
    assert set(skipped.values()) == {"", "the balloon is empty"}


@pytest.mark.needs("hotplug")
@pytest.mark.parametrize("program", kselftest.PROGRAMS)
def test_no_balloon(balloon, program):
    """In a guest without the device each test skips."""
    guest = balloon.guest
    guest.unplug()
    try:
        with pytest.raises(CommandFailed) as skip:
            guest.run(program)
    finally:
        guest.plug()
    assert skip.value.status == kselftest.SKIPPED
    assert "1..0 # SKIP no device is bound to virtio_balloon" in skip.value.output


@pytest.mark.any_transport
def test_where_it_is_mailed():
    """`make run_tests` in the kernel's tree on the host builds the tests and skips."""
    if list(Path(DRIVER).glob("virtio*/balloon")):
        pytest.skip("the host's own balloon has our driver: its pages are not for a test")
    output = kselftest.make("run_tests")
    for number, program in enumerate(kselftest.PROGRAMS, start=1):
        assert (f"ok {number} selftests: {kselftest.TARGET}: {program} # SKIP"
                in output.splitlines()), output
