# SPDX-License-Identifier: GPL-2.0
"""The NUMA nodes of a guest: QEMU's arguments, and the guest's view of each node."""

import re

from .guest import PAGE_SIZE

NODES = "/sys/devices/system/node"


def numa(sizes):
    """QEMU's arguments for nodes of these sizes in MiB; all CPUs are on the first one."""
    arguments = []
    for number, size in enumerate(sizes):
        cpus = ",cpus=0-1" if number == 0 else ""
        arguments += ["-object", f"memory-backend-ram,id=node{number},size={size}M",
                      "-numa", f"node,nodeid={number},memdev=node{number}{cpus}"]
    return tuple(arguments)


class Node:
    """A node of a guest."""

    def __init__(self, guest, number):
        self.guest = guest
        self.number = number

    def free(self):
        """Free bytes of the node."""
        text = self.guest.read(f"{NODES}/node{self.number}/meminfo")
        return int(re.search(r"MemFree: +(\d+) kB", text)[1]) * 1024

    def spans(self):
        """A range of page frame numbers for each populated zone of the node."""
        spans = []
        for text in self.guest.read("/proc/zoneinfo").split("Node ")[1:]:
            spanned, present = (int(re.search(rf"^ +{key} +(\d+)", text, re.MULTILINE)[1])
                                for key in ("spanned", "present"))
            if present and text.startswith(f"{self.number},"):
                start = int(re.search(r"start_pfn: +(\d+)", text)[1])
                spans.append(range(start, start + spanned))
        return spans

    def marked(self):
        """PG_offline bytes of the node."""
        return PAGE_SIZE * sum(
            int(self.guest.run(f"memtool offline {span.start} {span.stop}"))
            for span in self.spans())

    def bound(self, command):
        """A command that gets its memory from this node only."""
        return f"exec memtool bind {self.number} {command}"
