# SPDX-License-Identifier: GPL-2.0
"""Compares the cost of this driver with the kernel's own; each scenario has its own guests.

lab.py boots the guests, play.py runs the scenarios, and table.py compares the results
with their bounds.  The other files are scenarios.  The scenarios of restraint.py are a
separate bench, which measures the effect on the guest, not the speed.
"""
