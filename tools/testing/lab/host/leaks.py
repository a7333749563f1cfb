# SPDX-License-Identifier: GPL-2.0
"""What the balloon's driver has not given back, as the kernel's own accounts have it.

For a kernel with page_owner=on on its command line, whose driver is a module
that is loaded (else nobody knows the names of its functions) and bound to no device.
"""

import re
import time

DEBUGFS = "/sys/kernel/debug"
PAGE_OWNER = f"{DEBUGFS}/page_owner_stacks/show_stacks"
KMEMLEAK = f"{DEBUGFS}/kmemleak"

# An object is looked at only once it is so old, in seconds.
KMEMLEAK_AGE = 5
OURS = re.compile(r"\bballoon_|vballoon|\[virtio_balloon\]")
# A page of the slab allocator's stays with that when all objects in it are free.
SLAB = re.compile(r"\b(allocate_slab|new_slab|___slab_alloc)\b")
# So do pages in which stack traces and names are remembered once and for all.
KEPT = re.compile(r"\b(stack_depot_save_flags|load_module|kasan_populate_vmalloc)\b")


def pages(guest):
    """Stack traces of the driver's pages that were not given back."""
    stacks = guest.run(f"cat {PAGE_OWNER}").split("\n\n")
    return [stack for stack in stacks
            if OURS.search(stack) and not SLAB.search(stack) and not KEPT.search(stack)]


def has_kmemleak(guest):
    """Does the guest's kernel look for memory that nobody has a pointer to?"""
    return guest.run(f"[ -e {KMEMLEAK} ] && echo yes || true").strip() == "yes"


def objects(guest):
    """What kmemleak says about objects of the driver's that were lost.

    An object is suspected when nothing points to it at two looks in a row, as
    the first one only learns what is in it.
    """
    time.sleep(KMEMLEAK_AGE)
    for _ in range(2):
        guest.run(f"echo scan > {KMEMLEAK}")
    reports = re.split(r"^(?=unreferenced object)", guest.run(f"cat {KMEMLEAK}"), flags=re.M)
    return [report for report in reports if OURS.search(report)]


def find(guest):
    """Everything of both kinds."""
    return pages(guest) + (objects(guest) if has_kmemleak(guest) else [])
