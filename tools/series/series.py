#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""usage: series.py                 write the series to build/series/
       series.py take            make steps of the commits in build/series-git/
       series.py tree DIRECTORY  bring a kernel's source up to date

The series is what `git format-patch` makes of one commit for each step of
tools/series/, in a repository that has only the kernel's files that are touched.
To move lines from one step to another, rebase there (git -C build/series-git
rebase -i pristine), then `series.py take`.  The last commit has to equal the tree.
"""

import functools
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import steps
import weave
from kernel_source import BUILD, PRISTINE, ROOT, Unusable, read, unpack, write
from host import program  # kernel_source knows where

PATCHES = BUILD / "series"
REPOSITORY = BUILD / "series-git"
BRANCH = "series"
MADE = "made"  # the tag of what we have made of the branch


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

    def is_changed(self):
        """Does the branch have what we have not made?"""
        try:
            return self.git("rev-parse", BRANCH) != self.git("rev-parse", MADE,
                                                             stderr=subprocess.DEVNULL)
        except subprocess.CalledProcessError:
            return False

    def texts(self, commit):
        """The text of each file of a commit; binary files aside."""
        archive = subprocess.run(["git", "-C", self.where, "archive", commit], check=True,
                                 env=self.environment, stdout=subprocess.PIPE).stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            return {file.name: tar.extractfile(file).read().decode() for file in tar
                    if file.isfile() and not file.name.endswith(steps.BINARY)}

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
    repository = Repository(REPOSITORY)
    if repository.is_changed():
        raise Unusable(f"{REPOSITORY} has commits of yours: python3 tools/series/series.py take, "
                       "or remove it")
    shutil.rmtree(PATCHES, ignore_errors=True)
    repository.create()
    name = repository.environment["GIT_AUTHOR_NAME"]
    address = repository.environment["GIT_AUTHOR_EMAIL"]
    for step, files in steps.states():
        repository.commit(files, signed(step.message, name, address) if step else "Debian's\n")
        if not step:
            repository.git("tag", "pristine")
    repository.git("tag", MADE)
    repository.git("config", f"branch.{BRANCH}.description", cover_letter())
    repository.git("format-patch", "-q", "-M", "--cover-letter", "--no-signature",
                   "--cover-from-description=subject", "-o", str(PATCHES), "pristine")
    return sorted(PATCHES.glob("*.patch"))


def take_files(repository, known, commits):
    """Keep weaves of our files as the commits have them."""
    ours = steps.overlay()
    share = steps.shares(known, ours)
    last = repository.texts(commits[-1])
    different = [name for name, file in ours.items()
                 if not name.endswith(steps.BINARY) and last.get(name) != file.content.decode()]
    if different:
        raise Unusable("\n".join(different) + "\nthese differ between the last commit and "
                       "the tree: make them equal, here or there")
    history = [(step.name, repository.texts(commit)) for step, commit in zip(known, commits)]
    found = {}
    for index, names in enumerate(share):
        for name in (name for name in names if not name.endswith(steps.BINARY)):
            woven = weave.woven((step, texts.get(name, "")) for step, texts in history[index:])
            if not woven.is_plain():
                found[name] = weave.dump(woven)
    steps.keep(found)
    return share


def take():
    """Make the steps what the repository's commits are: messages, weaves, kernel's files."""
    repository, known = Repository(REPOSITORY), steps.all_steps()
    commits = repository.git("rev-list", "--reverse", f"pristine..{BRANCH}").split()
    if len(commits) != len(known):
        raise Unusable(f"{REPOSITORY} has {len(commits)} commits, and tools/series/series has "
                       f"{len(known)} steps: name each there, and give it a message")
    before, ours = "pristine", set()
    for step, names, commit in zip(known, take_files(repository, known, commits), commits):
        ours.update(names)
        message = repository.git("log", "-1", "--format=%B", commit)
        message = re.sub(r"\nSigned-off-by: .*", "", message).strip() + "\n"
        if message != step.message:
            (step.where / "message").write_text(message, encoding="utf-8")
        names = [name for name in repository.git("diff", "--name-only", "--no-renames",
                                                 before, commit).splitlines()
                 if name not in ours and name not in step.removes]
        diff = repository.git("diff", "-M", before, commit, "--", *names) if names else ""
        lines = re.sub(r"^index .*\n", "", diff + "\n", flags=re.MULTILINE)
        if names and bodies(lines) != bodies(step.diff):
            (step.where / "kernel.diff").write_text(
                f"# SPDX-License-Identifier: GPL-2.0\n{lines}", encoding="utf-8")
        before = commit
    repository.git("tag", "-f", MADE)


def bodies(diff):
    """What a diff changes, wherever that is."""
    return [line for line in diff.splitlines() if line[:1] in "+-"]


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
        case ["take"]:
            take()
        case ["tree", tree]:
            bring_up_to_date(tree)
        case _:
            raise Unusable(__doc__)


if __name__ == "__main__":
    program.execute(main)
