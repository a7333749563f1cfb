# SPDX-License-Identifier: GPL-2.0
"""The kernel, the driver, the transport and the seed of the guest tests."""

import os
import random

from . import kernel, transport
from .paths import newest_kernel

PEER = os.environ.get("PEER") or "ours"
# An installed release, or one of kernel.BUILT.
KERNEL = os.environ.get("KERNEL") or newest_kernel()
RELEASE = newest_kernel() if KERNEL in kernel.BUILT else KERNEL
TRANSPORT = transport.chosen()
MEMORY = 1024  # MiB of the guest
# In the environment, so that each process of pytest-xdist has the same.
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
os.environ["SEED"] = str(SEED)
# Name of this process of pytest-xdist.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
if KERNEL in kernel.BUILT:
    WORKER = f"{KERNEL}-{WORKER}"
