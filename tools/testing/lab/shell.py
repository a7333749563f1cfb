#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""`make guest`: a shell in the guest, and a monitor socket for another terminal.

Settings come from the environment: MEM, KERNEL, DEVICE, PEER (see make help).
"""

import contextlib
import os
import sys
import tempfile
import termios
from pathlib import Path

from host import accel, initramfs, kernel, module, program
from host.guest import Guest
from host.paths import LAB, MIB, Unusable
from host.settings import settings
from host.units import mib


@contextlib.contextmanager
def terminal_restored():
    """Restore the settings of the terminal, which a killed QEMU does not restore."""
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def instructions(chosen, socket):
    """Instructions for the user."""
    client = os.path.relpath(LAB / "host" / "qmp.py")
    print(f"""QMP socket: {socket}
From another terminal, set the target to 1 GiB and look at what became of it:
    /usr/bin/python3 {client} {socket} balloon value=1073741824
    /usr/bin/python3 {client} {socket} query-balloon
In the guest ({mib(chosen.memory)} MiB, {chosen.release}): modprobe virtio_balloon, then look at
    /sys/bus/virtio/drivers/virtio_balloon/virtio*/balloon/ and free -m.
"exit" ends the guest.
""", flush=True)


def main():
    """Boot, and wait until the user ends the guest."""
    chosen = settings()
    if not sys.stdin.isatty():
        raise Unusable("a shell needs a terminal: run make guest in one, or use make run")
    if chosen.peer == "ours":
        module.build(chosen.release)
    accelerator = accel.choose(chosen.release)
    archive = initramfs.build(kernel.installed(chosen.release), chosen.peer)
    print(f"accelerator: {accelerator.name} ({accelerator.reason})")
    device = ",".join(filter(None, ("virtio-balloon-pci", chosen.device)))
    with tempfile.TemporaryDirectory(prefix="virtio-balloon-") as directory, terminal_restored():
        socket = Path(directory) / "qmp"
        instructions(chosen, socket)
        guest = Guest("shell", kernel.installed(chosen.release), archive, accelerator,
                      memory=chosen.memory // MIB, device=device,
                      # The user's Ctrl-C is for the guest's programs.
                      console="stdio,id=console,signal=off", init_args="quiet -- shell",
                      extra=["-qmp", f"unix:{socket},server=on,wait=off"])
        try:
            guest.wait_end()
        finally:
            guest.kill()
    return 0


if __name__ == "__main__":
    program.execute(main)
