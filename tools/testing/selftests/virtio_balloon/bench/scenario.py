# SPDX-License-Identifier: GPL-2.0
"""What all scenarios have in common."""

import contextlib


class Scenario:
    """Something that is measured, in a new guest for each contestant and round.

    NAME is what S= takes.  SETUPS: the contestants, in the order in which they take
    turns; ROWS: of the table.
    """
    NAME = TITLE = None
    SETUPS = {}
    ROWS = ()

    def unable(self):
        """Why this machine cannot do it, and what to do; None where it can."""
        return None

    def around(self):
        """What of the host the guests need, as a context manager."""
        return contextlib.nullcontext()

    def measure(self, guest, contestant):
        """Figures of one guest by their keys."""
        raise NotImplementedError

    def brief(self, figures):
        """One guest's figures, for who waits."""
        decimals = {row.key: row.decimals for row in self.ROWS}
        return ", ".join(f"{key} {value:.{decimals[key]}f}" for key, value in figures.items()
                         if key in decimals and value is not None)

    def conclude(self, seen):
        """Add to what was seen that which takes several guests to tell."""

    def draw(self, path):
        """Draw a picture into this file, if there is one: is there?"""
        del path
        return False
