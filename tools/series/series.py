#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""usage: series.py                      write the series to build/series/
       series.py edit STEP [FILE...]  lay out a/ and b/ to change where files are cut
       series.py refresh [STEP]       make that the step's cut.diff; or, in all steps,
                                      see to what does not come off any more
       series.py tree DIRECTORY       bring a kernel's source up to date

The series is what `git format-patch` makes of one commit for each step of
tools/series/, in a repository that has only the kernel's files that are touched.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import steps
from kernel_source import BUILD, PRISTINE, ROOT, Unusable, read, unpack, write
from host import program  # kernel_source knows where

PATCHES = BUILD / "series"
REPOSITORY = BUILD / "series-git"
EDIT = BUILD / "series-edit"
BRANCH = "series"


def output(*command, **options):
    """What a command prints, without the end of its last line."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          **options).stdout.rstrip("\n")


def configured(name):
    """A value of git's configuration, as it is for who works in this tree."""
    return subprocess.run(["git", "-C", ROOT, "config", name], check=False, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


@functools.cache
def identity():
    """Name and address of who signs."""
    name, address = configured("user.name"), configured("user.email")
    if name and address:
        return name, address
    print("user.name and user.email are not set: before you mail the series, "
          "git config them and make it again", flush=True)
    maintainers = (ROOT / "MAINTAINERS").read_text(encoding="utf-8")
    return "virtio_balloon", re.search(r"^L:\s*(\S+)", maintainers, re.MULTILINE)[1]


def signed(message, name, address):
    """A step's message as it is committed."""
    return f"{message}\nSigned-off-by: {name} <{address}>\n"


def git_environment():
    """Whose and when: the same for the same commit, so that the output is the same."""
    name, address = identity()
    try:
        when = output("git", "-C", str(ROOT), "log", "-1", "--format=%cI")
    except subprocess.CalledProcessError:
        raise Unusable(f"{ROOT} is no git repository: the series has its HEAD's date") from None
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
           for what, value in (("NAME", name), ("EMAIL", address), ("DATE", when))}
    # Nobody's hooks, templates and signatures, nor the repository of a git that runs us.
    ours = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return {**ours, **who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


class Repository:
    """A git repository in which nothing but what is committed here ever was."""

    def __init__(self, where):
        self.where = where
        self.environment = git_environment()

    def git(self, *arguments, **options):
        """Run git in it; return what it prints."""
        return output("git", "-C", str(self.where), *arguments, env=self.environment, **options)

    def create(self):
        """Empty, whatever was there."""
        shutil.rmtree(self.where, ignore_errors=True)
        self.where.mkdir(parents=True)
        self.git("init", "-q", "-b", BRANCH)

    def commit(self, files, message):
        """Make these the contents."""
        for name in self.git("ls-files").splitlines():
            if name not in files:
                (self.where / name).unlink()
        for name, file in files.items():
            if not (self.where / name).exists() or read(self.where / name) != file:
                write(self.where / name, file)
        self.git("add", "--all", "--force")
        self.git("commit", "-q", "-F", "-", input=message)


def cover_letter():
    """Subject and text; format-patch adds the shortlog and the diffstat."""
    text = (steps.SERIES / "cover-letter").read_text(encoding="utf-8")
    return "".join(line for line in text.splitlines(True) if not line.startswith("#")).strip()


def make():
    """Leave the patches in PATCHES; return their paths."""
    shutil.rmtree(PATCHES, ignore_errors=True)
    repository = Repository(REPOSITORY)
    repository.create()
    name = repository.environment["GIT_AUTHOR_NAME"]
    address = repository.environment["GIT_AUTHOR_EMAIL"]
    for step, files in steps.states():
        repository.commit(files, signed(step.message, name, address) if step else "Debian's\n")
        if not step:
            repository.git("tag", "pristine")
    repository.git("config", f"branch.{BRANCH}.description", cover_letter())
    repository.git("format-patch", "-q", "-M", "--cover-letter", "--no-signature",
                   "--cover-from-description=subject", "-o", str(PATCHES), "pristine")
    return sorted(PATCHES.glob("*.patch"))


def find_step(name):
    """The steps, and the index of one of them."""
    known = steps.all_steps()
    for index, step in enumerate(known):
        if step.name == name:
            return known, index
    raise Unusable(f"tools/series/series has no step {name}: it has "
                   + " ".join(step.name for step in known))


def edit(name, *more):
    """Lay out the files that a step cuts, and others of ours, before and after it."""
    known, index = find_step(name)
    after = steps.ours_after(known, steps.overlay(), index)
    diff = known[index].diff("cut.diff")
    before, fits = steps.patch(after, diff, "-R", "--merge")
    where = EDIT / name
    shutil.rmtree(where, ignore_errors=True)
    for file in sorted({*steps.touched(diff), *more}):
        if file not in after:
            raise Unusable(f"{file} is none of the overlay's files")
        write(where / "a" / file, before[file])
        write(where / "b" / file, after[file])
    print(f"{where}/a has the files before {name}, b after it: change a"
          + ("" if fits else " where patch left its marks (<<<<<<<)")
          + f", then: python3 tools/series/series.py refresh {name}")


def files_below(directory):
    """Paths within it of all that it holds."""
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())


def refresh(name):
    """Make cut.diff from what `edit` lays out, be it now."""
    where = EDIT / name
    if not where.exists():
        edit(name)
    for file in files_below(where / "a"):
        if b"\n<<<<<<<" in (where / "a" / file).read_bytes():
            raise Unusable(f"{where}/a/{file} has patch's marks (<<<<<<<): edit it into what "
                           f"it is before {name}, then refresh again")
    cut = "# SPDX-License-Identifier: GPL-2.0\n"
    for file in files_below(where / "b"):
        # Its status is 1 where they differ.
        cut += subprocess.run(["diff", "-up", "--label", f"a/{file}", "--label", f"b/{file}",
                               where / "a" / file, where / "b" / file],
                              check=False, stdout=subprocess.PIPE, text=True).stdout
    (steps.SERIES / name / "cut.diff").write_text(cut, encoding="utf-8")
    shutil.rmtree(where)


def refresh_all():
    """Refresh whatever does not come off as it is, last step first."""
    files = steps.overlay()
    for step in reversed(steps.all_steps()):
        before, fits = steps.patch(files, step.diff("cut.diff"), "-R", "-F0")
        if not fits:
            refresh(step.name)
            before = steps.take_off(step, files)
        files = before


def restore(tree, name):
    """What is none of ours any more is the kernel's again, or gone."""
    if (PRISTINE / name).is_file():
        write(tree / name, read(PRISTINE / name))
    else:
        (tree / name).unlink(missing_ok=True)


def bring_up_to_date(tree):
    """Make a tree what the series makes of the kernel; touch only what differs."""
    tree = Path(tree)
    manifest = tree.with_name(f"{tree.name}-overlay")  # the files in the tree that we changed
    if unpack(tree):
        manifest.unlink(missing_ok=True)
    files, removed = steps.final()
    earlier = set(manifest.read_text(encoding="utf-8").splitlines()) if manifest.exists() else set()
    for name in sorted(earlier - files.keys() - removed):
        restore(tree, name)
    for name in removed:
        (tree / name).unlink(missing_ok=True)
    for name, file in files.items():
        if not (tree / name).exists() or read(tree / name) != file:
            write(tree / name, file)
    manifest.write_text("".join(f"{name}\n" for name in sorted({*files, *removed})),
                        encoding="utf-8")


def main():
    """Do what the command line says."""
    match sys.argv[1:]:
        case []:
            for patch in make():
                print(os.path.relpath(patch))
        case ["edit", name, *more]:
            edit(name, *more)
        case ["refresh"]:
            refresh_all()
        case ["refresh", name]:
            refresh(name)
        case ["tree", tree]:
            bring_up_to_date(tree)
        case _:
            raise Unusable(__doc__)


if __name__ == "__main__":
    program.execute(main)
