# SPDX-License-Identifier: GPL-2.0
"""The user's choices by make's variables: MEM, TARGETS, KERNEL, DEVICE, PEER."""

import os
from typing import NamedTuple

from .paths import MIB, Unusable, kernel_image, newest_kernel
from .units import mib, parse_size


def smallest_target(memory):
    """The smallest target at which a guest of this much memory surely survives.

    The kernel, its page array and the driver's floor stay in the guest.
    """
    return 256 * MIB + memory // 16


class Settings(NamedTuple):
    """The user's choices."""
    memory: int
    targets: list
    release: str
    device: str
    peer: str


def variable(name, default):
    """An environment variable or a default; make exports unset variables as empty ones."""
    return os.environ.get(name) or default


def chosen_release():
    """The kernel of the guest; fails if it is not installed."""
    release = variable("KERNEL", None) or newest_kernel()
    kernel_image(release)
    return release


def bench_choice(known, rounds):
    """The user's choices for a bench: its scenarios, and the number of rounds."""
    name, rounds = variable("S", None), variable("ROUNDS", rounds)
    if name and name not in known:
        raise Unusable(f"S: '{name}' is unknown: choose from {' '.join(known)}")
    if not rounds.isdecimal() or not int(rounds):
        raise Unusable(f"ROUNDS: '{rounds}' is no number of rounds: write it as 3")
    return [name] if name else list(known), int(rounds)


def settings():
    """Read and check the settings, before anything is built or booted."""
    memory = parse_size(variable("MEM", "4G"), "MEM")
    if memory < 512 * MIB or memory % MIB:
        raise Unusable(f"MEM: {memory} bytes will not do: take whole MiB, at least 512M")
    smallest = smallest_target(memory)
    targets = [max(smallest, memory // 4), memory * 3 // 4, memory]
    chosen = variable("TARGETS", None)
    if chosen:
        targets = [parse_size(word, "TARGETS") for word in chosen.replace(",", " ").split()]
    if not targets:
        raise Unusable("TARGETS holds no size: write it as \"1G 3G 4G\"")
    for target in targets:
        if not smallest <= target <= memory:
            raise Unusable(f"TARGETS: {mib(target)} MiB is not between {mib(smallest)} MiB and the guest's {mib(memory)} MiB: choose others, or set MEM=")
    peer = variable("PEER", "ours")
    if peer not in ("ours", "stock"):
        raise Unusable(f"PEER: '{peer}' is unknown: leave it out, or set PEER=stock")
    return Settings(memory, targets, chosen_release(), os.environ.get("DEVICE", ""), peer)
