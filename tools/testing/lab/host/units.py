# SPDX-License-Identifier: GPL-2.0
"""Sizes, as people write and read them."""

import re

from .paths import MIB, Unusable

_FACTORS = {"": 1, "K": 1 << 10, "M": MIB, "G": 1 << 30}


def parse_size(text, variable):
    """Bytes of a size such as 512M, 3G, 1.5GiB or 1073741824."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(match[1]) * _FACTORS[match[2].upper()]) if match else 0
    if size <= 0:
        raise Unusable(f"{variable}: '{text}' is no size: write it as 512M or 3G")
    return size


def mib(size):
    """A size in MiB, for tables."""
    return f"{size / MIB:.0f}"
