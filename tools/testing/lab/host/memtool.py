# SPDX-License-Identifier: GPL-2.0
"""Reads what memtool says in the guest while it roams and probes."""

import re
import statistics
from typing import NamedTuple

# Complete lines only: a guest may die in the middle of one.
ROAMING = re.compile(r"^roaming after (\d+\.\d+)\n", re.MULTILINE)
ROAM = re.compile(r"^(\d+\.\d+) (\d+)\n", re.MULTILINE)
PROBE = re.compile(r"^(\d+\.\d+) (\d+) (\d+)\n", re.MULTILINE)


class Probe(NamedTuple):
    """How one command fared."""
    uptime: float  # of the guest when it began, seconds
    seconds: float  # that it took
    available: int  # MemAvailable after it, bytes


def probes(output):
    """What `memtool probe` has measured."""
    return [Probe(float(uptime), int(microseconds) / 1e6, int(kib) * 1024)
            for uptime, microseconds, kib in PROBE.findall(output)]


def roaming_after(output):
    """Seconds until `memtool roam` had all its memory; None: it never had."""
    roaming = ROAMING.search(output)
    return float(roaming[1]) if roaming else None


class Look(NamedTuple):
    """How far a process that roams has come."""
    seconds: float
    writes: int


def looks(output):
    """What `memtool roam` has told, second by second."""
    return [Look(float(seconds), int(writes)) for seconds, writes in ROAM.findall(output)]


def roamed(output):
    """How far it had come when it last told."""
    return (looks(output) or [Look(0, 0)])[-1]


def writes_per_second(output, start, end):
    """What `memtool roam` wrote between two instants, seconds since it began; None: unknown."""
    between = [look for look in looks(output) if start <= look.seconds <= end]
    if len(between) < 2:
        return None
    (first, before), (last, after) = between[0], between[-1]
    return (after - before) / (last - first)


def percentile(values, percent):
    """A percentile, None where there are too few values to tell."""
    if len(values) < 2 or len(values) * (100 - percent) < 100:
        return None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
