# SPDX-License-Identifier: GPL-2.0
"""Inflation and deflation: their time, their notifications, and the host's CPU time."""

import statistics
from typing import NamedTuple

from host import picture
from host.balloon import Balloon
from host.device_trace import TIMED, DeviceTrace
from host.paths import MIB

from .lab import SERIES, Setup
from .scenario import Alternating
from .table import Row

MEMORY = 4096  # MiB
MOVED = 3  # GiB
SMALL = 1024 * MIB  # the rest of the guest
KEEP = 128  # MiB that no program uses
PLAIN = "init_on_alloc=0"
# A host may change its speed after a tenth of a second, or after ten seconds.  A long move runs
# once, in the second turn.  Short moves run several times in each turn, before and after the
# long ones with which they are compared.
TURNS = 3
TIMES = 2

TRACING = "/sys/kernel/tracing"
NOTIFY = "vp_notify"  # of virtio-pci


class HostShare:
    """The time that the guest's CPUs spend in notifications, in which the host works.

    QEMU's balloon has no thread of its own.  It handles messages during the guest's
    write to the notification register, before vp_notify() returns.  The guest's
    function graph tracer measures only this function.
    """

    def __init__(self, guest):
        self._guest = guest
        for name, text in (("set_ftrace_filter", NOTIFY), ("max_graph_depth", "1"),
                           ("buffer_size_kb", "4096"), ("current_tracer", "function_graph")):
            guest.write(f"{TRACING}/{name}", text)

    def clear(self):
        """Discard the measurements so far."""
        self._guest.run(f": > {TRACING}/trace")  # opening the file for writing truncates it

    def seconds(self):
        """The sum since clear(), of lines such as " 0)  $ 1234.567 us  |  vp_notify();"."""
        lines = self._guest.run(f"cat {TRACING}/trace").splitlines()
        return sum(float(line.split(" us ")[0].split()[-1]) for line in lines
                   if NOTIFY in line and " us " in line) / 1e6


class Host(NamedTuple):
    """How the host has the memory that the balloon takes; key: the key of the figures."""
    key: str
    label: str


FRESH = Host("", "memory never used")
AGAIN = Host("_again", "memory that was in the balloon before")
USED = Host("_used", "memory used since")


def figures(host, there, back):
    """Means of moves there and back."""
    answer = {}
    for way, moves in (("inflate", there), ("deflate", back)):
        seconds, notifications, writes, cpu = (
            statistics.mean(getattr(move, what) for move in moves)
            for what in ("seconds", "notifications", "config_writes", "cpu"))
        answer |= {way: seconds, f"{way}_notifications": notifications / MOVED,
                   f"{way}_writes": writes / MOVED, f"{way}_cpu": cpu / MOVED}
    return {key + host.key: value for key, value in answer.items()}


def rows():
    """The bounds are for memory that the host has not provided, so it has nothing to take away.

    With the kernel's own driver the guest zeroes each page, so the host provides the page
    first; with huge pages this is faster.  The bound of 14 holds on both kinds of host.
    """
    plain = {"ours": "ours-plain", "peer": "stock-plain"}
    for how, names, must, aim in (
            (", init_on_alloc=0", plain, 2.6, ""),
            ("", {"peer": "stock"}, 1.15, "as far as a module can"),
            (", kernel of the series", {"ours": "series", "peer": "stock"}, 14, "20"),
            (", kernel of the series, host without transparent huge pages",
             {"ours": "series-4k", "peer": "stock-4k"}, 14, "20")):
        yield Row("inflate", f"inflate{how}, s", **names, ratio=must, aim=aim)
        for host in (AGAIN, USED):
            yield Row("inflate" + host.key, f"... {host.label}", **names)
    yield Row("deflate", "deflate, s", **plain, ratio=1.4, aim="2.2")
    for host in (AGAIN, USED):
        yield Row("deflate" + host.key, f"... {host.label}", **plain)
    # The host's share, which no driver can avoid.
    share = {"ours": "ours-plain", "peer": "share"}
    yield Row("inflate", "inflate; peer: the host's share, s", **share, aim="0.87 (1 / 1.15)")
    yield Row("deflate", "deflate; peer: the host's share, s", **share, aim="0.77 (1 / 1.3)")
    for way, verb in (("inflate", "inflated"), ("deflate", "deflated")):
        yield Row(f"{way}_notifications", f"notifications for a GiB {verb}", **plain,
                  decimals=0, ratio=4, aim="8")
        yield Row(f"{way}_writes", f"configuration writes for a GiB {verb}", **plain,
                  decimals=0, ratio=4, aim="8")
    for way, verb, must in (("inflate", "inflated", 1.5), ("deflate", "deflated", 1.2)):
        yield Row(f"{way}_cpu", f"CPU seconds of the host for a GiB {verb}", **plain, ratio=must,
                  aim="the host's share")


class Moves(Alternating):
    """A balloon that takes three quarters of the memory and gives it back."""
    NAME = "inflate"
    TITLE = "3 GiB of a 4 GiB guest to the host, and back"
    SETUPS = {name: setup._replace(memory=MEMORY, extra=TIMED) for name, setup in {
        "ours-plain": Setup("ours", init_args=PLAIN),
        "stock-plain": Setup("stock", init_args=PLAIN),
        "ours": Setup("ours"),
        "stock": Setup("stock"),
        "series": Setup("ours", kernel=SERIES),
        "series-4k": Setup("ours", kernel=SERIES, huge=False),
        "stock-4k": Setup("stock", huge=False),
        # The tracer patches the guest's code while the code runs, see host/accel.py.
        "share": Setup("ours", init_args=PLAIN, cpus="in turn"),
    }.items()}
    ROWS = tuple(rows())
    CURVES = {"ours-plain": "this driver, init_on_alloc=0",
              "stock-plain": "the kernel's own, init_on_alloc=0",
              "series": "this driver, kernel of the series",
              "ours": "this driver", "stock": "the kernel's own"}

    def __init__(self):
        self._paths = {}

    def turns(self, guest, contestant):
        Balloon(guest).load()
        trace = DeviceTrace(guest)
        if contestant == "share":
            share = HostShare(guest)
            for _ in range(TURNS):
                yield self._share(guest, trace, share)
            return
        for host in (FRESH, AGAIN, USED):
            for turn in range(TURNS):
                if self._is_short(contestant, host):
                    times = TIMES
                else:
                    times = 1 if turn == TURNS // 2 else 0
                yield self._move(guest, trace, contestant, host, times)

    def _move(self, guest, trace, contestant, host, times):
        """Figures of `times` moves there and back; empty for 0."""
        there, back = [], []
        for _ in range(times):
            if host is USED:
                guest.run(f"memtool touch {KEEP}")
            there.append(trace.move(SMALL))
            back.append(trace.move(guest.memory))
            self._paths.setdefault(contestant, there[0].path)
        return figures(host, there, back) if times else {}

    def _is_short(self, contestant, host):
        """Are moves short, and does the host have the memory in the same way afterwards?"""
        setup = self.SETUPS[contestant]
        return setup.driver == "ours" and host is not USED and (
            setup.init_args == PLAIN or setup.kernel == SERIES)

    @staticmethod
    def _share(guest, trace, share):
        seen = {"inflate": [], "deflate": []}
        for _ in range(TIMES):
            for way, target in (("inflate", SMALL), ("deflate", guest.memory)):
                share.clear()
                trace.move(target)
                seen[way].append(share.seconds())
        return {way: statistics.mean(seconds) for way, seconds in seen.items()}

    def draw(self, where, path):
        curves = {title: self._paths[name] for name, title in self.CURVES.items()
                  if name in self._paths}
        picture.inflation(curves, MEMORY * MIB, f"{self.TITLE}\n{where}", path)
        return True
