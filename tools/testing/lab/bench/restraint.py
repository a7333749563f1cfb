# SPDX-License-Identifier: GPL-2.0
"""`make bench-restraint`: a target that the guest cannot afford, with our driver and the kernel's.

Both drivers meet the same guest in turns.  A guest that dies, or that kills its
processes, is an outcome and no error.  Settings come from the environment: S,
ROUNDS, KERNEL (see make help).
"""

import statistics
import time

from host import memtool, picture, program
from host.paths import MIB
from host.units import mib

from . import play, programs
from .course import LOG_LINES, LOWEST, OUTCOME, PEERS, RESERVE, Course, Restraint, told
from .lab import Setup
from .peer_tests import PeerTests

MEMORY = 1024  # MiB
USER_HZ = 100  # ticks of /proc/stat


class UnaffordableCourse(Course):
    """The guest uses half of its memory; for a minute it shall do with a sixteenth."""

    BALLAST = 300  # MiB
    PROCESS = 200  # MiB
    TARGET = 64 * MIB
    BEFORE, MEANWHILE, AFTER, IDLE = 20, 60, 30, 20  # seconds
    PROBE_MS = 50

    def __init__(self, guest, view):
        super().__init__(guest, view)
        self._probes, self._roam = [], None
        self._vballoon = []  # process ids
        self._spent = []  # CPU of the host, see Guest.cpu_seconds()
        self._roaming = self._freed = None  # seconds of the sampler
        self._booted = 0.0  # likewise
        self._survived = False
        self._idle = {}

    def drive(self):
        """Use memory, set the target, end the process, rest."""
        guest, sampler = self.guest, self.sampler
        guest.run(f"memtool fill /data/ballast {self.BALLAST} 1")
        self._booted = sampler.elapsed() - guest.uptime_ns() / 1e9
        sampler.say(f"a process at work, for {self.BEFORE} s")
        self._vballoon = guest.run("pidof vballoon || true").split()
        self._roam = guest.spawn(f"exec memtool roam {self.PROCESS}")
        self._roam.wait_output("roaming")
        self._roaming = sampler.elapsed()
        self._spent.append(guest.cpu_seconds())
        self._watch(self.BEFORE)
        sampler.say(f"target: {mib(self.TARGET)} MiB, for {self.MEANWHILE} s")
        self._spent.append(guest.cpu_seconds())
        self.set_target(self.TARGET)
        self._watch(self.MEANWHILE)
        self._spent.append(guest.cpu_seconds())
        sampler.say(f"the process ends; {self.AFTER} s for the balloon to take its memory")
        self._freed = sampler.elapsed()
        self._survived = self._roam.status is None
        self._roam.kill()
        self._watch(self.AFTER)
        self._probes[-1].kill()
        self.ended = sampler.elapsed()
        sampler.say(f"nothing happens, for {self.IDLE} s")
        self._rest()

    def _watch(self, seconds):
        """Watch, and have the probe run, or another one where that was killed."""
        end = self.sampler.elapsed() + seconds
        while (left := end - self.sampler.elapsed()) > 0:
            if not self._probes or self._probes[-1].status is not None:
                self._probes.append(self.guest.spawn(f"exec memtool probe 0 {self.PROBE_MS}"))
            self.sampler.watch(left, lambda: self._probes[-1].status is not None)

    def _cpu_seconds(self):
        """CPU time since boot; nothing but init runs for it."""
        ticks = int(self.guest.read("/proc/stat").split()[3])
        spent = {"system": ticks / USER_HZ}
        if self._vballoon:
            spent["vballoon"] = sum(int(self.guest.read(f"/proc/{pid}/schedstat").split()[0])
                                    for pid in self._vballoon) / 1e9
        return spent

    def _rest(self):
        before, begin = self._cpu_seconds(), time.monotonic()
        self.guest.channel.happens(lambda: False, self.IDLE)
        after, seconds = self._cpu_seconds(), time.monotonic() - begin
        self._idle = {name: (after[name] - spent) / seconds * 100
                      for name, spent in before.items()}

    def probes(self):
        """The probes, at seconds of the sampler."""
        return [probe._replace(uptime=probe.uptime + self._booted)
                for job in self._probes for probe in memtool.probes(job.output)]

    def _writes(self, start, end):
        return memtool.writes_per_second(self._roam.output, start - self._roaming,
                                         end - self._roaming)

    def _throughput(self):
        """Of the process, and what QEMU got of the host's CPUs for it."""
        before, meanwhile = ([after - earlier for earlier, after in zip(*pair)]
                             for pair in zip(self._spent, self._spent[1:]))
        shares = {"waited_before": before[1] / self.BEFORE * 100,
                  "waited": meanwhile[1] / self.MEANWHILE * 100}
        written = (self._writes(self._roaming, self.target_set),
                   self._writes(self.target_set, self._freed))
        if not self._survived or None in written:
            return shares
        throughput = written[1] / written[0] * 100
        ran = meanwhile[0] / self.MEANWHILE / (before[0] / self.BEFORE)
        return {"throughput": throughput, "per_cpu": throughput / ran, **shares}

    def _taken(self):
        """MiB that the balloon took after the process ended, and within how many seconds."""
        before = [s for s in self.sampler.samples if s.elapsed <= self._freed][-1].actual
        after = [s for s in self.sampler.samples if s.elapsed > self._freed]
        taken = before - after[-1].actual
        when = next(s.elapsed for s in after if before - s.actual >= taken * 0.95)
        return taken / MIB, when - self._freed if taken > 0 else None

    def figures(self):
        """See the scenario's ROWS."""
        end = self._freed or self.ended
        probes = self.probes()
        before = [p.seconds * 1e3 for p in probes if self._roaming <= p.uptime < self.target_set]
        meanwhile = [p for p in probes if self.target_set <= p.uptime < end]
        took = [p.seconds * 1e3 for p in meanwhile]
        figures = {
            **self.common_figures(), **self._idle,
            "p50_before": memtool.percentile(before, 50), "p50": memtool.percentile(took, 50),
            "p99_before": memtool.percentile(before, 99), "p99": memtool.percentile(took, 99),
            "lowest_available": self.lowest_available(self.target_set, end,
                                                      (p.available for p in meanwhile)),
        }
        if self._freed:
            figures |= self._throughput()
            figures["size"] = [s for s in self.sampler.samples
                               if s.elapsed <= self._freed][-1].actual / MIB
        if self.finished:
            figures["taken"], figures["taken_after"] = self._taken()
        else:
            figures["died_after"] = self.ended - self.target_set
        return figures

    def trace(self, title):
        """Memory and probes over time."""
        begin = self.target_set
        return picture.Trace(
            title, self.guest.memory,
            [sample._replace(elapsed=sample.elapsed - begin) for sample in self.sampler.samples],
            [(probe.uptime - begin, probe.seconds * 1e3) for probe in self.probes()],
            self._freed and self._freed - begin, None if self.finished else self.ended - begin,
            self.common_figures()["outcome"], "one command takes, ms")


class BurstCourse(Course):
    """A process wants more at once than the balloon has left over, again and again."""

    TARGET = 340 * MIB
    PROCESS = MEMORY * 6 // 10  # MiB
    CYCLES = 3
    SLACK = 4 * MIB  # what the balloon may lack
    ALLOCATE_SECONDS = 120
    RETURN_SECONDS = 60

    def __init__(self, guest, view):
        super().__init__(guest, view)
        self._empty, self._full, self._back = [], [], []

    def _allocate(self):
        """Seconds that the allocation takes, None where it does not succeed."""
        with self.guest.job(f"exec memtool roam {self.PROCESS}") as process:
            self.sampler.watch(self.ALLOCATE_SECONDS,
                               lambda: memtool.roaming_after(process.output) is not None
                               or process.status is not None)
        return memtool.roaming_after(process.output)

    def _come_to_target(self):
        """Seconds that the balloon takes, None where that is too long."""
        begin = time.monotonic()
        limit = self.TARGET + self.SLACK
        there = self.sampler.watch(self.RETURN_SECONDS,
                                   lambda: self.sampler.samples[-1].actual <= limit)
        return time.monotonic() - begin if there else None

    def drive(self):
        """Allocate without a balloon, then with it."""
        self.sampler.say(f"a process of {self.PROCESS} MiB, {self.CYCLES} times, no balloon")
        for _ in range(self.CYCLES):
            # As with a balloon, the host has to provide the memory anew.
            self.sampler.go_to(self.TARGET)
            self._come_to_target()
            self.sampler.go_to(self.guest.memory)
            self.balloon.wait(self.guest.memory)
            self._empty.append(self._allocate())
        self.sampler.say(f"target: {mib(self.TARGET)} MiB")
        self.set_target(self.TARGET)
        self._come_to_target()
        self.sampler.say(f"the same process, {self.CYCLES} times, and the balloon after each")
        for _ in range(self.CYCLES):
            self._full.append(self._allocate())
            self._back.append(self._come_to_target())
            if self._back[-1] is None:
                # So that the next time has the same begin.
                self.sampler.say("not back by itself: the host sets the target again")
                self.sampler.go_to(self.TARGET)
                self._come_to_target()

    def figures(self):
        """See the scenario's ROWS."""
        empty, full, back = map(self._median, (self._empty, self._full, self._back))
        if back is None and self._back:
            back = f"not within {self.RETURN_SECONDS} s"
        return {
            **self.common_figures(),
            "empty": empty, "full": full, "ratio": full / empty if full and empty else None,
            "missed": self.CYCLES - sum(seconds is not None for seconds in self._full),
            "back": back,
            "lowest_available": self.lowest_available(self.target_set, self.ended),
        }

    @staticmethod
    def _median(several):
        """None where one of them is not known."""
        return statistics.median(several) if several and None not in several else None


def setups(device):
    """Both drivers in the same guest."""
    return {peer: Setup(peer, memory=MEMORY, device=device) for peer in PEERS}


class Unaffordable(Restraint):
    """A guest that uses half of its memory shall do with a sixteenth."""
    NAME = "target"
    TITLE = "a target of 64 MiB for a guest of 1 GiB that uses 500 MiB"
    SETUPS = setups("virtio-balloon")
    COURSE = UnaffordableCourse
    ROWS = (
        *OUTCOME,
        told("died_after", "dead after, s", 1),
        told("size", "size of the guest 60 s after the target was set, MiB"),
        told("throughput", "throughput of the process meanwhile, % of before"),
        told("per_cpu", "... for each second of CPU that QEMU got, % of before"),
        told("waited_before", "QEMU waited for the host's CPUs before, %"),
        told("waited", "QEMU waited for the host's CPUs meanwhile, %"),
        told("p50_before", "probe, p50 before, ms", 1),
        told("p50", "probe, p50 meanwhile, ms", 1),
        told("p99_before", "probe, p99 before, ms", 1),
        told("p99", "probe, p99 meanwhile, ms", 1),
        LOWEST,
        told("taken", "taken after the process ended, MiB"),
        told("taken_after", "... within, s", 1),
        told("vballoon", "CPU of vballoon, idle guest, %", 2),
        told("system", "system time of an idle guest, % of a CPU", 1),
        LOG_LINES,
    )


class UnaffordableReserve(Unaffordable):
    """The same where the guest may take back what it needs."""
    NAME = "target-reserve"
    TITLE = f"{Unaffordable.TITLE}, deflate-on-oom=on"
    SETUPS = setups(RESERVE)


class Burst(Restraint):
    """A process wants more at once than the balloon has left over."""
    NAME = "burst"
    TITLE = "60 % of memory at once while the balloon has two thirds of it, deflate-on-oom=on"
    SETUPS = setups(RESERVE)
    COURSE = BurstCourse
    ROWS = (
        *OUTCOME,
        told("empty", "allocation without a balloon, s", 1),
        told("full", "allocation with it, s", 1),
        told("ratio", "ratio of the two", 2, at_most=2),
        told("missed", "allocations that did not succeed", at_most=0),
        told("back", "balloon back by itself after, s", 1),
        LOWEST,
        LOG_LINES,
    )


# A new one has a class above and its place here, in the order of the tables.
SCENARIOS = (Unaffordable, UnaffordableReserve, Burst, *programs.SCENARIOS, PeerTests)

if __name__ == "__main__":
    program.execute(lambda: play.scenarios("bench-restraint", SCENARIOS, "1"))
