# SPDX-License-Identifier: GPL-2.0
"""Runs all activities around a balloon at the same time, for minutes or hours.

Each actor repeats one activity in a thread of its own.  After all have stopped, the
guest must have all its memory, intact data, and no alarming line in its log.
"""

import contextlib
import random
import re
import threading
import time
from typing import NamedTuple

from . import klog, leaks
from .balloon import DRIVER, Balloon
from .faults import NO_PAGE, NO_SLAB, NO_WORKER, NOT_BOUND, Faults
from .device import query_queue
from .migration import CRAWL, bandwidth
from .paths import MIB
from .qmp import QMPError
from .until import HANG_SECONDS, until

MEMORY = 1024  # MiB of the guest
DATA = 64  # MiB of data that must be intact at the end
LOWEST = 640  # MiB, the lowest target
PRESSURE = 96  # MiB that a process needs at a time, at most
HUNG_TASK_SECONDS = 240  # longer than any wait, also on a slow machine
HINTS_SECONDS = 20  # until hints come, if a driver is bound
LONGER = 900  # more seconds, at most, until each activity has happened on a slow machine

FEATURES = ("deflate-on-oom=on", "free-page-reporting=on", "free-page-hint=on,iothread=hints",
            "page-poison=on")

INJECTED = re.compile("|".join((NOT_BOUND, NO_WORKER, NO_PAGE, NO_SLAB)))
KCSAN_SWITCH = "/sys/kernel/debug/kcsan"
# KCSAN watches one of so many accesses, for so many microseconds.  It watches more accesses
# than by default, each for a shorter time, because an emulated CPU is slow.
KCSAN_PARAMETERS = {"skip_watch": "300", "udelay_task": "50"}
KCSAN = re.compile(r"BUG: KCSAN:")
KCSAN_EDGE = re.compile(r"^=+$")
# A race is the driver's if one of its functions is in the first frames of a racing access.
KCSAN_DEPTH = 3
KCSAN_ACCESS = re.compile(r"^(race at unknown origin, with )?(read|write|assert)\b", re.IGNORECASE)


class Actor:
    """An activity that repeats; its count must not stay 0.

    name: the counted event.  pause: bounds of the random seconds between two cycles.
    rest: the pause is at least `rest` times as long as the last cycle.
    """

    name = ""
    pause = (0.0, 0.0)
    rest = 0

    def __init__(self, soak):
        self.soak = soak
        self.guest = soak.guest
        self.balloon = soak.balloon
        self.rng = random.Random(f"{soak.seed} {self.name}")
        self.count = 0

    def step(self):
        """One cycle."""
        raise NotImplementedError

    def end(self):
        """Undo the last cycle."""

    def run(self):
        """Run cycles until the soak is over."""
        while not self.soak.over.is_set():
            begin = time.monotonic()
            self.step()
            took = time.monotonic() - begin
            self.soak.over.wait(max(self.rng.uniform(*self.pause), self.rest * took))


class Targets(Actor):
    """The host sets targets."""

    name = "targets set"
    pause = (0.05, 1.5)

    def step(self):
        target = self.rng.randrange(LOWEST * MIB, MEMORY * MIB + 1)
        with contextlib.suppress(QMPError):  # there is no device just now
            self.balloon.set(target)
            self.count += 1


class Statistics(Actor):
    """The host asks for statistics."""

    name = "statistics received"
    pause = (0.2, 0.3)

    _last = 0  # second of the last answer

    def step(self):
        with contextlib.suppress(QMPError):  # there is no device just now
            self.balloon.statistics(1)
            update = self.balloon.guest_stats()["last-update"]
            self.count += update > self._last
            self._last = update


class Compaction(Actor):
    """The guest compacts its memory."""

    name = "compactions"
    pause = (0.0, 0.2)

    def step(self):
        self.guest.run("for i in 1 2 3 4 5; do echo 1 > /proc/sys/vm/compact_memory; done")
        self.count += 5


class Hinting(Actor):
    """The host asks for hints, for migrations without a destination."""

    name = "migrations with hints"
    pause = (0.2, 1.0)

    def step(self):
        # QEMU cannot plug or unplug a device during a migration.
        with self.soak.device_stays:
            if "free-page-hint" in self.soak.features:
                self._migrate()

    def _used(self):
        with contextlib.suppress(QMPError):
            return query_queue(self.guest, "free-page-hint", self.soak.features).used
        return 0

    def _came(self, before):
        """Have hints come?  A newly bound driver begins to count from 0."""
        return self._used() not in (0, before)

    def _status(self):
        return self.guest.qmp.execute("query-migrate").get("status")

    def _migrate(self):
        """Migrate; cancel once hints have come, or after HINTS_SECONDS."""
        qmp, before, since = self.guest.qmp, self._used(), time.monotonic()
        bandwidth(self.guest, CRAWL)
        qmp.execute("migrate", uri="exec:cat >/dev/null")
        while (not self._came(before) and not self.soak.over.is_set()
               and time.monotonic() < since + HINTS_SECONDS):
            self.soak.over.wait(0.05)  # there is no event
        self.count += self._came(before)
        self.soak.over.wait(self.rng.uniform(0, 0.5))
        qmp.execute("migrate_cancel")
        until(lambda: self._status() in ("cancelled", "failed", "completed"),
              "the end of a migration that is cancelled", tick=0.05)


class Reporting(Actor):
    """The guest reports free pages, which the other actors free."""

    name = "looks at new reports"
    pause = (0.2, 0.3)

    _last = 0  # the queue's used index, modulo 2^16

    def step(self):
        features = self.soak.features
        if "free-page-reporting" not in features:
            return
        with contextlib.suppress(QMPError):  # there is no device, or a new one
            used = query_queue(self.guest, "free-page-reporting", features).used
            self.count += used not in (0, self._last)
            self._last = used


class Pressure(Actor):
    """A process needs memory."""

    name = "processes under pressure"
    pause = (0.0, 0.5)

    def step(self):
        size, seed = self.rng.randrange(8, PRESSURE), self.rng.randrange(1000)
        arguments = f"/data/pressure {size} {seed}"
        self.guest.run(f"memtool fill {arguments} && memtool verify {arguments}"
                       " && rm /data/pressure")
        self.count += 1


class Absence(Actor):
    """The balloon goes and comes; it is there most of the time, also on a slow machine."""

    pause = (2.0, 10.0)
    rest = 4


class Module(Absence):
    """The module goes and comes."""

    name = "modprobe -r, modprobe"

    def step(self):
        self.balloon.unload()
        self.balloon.load()
        self.count += 1


class Binding(Absence):
    """The driver is unbound and bound again while allocations fail."""

    name = "unbind and bind"

    def step(self):
        device = self.balloon.device()
        if device:
            # Each step may fail, because device and module go and come meanwhile.
            self.guest.run(f"cd {DRIVER}; echo {device} > unbind; echo 1 > /proc/self/make-it-fail;"
                           f" echo {device} > bind", check=False)
            # The bind above rarely succeeds.
            self.guest.run(f"echo {device} > {DRIVER}/bind", check=False)
            self.count += 1

    def end(self):
        # Loading the module anew binds a device that is unbound now.
        self.balloon.unload()
        self.balloon.load()


class Devices(Absence):
    """The device goes, and a device with other features comes."""

    name = "device_del, device_add"

    def step(self):
        offered = [feature for feature in FEATURES if self.rng.random() < 0.8]
        with self.soak.device_stays:
            self.guest.unplug()
            self.guest.plug(",".join(("virtio-balloon", *offered)))
            self.soak.features = {feature.partition("=")[0] for feature in offered}
        self.count += 1

    def end(self):
        # A second request to unplug the last device may have removed this one too.
        if not self.guest.plugged:
            self.guest.plug()


class Processor(Actor):
    """The second CPU goes and comes."""

    name = "CPU 1 off and on"
    pause = (0.1, 1.5)
    _online = "/sys/devices/system/cpu/cpu1/online"

    def step(self):
        self.guest.run(f"echo 0 > {self._online}")
        self.soak.over.wait(self.rng.uniform(0, 0.3))
        self.guest.run(f"echo 1 > {self._online}")
        self.count += 1


class Readers(Actor):
    """Processes read the driver's sysfs files."""

    name = "reads of sysfs"

    def step(self):
        output = self.guest.run("attrreader 2 '/sys/bus/virtio/devices/virtio*/balloon/*'")
        self.count += int(output.split()[0])


class Injection(Actor):
    """Allocations of the driver's thread fail at changing rates."""

    name = "failed allocations"
    pause = (0.0, 0.2)
    RATES = (2, 10, 30)  # with 100, processes would only repeat the allocation
    LONG = 10  # cycles at the same rate, each with a look for new threads

    def __init__(self, soak):
        super().__init__(soak)
        self._faults = Faults(self.guest)
        self._faults.prepare()
        self._looks = 0

    def step(self):
        if self._looks % self.LONG == 0:
            self._faults.set(failslab=self.rng.choice(self.RATES),
                             fail_page_alloc=self.rng.choice(self.RATES))
            self.count = self._faults.injected()
        self._looks += 1
        self._faults.mark(self._faults.DRIVER)

    def end(self):
        self.count = self._faults.injected()
        self._faults.set()


ACTORS = (Targets, Statistics, Compaction, Hinting, Reporting, Pressure, Module, Binding,
          Devices, Processor, Readers, Injection)


class Race(NamedTuple):
    """KCSAN's report of two accesses."""
    title: str
    records: list
    ours: bool


def _is_ours(texts):
    """Is a function of the driver near the top of one of the accesses' stacks?"""
    left = 0
    for text in texts:
        if KCSAN_ACCESS.search(text):
            left = KCSAN_DEPTH
        elif left:
            left -= 1
            if leaks.OURS.search(text):
                return True
    return False


def races(records):
    """Split a kernel's log into KCSAN's reports and everything else."""
    found, others, block = [], [], None
    for record in records:
        if not KCSAN_EDGE.match(record.text):
            (others if block is None else block).append(record)
        elif block is None:
            block = []
        else:
            title = next((r.text for r in block if KCSAN.search(r.text)), None)
            if title:
                found.append(Race(title, block, _is_ours([r.text for r in block])))
                block = None
            else:  # the last edge began something else, or this one begins a report
                others += block
                block = []
    # Only the end of an unfinished report shows whether it is the driver's.
    if block and not any(KCSAN.search(record.text) for record in block):
        others += block
    return found, others


class Soak:
    """A guest and its actors, which run inside of this context manager.

    features: the features of QEMU's balloon.  device_stays: a lock, held while the device
    must not change.  problems: descriptions of failures; not empty if the soak failed.
    """

    def __init__(self, guest, seed, actors=ACTORS):
        self.guest = guest
        self.seed = seed
        self.balloon = Balloon(guest)
        self.features = set()
        self.device_stays = threading.Lock()
        self.over = threading.Event()
        self.problems = []
        self._whole = guest.meminfo()["MemTotal"]
        self._events = guest.vmstat()
        self._since = len(guest.kernel_log())
        self._prepare()
        self.actors = [actor(self) for actor in actors]
        self._threads = [threading.Thread(target=self._run, args=(actor,), daemon=True)
                         for actor in self.actors]

    def _prepare(self):
        guest = self.guest
        guest.write("/proc/sys/kernel/hung_task_timeout_secs", str(HUNG_TASK_SECONDS))
        guest.run(f"memtool fill /data/soak {DATA} 5")
        if guest.run(f"[ ! -e {KCSAN_SWITCH} ] || echo yes"):
            for name, value in KCSAN_PARAMETERS.items():
                guest.write(f"/sys/module/kcsan/parameters/{name}", value)
            guest.write(KCSAN_SWITCH, "on")
        self.balloon.load()

    def _run(self, actor):
        try:
            actor.run()
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.problems.append(f"{actor.name}: {type(error).__name__}: {error}")
            self.over.set()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self.over.set()
        if kind:
            return  # the guest is about to end, and so are the threads
        for actor, thread in zip(self.actors, self._threads):
            thread.join(2 * HANG_SECONDS)
            if thread.is_alive():
                self.problems.append(f"{actor.name}: does not stop")

    def races(self):
        """KCSAN's reports so far."""
        return races(self.guest.channel.records[self._since:])[0]

    def alarms(self):
        """Alarming records of the log."""
        found, others = races(self.guest.channel.records[self._since:])
        return ([record for record in klog.alarming(others, 0)
                 if not INJECTED.search(record.text)]
                + [record for race in found if race.ours for record in race.records])

    def _goes_on(self, start, seconds):
        """Is there time left?  On a busy machine some activities take longer to happen."""
        elapsed = time.monotonic() - start
        return elapsed < seconds or (elapsed < seconds + LONGER
                                     and any(self._missing()))

    def last(self, seconds, show=lambda: None, tick=1.0):
        """Let the actors run for `seconds`, or until there is a problem."""
        start = time.monotonic()
        while self._goes_on(start, seconds):
            show()
            if self.over.wait(tick) or self.alarms():
                break
        show()

    def events(self):
        """The guest's counters of balloon pages since the start."""
        now = self.guest.vmstat()
        return {name: now[f"balloon_{name}"] - self._events[f"balloon_{name}"]
                for name in ("inflate", "deflate", "migrate")}

    def settle(self):
        """After the actors have stopped, look for lost pages and damaged data."""
        for check in (self._stop, self._check_actors, self._check_empty, self._check_data,
                      self._check_leaks, self._check_removed, self._check_log):
            try:
                check()
            except Exception as error:  # pylint: disable=broad-exception-caught
                self.problems.append(f"{check.__name__.lstrip('_')}: "
                                     f"{type(error).__name__}: {error}")
        return not self.problems

    def _stop(self):
        for actor in self.actors:
            actor.end()

    def _missing(self):
        """Activities that have not happened at all."""
        yield from (f"{actor.name}: none" for actor in self.actors if not actor.count)
        yield from (f"pages: no {name}" for name, count in self.events().items() if not count)

    def _check_actors(self):
        self.problems += self._missing()

    def _check_whole(self, when):
        marked, total = self.balloon.offline_pages(), self.guest.meminfo()["MemTotal"]
        if marked or total != self._whole:
            self.problems.append(f"{when}: {marked} pages are PG_offline, "
                                 f"MemTotal is {total}, not {self._whole}")

    def _check_empty(self):
        self.balloon.wait_device()
        self.balloon.deflate()
        self._check_whole("with an empty balloon")

    def _check_data(self):
        self.guest.run(f"memtool verify /data/soak {DATA} 5")

    def _check_leaks(self):
        device = self.balloon.device()
        self.guest.write(f"{DRIVER}/unbind", device)
        self.problems += [f"lost: {lost}" for lost in leaks.find(self.guest)]
        self.guest.write(f"{DRIVER}/bind", device)

    def _check_removed(self):
        self.balloon.unload()
        self._check_whole("after modprobe -r")
        if self.balloon.actual() != self.guest.memory:
            self.problems.append(f"after modprobe -r: query-balloon says {self.balloon.actual()}")
        events = self.events()
        if events["inflate"] != events["deflate"]:
            self.problems.append(f"after modprobe -r: /proc/vmstat has counted {events}")

    def _check_log(self):
        self.guest.kernel_log()
        self.problems += [f"kernel log: {alarm}" for alarm in self.alarms()]

    def rows(self):
        """How often each activity happened: (name, count)."""
        rows = [(actor.name, actor.count) for actor in self.actors]
        return rows + [(f"pages: {name}", count) for name, count in self.events().items()]
