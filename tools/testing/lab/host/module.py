# SPDX-License-Identifier: GPL-2.0
"""Builds the module with `make modules`, quietly unless it fails."""

import subprocess

from .paths import BUILD, ROOT, Unusable, alone


def build(release):
    """Bring build/modules/virtio_balloon.ko up to date for a kernel."""
    log = BUILD / "modules.log"
    with alone("modules.log"), open(log, "wb") as out:
        result = subprocess.run(
            ["make", "-C", ROOT, "modules",
             f"BUILD={BUILD}", f"KDIR=/lib/modules/{release}/build"],
            stdout=out, stderr=subprocess.STDOUT, check=False)
    if result.returncode:
        print(log.read_text(errors="replace"), end="")
        raise Unusable(f"the module does not build for {release}: see above")
