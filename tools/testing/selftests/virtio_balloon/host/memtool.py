# SPDX-License-Identifier: GPL-2.0
"""Reads what memtool says in the guest while it roams and probes."""

import re
import statistics
from typing import NamedTuple

# Complete lines only: a guest may die in the middle of one.
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


def seconds(output):
    """For how long `memtool roam` has roamed when it last told."""
    return float(ROAM.findall(output)[-1][0])


def writes_per_second(output, start, end):
    """What `memtool roam` wrote between two instants, seconds since it began; None: unknown."""
    looks = [(float(seconds), int(writes)) for seconds, writes in ROAM.findall(output)]
    looks = [look for look in looks if start <= look[0] <= end]
    if len(looks) < 2:
        return None
    (first, before), (last, after) = looks[0], looks[-1]
    return (after - before) / (last - first)


def percentile(values, percent):
    """A percentile, None where there are too few values to tell."""
    if len(values) < 2 or len(values) * (100 - percent) < 100:
        return None
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
