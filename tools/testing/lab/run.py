#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""`make run`: drive the balloon of a stock guest from target to target, and judge it.

Settings come from the environment: MEM, TARGETS, KERNEL, DEVICE, PEER (see make help).
"""

import math
import time
from typing import NamedTuple

from host import accel, initramfs, kernel, module, picture, program
from host.balloon import Balloon
from host.guest import Guest
from host.paths import BALLOON_PAGE, BUILD, MIB, Unusable, shown
from host.sampler import SAMPLE_SECONDS, Sampler
from host.settings import settings
from host.units import mib
from host.view import make_view, print_table

# Memory that the guest leaves untouched when it touches the rest.
KEEP_FREE = 128 * MIB
# QEMU's own memory, untouched memory of the guest, reserves of its kernel.
RSS_SLACK = 256 * MIB


class Step(NamedTuple):
    """One row of the final table."""
    name: str
    target: int
    actual: int
    seconds: float
    moved: int
    meminfo: dict
    rss: int
    problems: list


class Run:
    """One guest on its way through all targets."""

    def __init__(self, guest, view, deflate_on_oom):
        self.guest = guest
        self.balloon = Balloon(guest)
        self.sampler = Sampler(guest, view)
        self._deflate_on_oom = deflate_on_oom
        self._whole = guest.meminfo()["MemTotal"]

    def _watched(self, command):
        """Run a command in the guest, sampling meanwhile."""
        job = self.guest.spawn(command)
        self.sampler.watch(math.inf, lambda: job.status is not None)
        return job.wait()

    def touch(self):
        """Have the guest use its memory: only used memory is resident on the host."""
        self.sampler.say("guest: using its memory once, so that the host has to provide it")
        self._watched(f"memtool touch {KEEP_FREE // MIB}")
        self.sampler.sample()

    def _guest_problems(self, actual):
        """Compare the guest's numbers with the device's."""
        problems = []
        ballooned = self.guest.memory - actual
        total = self.guest.meminfo()["MemTotal"]
        expected = self._whole if self._deflate_on_oom else self._whole - ballooned
        if total != expected:
            problems.append(f"MemTotal is {total >> 10} KiB, not {expected >> 10}")
        marked = self.balloon.offline_pages() * BALLOON_PAGE
        if marked != ballooned:
            problems.append(f"{marked >> 10} KiB are PG_offline, not {ballooned >> 10}")
        return problems

    def _rss_problems(self, before, rss, was, actual):
        """Check that the memory on the host follows the balloon."""
        problems = []
        if abs(rss - actual) > RSS_SLACK:
            problems.append(f"RSS is {mib(rss)} MiB")
        change = actual - was
        if abs(change) > RSS_SLACK and (rss - before) / change < 0.75:
            problems.append(f"RSS moved by {mib(rss - before)} MiB only")
        return problems

    def step(self, target):
        """Go to one target."""
        was, before = self.balloon.actual(), self.guest.rss()
        start = time.monotonic()
        self.sampler.say(f"target: {mib(target)} MiB")
        self.sampler.go_to(target)
        self.balloon.wait(target, self.sampler.sample, SAMPLE_SECONDS)
        seconds = time.monotonic() - start
        actual = self.balloon.actual()
        problems = self._guest_problems(actual)
        meminfo = self.guest.meminfo()
        if actual > was:
            self.touch()
        rss = self.guest.rss()
        problems += self._rss_problems(before, rss, was, actual)
        return Step(f"{mib(target)} MiB", target, actual, seconds, actual - was, meminfo, rss,
                    problems)

    def unload(self, target):
        """Remove the module while the balloon holds memory."""
        if self.balloon.settled(target) == self.guest.memory:
            target = self.guest.memory // 2
        if self.balloon.actual() == self.guest.memory:
            self.sampler.say(f"target: {mib(target)} MiB, so that modprobe -r has something "
                             "to return")
            self.sampler.go_to(target)
            self.balloon.wait(target, self.sampler.sample, SAMPLE_SECONDS)
        was = self.balloon.actual()
        start = time.monotonic()
        self.sampler.target = self.guest.memory
        self.sampler.mark("modprobe -r")
        self.sampler.say(f"modprobe -r with {mib(self.guest.memory - was)} MiB in the balloon")
        self._watched("modprobe -r virtio_balloon")
        seconds = time.monotonic() - start
        self.sampler.sample()
        actual = self.balloon.actual()
        problems = self._guest_problems(self.guest.memory)
        if actual != self.guest.memory:
            problems.append(f"query-balloon says {mib(actual)} MiB")
        return Step("modprobe -r", self.guest.memory, actual, seconds, actual - was,
                    self.guest.meminfo(), self.guest.rss(), problems)


def report(steps):
    """Print the final table."""
    rows = []
    for step in steps:
        rate = abs(step.moved) / step.seconds / MIB if step.seconds else 0
        rows.append((step.name, mib(step.actual), f"{step.seconds:.1f}", f"{rate:.0f}",
                     mib(step.meminfo["MemTotal"]), mib(step.meminfo["MemAvailable"]),
                     mib(step.rss), "; ".join(step.problems) or "ok"))
    print_table(("target", "actual MiB", "s", "MiB/s", "MemTotal MiB", "MemAvailable MiB",
                 "host RSS MiB", "verdict"), rows, "What the balloon did")


def drive(chosen, guest):
    """Load the module, visit every target, remove it; return whether all was well."""
    balloon = Balloon(guest)
    print(guest.run("modinfo virtio_balloon").splitlines()[0], flush=True)
    with make_view(chosen.memory) as view:
        run = Run(guest, view, "deflate-on-oom=on" in chosen.device)
        balloon.load()
        if not balloon.device():
            refusal = [r.text for r in guest.kernel_log() if "virtio_balloon" in r.text][-1:]
            raise Unusable("the driver does not serve this device: "
                           f"{' '.join(refusal) or 'it does not say why'}: change DEVICE=")
        run.touch()
        steps = [run.step(target) for target in chosen.targets]
        steps.append(run.unload(chosen.targets[0]))
    alarms = guest.alarms()
    report(steps)
    for alarm in alarms:
        print(f"kernel log: {alarm}")
    print(f"kernel log: {len(alarms)} warnings; all of it in {shown(guest.console_log)}")
    path = BUILD / "run.png"
    picture.draw(run.sampler.samples, run.sampler.marks,
                 f"virtio_balloon on {chosen.release}", path)
    print(f"picture: {shown(path)}")
    return not alarms and not any(step.problems for step in steps)


def main():
    """The whole run."""
    chosen = settings()
    if chosen.peer == "ours":
        print(f"building the module for {chosen.release}", flush=True)
        module.build(chosen.release)
    accelerator = accel.choose(chosen.release)
    print(f"accelerator: {accelerator.name} ({accelerator.reason})", flush=True)
    archive = initramfs.build(kernel.installed(chosen.release), chosen.peer)
    print(f"booting {chosen.release} with {mib(chosen.memory)} MiB", flush=True)
    device = ",".join(filter(None, ("virtio-balloon-pci", chosen.device)))
    with Guest("run", kernel.installed(chosen.release), archive, accelerator,
               memory=chosen.memory // MIB, device=device) as guest:
        good = drive(chosen, guest)
    print("passed" if good else "FAILED: see the verdicts and the kernel log above")
    return 0 if good else 1


if __name__ == "__main__":
    program.execute(main)
