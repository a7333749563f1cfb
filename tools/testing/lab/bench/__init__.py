# SPDX-License-Identifier: GPL-2.0
"""What this driver costs beside the kernel's own, each scenario in guests of its own.

lab.py boots the guests, table.py says what has to be reached and what was; the
others are scenarios.  restraint.py is a bench of its own: not how fast, but what
becomes of the guest.
"""
