# SPDX-License-Identifier: GPL-2.0
"""Finds memory that the driver has not freed, by page_owner and kmemleak.

The kernel needs page_owner=on on its command line.  The driver has to be a module that
is loaded, as traces need the names of its functions, and bound to no device.
"""

import re
import time

DEBUGFS = "/sys/kernel/debug"
PAGE_OWNER = f"{DEBUGFS}/page_owner_stacks/show_stacks"
KMEMLEAK = f"{DEBUGFS}/kmemleak"

# kmemleak ignores objects younger than this, in seconds.
KMEMLEAK_AGE = 5
OURS = re.compile(r"\bballoon_|vballoon|\[virtio_balloon\]")
# The slab allocator may keep a page although all its objects are free.
SLAB = re.compile(r"\b(allocate_slab|new_slab|___slab_alloc)\b")
# The kernel never frees pages with recorded stack traces and names.
KEPT = re.compile(r"\b(stack_depot_save_flags|load_module|kasan_populate_vmalloc)\b")


def pages(guest):
    """Stack traces of the driver's pages that were not freed."""
    stacks = guest.run(f"cat {PAGE_OWNER}").split("\n\n")
    return [stack for stack in stacks
            if OURS.search(stack) and not SLAB.search(stack) and not KEPT.search(stack)]


def has_kmemleak(guest):
    """Does the guest's kernel have kmemleak?"""
    return guest.run(f"[ -e {KMEMLEAK} ] && echo yes || true").strip() == "yes"


def objects(guest):
    """Reports of kmemleak about objects of the driver.

    kmemleak reports an object after two scans without a pointer to it.  The first scan
    only records the object's contents.
    """
    time.sleep(KMEMLEAK_AGE)
    for _ in range(2):
        guest.run(f"echo scan > {KMEMLEAK}")
    reports = re.split(r"^(?=unreferenced object)", guest.run(f"cat {KMEMLEAK}"), flags=re.M)
    return [report for report in reports if OURS.search(report)]


def find(guest):
    """Lost pages and lost objects."""
    return pages(guest) + (objects(guest) if has_kmemleak(guest) else [])
