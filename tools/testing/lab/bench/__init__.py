# SPDX-License-Identifier: GPL-2.0
"""What this driver costs beside the kernel's own, each scenario in guests of its own.

lab.py boots the guests, play.py plays the scenarios, table.py says what has to be
reached and what was; the others are scenarios.  Those of restraint.py are a bench of
their own: not how fast, but what becomes of the guest.
"""
