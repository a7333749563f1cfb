# SPDX-License-Identifier: GPL-2.0
"""The module goes while the balloon moves, on kernels that do not preempt.

With preempt=none a kthread that loops in the kernel keeps its CPU.  The kernel then
reports a soft lockup, which ends the guest here.  Unregistering page reporting waits
for all CPUs, so a second CPU does not help.

The guest's clock counts instructions, so a busy host does not change the results.
"""

import re
from typing import NamedTuple

import pytest

from host.paths import MIB

MEMORY = 1024 * MIB
SMALL = 768 * MIB
ROUNDS = 10
PEER_ROUNDS = 3
PART = 32 * MIB  # of a move, before the module is removed
SLOWER = 1.0  # seconds more than the kernel's own module
DYING_CPU = 0.050  # seconds
TRACING = "/sys/kernel/tracing"
RUNTIME = f"{TRACING}/events/sched/sched_stat_runtime"

# A guest with a soft lockup ends at once, so that the test need not wait.
ARGUMENTS = "preempt=none softlockup_panic=1 schedstats=enable"
MACHINES = {"one": "nr_cpus=1", "two": ""}

pytestmark = [pytest.mark.any_transport, pytest.mark.ours]


@pytest.fixture(scope="module", name="machine", params=list(MACHINES))
def fixture_machine(share, request):
    """A guest that reports free pages; the parameter is its number of CPUs."""
    with share(name=f"removal-{request.param}", device="virtio-balloon,free-page-reporting=on",
               init_args=f"{ARGUMENTS} {MACHINES[request.param]}", cpus="counted") as machine:
        yield machine


@pytest.fixture(name="traced")
def fixture_traced(balloon):
    """A balloon whose kthread is traced: when it ran, and how long."""
    guest = balloon.guest
    guest.write(f"{RUNTIME}/filter", 'comm == "vballoon"')
    guest.write(f"{RUNTIME}/enable", "1")
    yield balloon
    guest.write(f"{RUNTIME}/enable", "0")


class Removal(NamedTuple):
    """A module that was removed in the middle of a move."""
    seconds: float
    moved: int  # bytes when it began
    cpu: float  # seconds that vballoon ran from then on


def remove_in_move(balloon, target):
    """Set the target; remove the module once the balloon has moved by PART."""
    guest = balloon.guest
    guest.run(f"echo >{TRACING}/trace")
    # QEMU runs its CPUs in turn, and one turn may be longer than the move.
    guest.run("for pid in $(pidof vballoon); do taskset -p 1 $pid; done")
    job = guest.spawn(f"taskset 1 unloadhalf {PART // 1024}")
    job.wait_output("watching\n")
    balloon.set(target)
    seconds, moved = job.wait().split()[-2:]
    _, begins, after = guest.run(f"cat {TRACING}/trace").partition("removal begins")
    assert begins
    cpu = sum(int(ns) for ns in re.findall(r"comm=vballoon .*runtime=(\d+)", after)) / 1e9
    return Removal(float(seconds), int(moved) * 1024, cpu)


def move(start, target):
    """The size of a move, in bytes."""
    return abs(target - start)


@pytest.fixture(scope="module", name="peer_seconds")
def fixture_peer_seconds(machine):
    """A function: the longest removal of the kernel's own module in the same guest."""
    known = {}

    def peer_seconds(balloon, start, target):
        if (start, target) not in known:
            rounds = []
            balloon.unload()
            for _ in range(PEER_ROUNDS):
                balloon.guest.run("insmod $(find /lib/modules/*/kernel -name 'virtio_balloon.ko*')")
                balloon.set(start)
                balloon.wait(start)
                rounds.append(remove_in_move(balloon, target))
            balloon.load()
            print(f"the kernel's own: {rounds}")
            known[start, target] = max(removal.seconds for removal in rounds)
        return known[start, target]
    assert machine.guest()
    return peer_seconds


@pytest.mark.parametrize("start, target", [
    pytest.param(MEMORY, SMALL, id="inflating"),
    pytest.param(SMALL, MEMORY, id="deflating", marks=pytest.mark.long)])
def test_removal_does_not_spin(traced, peer_seconds, start, target):
    """Removal is as fast as with the kernel's module, and the kthread uses hardly any CPU."""
    at_most = peer_seconds(traced, start, target) + SLOWER
    for number in range(ROUNDS):
        traced.reach(start)
        removal = remove_in_move(traced, target)
        print(f"round {number}: {removal}")
        assert removal.moved < move(start, target), "the move was over"
        assert traced.actual() == MEMORY
        traced.check_nothing_kept()
        assert removal.cpu < DYING_CPU
        assert removal.seconds < at_most
        traced.load()
