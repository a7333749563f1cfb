# SPDX-License-Identifier: GPL-2.0
"""The driver's reports to the host and the administrator."""

import pytest

from host.paths import MIB

EVENTS = "/sys/kernel/tracing/events/virtio_balloon"


@pytest.mark.ours
def test_modprobe_chooses_ours(balloon):
    """modprobe prefers updates/ to the kernel's own module; the loaded one is out of tree."""
    guest = balloon.guest
    assert "/updates/" in guest.run("modinfo -F filename virtio_balloon")
    assert "O" in guest.read("/sys/module/virtio_balloon/taint")


@pytest.mark.ours
def test_sysfs(balloon):
    """The files in balloon/ show the balloon's size and state."""
    balloon.reach(600 * MIB)
    balloon.wait_state("idle")
    # QMP's sizes are the guest's; these are the balloon's, 1024 - 600 MiB.
    assert {name: balloon.attribute(name) for name in
            ("target_kib", "actual_kib", "isolated_kib", "retry_delay_ms")} == {
                "target_kib": str(424 * 1024), "actual_kib": str(424 * 1024),
                "isolated_kib": "0", "retry_delay_ms": "0"}
    balloon.deflate()
    balloon.wait_state("idle")
    assert balloon.attribute("actual_kib") == "0"


@pytest.mark.ours
def test_tracepoints(balloon):
    """Each tracepoint fires."""
    guest = balloon.guest
    # Enabling events patches kernel code.  QEMU 7.2's emulation may crash if another
    # CPU runs through this code (see host/accel.py).  So the test does it only while
    # the balloon rests, and without names of processes, which would also enable the
    # scheduler's tracepoints.
    balloon.wait_state("idle")
    guest.write("/sys/kernel/tracing/options/record-cmd", "0")
    names = set(guest.run(f"ls {EVENTS}").split()) - {"enable", "filter"}
    assert names >= {"inflate", "deflate", "migrate", "hold"}
    guest.write("/sys/kernel/tracing/trace", " ")
    guest.write(f"{EVENTS}/enable", "1")
    try:
        with guest.job("memtool fragment 128") as holder:
            holder.wait_output("holding")
            balloon.reach(864 * MIB)
        guest.write("/proc/sys/vm/compact_memory", "1")
        balloon.deflate()
        balloon.set(1)
        balloon.wait_state("holding")
        balloon.deflate()
        balloon.wait_state("idle")
    finally:
        guest.write(f"{EVENTS}/enable", "0")
    trace = guest.run("grep -o 'virtio[0-9]*\\|inflate:\\|deflate:\\|migrate:\\|hold:' "
                      "/sys/kernel/tracing/trace | sort | uniq -c")
    guest.write("/sys/kernel/tracing/trace", " ")
    for name in ("inflate", "deflate", "migrate", "hold"):
        assert f"{name}:" in trace, f"{name} did not fire:\n{trace}"
    assert balloon.device() in trace
