# SPDX-License-Identifier: GPL-2.0
"""What the guest tests are run with: the kernel, the driver, the transport, the seed."""

import os
import random

from . import kernel, transport
from .paths import newest_kernel

PEER = os.environ.get("PEER") or "ours"
# A release that is installed, or one of kernel.BUILT.
KERNEL = os.environ.get("KERNEL") or newest_kernel()
RELEASE = newest_kernel() if KERNEL in kernel.BUILT else KERNEL
TRANSPORT = transport.chosen()
MEMORY = 1024  # MiB of the guest
# In the environment, so that it is the same in every process of pytest-xdist.
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
os.environ["SEED"] = str(SEED)
# Of those that run at the same time.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
if KERNEL in kernel.BUILT:
    WORKER = f"{KERNEL}-{WORKER}"
