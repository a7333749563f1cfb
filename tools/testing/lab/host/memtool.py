# SPDX-License-Identifier: GPL-2.0
"""Parses the output of memtool's roam and probe."""

import re
import statistics
from typing import NamedTuple

# Only complete lines: a guest may die in the middle of a line.
ROAMING = re.compile(r"^roaming after (\d+\.\d+)\n", re.MULTILINE)
ROAM = re.compile(r"^(\d+\.\d+) (\d+)\n", re.MULTILINE)
PROBE = re.compile(r"^(\d+\.\d+) (\d+) (\d+)\n", re.MULTILINE)


class Probe(NamedTuple):
    """One command, as measured by `memtool probe`."""
    uptime: float  # of the guest at its begin, seconds
    seconds: float  # its duration
    available: int  # MemAvailable after it, bytes


def probes(output):
    """All measurements of `memtool probe`."""
    return [Probe(float(uptime), int(microseconds) / 1e6, int(kib) * 1024)
            for uptime, microseconds, kib in PROBE.findall(output)]


def roaming_after(output):
    """Seconds until `memtool roam` had all its memory; None if it never had."""
    roaming = ROAMING.search(output)
    return float(roaming[1]) if roaming else None


class Look(NamedTuple):
    """The progress of `memtool roam` at one instant."""
    seconds: float
    writes: int


def looks(output):
    """The progress of `memtool roam`, second by second."""
    return [Look(float(seconds), int(writes)) for seconds, writes in ROAM.findall(output)]


def roamed(output):
    """The last reported progress of `memtool roam`."""
    return (looks(output) or [Look(0, 0)])[-1]


def rate(points, start, end):
    """Work a second between two instants, of (seconds, work so far) pairs, or None."""
    between = [point for point in points if start <= point[0] <= end]
    if len(between) < 2:
        return None
    (first, before), (last, after) = between[0], between[-1]
    return (after - before) / (last - first)


def writes_per_second(output, start, end):
    """Rate of `memtool roam` between two instants, in seconds since its begin, or None."""
    return rate(looks(output), start, end)


def percentile(values, percent):
    """A percentile; None if there are too few values."""
    if len(values) < 2 or len(values) * (100 - percent) < 100:
        return None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
