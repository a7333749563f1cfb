# SPDX-License-Identifier: GPL-2.0
"""Reads the guest's kernel log, and finds alarming records."""

import re
from typing import NamedTuple

WARNING = 4  # printk level; smaller is worse

# Each out-of-tree, unsigned module causes these two.
TAINT = re.compile(r"loading out-of-tree module taints kernel"
                   r"|module verification failed: signature and/or required key missing")

# The slow or unsteady clock of an emulated machine causes these; the driver does not.
SLOW_MACHINE = re.compile(r"^hrtimer: interrupt took"
                          r"|^perf: interrupt took too long"
                          r"|clocksource: "
                          r"|^sched: DL replenish lagged too much"
                          r"|^TSC found unstable after boot"
                          r"|^workqueue: (?!.*balloon).* hogged CPU")

# kmod first passes a compressed module to the kernel, which may be able to unpack it.
COMPRESSED = re.compile(r"^Invalid ELF header magic")

HARMLESS = (TAINT, SLOW_MACHINE, COMPRESSED)

# Alarming at any level: the kernel prints a trace at several levels.
SPLAT = re.compile(r"WARNING:|BUG:|\bOops\b|Call Trace|hung task|blocked for more than"
                   r"|general protection|soft lockup|rcu.*stall|kernel BUG|Bad page state"
                   r"|page allocation failure|refcount_t|list_(add|del) corruption"
                   r"|UBSAN:|trying to register non-static key"
                   r"|kmemleak: .* new suspected memory leaks")

# A race in QEMU 7.2's emulation causes this (see accel.py).
EMULATOR_BUG = re.compile(r"Oops: int3")
INIT = "Run /init as init process"
PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
KILLED = re.compile(r"Out of memory.*: Killed process \d+ \((.*?)\)")


class Record(NamedTuple):
    """One message of /dev/kmsg."""
    level: int
    seconds: float
    text: str

    def __str__(self):
        return f"<{self.level}>[{self.seconds:.6f}] {self.text}"


def parse(record):
    """Parse a record: "priority,sequence,microseconds,flags;text", then indented fields."""
    prefix, _, rest = record.partition(";")
    priority, _, stamp = prefix.split(",")[:3]
    return Record(int(priority) & 7, int(stamp) / 1e6, rest.splitlines()[0] if rest else "")


def alarming(records, booted):
    """The records that a healthy guest does not produce.

    Of the first `booted` records, from before any module was loaded, only traces count:
    the kernel may warn of the virtual hardware.
    """
    return [record for number, record in enumerate(records)
            if (SPLAT.search(record.text) or (record.level <= WARNING and number >= booted))
            and not any(pattern.search(record.text) for pattern in HARMLESS)]


def of_driver(records):
    """The records of balloon drivers."""
    return [record for record in records if record.text.startswith("virtio_balloon")]
