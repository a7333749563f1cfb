# SPDX-License-Identifier: GPL-2.0
"""The steps of the series: what each makes of the kernel's files and of ours.

`series` names them in their order.  A step is a directory here:

message       subject, empty line, why and what; as git has it
files         patterns of the overlay's files that come with it, whole; a line
              that begins with "-" takes a file of the kernel's away
kernel.diff   edits to files that the kernel has
cut.diff      what the step adds to files that came with earlier ones

The overlay has the files as they are in the end.  How they are after an earlier
step is found out by taking the cuts of the later ones off, last one first.  So
the code is in the overlay alone, and the diffs say where it is cut.
"""

import re
import subprocess
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

from kernel_source import BUILD, ROOT, Unusable, pristine, read, write

SERIES = ROOT / "tools/series"
OVERLAY = ("drivers", "include", "mm", "Documentation", "tools/testing/selftests")
TOUCHED = re.compile(r"^(?:(?:---|\+\+\+) [ab]/|rename (?:from|to) )([^\t\n]+)", re.MULTILINE)


def lines(path):
    """The lines of a list, without comments; none where there is no such list."""
    if not path.exists():
        return []
    text = (line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in text if line]


class Step:
    """One patch to be."""

    def __init__(self, name):
        self.name = name
        self.where = SERIES / name
        if not (self.where / "message").is_file():
            raise Unusable(f"tools/series/{name}/message is missing: write it, "
                           f"or take {name} off tools/series/series")
        entries = lines(self.where / "files")
        self.patterns = [entry for entry in entries if not entry.startswith("-")]
        self.removes = [entry[1:].strip() for entry in entries if entry.startswith("-")]

    @property
    def message(self):
        """Without the lines that begin with #, as git does."""
        text = (self.where / "message").read_text(encoding="utf-8")
        return "".join(line for line in text.splitlines(True)
                       if not line.startswith("#")).strip() + "\n"

    def diff(self, name):
        """One of its diffs, empty where there is none."""
        path = self.where / name
        return path.read_text(encoding="utf-8") if path.exists() else ""


def all_steps():
    """In their order."""
    return [Step(name) for name in lines(SERIES / "series")]


def matches(name, pattern):
    """A pattern that ends in a slash stands for all that is below; * is within a directory."""
    if pattern.endswith("/"):
        return name.startswith(pattern)
    return name.count("/") == pattern.count("/") and fnmatchcase(name, pattern)


def overlay():
    """Our files by name, but for those that are left out."""
    left_out = lines(SERIES / "left-out")
    names = (str(path.relative_to(ROOT)) for top in OVERLAY
             for path in (ROOT / top).rglob("*")
             if path.is_file() and path.parent.name != "__pycache__")
    return {name: read(ROOT / name) for name in sorted(names)
            if not any(matches(name, pattern) for pattern in left_out)}


def shares(steps, ours):
    """Which of our files come with which step: a list of names for each."""
    found = [[] for _ in steps]
    for name in ours:
        owners = [i for i, step in enumerate(steps)
                  if any(matches(name, pattern) for pattern in step.patterns)]
        if len(owners) != 1:
            which = " and ".join(steps[i].name for i in owners) or "no step"
            raise Unusable(f"{name} comes with {which}: name it in the files of one step, "
                           "tools/series/*/files, or in tools/series/left-out")
        found[owners[0]].append(name)
    for step in steps:
        for pattern in step.patterns:
            if not any(matches(name, pattern) for name in ours):
                raise Unusable(f"tools/series/{step.name}/files: nothing is called {pattern}")
    return found


def touched(diff):
    """Names of the files that a diff is about."""
    return sorted(set(TOUCHED.findall(diff)))


def patch(files, diff, *options):
    """Apply a diff to those of the files that it is about; say whether all of it fits."""
    if not diff:
        return dict(files), True
    with tempfile.TemporaryDirectory(dir=BUILD) as work:
        for name in touched(diff):
            if name in files:
                write(Path(work) / name, files[name])
        result = subprocess.run(
            ["patch", "-d", work, "-p1", "-f", "-s", "--no-backup-if-mismatch", "-r", "-",
             *options], input=diff, text=True, check=False, stdout=subprocess.DEVNULL)
        changed = {name: file for name, file in files.items() if name not in touched(diff)}
        changed.update((name, read(Path(work) / name)) for name in touched(diff)
                       if (Path(work) / name).is_file())
    return changed, result.returncode == 0


def take_off(step, files):
    """Our files as they are before a step, if they are given as they are after it."""
    before, fits = patch(files, step.diff("cut.diff"), "-R", "-F0")
    if not fits:
        raise Unusable(f"tools/series/{step.name}/cut.diff does not come off any more: "
                       "python3 tools/series/series.py refresh")
    return before


def ours_after(steps, ours, index):
    """Our files as they are after a step, those of later ones included."""
    for step in reversed(steps[index + 1:]):
        ours = take_off(step, ours)
    return ours


def kernels():
    """The kernel's files that the series is about, as Debian ships them."""
    names = {name for step in all_steps()
             for name in (*touched(step.diff("kernel.diff")), *step.removes)}
    return pristine(sorted(names))


def edit_kernel(step, kernel):
    """The kernel's files as a step leaves them."""
    kernel, fits = patch(kernel, step.diff("kernel.diff"), "-F0")
    if not fits:
        raise Unusable(f"tools/series/{step.name}/kernel.diff does not apply to the "
                       "kernel's source: rebase it")
    for name in step.removes:
        if name not in kernel:
            raise Unusable(f"tools/series/{step.name}/files: {name} is not there to be removed")
        del kernel[name]
    return kernel


def states():
    """All files that the series is about, before the first step and after each.

    Yields (step, files), with None for the step at the start.
    """
    steps = all_steps()
    ours = [overlay()]
    share = shares(steps, ours[0])
    for step in reversed(steps):
        ours.insert(0, take_off(step, ours[0]))
    kernel, there = kernels(), set()
    yield None, kernel
    for step, names, now in zip(steps, share, ours[1:]):
        kernel = edit_kernel(step, kernel)
        early = set(touched(step.diff("cut.diff"))) - there
        if early:
            raise Unusable(f"tools/series/{step.name}/cut.diff is about {early.pop()}, which "
                           "comes with this step or later: cut what an earlier one has")
        there.update(names)
        yield step, {**kernel, **{name: now[name] for name in there}}


def final():
    """All files after the last step, wherever they are cut; and what is gone by then."""
    pristine_files = kernel = kernels()
    for step in all_steps():
        kernel = edit_kernel(step, kernel)
    files = {**kernel, **overlay()}
    return files, pristine_files.keys() - files.keys()
