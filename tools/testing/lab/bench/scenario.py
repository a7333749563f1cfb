# SPDX-License-Identifier: GPL-2.0
"""Base classes of the scenarios."""

import contextlib
import os
import statistics


class Scenario:
    """A measurement, in a new guest for each contestant and round.

    NAME: its name for S=.  SETUPS: the contestants, in the order of their turns.  ROWS:
    the rows of the table.
    """
    NAME = TITLE = None
    SETUPS = {}
    ROWS = ()

    def rounds(self, wanted):
        """The number of rounds if the user wants `wanted` rounds."""
        return wanted

    def unable(self):
        """Why this machine cannot run it, and the remedy; None if the machine can."""
        return None

    def around(self):
        """A context manager that prepares the host for the guests."""
        return contextlib.nullcontext()

    def measure(self, guest, contestant):
        """Figures of one guest by their keys."""
        raise NotImplementedError

    def play(self, lab, setups):
        """Run one round; yield each of these contestants and its figures."""
        for contestant, setup in setups:
            load = os.getloadavg()[0]  # before this guest adds to it
            figures = lab.measure(f"{self.NAME}-{contestant}", setup,
                                  lambda guest, who=contestant: self.measure(guest, who))
            yield contestant, {**figures, "load": load}

    def brief(self, figures):
        """One guest's figures in a line, for the waiting user."""
        decimals = {row.key: row.decimals for row in self.ROWS}
        return ", ".join(f"{key} {value}" if isinstance(value, str) else
                         f"{key} {value:.{decimals[key]}f}" for key, value in figures.items()
                         if key in decimals and value is not None)

    def conclude(self, seen):
        """Add the figures that follow from several guests."""

    def draw(self, where, path):
        """Draw a picture, if the scenario has one, and tell so.  where: the conditions."""
        del where, path
        return False


class Alternating(Scenario):
    """A scenario that measures its contestants in turns of seconds.

    This is for figures that depend on the host's speed, which changes within minutes.
    All guests of a round run at the same time, and only one of them works.
    """

    def turns(self, guest, contestant):
        """Yield figures; the mean of figures with the same key counts."""
        raise NotImplementedError

    def play(self, lab, setups):
        guests = [(contestant, f"{self.NAME}-{contestant}", setup)
                  for contestant, setup in setups]
        for contestant, turns in lab.alternate(guests, self.turns).items():
            several = {}
            for figures in turns:
                for key, value in figures.items():
                    several.setdefault(key, []).append(value)
            yield contestant, {key: statistics.mean(values) for key, values in several.items()}
