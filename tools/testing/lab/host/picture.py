# SPDX-License-Identifier: GPL-2.0
"""Draws a balloon and its guest over time."""

from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")  # needs no display
from matplotlib import pyplot  # noqa: E402  pylint: disable=wrong-import-position

from .paths import MIB


def draw(samples, marks, title, path):
    """Draw samples into a PNG file; marks are (seconds, text) pairs."""
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    seconds = [s.elapsed for s in samples]
    axes.plot(seconds, [s.target / MIB for s in samples], drawstyle="steps-post",
              color="0.5", linestyle="--", label="target")
    axes.plot(seconds, [s.actual / MIB for s in samples], label="actual")
    axes.plot(seconds, [s.rss / MIB for s in samples], label="host RSS of QEMU")
    axes.plot(seconds, [s.available / MIB for s in samples], linewidth=0.8,
              label="guest MemAvailable")
    for when, text in marks:
        axes.axvline(when, color="0.85", linewidth=0.8, zorder=0)
        axes.annotate(text, (when, 1.01), xycoords=("data", "axes fraction"), fontsize=7,
                      rotation=30)
    axes.set(xlabel="seconds since the module was loaded", ylabel="MiB", ylim=(0, None))
    axes.set_title(title, fontsize=10, pad=48)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncol=4, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


class Trace(NamedTuple):
    """One guest under a target; times are seconds since the target was set, or None."""
    title: str
    memory: int  # of the guest, bytes
    samples: list  # see sampler.py
    points: list  # of what the guest does: (begin, value)
    ended: float  # end of the process that used memory
    died: float  # death of the guest
    outcome: str
    what: str  # the points are


def _draw_memory(axes, trace):
    seconds = [s.elapsed for s in trace.samples]
    axes.plot(seconds, [(trace.memory - s.target) / MIB for s in trace.samples],
              drawstyle="steps-post", color="0.5", linestyle="--",
              label="balloon that the host wants")
    axes.plot(seconds, [(trace.memory - s.actual) / MIB for s in trace.samples], label="balloon")
    axes.plot(seconds, [s.available / MIB for s in trace.samples], color="C2",
              label="guest MemAvailable")
    axes.set_title(trace.title, fontsize=10, pad=20)
    for when, text in ((0, "target set"), (trace.ended, "process ended")):
        if when is not None:
            axes.annotate(text, (when, 1.02), xycoords=("data", "axes fraction"), fontsize=8,
                          ha="center")


def _draw_points(axes, trace):
    axes.plot([begin for begin, _ in trace.points], [value for _, value in trace.points],
              ".", markersize=2, color="C3")
    axes.set(yscale="log", xlabel="seconds since the target was set")
    axes.yaxis.set_major_formatter("{x:g}")


def _mark(axes, trace, end):
    for when in (0, trace.ended):
        if when is not None:
            axes.axvline(when, color="0.6", linewidth=0.8, zorder=0)
    if trace.died is not None:
        axes.axvspan(trace.died, end, color="0.92", zorder=0)


def compare(traces, title, path):
    """Draw traces side by side into a PNG file: memory above, what the guest does below."""
    figure, rows = pyplot.subplots(2, len(traces), figsize=(4.8 * len(traces), 5.6),
                                   squeeze=False, sharex=True, sharey="row")
    end = max(trace.samples[-1].elapsed for trace in traces)
    for trace, memory, points in zip(traces, *rows):
        _draw_memory(memory, trace)
        _draw_points(points, trace)
        for axes in (memory, points):
            _mark(axes, trace, end)
        if trace.died is not None:
            memory.text((trace.died + end) / 2, trace.memory / MIB / 2,
                        f"guest dead after {trace.died:.1f} s\n{trace.outcome}",
                        ha="center", va="center", fontsize=8)
    rows[0][0].set(ylabel="MiB", ylim=(0, None), xlim=(None, end))
    rows[1][0].set(ylabel=traces[0].what)
    figure.suptitle(title, fontsize=10)
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="lower center", ncol=3, fontsize=8)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def inflation(curves, memory, title, path):
    """Draw the growth of balloons into a PNG file: (seconds, bytes of the guest) by name."""
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    for name, steps in curves.items():
        axes.plot([0, *(seconds for seconds, _ in steps)],
                  [0, *((memory - size) / MIB for _, size in steps)],
                  marker=".", markersize=2, linewidth=1, label=name)
    axes.set(xlabel="seconds since the target was set", ylabel="MiB that the host was told of",
             xlim=(0, None), ylim=(0, None))
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def ratios(bars, title, path):
    """Draw bars of (label, ratio or None, bound of the ratio) into a PNG file."""
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.3 * len(bars)))
    for place, (_, ratio, mark) in enumerate(reversed(bars)):
        if ratio is not None:
            axes.barh(place, ratio, color="C0" if ratio >= mark else "C3", height=0.6)
            axes.annotate(f"{ratio:.2f}", (ratio, place), (4, 0), textcoords="offset points",
                          va="center", fontsize=7,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})
        axes.plot([mark, mark], [place - 0.45, place + 0.45], color="black", linewidth=1.5)
    axes.set(xscale="log", xlabel="ratio; black: must be reached")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.axvline(1, color="0.6", linewidth=0.8, zorder=0)
    axes.set_yticks(range(len(bars)), [label for label, _, _ in reversed(bars)], fontsize=7)
    axes.margins(x=0.1)
    figure.suptitle(title, fontsize=10)  # the axes are too narrow for the title
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
