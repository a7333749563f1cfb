# SPDX-License-Identifier: GPL-2.0
"""`make bench`: this driver beside the kernel's own, in the same guests, in turns.

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

# A new one has a class in this package and its place here, in the order of the tables.
SCENARIOS = (Moves, Fragments, Migration, Reserve, Growth, HugePages)

if __name__ == "__main__":
    program.execute(lambda: play.scenarios("bench", SCENARIOS, "5"))
