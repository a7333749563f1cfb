# SPDX-License-Identifier: GPL-2.0
"""What all scenarios have in common."""

import contextlib
import os
import statistics


class Scenario:
    """Something that is measured, in a new guest for each contestant and round.

    NAME is what S= takes.  SETUPS: the contestants, in the order in which they take
    turns; ROWS: of the table.
    """
    NAME = TITLE = None
    SETUPS = {}
    ROWS = ()

    def rounds(self, wanted):
        """How often it is played if so many rounds are wanted."""
        return wanted

    def unable(self):
        """Why this machine cannot do it, and what to do; None where it can."""
        return None

    def around(self):
        """What of the host the guests need, as a context manager."""
        return contextlib.nullcontext()

    def measure(self, guest, contestant):
        """Figures of one guest by their keys."""
        raise NotImplementedError

    def play(self, lab, setups):
        """One round: yields each of these contestants and its figures."""
        for contestant, setup in setups:
            load = os.getloadavg()[0]  # before we add to it
            figures = lab.measure(f"{self.NAME}-{contestant}", setup,
                                  lambda guest, who=contestant: self.measure(guest, who))
            yield contestant, {**figures, "load": load}

    def brief(self, figures):
        """One guest's figures, for who waits."""
        decimals = {row.key: row.decimals for row in self.ROWS}
        return ", ".join(f"{key} {value}" if isinstance(value, str) else
                         f"{key} {value:.{decimals[key]}f}" for key, value in figures.items()
                         if key in decimals and value is not None)

    def conclude(self, seen):
        """Add to what was seen that which takes several guests to tell."""

    def draw(self, where, path):
        """Draw a picture into this file, if there is one: is there?  WHERE: it was measured."""
        del where, path
        return False


class Alternating(Scenario):
    """One whose contestants are measured within seconds of each other, turn by turn.

    For what a host disturbs whose own pace changes within minutes.  All guests of
    a round run at once, and one of them works.
    """

    def turns(self, guest, contestant):
        """Yields figures; where several have the same key, their mean counts."""
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
