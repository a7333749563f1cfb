# SPDX-License-Identifier: GPL-2.0
"""Real programs in a Debian guest whose host wants more than they can spare."""

import re

from host import debian, memtool, picture
from host.guest import CommandFailed
from host.nodes import numa
from host.paths import MIB
from host.units import mib
from host.until import until

from .course import LOG_LINES, OUTCOME, PEERS, RESERVE, Course, Restraint, told
from .lab import Setup
from .table import Row

# As a thread, a job ends with the process that is killed.
FIO = ("fio --thread --bs=4k --ioengine=psync --invalidate=0 --fadvise_hint=0 --time_based"
       " --runtime=999999 --minimal --status-interval=1")
FIO_KIB, FIO_MS = 5, 8  # fields of fio's terse lines, version 3
PROGRESS = re.compile(r"^progress: (\d+\.\d+) s, (\d+\.\d+) tps", re.MULTILINE)
CLUSTER = f"{debian.DATA}/postgresql"
CGROUP_LIMIT = 64  # MiB


def fio_progress(output):
    """(seconds, reads so far) for each second."""
    lines = [line.split(";") for line in output.splitlines(keepends=True) if line.endswith("\n")]
    return [(int(fields[FIO_MS]) / 1e3, int(fields[FIO_KIB]) // 4)
            for fields in lines if len(fields) > FIO_MS]


def pgbench_progress(output):
    """(seconds, transactions so far) for each second."""
    points, done = [], 0
    for seconds, rate in PROGRESS.findall(output):
        done += float(rate)
        points.append((float(seconds), done))
    return points


class Work:
    """The work that a program does, by the sampler's clock."""

    def __init__(self, job, begun, progress):
        self.job = job
        self._begun = begun
        self._progress = progress

    def points(self):
        """(seconds, work done so far)."""
        return [(self._begun + seconds, done) for seconds, done in
                self._progress(self.job.output)]

    def rate(self, start, end):
        """Work a second between two instants; None if the program did not run for long enough."""
        return memtool.rate(self.points(), start, end)

    def rates(self):
        """(seconds, work a second)."""
        points = self.points()
        return [(last, (after - before) / (last - first)) for (first, before), (last, after)
                in zip(points, points[1:]) if last > first]


class ProgramCourse(Course):
    """A program has the memory that it needs; then the host wants more than the rest.

    HOT: MiB of files that the program uses all the time.  IOPS: requests a second
    that its disk serves, 0 for no limit.
    """

    MEMORY = 2048  # MiB
    TARGET = 512 * MIB
    HOT, COLD = 1000, 600  # MiB
    IOPS = 0
    BEFORE, SETTLE, AFTER = 20, 120, 30  # seconds
    UNIT = "reads a second"

    def __init__(self, guest, view):
        super().__init__(guest, view)
        self.work = None
        self._edge = None  # bytes: a smaller guest loses memory in use
        self._settled = None  # seconds of the sampler

    def prepare(self):
        """Start the programs, and bring their data into memory."""
        raise NotImplementedError

    def play(self):
        self.sampler.say("Debian boots")
        debian.wait_booted(self.guest)
        super().play()

    def drive(self):
        self.sampler.say("the programs start")
        self.prepare()
        debian.throttle(self.guest, self.IOPS)
        self.sampler.say(f"they run, for {self.BEFORE} s")
        self.sampler.watch(self.BEFORE)
        available = self.guest.meminfo()["MemAvailable"]
        floor = int(self.balloon.attribute("floor_kib") or 0) * 1024
        self._edge = self.guest.memory - (available - self.HOT * MIB - floor)
        self.sampler.say(f"target: {mib(self.TARGET)} MiB, for {self.SETTLE + self.AFTER} s")
        self.set_target(self.TARGET)
        self.meanwhile()
        self._settled = self.sampler.elapsed()
        self.sampler.watch(self.AFTER)
        self.ended = self.sampler.elapsed()

    def meanwhile(self):
        """Run the events after the target is set."""
        self.sampler.watch(self.SETTLE)

    def _size(self):
        return self.sampler.samples[-1].actual

    # The programs

    def write_file(self, name, size):
        """Write a file of `size` MiB that is not in memory; return its path."""
        path = f"{debian.DATA}/{name}"
        self.guest.run(f"dd if=/dev/zero of={path} bs=1M count={size} conv=fsync oflag=direct")
        return path

    def read_once(self, path):
        """Read a file into the cache, once."""
        self.guest.run(f"dd if={path} of=/dev/null bs=1M")

    def fio(self, arguments, prefix=""):
        """Start fio; return its work."""
        job = self.guest.spawn(f"exec {prefix} {FIO} {arguments}")
        begun = self.sampler.elapsed()
        return Work(job, begun, fio_progress)

    def read_hot(self, pattern="randread"):
        """Bring a file into memory, and have fio read it."""
        hot = self.write_file("hot", self.HOT)
        self.read_once(self.write_file("cold", self.COLD))
        self.read_once(hot)
        self.read_once(hot)
        self.work = self.fio(f"--name=hot --filename={hot} --size={self.HOT}M --rw={pattern}")
        self.work.job.wait_output("\n")

    # The results

    def figures(self):
        figures = self.common_figures()
        if self._settled is None:
            return figures
        figures["size"] = self.sampler.samples[-1].actual / MIB
        figures["short"] = ((self.sampler.samples[-1].actual - self._edge)
                            / self.guest.memory * 100)
        if self.work:
            before = self.work.rate(self.target_set - self.BEFORE, self.target_set)
            after = self.work.rate(self._settled, self.ended)
            figures |= {"before": before, "after": after}
            if before and after is not None:
                figures["kept"] = after / before * 100
        return figures

    def trace(self, title):
        begin = self.target_set
        rates = self.work.rates() if self.work else []
        return picture.Trace(
            title, self.guest.memory,
            [s._replace(elapsed=s.elapsed - begin) for s in self.sampler.samples],
            [(seconds - begin, rate) for seconds, rate in rates if rate > 0],
            None, None if self.finished else self.ended - begin,
            self.common_figures()["outcome"], self.UNIT)


def rows(kept=95, short=5, unit="reads"):
    """The rows of most cases; None for no bound."""
    return (
        *OUTCOME,
        told("before", f"{unit} a second before"),
        told("after", f"{unit} a second, settled"),
        told("kept", "... of before, %", at_least=kept),
        told("size", "size of the guest then, MiB"),
        told("short", "... above what it needs, % of memory", 1, at_most=short),
        LOG_LINES,
    )


class Hot(ProgramCourse):
    """A hot set that is read at random."""

    def prepare(self):
        self.read_hot()


class Loop(ProgramCourse):
    """A file that is read in a loop and just fits."""
    HOT, COLD = 1300, 300

    def prepare(self):
        self.read_hot("read")


class Cgroup(Hot):
    """A cgroup that reclaims from itself beside a hot set."""
    HOT = 600

    def prepare(self):
        path = self.write_file("tight", 4 * CGROUP_LIMIT)
        super().prepare()
        self.fio(f"--name=tight --filename={path} --size={4 * CGROUP_LIMIT}M --rw=randread",
                 f"systemd-run --quiet --scope -p MemoryMax={CGROUP_LIMIT}M")


class PostgreSQL(ProgramCourse):
    """pgbench -S on data that fit into memory."""
    MEMORY, TARGET = 1024, 256 * MIB
    HOT, COLD = 380, 200
    SCALE = 25  # 15 MiB each
    IOPS = 500
    UNIT = "transactions a second"

    def _as_postgres(self, command):
        return f"exec setpriv --reuid=postgres --regid=postgres --clear-groups {command}"

    def prepare(self):
        guest = self.guest
        guest.run(f"install -d -o postgres {CLUSTER}")
        version = guest.run("ls /usr/lib/postgresql").split()[-1]
        guest.run(f"pg_dropcluster {version} main")  # it has the usual port
        guest.run(f"pg_createcluster -d {CLUSTER}/data {version} bench --"
                  " --auth=trust --no-sync")
        guest.run(f"pg_conftool {version} bench set shared_buffers 32MB")
        guest.run(f"pg_conftool {version} bench set fsync off")
        guest.run(f"systemctl start postgresql@{version}-bench.service")
        guest.run(self._as_postgres("createdb bench"))
        guest.run(self._as_postgres(f"pgbench -q -i -s {self.SCALE} bench"))
        guest.run(self._as_postgres("psql -q bench -c checkpoint"))
        self.read_once(self.write_file("cold", self.COLD))
        guest.run(f"find {CLUSTER} -type f -exec cat {{}} + >/dev/null")
        job = guest.spawn(self._as_postgres("pgbench -n -S -c 4 -j 2 -T 999999 -P 1 bench"))
        self.work = Work(job, self.sampler.elapsed(), pgbench_progress)
        job.wait_output("progress: ")


class Redis(ProgramCourse):
    """Redis forks for a snapshot while it is written to."""
    MEMORY, TARGET = 1024, 600 * MIB
    HOT, COLD = 0, 0
    DATA = 350  # MiB
    VALUE = 4096  # bytes
    SNAPSHOTS = 2

    def __init__(self, guest, view):
        super().__init__(guest, view)
        self._snapshots = []

    def prepare(self):
        self.guest.run(f"install -d -o redis {debian.DATA}/redis")
        self.guest.run("systemd-run --quiet --unit=redis-bench -p User=redis redis-server"
                       f" --dir {debian.DATA}/redis --save '' --enable-debug-command yes")
        until(lambda: self._redis("ping").strip() == "PONG", "redis answers")
        self._redis(f"debug populate {self.DATA * MIB // self.VALUE} key {self.VALUE}")

    def _redis(self, command):
        return self.guest.run(f"redis-cli {command}", check=False)

    def _snapshot(self):
        self._redis("bgsave")
        writes = "redis-benchmark -q -t set -d 4096 -r 50000 -n 20000"
        with self.guest.job(writes):
            until(lambda: "rdb_bgsave_in_progress:0" in self._redis("info persistence"),
                  "the snapshot ends", pause=lambda: self.sampler.watch(1))
        status = re.search(r"rdb_last_bgsave_status:(\w+)", self._redis("info persistence"))
        return status[1] if status else "redis is gone"

    def meanwhile(self):
        self.sampler.watch(30)
        try:
            for _ in range(self.SNAPSHOTS):
                self._snapshots.append(self._snapshot())
        except CommandFailed as error:
            self._snapshots.append(f"failed: {error.status}")

    def figures(self):
        worst = [status for status in self._snapshots if status != "ok"]
        return {**super().figures(), "snapshots": worst[0] if worst else "ok",
                "count": len(self._snapshots)}


class TimedCourse(ProgramCourse):
    """Measures the host's wait for targets that the guest can afford."""
    TARGETS = ()  # MiB, one after the other
    PATIENCE = 240  # seconds for each

    def __init__(self, guest, view):
        super().__init__(guest, view)
        self._seconds = []

    def meanwhile(self):
        for target in self.TARGETS:
            begin, size = self.sampler.elapsed(), target * MIB
            self.sampler.go_to(size)
            there = self.sampler.watch(self.PATIENCE,
                                       lambda: self._size() <= size)
            self._seconds.append(self.sampler.elapsed() - begin if there else None)

    def figures(self):
        names = [f"seconds_{number}" for number in range(len(self._seconds))]
        return {**super().figures(), **dict(zip(names, self._seconds))}


class Node(TimedCourse):
    """One node thrashes, and the other is free."""
    TARGETS, TARGET = (1300,), 1300 * MIB
    HOT, AFTER = 0, 5

    def prepare(self):
        path = self.write_file("large", 1400)
        bound = "numactl --membind=0"
        self.guest.run(f"{bound} dd if={path} of=/dev/null bs=1M")  # the node is full
        self.work = self.fio(f"--name=large --filename={path} --size=1400M --rw=read", bound)
        self.work.job.wait_output("\n")


class Backup(TimedCourse):
    """A program reads more than there is memory, again and again."""
    TARGETS, TARGET = (1024,), 1024 * MIB
    HOT, AFTER = 0, 5

    def prepare(self):
        path = self.write_file("large", 3000)
        self.work = self.fio(f"--name=large --filename={path} --size=3000M --rw=read")
        self.read_once(path)
        self.work.job.wait_output("\n")


class Cold(TimedCourse):
    """No program uses the cache."""
    MEMORY, TARGET = 4096, 3072 * MIB
    TARGETS = (3072, 1024)
    HOT, COLD, BEFORE, AFTER = 0, 3000, 5, 1

    def prepare(self):
        self.read_once(self.write_file("cold", self.COLD))


class Swap(ProgramCourse):
    """A process that sleeps beside one that works; the guest can swap."""
    MEMORY, TARGET = 1024, 300 * MIB
    IDLE, HOT, COLD = 400, 0, 0
    WORKING = 100  # MiB
    UNIT = "writes a second"
    DISK = f"fallocate -l 2G {debian.DATA}/swap && mkswap {debian.DATA}/swap"
    DEVICE = f"{debian.DATA}/swap"

    def __init__(self, guest, view):
        super().__init__(guest, view)
        self._before, self._after = {}, {}

    def prepare(self):
        self.guest.run(f"{self.DISK} && swapon {self.DEVICE}")
        sleeper = self.guest.spawn(f"exec stress-ng --quiet --vm 1 --vm-bytes {self.IDLE}M"
                                   " --vm-method zero-one --vm-keep --vm-hang 0")
        used = self.guest.memory - self.IDLE * MIB * 9 // 10
        until(lambda: sleeper.status is not None
              or self.guest.meminfo()["MemAvailable"] < used - 100 * MIB,
              "the sleeper has its memory", pause=lambda: self.sampler.watch(1))
        job = self.guest.spawn(f"exec memtool roam {self.WORKING}")
        self.work = Work(job, self.sampler.elapsed(), memtool.looks)
        job.wait_output("roaming")

    def meanwhile(self):
        self._before = self.guest.vmstat()
        super().meanwhile()
        self._after = self.guest.vmstat()

    def figures(self):
        figures = super().figures()
        if self._after:
            swapped = {name: (self._after[name] - self._before[name]) * 4096 / MIB
                       for name in ("pswpin", "pswpout")}
            taken = self.guest.memory / MIB - figures["size"]
            figures |= {**swapped, "swapped": swapped["pswpout"] / taken * 100}
        return figures


class Zram(Swap):
    """Swap in compressed memory."""
    DISK = "modprobe zram && echo 1G >/sys/block/zram0/disksize && mkswap /dev/zram0"
    DEVICE = "/dev/zram0"


class Growth(ProgramCourse):
    """The hot set grows after the balloon took memory; the guest may take memory back."""
    HOT, GROWN, COLD = 300, 1000, 600
    TARGET = 900 * MIB
    IOPS, SETTLE = 10000, 90

    def __init__(self, guest, view):
        super().__init__(guest, view)
        self._given_after = self._small = None

    def prepare(self):
        self.write_file("grown", self.GROWN)
        self.read_hot()

    def meanwhile(self):
        self.sampler.watch(self.SETTLE, lambda: self._size() <= self.TARGET)
        self.sampler.say(f"{self.GROWN} MiB are read now")
        # The first time through is no refault yet.
        self.read_once(f"{debian.DATA}/grown")
        size, begin = self._size(), self.sampler.elapsed()
        grown = self.fio(f"--name=grown --filename={debian.DATA}/grown --size={self.GROWN}M"
                         " --rw=randread")
        if self.sampler.watch(self.SETTLE, lambda: self._size() > size + 16 * MIB):
            self._given_after = self.sampler.elapsed() - begin
        self._small = self.work.rate(self.target_set - self.BEFORE, self.target_set)
        self.work.job.kill()
        self.work = grown
        self.sampler.watch(self.SETTLE)

    def figures(self):
        figures = super().figures()
        figures["given"] = self._given_after
        if figures.get("after") and self._small:
            figures |= {"before": self._small, "kept": figures["after"] / self._small * 100}
        return figures


def setups(course, device="virtio-balloon", **options):
    """The same guest with each driver."""
    return {peer: Setup(peer, memory=course.MEMORY, device=device, debian=8192, **options)
            for peer in PEERS}


class HotFast(Restraint):
    """A fast disk."""
    NAME, COURSE = "hot-fast", Hot
    TITLE = "1000 of 2048 MiB are read at random; target 512 MiB, fast disk"
    SETUPS, ROWS = setups(Hot), rows()


class Hot3000Course(Hot):
    """A cloud's disk."""
    IOPS = 3000


class Hot3000(Restraint):
    """A cloud's disk."""
    NAME, COURSE = "hot-3000", Hot3000Course
    TITLE = "1000 of 2048 MiB are read at random; target 512 MiB, disk of 3000 requests a second"
    SETUPS, ROWS = setups(Hot), rows()


class Hot150Course(Hot):
    """One rotating disk."""
    IOPS, SETTLE = 150, 180


class Hot150(Restraint):
    """One rotating disk."""
    NAME, COURSE = "hot-150", Hot150Course
    TITLE = "1000 of 2048 MiB are read at random; target 512 MiB, disk of 150 requests a second"
    SETUPS, ROWS = setups(Hot), rows()


class LoopThatFits(Restraint):
    """A loop that no longer fits loses all its pages at once."""
    NAME, COURSE = "loop", Loop
    TITLE = "1300 of 2048 MiB are read in a loop; target 512 MiB, fast disk"
    SETUPS, ROWS = setups(Loop), rows()


class TightCgroup(Restraint):
    """The refaults of a cgroup at its limit are not the balloon's."""
    NAME, COURSE = "cgroup", Cgroup
    TITLE = ("600 of 2048 MiB are read at random, and 256 MiB in a cgroup of 64 MiB; target "
             "512 MiB, fast disk")
    SETUPS, ROWS = setups(Cgroup), rows()


class Database(Restraint):
    """The kernel caches PostgreSQL's data."""
    NAME, COURSE = "postgresql", PostgreSQL
    TITLE = "PostgreSQL's data fit into 1024 MiB; target 256 MiB, disk of 500 requests a second"
    SETUPS, ROWS = setups(PostgreSQL), rows(90, None, "transactions")


class Snapshot(Restraint):
    """Memory that a fork needs is not available before it is needed."""
    NAME, COURSE = "redis", Redis
    TITLE = "Redis with 350 MiB saves snapshots in 1024 MiB; target 600 MiB, deflate-on-oom=on"
    SETUPS = setups(Redis, RESERVE)
    ROWS = (*OUTCOME, told("snapshots", "snapshots", words=("ok",)),
            told("count", "... that were asked for", at_least=Redis.SNAPSHOTS),
            told("size", "size of the guest then, MiB"), LOG_LINES)


class OtherNode(Restraint):
    """The driver can take the free node's memory."""
    NAME, COURSE = "node", Node
    TITLE = "node 0 of two thrashes, node 1 is free; target 1300 of 2048 MiB"
    SETUPS = setups(Node, extra=numa((1024, 1024)))
    ROWS = (*OUTCOME, told("seconds_0", "target reached after, s", 1, at_most=30), LOG_LINES)


class OldData(Restraint):
    """The balloon does not cause the refaults of a backup."""
    NAME, COURSE = "backup", Backup
    TITLE = "3000 MiB are read in order, again and again; target 1024 of 2048 MiB"
    SETUPS = setups(Backup)
    ROWS = (*OUTCOME, told("seconds_0", "target reached after, s", 1, at_most=60), LOG_LINES)


class ColdCache(Restraint):
    """The time to reach the host's targets if the cache is cold."""
    NAME, COURSE = "cold", Cold
    TITLE = "3000 of 4096 MiB are cache that nobody uses; targets 3072 and 1024 MiB"
    SETUPS = setups(Cold)
    ROWS = (*OUTCOME,
            Row("seconds_0", "1 GiB, s", peer="stock", decimals=1, ratio=0.67, aim="1"),
            Row("seconds_1", "then 2 GiB, s", peer="stock", decimals=1, ratio=0.67, aim="1"),
            LOG_LINES)


SWAP_ROWS = (
    *OUTCOME,
    told("kept", "writes of the process that works, of before, %", at_least=95),
    told("size", "size of the guest then, MiB"),
    told("pswpin", "swapped in, MiB", at_most=20),
    told("pswpout", "swapped out, MiB"),
    told("swapped", "... of what the balloon took, %", at_most=100),
    LOG_LINES,
)


class IdleSwapped(Restraint):
    """Idle memory may go to the disk, memory in use may not."""
    NAME, COURSE = "swap", Swap
    TITLE = "400 of 1024 MiB sleep, 100 MiB are in use; target 300 MiB, swap on a fast disk"
    SETUPS, ROWS = setups(Swap), SWAP_ROWS


class IdleCompressed(Restraint):
    """The same with swap in compressed memory."""
    NAME, COURSE = "zram", Zram
    TITLE = "400 of 1024 MiB sleep, 100 MiB are in use; target 300 MiB, swap in zram"
    SETUPS, ROWS = setups(Zram), SWAP_ROWS


class GrownHot(Restraint):
    """A guest that thrashes is short of memory."""
    NAME, COURSE = "growth", Growth
    TITLE = "a hot set grows from 300 to 1000 MiB; target 900 of 2048 MiB, deflate-on-oom=on"
    SETUPS = setups(Growth, RESERVE)
    ROWS = (*OUTCOME,
            told("given", "memory given back after, s", 1, at_most=10),
            told("before", "reads a second before"),
            told("after", "reads a second, settled"),
            told("kept", "... of before, %", at_least=50),
            told("size", "size of the guest then, MiB"), LOG_LINES)


SCENARIOS = (HotFast, Hot3000, Hot150, LoopThatFits, TightCgroup, OtherNode, OldData, ColdCache,
             IdleSwapped, IdleCompressed, GrownHot, Database, Snapshot)
