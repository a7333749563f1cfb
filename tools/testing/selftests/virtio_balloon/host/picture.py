# SPDX-License-Identifier: GPL-2.0
"""Draws a run: target, actual and resident memory over time."""

import matplotlib

matplotlib.use("Agg")  # no display is needed, nor looked for
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
