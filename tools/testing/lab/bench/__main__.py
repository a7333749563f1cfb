# SPDX-License-Identifier: GPL-2.0
"""`make bench`: this driver and the kernel's own in the same guests, in turns.

Settings come from the environment: S, ROUNDS, KERNEL (see make help).
"""

from host import program

from . import play
from .fragments import Fragments
from .growth import Growth
from .hugetlb import HugePages
from .migration import Migration
from .moves import Moves
from .reserve import Reserve

# All scenarios, in the order of their tables.
SCENARIOS = (Moves, Fragments, Migration, Reserve, Growth, HugePages)

if __name__ == "__main__":
    program.execute(lambda: play.scenarios("bench", SCENARIOS, "5"))
