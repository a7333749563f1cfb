# SPDX-License-Identifier: GPL-2.0
"""The steps of the series: what each makes of the kernel's files and of ours.

`series` names them in their order.  A step is a directory here:

message       subject, empty line, why and what; as git has it
files         patterns of the overlay's files that come with it, whole; a line
              that begins with "-" takes a file of the kernel's away
kernel.diff   edits to files that the kernel has

The overlay has the files as they are in the end.  Of a file that more than one step
adds lines to, weaves/ says which step each line comes with: see weave.py.  A weave
that is about an earlier text of its file, which git has, absorbs what was edited since.
"""

import re
import subprocess
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path

import weave
from kernel_source import BUILD, ROOT, Unusable, pristine, read, write

SERIES = ROOT / "tools/series"
WEAVES = SERIES / "weaves"
SUFFIX = ".weave"
BINARY = (".png",)
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

    @property
    def diff(self):
        """Its edits to the kernel's files, empty where there are none."""
        path = self.where / "kernel.diff"
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


def git(*arguments, **options):
    """Run git on this tree; return what it prints, None where it fails."""
    result = subprocess.run(["git", "-C", ROOT, *arguments], check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options)
    return result.stdout if not result.returncode else None


def kept_weaves():
    """What is kept of each weave, by the name of its file."""
    return {str(path.relative_to(WEAVES)).removesuffix(SUFFIX): path.read_text(encoding="utf-8")
            for path in sorted(WEAVES.rglob(f"*{SUFFIX}"))}


def keep(weaves):
    """Keep these and no others, and have git keep the texts that they are about."""
    for path in WEAVES.rglob(f"*{SUFFIX}"):
        if str(path.relative_to(WEAVES)).removesuffix(SUFFIX) not in weaves:
            path.unlink()
    for name, kept in weaves.items():
        path = WEAVES / f"{name}{SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(kept, encoding="utf-8")
        git("hash-object", "-w", "--", name)


def files_then():
    """Names of the files when weaves were kept last: all others are new."""
    commit = git("log", "-1", "--format=%H", "--", "tools/series/weaves")
    names = git("ls-tree", "-r", "--name-only", commit.strip()) if commit else None
    return set(names.split()) if names else None


def old_weave(name, kept, text):
    """A file's weave as it was kept."""
    of_blob = weave.of_blob(kept)
    if of_blob != weave.blob(text):
        text = git("cat-file", "blob", of_blob)
        if text is None:
            raise Unusable(f"git has no {name} of {of_blob}, which its weave is about: "
                           "git fetch --unshallow")
    return weave.load(kept, text)


def weaves(steps, ours, share):
    """The weaves of our files as they are now, by name; of those that come whole: none."""
    texts = {name: ours[name].content.decode() for names in share for name in names
             if not name.endswith(BINARY)}
    owner = {name: step.name for step, names in zip(steps, share) for name in names}
    kept = {name: old_weave(name, kept, texts.get(name, ""))
            for name, kept in kept_weaves().items()}
    known = {step.name for step in steps}
    for name, old in kept.items():
        gone = {step for line in old.lines for step in line[1:] if step} - known
        if gone:
            raise Unusable(f"tools/series/weaves/{name}{SUFFIX} is about {gone.pop()}, "
                           "which is no step in tools/series/series")
    moved = weave.moves([line for name, old in kept.items()
                         for line in old.deleted(texts.get(name, ""))])
    then = files_then()
    order = [step.name for step in steps]
    found = {}
    for name, text in texts.items():
        if name in kept:
            new = kept[name].absorb(text, moved)
        elif then is not None and name not in then and moved:
            new = weave.Weave().adopt(text, owner[name], moved)
        else:
            continue
        new = new.not_before(owner[name], order)
        if not new.is_plain():
            found[name] = new
    return found


def kernels():
    """The kernel's files that the series is about, as Debian ships them."""
    names = {name for step in all_steps()
             for name in (*touched(step.diff), *step.removes)}
    return pristine(sorted(names))


def edit_kernel(step, kernel):
    """The kernel's files as a step leaves them."""
    kernel, fits = patch(kernel, step.diff, "-F0")
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
    steps, ours = all_steps(), overlay()
    share = shares(steps, ours)
    woven = weaves(steps, ours, share)
    now = {name: weave.dump(found) for name, found in woven.items()}
    if now != kept_weaves():
        keep(now)
        print("tools/series/weaves is up to date: commit it with what you have changed",
              flush=True)
    kernel, there, done = kernels(), {}, set()
    yield None, kernel
    for step, names in zip(steps, share):
        kernel = edit_kernel(step, kernel)
        there.update((name, ours[name]) for name in names)
        done.add(step.name)
        for name in there.keys() & woven.keys():
            there[name] = ours[name]._replace(content=woven[name].after(done).encode())
        yield step, {**kernel, **there}


def final():
    """All files after the last step, wherever they are cut; and what is gone by then."""
    pristine_files = kernel = kernels()
    for step in all_steps():
        kernel = edit_kernel(step, kernel)
    files = {**kernel, **overlay()}
    return files, pristine_files.keys() - files.keys()
