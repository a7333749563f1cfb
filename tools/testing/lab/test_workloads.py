# SPDX-License-Identifier: GPL-2.0
"""What a guest is busy with, inflation leaves to it: its cache, its memory, its own limits.

Nothing here is measured in seconds.  What a pass over some data costs is counted
in pages: a pass takes as long as the machine pleases, and costs the same.
"""

import contextlib
from typing import NamedTuple

import pytest

from host import memtool
from host.balloon import NEVER
from host.chosen import PEER
from host.disk import empty
from host.held import Held
from host.initramfs import DISK_MODULE
from host.paths import MIB
from host.until import until

MEMORY = 512  # MiB of the guest
DATA = "/dev/vda"
SWAP = "/dev/vdb"
LARGE = 640  # MiB of DATA that are read: more than there is memory
HOT = 160  # MiB of it that are read in a loop
CGROUP = "/sys/fs/cgroup/tight"
LIMIT = 64  # MiB in there
TRACING = "/sys/kernel/tracing"
ON_TRIAL = 40 * MIB  # at least, where a test looks at what is on trial
CLOSE = 8 * MIB  # two numbers of the guest that were read one after the other

# What the kernel prints when it kills within a cgroup: the victim, why, and how that came about.
OOM_REPORT = (r"oom|Memory cgroup|memory: usage|swap: usage|Tasks state|\[ *(pid|\d+)\]"
              r"|Call Trace|Tainted|</?TASK>|\+0x[0-9a-f]+/0x"
              r"|^(CPU|Hardware name|RIP|RSP|R..|Code|ORIG)"
              r"|^(anon|file|kernel|sock|vmalloc|shmem|slab|zswap|workingset|pg|thp|sec)\w* \d")

pytestmark = pytest.mark.any_transport


@pytest.fixture(scope="module", name="machine")
def fixture_machine(share):
    """A small guest with a disk to read and one to swap to."""
    with contextlib.ExitStack() as stack:
        extra = []
        for name, size in (("data", LARGE), ("swap", MEMORY)):
            extra += stack.enter_context(empty(name, size))
        # By its own clock a pass takes as long on a busy host: the driver watches by that.
        # One host thread for all CPUs, too, as swapping patches the kernel's code (see accel.py).
        yield stack.enter_context(share(name="workloads", memory=MEMORY, cpus="counted",
                                        extra=extra))


@pytest.fixture(name="disk")
def fixture_disk(balloon):
    """The disk that is read; somebody has it open all the time, else its cache would go."""
    balloon.guest.run(f"modprobe {DISK_MODULE}")
    with balloon.guest.job(f"exec sleep 999999 <{DATA}"):
        yield DATA


@pytest.fixture(name="swap_space")
def fixture_swap_space(balloon):
    """Where the guest swaps to."""
    balloon.guest.run(f"modprobe {DISK_MODULE} && mkswap {SWAP} && swapon {SWAP}")
    yield SWAP
    balloon.deflate()
    balloon.guest.run(f"swapoff {SWAP}")


@pytest.fixture(name="cgroup")
def fixture_cgroup(balloon):
    """A memory cgroup that is too small for what runs in it."""
    balloon.guest.run("mount -t cgroup2 cgroup2 /sys/fs/cgroup"
                      " && echo +memory >/sys/fs/cgroup/cgroup.subtree_control"
                      f" && mkdir {CGROUP} && echo {LIMIT}M >{CGROUP}/memory.max")
    yield CGROUP
    balloon.guest.run(f"rmdir {CGROUP} && umount /sys/fs/cgroup")


@pytest.fixture(name="holds")
def fixture_holds(balloon):
    """A function: how often our driver has held because something was missed."""
    guest = balloon.guest
    if PEER != "ours":
        yield lambda: 0
        return
    guest.write(f"{TRACING}/events/virtio_balloon/hold/enable", "1")
    guest.write(f"{TRACING}/trace", " ")
    yield lambda: guest.read(f"{TRACING}/trace").count("reason=refault")
    guest.write(f"{TRACING}/events/virtio_balloon/hold/enable", "0")


class Cost(NamedTuple):
    """What passes over some data cost: pages that came back to the cache, pages off the disk."""
    refaults: int
    reads: int


class Passes:
    """The passes of a memtool reread."""

    def __init__(self, job):
        self._job = job
        self._seen = 0

    def new(self):
        """The cost of each pass that was made since this was last asked."""
        lines = [line.split() for line in self._job.output.splitlines(keepends=True)[self._seen:]
                 if line.endswith("\n")]
        self._seen += len(lines)
        return [Cost(int(refaults), int(kib) // 4) for _, refaults, kib in lines]

    def next(self, count):
        """Wait for so many more; return the cost of each."""
        self._job.wait_output(f"\n{self._seen + count} ")
        return self.new()


def mean(costs):
    """Of a pass."""
    return Cost(*(sum(column) // len(costs) for column in zip(*costs)))


def read_all(guest, path, start=0):
    """Read the disk from there on, twice: what is left in the cache is of no use to anybody."""
    with guest.job(f"memtool reread {path} {start} {LARGE - start}") as job:
        Passes(job).next(2)


def wait_writes(job, count):
    """Wait until a memtool roam has written to its memory so many times more."""
    def writes():
        return memtool.roamed(job.output).writes
    wanted = writes() + count
    job.channel.wait_for(lambda: writes() >= wanted or job.status is not None, job.command)
    assert writes() >= wanted, f"ended with status {job.status} after {writes()} writes"


def in_cgroup(cgroup, command):
    """A command that runs in there."""
    return f"echo $$ >{cgroup}/cgroup.procs && exec {command}"


def test_hot_set_stays_in_cache(balloon, disk):
    """A cache full of what was read once is given up, but not what is read all the time.

    The balloon learns how far it may go from what is missed, so it cannot be
    nothing.  It may be two pages in a hundred of those that are read.
    """
    guest = balloon.guest
    read_all(guest, disk)
    with guest.job(f"memtool reread {disk} 0 {HOT}") as job:
        passes = Passes(job)
        passes.next(2)  # the first ones fetch it
        before = mean(passes.next(10))
        balloon.set(128 * MIB)
        costs = passes.next(30)
        until(lambda: balloon.actual() <= (HOT + 170) * MIB,
              lambda: f"from {balloon.actual()} bytes to what is read and 170 MiB",
              pause=lambda: costs.extend(passes.next(5)))
        costs += passes.next(120)  # a balloon that goes on from here shows in these
        after = mean(costs)
        print(f"per pass over {HOT * MIB // 4096} pages: {before}, then {after} in "
              f"{len(costs)} passes, balloon at {balloon.actual() // MIB} MiB")
        for counted, allowed in zip(after, before):
            assert counted <= 2 * allowed + HOT * MIB // 4096 // 50
    # Nobody reads it any more.
    balloon.set(180 * MIB)
    balloon.wait(180 * MIB)
    balloon.deflate()


def test_no_swap_storm(balloon, disk, swap_space):
    """A process whose memory the host would like to have keeps it; the cache is what goes.

    What the process works on fits beside the floor, so that it needs no swap.
    For what the kernel may take for idle there is room of 2 %.
    """
    guest = balloon.guest
    working_set = 150 * MIB // 4096
    with guest.job("memtool roam 150") as job:
        job.wait_output("roaming")
        read_all(guest, disk)
        before = guest.vmstat()
        balloon.set(64 * MIB)
        wait_writes(job, 32 << 20)
        if PEER == "ours":
            balloon.wait_state("holding")
            balloon.wait_attribute("hold_reason", "floor")
        after = guest.vmstat()
        swapped = {name: after[name] - before[name]
                   for name in ("pswpin", "pswpout", "workingset_refault_anon")}
        print(f"of {working_set} pages: {swapped}, balloon at {balloon.actual() // MIB} MiB,"
              f" swap is {swap_space}")
        assert not job.ended(0)
        # And there is some for the next command, without anything to be swapped out for it.
        assert guest.meminfo()["MemAvailable"] > MEMORY * MIB // 16
    assert sum(swapped.values()) <= working_set // 50
    assert after["oom_kill"] == before["oom_kill"]


@pytest.mark.logs(OOM_REPORT)
def test_cgroup_with_a_limit_of_its_own(balloon, swap, disk, swap_space, cgroup, holds):
    """What happens in a cgroup that is too small is no business of the balloon.

    Neither does it give memory back, which would be of no use, nor does it hold
    for good where all that it gets has to be reclaimed.
    """
    swap("virtio-balloon,deflate-on-oom=on")
    guest = balloon.guest
    balloon.set(400 * MIB)
    balloon.wait(400 * MIB)
    # More than the cache holds, twice: the guest thrashes, and gets pages back for that.
    read_all(guest, disk, start=2 * LIMIT)
    balloon.wait(400 * MIB)
    before, held = guest.vmstat(), holds()
    with guest.job(in_cgroup(cgroup, f"memtool reread {disk} 0 {2 * LIMIT}")) as reader, \
            guest.job(in_cgroup(cgroup, f"memtool roam {2 * LIMIT}")) as writer:
        writer.wait_output("roaming")
        costs = Passes(reader).next(10)
        thrashing = guest.vmstat()
        assert balloon.actual() == 400 * MIB
        assert thrashing["balloon_deflate"] == before["balloon_deflate"]
        # Little of it is left in the cache from pass to pass.
        assert mean(costs[1:]).refaults > LIMIT * MIB // 4096
        assert thrashing["pswpout"] - before["pswpout"] > LIMIT * MIB // 4096

        balloon.set(360 * MIB)
        balloon.wait(360 * MIB)
        assert guest.vmstat()["pgsteal_kswapd"] > thrashing["pgsteal_kswapd"]
        # It has to find out first whose those refaults are.
        print(f"held {holds() - held} times, {held} before")
        assert holds() - held <= 4
        guest.write(f"{cgroup}/memory.swap.max", "0")
        with guest.job(in_cgroup(cgroup, f"memtool roam {2 * LIMIT}")) as victim:
            for job in (victim, writer):
                job.wait(check=False)
        balloon.set(340 * MIB)
        balloon.wait(340 * MIB)
        print(f"per pass over {2 * LIMIT * MIB // 4096} pages: {mean(costs)}; {swap_space}: "
              f"{thrashing['pswpout'] - before['pswpout']} pages")
    after = guest.vmstat()
    assert after["oom_kill"] > before["oom_kill"]
    assert after["balloon_deflate"] == before["balloon_deflate"]
    if PEER == "ours":
        balloon.wait_state("idle")
        assert balloon.attribute("hold_reason") == "none"


@pytest.fixture(name="stats")
def fixture_stats(balloon):
    """A balloon that is asked for statistics."""
    balloon.statistics(1)
    yield balloon
    balloon.statistics(0)


def answer(balloon):
    """What the guest says now, by name."""
    last = balloon.next_second()
    balloon.ask()
    return balloon.next_stats(last)["stats"]


@pytest.mark.ours
def test_statistics_count_what_is_on_trial(stats, disk):
    """What is on trial goes back if it is missed: to the host it is free and available."""
    guest = stats.guest
    read_all(guest, disk)
    stats.statistics(NEVER)  # the next answer is that to ask()
    held, last = Held(guest), stats.next_second()
    stats.set(200 * MIB)
    held.wait(ON_TRIAL)
    looks = [guest.meminfo()]
    stats.ask()
    said = stats.next_stats(last)["stats"]
    looks.append(guest.meminfo())
    on_trial = [held.size(look) for look in looks]
    print("MiB on trial:", *(size // MIB for size in on_trial))
    for name, field in (("free", "MemFree"), ("available", "MemAvailable")):
        # What passes its trial meanwhile leaves the guest's total, too: only their difference
        # stands still.
        right = [look[field] + size - look["MemTotal"] for look, size in zip(looks, on_trial)]
        size = said[f"stat-{name}-memory"] - said["stat-total-memory"]
        print(f"{name} less total: {size // MIB} MiB, from {min(right) // MIB} to "
              f"{max(right) // MIB} are right")
        assert min(right) - CLOSE <= size <= max(right) + CLOSE


@pytest.mark.ours
def test_caches_are_what_needs_no_io(stats, disk):
    """The host may count on clean pages of a disk's cache, not on dirty ones, nor on a tmpfs."""
    guest = stats.guest
    sizes = {}

    def look(what):
        sizes[what] = answer(stats)["stat-disk-caches"]
    guest.write("/proc/sys/vm/drop_caches", "3")
    look("none")
    guest.run("memtool fill /data/shared 100 1")
    look("shared")
    guest.run("rm /data/shared")
    with guest.job(f"memtool reread {disk} 0 {HOT}") as job:
        Passes(job).next(2)
    look("clean")
    # The kernel writes back in the background from half of the second limit on at the latest.
    limits = {"dirty_background": HOT * MIB, "dirty": 2 * HOT * MIB}
    usual = {name: guest.read(f"/proc/sys/vm/{name}").strip() for name in
             ("dirty_writeback_centisecs", *(f"{limit}_ratio" for limit in limits))}
    guest.write("/proc/sys/vm/dirty_writeback_centisecs", "0")
    for limit, size in limits.items():
        guest.write(f"/proc/sys/vm/{limit}_bytes", f"{size}")
    guest.run(f"dd if=/dev/zero of={disk} bs=1M count=32 conv=notrunc")
    look("dirty")
    for name, value in usual.items():
        guest.write(f"/proc/sys/vm/{name}", value)
    guest.run("sync")
    look("synced")
    print("caches, MiB:", {what: size // MIB for what, size in sizes.items()})
    assert abs(sizes["shared"] - sizes["none"]) < CLOSE
    assert abs(sizes["clean"] - sizes["none"] - HOT * MIB) < CLOSE
    assert abs(sizes["dirty"] - sizes["clean"] + 32 * MIB) < CLOSE
    assert abs(sizes["synced"] - sizes["clean"]) < CLOSE
