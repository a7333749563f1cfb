# SPDX-License-Identifier: GPL-2.0
"""A guest in QEMU: started, driven through init's command channel, ended."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from . import klog
from .initramfs import DISK_MODULE
from .paths import BUILD, MIB, QEMU, Unusable
from .qmp import QMP, Disconnected, QMPError
from .transport import ANY_BALLOON, MODERN
from .until import HANG_SECONDS, until

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
BALLOON_ID = "balloon0"
PER_CPU = "/proc/sys/vm/percpu_pagelist_high_fraction"
PER_CPU_PART = 1024  # the lists of all CPUs get 1 / PER_CPU_PART of memory
KEYBOARD = "/sys/devices/platform/i8042/serio0"
FROZEN = "Freezing remaining freezable tasks completed"
HALTED_LOOKS = 20
CHIPSET = "/sys/bus/pci/devices/0000:00:1f.0"  # q35's ICH9


class GuestDied(Exception):
    """QEMU ended, or the guest stopped answering."""


class CommandFailed(Exception):
    """A command in the guest ended with a status other than 0."""

    def __init__(self, command, status, output):
        super().__init__(f"{command}: status {status}: {output.strip()}")
        self.status = status
        self.output = output


class Job:
    """A command that runs in the guest."""

    def __init__(self, channel, number, command):
        self.channel = channel
        self.number = number
        self.command = command
        self.chunks = []
        self.status = None

    @property
    def output(self):
        """Its output so far."""
        return b"".join(self.chunks).decode(errors="replace")

    def wait(self, check=True):
        """Wait for its end; return its output."""
        self.channel.wait_for(lambda: self.status is not None, self.command)
        if check and self.status:
            raise CommandFailed(self.command, self.status, self.output)
        return self.output

    def wait_output(self, text):
        """Wait until it has written `text`."""
        self.channel.wait_for(lambda: text in self.output or self.status is not None,
                              self.command)
        if text not in self.output:
            raise CommandFailed(self.command, self.status, self.output)

    def ended(self, within):
        """Does the command end `within` this many seconds?"""
        return self.channel.happens(lambda: self.status is not None, within)

    def kill(self, number=signal.SIGKILL):
        """Kill it and all its children; wait for its end."""
        self.channel.send(f"kill {self.number} {int(number)}")
        return self.wait(check=False)


class Channel:
    """The connection to init.c, which describes the protocol."""

    def __init__(self, connection):
        self._socket = connection
        self._changed = threading.Condition()
        self._send_lock = threading.Lock()
        self._jobs = {}
        self._count = 0
        self._ready = False
        self._closed = False
        self.records = []  # of the kernel's log
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        try:
            with self._socket.makefile("rb") as stream:
                for line in stream:
                    self._dispatch(line.decode().split(), stream)
        except (OSError, ValueError):
            pass  # the connection broke in the middle of a message: same as its end
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _dispatch(self, words, stream):
        verb = words[0]
        data = stream.read(int(words[-1])) if verb in ("out", "log") else b""
        with self._changed:
            if verb == "ready":
                self._ready = True
            elif verb == "log":
                self.records.append(klog.parse(data.decode(errors="replace")))
            elif verb == "out":
                self._jobs[int(words[1])].chunks.append(data)
            elif verb == "exit":
                self._jobs.pop(int(words[1])).status = int(words[2])
            self._changed.notify_all()

    def happens(self, condition, limit):
        """Does an answer of the guest bring `condition` about within `limit` seconds?"""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._closed, limit)
            if self._closed and not condition():
                raise GuestDied("the guest ended by itself: see its console.log "
                                "below build/guest/")
            return condition()

    def wait_for(self, condition, what, limit=HANG_SECONDS):
        """Wait until an answer of the guest brings `condition` about."""
        if not self.happens(condition, limit):
            raise GuestDied(f"no answer from the guest for {limit} s: {what}")

    def wait_ready(self):
        """Wait until init runs."""
        self.wait_for(lambda: self._ready, "boot")

    def goes_on(self, job):
        """Wait for the job's end, or for an init that does not know the job; tell which came."""
        self.wait_for(lambda: job.status is not None or self._ready, job.command)
        return not self._ready

    def ready(self, within):
        """Does init answer `within` this many seconds?"""
        return self.happens(lambda: self._ready, within)

    def send(self, line):
        """Send one request."""
        if "\n" in line:
            raise ValueError(f"request of several lines: {line!r}")
        try:
            with self._send_lock:
                self._socket.sendall(line.encode() + b"\n")
        except OSError as error:
            raise GuestDied(f"the guest ended: {line}") from error

    def request(self, verb, rest=""):
        """Send a request; return the job that collects the answer."""
        with self._changed:
            self._count += 1
            job = Job(self, self._count, f"{verb} {rest}".strip())
            self._jobs[job.number] = job
        self.send(f"{verb} {job.number} {rest}".rstrip())
        return job

    def inherit(self, other):
        """Take over from the channel that the same guest used in another QEMU."""
        with self._changed:
            self.records = [*other.records]
            self._jobs, self._count = other._jobs, other._count
            for job in self._jobs.values():
                job.channel = self

    def close(self):
        """Close our end."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._socket.close()


class Guest:
    """A booted guest; a context manager, so that no QEMU is left behind.

    memory: MiB.  transport: see transport.py.  device: QEMU's -device argument for the
    balloon without id, bus and the transport's properties, or None.  bus: a bus other
    than the transport's.  slots: number of DIMMs of up to 1 GiB that can be plugged
    while the guest runs.  cpus: how the CPUs run, see accel.py.
    """

    def __init__(self, name, kernel, initramfs, accel, *, memory=1024,
                 transport=MODERN, device=ANY_BALLOON, bus=None, console=None, init_args="",
                 slots=0, cpus="parallel", extra=()):
        self.memory = memory * MIB
        self.transport = transport
        self.directory = BUILD / "guest" / name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.console_log = self.directory / "console.log"
        self.qemu_log = self.directory / "qemu.log"
        self._process = None
        self._booted = 0  # records that the kernel had logged when init ran
        self.qmp = None
        self.channel = None
        size = f"{memory}M,slots={slots},maxmem={memory + 1024 * slots}M"
        command = self._command(kernel, initramfs, accel, size if slots else f"{memory}M",
                                init_args)
        command += accel.run(cpus, kernel)
        if device:
            place = ",".join(f"{name}={value}" for name, value in self._place(bus).items())
            command += ["-device", f"{transport.device(device)},{place}"]
        command += self._console(console) + list(extra)
        self._machine = command  # a migration's destination needs the same
        self._start(command, interactive=console is not None)

    def _command(self, kernel, initramfs, accel, memory, init_args):
        board = self.transport.board
        clock = accel.clock if "clock" in board.lacks else ""
        return [
            QEMU, "-smp", "2", "-m", memory,
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(kernel.image), "-initrd", str(initramfs),
            # A guest that panics ends at once, so that no test has to wait.
            "-append", " ".join(filter(None, (
                "console=ttyS0 panic=-1 oops=panic", accel.kernel, clock, init_args))),
            *board.arguments,
            "-device", "virtserialport,chardev=channel,nr=1",
        ]

    def _place(self, bus):
        bus = bus or self.transport.bus
        return {"id": BALLOON_ID, **({"bus": bus} if bus else {})}

    def _console(self, chardev):
        return ["-chardev", chardev or f"file,id=console,path={self.console_log}",
                "-serial", "chardev:console"]

    def _start(self, command, interactive):
        # Connected socket pairs, inherited: no socket file to leave behind.
        qmp_ours, qmp_theirs = socket.socketpair()
        channel_ours, channel_theirs = socket.socketpair()
        command = command + ["-chardev", f"socket,id=qmp,fd={qmp_theirs.fileno()}",
                    "-mon", "chardev=qmp,mode=control",
                    "-chardev", f"socket,id=channel,fd={channel_theirs.fileno()}"]
        try:
            with open(self.qemu_log, "wb") as log:
                self._process = subprocess.Popen(
                    # QEMU must end with this process, also if this process is killed.
                    ["setpriv", "--pdeathsig", "KILL", "--", *command],
                    stdin=None if interactive else subprocess.DEVNULL,
                    stdout=None if interactive else log, stderr=log,
                    pass_fds=(qmp_theirs.fileno(), channel_theirs.fileno()),
                    # Ctrl-C must not reach QEMU.  An interactive QEMU stays in the
                    # session, to read from the terminal, and passes Ctrl-C on as a byte.
                    start_new_session=not interactive)
        finally:
            qmp_theirs.close()
            channel_theirs.close()
        self.channel = Channel(channel_ours)
        try:
            self.qmp = QMP(qmp_ours)
        except Disconnected as error:
            reason = self._qemu_output() or "no message"
            self.kill()
            raise Unusable(f"QEMU did not start: {reason}") from error
        except BaseException:
            self.kill()
            raise

    def _qemu_output(self):
        lines = self.qemu_log.read_text(errors="replace").split("\n")
        return "; ".join(line for line in lines if line)

    def __enter__(self):
        try:
            self.channel.wait_ready()
            self._booted = len(self.kernel_log())
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.power_off()
        else:
            self.kill()

    @property
    def pid(self):
        """QEMU's process."""
        return self._process.pid

    def power_off(self):
        """Let the guest power itself off, as it is, and wait for QEMU's end."""
        try:
            self.channel.send("poweroff")
            self._process.wait(HANG_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise GuestDied(f"the guest does not power off, see {self.console_log}") from error
        finally:
            self.kill()

    def wait_end(self):
        """Wait until the guest has powered itself off."""
        self._process.wait()

    def kill(self):
        """End QEMU, whatever its state."""
        self._end(self._process, self.qmp, self.channel)

    @contextlib.contextmanager
    def destination(self):
        """Another QEMU that waits for this guest; yields the URI to migrate to.

        If the guest has moved at the block's end, this object uses the QEMU in which the
        guest runs now.  If it has not moved, the block ends the other QEMU.
        """
        source = self._process, self.qmp, self.channel
        with tempfile.TemporaryDirectory() as directory:
            uri = f"unix:{directory}/migration"
            self._start([*self._machine, "-incoming", uri], interactive=False)
            destination = self._process, self.qmp, self.channel
            self._process, self.qmp, self.channel = source
            try:
                yield uri
                moved = self._settled() == "postmigrate"
            except BaseException:
                self._end(*destination)
                raise
        if not moved:
            self._end(*destination)
            return
        destination[2].inherit(self.channel)
        self._process, self.qmp, self.channel = destination
        self._end(*source)

    def _settled(self):
        """The status of QEMU once no migration is about to end.

        After query-migrate reports "completed", QEMU still has to leave "finish-migrate".
        """
        def settled():
            status = self.qmp.execute("query-status")["status"]
            return status if status != "finish-migrate" else None
        # There is no event.
        return until(settled, "the end of a migration", error=GuestDied)

    @staticmethod
    def _end(process, qmp, channel):
        if process.poll() is None:
            process.kill()
        process.wait()
        channel.close()
        if qmp:
            qmp.close()

    # Sleep

    def _fall_asleep(self, state, event):
        """Suspend the guest; return the job that ends when the guest is awake again."""
        since = len(self.qmp.events)
        job = self.channel.request("write", f"/sys/power/state {state}")

        def suspended():
            if self.qmp.wait_event(event, since, 0.1)[0]:
                return True
            if job.status is not None:
                raise CommandFailed(job.command, job.status, "no sleep")
            return False
        until(suspended, "the guest suspends", tick=0, error=GuestDied)
        return job

    @contextlib.contextmanager
    def asleep(self):
        """Suspend the guest to RAM in the block."""
        self.run(f"dd if={CHIPSET}/config of=/tmp/chipset bs=8 skip=8 count=1")
        job = self._fall_asleep("mem", "SUSPEND")
        try:
            yield
        finally:
            self.qmp.execute("system_wakeup")
            job.wait()
            # At resume q35 loses PMBASE (64) and ACPI_CNTL (68) of its chipset, and QEMU 7.2's
            # firmware does not set them.  Without them suspend and power-off do not work.
            self.run(f"dd if=/tmp/chipset of={CHIPSET}/config bs=8 seek=8 conv=notrunc")

    @contextlib.contextmanager
    def idle_asleep(self):
        """Suspend the guest to idle in the block; a key wakes it up.

        Devices keep their power, and QEMU does not notice the suspend.
        """
        self.write(f"{KEYBOARD}/power/wakeup", "enabled")
        frozen = self.console().count(FROZEN)
        job = self.channel.request("write", "/sys/power/state freeze")
        try:
            self._wait_cpus_halted(job, frozen)
            yield
        finally:
            self.qmp.execute("send-key", keys=[{"type": "qcode", "data": "ret"}])
            job.wait()

    def _wait_cpus_halted(self, job, frozen):
        """Wait until all tasks are frozen again, and the CPUs are halted at many looks in a row.

        There is no event when the devices are suspended.  Before that, a CPU is halted
        only for milliseconds.
        """
        halted = 0

        def rests():
            nonlocal halted
            if job.status is not None:
                raise CommandFailed(job.command, job.status, "no sleep")
            registers = self.qmp.execute("human-monitor-command",
                                         **{"command-line": "info registers -a"})
            rest = self.console().count(FROZEN) > frozen and "HLT=0" not in registers
            halted = halted + 1 if rest else 0
            return halted >= HALTED_LOOKS
        until(rests, "the guest suspends", tick=0.05, error=GuestDied)

    @contextlib.contextmanager
    def hibernated(self, disk, modules=()):
        """Hibernate the guest to a disk, and resume it in a new QEMU.

        The new QEMU exists in the block, but boots only at the block's end.  modules:
        modules that its kernel loads before it resumes, besides the disk's.
        """
        job = self._fall_asleep("disk", "SUSPEND_DISK")
        old = self._process, self.qmp, self.channel
        self._process.wait(HANG_SECONDS)
        self._end(*old)
        command = [*self._machine, "-S"]
        command[command.index("-append") + 1] += " ".join((
            " --", *(f"load={name}" for name in (DISK_MODULE, *modules)), f"resume={disk}"))
        self._start(command, interactive=False)
        self.channel.inherit(old[2])
        try:
            yield
        finally:
            self.qmp.execute("cont")
            if not self.channel.goes_on(job):
                raise GuestDied("the guest was booted anew, not resumed")
            job.wait()

    # Inside the guest

    def spawn(self, command):
        """Start a shell command in the guest."""
        return self.channel.request("run", command)

    def run(self, command, check=True):
        """Run a shell command in the guest; return its output."""
        return self.spawn(command).wait(check)

    @contextlib.contextmanager
    def job(self, command):
        """A shell command that runs in the guest until the block's end."""
        job = self.spawn(command)
        try:
            yield job
        finally:
            if job.status is None:
                job.kill()

    def read(self, path):
        """Content of a file, read without starting a process in the guest."""
        return self.channel.request("read", path).wait()

    def write(self, path, text):
        """Write to a file, without starting a process in the guest."""
        return self.channel.request("write", f"{path} {text}").wait()

    def kernel_log(self):
        """All records of the kernel's log so far."""
        self.channel.request("sync").wait()
        return list(self.channel.records)

    def console(self):
        """The output on the console, also of a guest that ended."""
        return self.console_log.read_text(errors="replace")

    def alarms(self, since=0):
        """Alarming records of the kernel's log after the first `since` ones."""
        return klog.alarming(self.kernel_log()[since:], max(self._booted - since, 0))

    def driver_lines(self, since=0):
        """Lines of balloon drivers in the log after the first `since` records."""
        return [record.text for record in klog.of_driver(self.kernel_log()[since:])]

    def uptime_ns(self):
        """The guest's clock."""
        return float(self.read("/proc/uptime").split()[0]) * 1e9

    def ask_meminfo(self):
        """Ask for /proc/meminfo; return the job that will have it as output."""
        return self.channel.request("read", "/proc/meminfo")

    def meminfo(self, job=None):
        """/proc/meminfo in bytes, from an earlier job or from now."""
        text = (job or self.ask_meminfo()).wait()
        lines = (line.split() for line in text.splitlines())
        return {words[0].rstrip(":"): int(words[1]) * (1024 if words[-1] == "kB" else 1)
                for words in lines}

    def vmstat(self):
        """/proc/vmstat."""
        lines = (line.split() for line in self.read("/proc/vmstat").splitlines())
        return {name: int(value) for name, value in lines}

    def shrink_per_cpu_lists(self):
        """Shrink the page allocator's per-CPU lists, so that their pages can merge.

        Up to an eighth of memory may be on these lists, in single pages.
        """
        self.write(PER_CPU, PER_CPU_PART)
        most = self.memory // PAGE_SIZE // PER_CPU_PART
        # Each read shrinks the lists by a step, as the kernel does once a second.
        until(lambda: self.cached_pages() <= most,
              lambda: f"from {self.cached_pages()} pages in per-CPU lists to {most}",
              pause=lambda: self.read("/proc/sys/vm/stat_refresh"), error=GuestDied)
        self.write(PER_CPU, 0)  # the default

    def cached_pages(self):
        """Number of pages on the per-CPU lists."""
        lines = (line.split() for line in self.read("/proc/zoneinfo").splitlines())
        return sum(int(words[1]) for words in lines if words[:1] == ["count:"])

    def short_zones(self):
        """Zones below their low watermark: {name: (free, low watermark)}, in pages."""
        short = {}
        for text in self.read("/proc/zoneinfo").split("Node ")[1:]:
            free, low = (int(re.search(rf"^ +{key} +(\d+)", text, re.MULTILINE)[1])
                         for key in ("pages free", "low"))
            if free < low:
                short[text.split("\n", 1)[0]] = free, low
        return short

    def free_huge_blocks(self):
        """Number of free 2 MiB blocks, also within larger ones."""
        total = 0
        for line in self.read("/proc/buddyinfo").splitlines():
            orders = [int(n) for n in line.split()[4:]]
            total += sum(n << (order - 9) for order, n in enumerate(orders) if order >= 9)
        return total

    # The host's view

    def rss(self):
        """QEMU's resident memory in bytes."""
        try:
            with open(f"/proc/{self.pid}/statm", encoding="ascii") as statm:
                return int(statm.read().split()[1]) * PAGE_SIZE
        except (OSError, IndexError) as error:
            raise GuestDied("QEMU is gone") from error

    def cpu_seconds(self):
        """Seconds that QEMU's threads ran, and that they waited for a CPU of the host."""
        ran = waited = 0
        for path in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):  # a thread that ended
                fields = path.read_text(encoding="ascii").split()
                ran, waited = ran + int(fields[0]), waited + int(fields[1])
        return ran / 1e9, waited / 1e9

    def wait_rss_below(self, limit):
        """Wait for reports of free memory: mm makes one every two seconds, without an event."""
        until(lambda: self.rss() <= limit,
              lambda: f"from {self.rss()} bytes of host RSS to {limit}", tick=0.2)

    def use_and_free(self, size):
        """Let a program use `size` MiB; wait until the host has got most of them back."""
        self.run(f"memtool fill /data/used {size} 1")
        full = self.rss()
        self.run("rm /data/used")
        self.wait_rss_below(full - size * MIB * 8 // 10)

    @property
    def plugged(self):
        """Does the guest have a balloon device?"""
        return any(device["name"] == BALLOON_ID for device in self.qmp.execute(
            "qom-list", path="/machine/peripheral"))

    def plug(self, device=ANY_BALLOON, bus=None):
        """Add a balloon while the guest runs."""
        driver, _, properties = self.transport.device(device).partition(",")
        options = dict(p.split("=", 1) for p in properties.split(",") if p)
        self.qmp.execute("device_add", driver=driver, **self._place(bus), **options)

    def unplug(self):
        """Remove the balloon; return when the guest has released it.

        The slot's state machine may drop a request while it still handles the last one.
        So this asks again after a long time without an answer.  It must not ask sooner:
        if the guest handles both requests, the second one removes the next device.
        """
        since = len(self.qmp.events)

        def gone():
            with contextlib.suppress(QMPError):  # "already in the process of unplug"
                self.qmp.execute("device_del", id=BALLOON_ID)
            event, _ = self.qmp.wait_event(
                "DEVICE_DELETED", since, timeout=HANG_SECONDS / 5,
                matching=lambda data: data.get("device") == BALLOON_ID)
            return event or not self.plugged
        until(gone, "device_del has an effect", tick=0, error=GuestDied)

    def move_to(self, transport):
        """Give the guest a plain balloon on another transport of its board, unless it has one."""
        if transport == self.transport:
            return
        self.unplug()
        self.transport = transport
        self.plug()
