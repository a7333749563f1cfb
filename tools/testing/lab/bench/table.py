# SPDX-License-Identifier: GPL-2.0
"""The bench's table: figures, their bounds, and whether they are reached."""

import operator
import statistics
from collections import Counter
from typing import NamedTuple

from host.view import print_table

COLUMNS = ("", "ours", "peer", "ratio", "must reach", "reached", "aim")


class Seen:
    """The figures of a scenario: one for each round, by contestant and key."""

    def __init__(self):
        self._figures = {}
        self._gaps = set()

    def add(self, contestant, figures):
        """Add the figures of one round; None means unknown."""
        for key, value in figures.items():
            if value is None:
                self._gaps.add((contestant, key))
            else:
                self._figures.setdefault((contestant, key), []).append(value)

    def is_complete(self, contestant, key):
        """Is the figure known in each round?"""
        return (contestant, key) in self._figures and (contestant, key) not in self._gaps

    def keys(self, contestant):
        """The keys of a contestant's known figures, in their order of arrival."""
        return [key for name, key in self._figures if name == contestant]

    def values(self, contestant, key):
        """The figure of each round; empty if unknown."""
        return self._figures.get((contestant, key), [])

    def median(self, contestant, key):
        """The median of all rounds; None if unknown."""
        values = self.values(contestant, key)
        return statistics.median(values) if values else None

    def plain(self):
        """The figures as a dict for JSON."""
        answer = {}
        for (contestant, key), values in self._figures.items():
            answer.setdefault(contestant, {})[key] = values
        return answer


class Row(NamedTuple):
    """A figure of this driver, beside the peer's if there is one.

    ours, peer: contestants.  The ratio tells how many times better this driver is.  It is
    the median of the rounds' ratios, because the host's speed changes between rounds.  A
    smaller figure is better unless `more`.  A row has at most one bound: `ratio`, `above` (a
    ratio to exceed), or `at_most`, `at_least` and `words`, which are for this driver's
    figure alone.  words: the figure of each round must be one of these.  told: the figure
    has no ratio.
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
    words: tuple = ()
    told: bool = False

    def _ratio(self, seen):
        if self.told or self.at_most is not None or self.at_least is not None:
            return None
        names = (self.ours, self.peer) if self.more else (self.peer, self.ours)
        better, worse = (seen.values(name, self.key) for name in names)
        if not better or len(better) != len(worse) or not all(worse):
            return None
        return statistics.median(map(operator.truediv, better, worse))

    def _must(self):
        """The bound in words, or ""."""
        for limit, words in ((self.ratio, ""), (self.above, "more than "),
                             (self.at_most, "at most "), (self.at_least, "at least ")):
            if limit is not None:
                return f"{words}{limit:g}"
        return " or ".join(self.words)

    def _reached(self, seen, ratio):
        """Is the bound reached?  None if there is no bound, or if the figure is unknown."""
        if self.words:
            said = seen.values(self.ours, self.key)
            return all(word in self.words for word in said) if said else None
        if not seen.is_complete(self.ours, self.key):
            return None
        alone = self.at_most is not None or self.at_least is not None
        value = seen.median(self.ours, self.key) if alone else ratio
        for limit, holds in ((self.ratio, operator.ge), (self.above, operator.gt),
                             (self.at_most, operator.le), (self.at_least, operator.ge)):
            if limit is not None and value is not None:
                return holds(value, limit)
        return None

    def _show(self, values):
        """Median and spread; of words, the count of each."""
        if not values:
            return "-"
        if any(isinstance(value, str) for value in values):
            counts = Counter(values)
            return "; ".join(str(word) if len(counts) == 1 else f"{count}x {word}"
                             for word, count in counts.items())
        text = f"{statistics.median(values):.{self.decimals}f}"
        if len(values) == 1:
            return text
        return f"{text} ({min(values):.{self.decimals}f}..{max(values):.{self.decimals}f})"

    def result(self, seen):
        """The row of the table and of the JSON."""
        ratio = self._ratio(seen)
        return Result(self.label, self._show(seen.values(self.ours, self.key)),
                      self._show(seen.values(self.peer, self.key)) if self.peer else "",
                      ratio, self._must(), self._reached(seen, ratio), self.aim,
                      self.ratio if self.above is None else self.above)


class Result(NamedTuple):
    """A row of the table; mark: the bound of the ratio, if any."""
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
        """Has the row a bound that is missed, or whose figure is unknown?"""
        return bool(self.must) and not self.reached

    def words(self):
        """The cells in the order of COLUMNS."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        reached = {True: "yes", False: "no", None: "not known" if self.must else ""}
        return (self.label, self.ours, self.peer, ratio, self.must, reached[self.reached], self.aim)


def report(scenario, results):
    """Print a scenario's table."""
    print_table(COLUMNS, [result.words() for result in results],
                f"{scenario.NAME}: {scenario.TITLE}")
