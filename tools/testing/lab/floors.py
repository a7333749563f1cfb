#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Check that the driver's includes and calls go down the floors.

usage: floors.py [DIRECTORY]

Each .c file of drivers/virtio/balloon/ is a room, with a header of the same name.
A room calls rooms of its own floor and of those below, never one above, and no
calls form a circle.  Its header includes headers of those floors only, and a .c
file includes the header of each room that it calls.  virtio_balloon.h, which puts
the rooms' structs together, is for .c files alone.  Files have a longest length.

A violation is a line; the exit status is 1 if there is one.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DRIVER = ROOT / "drivers/virtio/balloon"

# The floors, from the top down.
FLOORS = (
    ("main",),
    ("thread", "recovery", "setup", "oom", "drain", "sysfs"),
    ("restraint", "hinting", "reporting", "stats", "hotplug", "poison", "experiment", "control",
     "pressure"),
    ("pages", "migrate"),
    ("trial", "hints", "settle", "blocks"),
    ("queue", "batch", "config", "guest", "wakeup"),
    ("ledger", "device", "units"),
)
# Headers that every room may include: they contain the rooms' structs.
MAPS = ("virtio_balloon", "trace")
# Rooms without a header, or without a .c file.
WITHOUT_HEADER = ("main",)
WITHOUT_SOURCE = ("units",)
LONGEST = {".c": 599, ".h": 250}

FLOOR = {room: number for number, rooms in enumerate(FLOORS, 1) for room in rooms}

NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
INCLUDE = re.compile(r'^#include "([\w/]+)\.h"', re.MULTILINE)
# The name of a function with its body in a .c file, or of data.
DECLARED = re.compile(r"^(?!static|typedef|struct \w+ \{|#)[a-z][^;{}()]*?\b(\w+)(?:\(|\[\];|;)",
                      re.MULTILINE)
WORD = re.compile(r"(?<![.>\w])[A-Za-z_]\w*\b(?!\s*:[^:])")


def code(path):
    """A file's text without comments and strings."""
    return NOISE.sub(" ", path.read_text(encoding="utf-8"))


def words(path):
    """The names in a file without those of types: a function may have the name of a type."""
    return set(WORD.findall(re.sub(r"\b(?:struct|enum) \w+", " ", code(path))))


def offered(header):
    """Names of the functions and data that a header declares."""
    text = re.sub(r"^#.*?(?<!\\)$", "", code(header), flags=re.MULTILINE | re.DOTALL)
    # Only declarations outside of braces count.
    while (inner := re.sub(r"\{[^{}]*\}", ";", text)) != text:
        text = inner
    return {match[1] for match in DECLARED.finditer(text)
            if not re.fullmatch(r"(?:struct|enum) \w+;", match[0])}


def circle(arrows):
    """Return a circle of rooms in a graph, or None."""
    state = {}

    def visit(room, path):
        state[room] = "open"
        for callee in sorted(arrows.get(room, ())):
            if state.get(callee) == "open":
                return [*path[path.index(callee):], callee]
            if callee not in state and (found := visit(callee, [*path, callee])):
                return found
        state[room] = "done"
        return None

    for room in sorted(arrows):
        if room not in state and (found := visit(room, [room])):
            return found
    return None


def lengths(driver):
    """Files that are too long."""
    for path in sorted(driver.glob("*.[ch]")):
        nr = len(path.read_text(encoding="utf-8").splitlines())
        if nr > LONGEST[path.suffix]:
            yield f"{path.name}: {nr} lines, {LONGEST[path.suffix]} are the limit"


def rooms(driver):
    """Files that are on no floor, and rooms without a file."""
    there = {path.stem for path in driver.glob("*.[ch]")}
    for name in sorted(there - FLOOR.keys() - set(MAPS)):
        yield f"{name}: stands on no floor, see FLOORS in floors.py"
    for name in FLOOR:
        if name not in WITHOUT_SOURCE and not (driver / f"{name}.c").exists():
            yield f"{name}.c: is missing"
        if name not in WITHOUT_HEADER and not (driver / f"{name}.h").exists():
            yield f"{name}.h: is missing"


def above(path, callee, what):
    """Yield a violation if a file's room is below the room of the callee."""
    if FLOOR[callee] < FLOOR[path.stem]:
        yield (f"{path.name}: {what}: runs up, from floor {FLOOR[path.stem]} "
               f"to floor {FLOOR[callee]}")


def includes(path):
    """Violations in the includes of a room."""
    for name in INCLUDE.findall(path.read_text(encoding="utf-8")):
        if name in MAPS:
            if path.suffix == ".h":
                yield f"{path.name}: {name}.h: is for .c files"
        elif name in FLOOR:
            yield from above(path, name, f"{name}.h")


def check(driver):
    """All violations."""
    yield from lengths(driver)
    yield from rooms(driver)
    known = [driver / f"{room}{suffix}" for room in FLOOR for suffix in (".c", ".h")]
    owner = {name: path.stem for path in known if path.suffix == ".h" and path.exists()
             for name in offered(path)}
    calls, included = {}, {}
    for path in known:
        if not path.exists():
            continue
        yield from includes(path)
        names = set(INCLUDE.findall(path.read_text(encoding="utf-8")))
        if path.suffix == ".h":
            included[path.stem] = names & FLOOR.keys()
            continue
        for name in sorted(words(path) & owner.keys()):
            callee = owner[name]
            if callee == path.stem:
                continue
            calls.setdefault(path.stem, set()).add(callee)
            yield from above(path, callee, f"{name}()")
            if callee not in names:
                yield f"{path.name}: {name}(): does not include {callee}.h"
        if path.stem not in WITHOUT_HEADER and path.stem not in names:
            yield f"{path.name}: does not include {path.stem}.h, its own"
        for name in sorted(names & FLOOR.keys() - calls.get(path.stem, set())
                           - {path.stem, *WITHOUT_SOURCE}):
            if not uses(path, driver / f"{name}.h"):
                yield f"{path.name}: {name}.h: is included and not used"
    for what, arrows in (("calls", calls), ("includes", included)):
        if found := circle(arrows):
            yield f"{what} form a circle: {' -> '.join(found)}"


def uses(path, header):
    """Does a file use a constant or a type that a header defines?"""
    text = code(header)
    defined = set(re.findall(r"^#define (\w+)", text, re.MULTILINE))
    defined |= set(re.findall(r"^(?:struct|enum) (\w+) \{", text, re.MULTILINE))
    for body in re.findall(r"^enum \w+ \{(.*?)\}", text, re.MULTILINE | re.DOTALL):
        defined |= set(re.findall(r"\w+", body))
    return bool(defined & set(re.findall(r"\w+", code(path))))


def main():
    """Print all violations."""
    driver = Path(sys.argv[1]) if sys.argv[1:] else DRIVER
    violations = list(check(driver))
    for violation in violations:
        print(violation)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
