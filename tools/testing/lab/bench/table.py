# SPDX-License-Identifier: GPL-2.0
"""What is to be reached, and whether it was: the bench's table."""

import operator
import statistics
from typing import NamedTuple

from host.view import print_table

COLUMNS = ("", "ours", "peer", "ratio", "must reach", "reached", "aim")


class Seen:
    """The figures of a scenario: by contestant and key one for each round."""

    def __init__(self):
        self._figures = {}

    def add(self, contestant, figures):
        """Those of one round; what is None is not known."""
        for key, value in figures.items():
            if value is not None:
                self._figures.setdefault((contestant, key), []).append(value)

    def values(self, contestant, key):
        """Of each round; empty: not known."""
        return self._figures.get((contestant, key), [])

    def median(self, contestant, key):
        """None: not known."""
        values = self.values(contestant, key)
        return statistics.median(values) if values else None

    def plain(self):
        """For JSON."""
        answer = {}
        for (contestant, key), values in self._figures.items():
            answer.setdefault(contestant, {})[key] = values
        return answer


class Row(NamedTuple):
    """A figure of ours, beside a peer's where there is one.

    ours, peer: contestants.  The ratio says how many times better ours is, of a
    figure of which less is better unless `more`: the median of the rounds' ratios, as
    the host's pace changes from round to round, for both.  At most one of `ratio`, `above`
    (a ratio that has to be exceeded), `at_most` and `at_least` (of our figure
    alone) must be reached; a row without them just tells.
    """
    key: str
    label: str
    ours: str = "ours"
    peer: str = None
    decimals: int = 2
    more: bool = False
    ratio: float = None
    above: float = None
    at_most: float = None
    at_least: float = None
    aim: str = ""

    def _ratio(self, seen):
        if self.at_most or self.at_least:
            return None
        names = (self.ours, self.peer) if self.more else (self.peer, self.ours)
        better, worse = (seen.values(name, self.key) for name in names)
        if not better or len(better) != len(worse) or not all(worse):
            return None
        return statistics.median(map(operator.truediv, better, worse))

    def _must(self):
        """In words, or ""."""
        for limit, words in ((self.ratio, ""), (self.above, "more than "),
                             (self.at_most, "at most "), (self.at_least, "at least ")):
            if limit is not None:
                return f"{words}{limit:g}"
        return ""

    def _reached(self, own, ratio):
        """None: nothing has to be, or that is not known."""
        for limit, value, holds in (
                (self.ratio, ratio, lambda a, b: a >= b), (self.above, ratio, lambda a, b: a > b),
                (self.at_most, own, lambda a, b: a <= b),
                (self.at_least, own, lambda a, b: a >= b)):
            if limit is not None and value is not None:
                return holds(value, limit)
        return None

    def _show(self, values):
        """Median and spread."""
        if not values:
            return "-"
        text = f"{statistics.median(values):.{self.decimals}f}"
        if len(values) == 1:
            return text
        return f"{text} ({min(values):.{self.decimals}f}..{max(values):.{self.decimals}f})"

    def result(self, seen):
        """What the table, and whoever reads build/bench.json, is told."""
        ratio = self._ratio(seen)
        must = self._must()
        reached = self._reached(seen.median(self.ours, self.key), ratio)
        return Result(self.label, self._show(seen.values(self.ours, self.key)),
                      self._show(seen.values(self.peer, self.key)) if self.peer else "",
                      ratio, must, reached, self.aim,
                      self.ratio if self.above is None else self.above)


class Result(NamedTuple):
    """A row of the table; mark: the ratio that has to be reached, if any."""
    label: str
    ours: str
    peer: str
    ratio: float
    must: str
    reached: bool
    aim: str
    mark: float

    @property
    def missed(self):
        """Is it to be reached, and was not, or nobody knows?"""
        return bool(self.must) and not self.reached

    def words(self):
        """In the order of COLUMNS."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        reached = {True: "yes", False: "no", None: "not known" if self.must else ""}
        return (self.label, self.ours, self.peer, ratio, self.must, reached[self.reached], self.aim)


def report(scenario, results):
    """Print a scenario's table."""
    print_table(COLUMNS, [result.words() for result in results],
                f"{scenario.NAME}: {scenario.TITLE}")
