# SPDX-License-Identifier: GPL-2.0
"""The host's side of the balloon's guest tests: builds, boots and drives a guest."""
