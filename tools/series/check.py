#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""usage: check.py [quick]

Check the series: that it applies, that what comes of it is what we test, and that
each step is what a maintainer expects of a patch.  "quick" builds nothing.

The last line is "N passed, N failed"; the exit status is 0 only if none failed.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import series
import steps
from kernel_source import BUILD, PRISTINE, ROOT, Unusable, read, unpack
from host import program  # kernel_source knows where

LAB = ROOT / "tools/testing/lab"
LINUX = BUILD / "linux"  # what the tests' kernels are built from
TREE = BUILD / "series-tree"  # the series is applied to this, and built
WORK = BUILD / "series-check"  # builds and logs
FINDING = re.compile(r"(?:warning|error|WARNING|ERROR|CRITICAL):")
POWERPC = ("ARCH=powerpc", "CROSS_COMPILE=powerpc64le-linux-gnu-")
CMM = "arch/powerpc/platforms/pseries/cmm.o"
COMMITS = 10  # of this tree, so many of the last ones, are looked at
# Not part of what was unpacked.
IGNORED = (".git", ".unpacked", ".checkpatch-camelcase.*", "__pycache__")
# The driver built in, with all KUnit tests, and as a module.
KINDS = {
    "built in": (("CONFIG_VIRTIO_BALLOON=y", "CONFIG_KUNIT_ALL_TESTS=y"),
                 ("mm/", "drivers/virtio/", "drivers/misc/")),
    "module": (("CONFIG_VIRTIO_BALLOON=m",),
               ("drivers/virtio/", "drivers/misc/vmw_balloon.o")),
}


class Failed(Exception):
    """What is wrong, and what to do."""


class Results(Counter):
    """How the checks went."""

    def check(self, name, function, *arguments):
        """Do one; say how it went.  Returns whether it passed."""
        start = time.monotonic()
        try:
            function(*arguments)
            result = "passed"
        except (Failed, Unusable) as error:
            print(error, flush=True)
            result = "failed"
        except subprocess.CalledProcessError as error:
            print(f"{error.cmd[0]} failed, see above", flush=True)
            result = "failed"
        print(f"{result} series: {name} ({time.monotonic() - start:.0f} s)", flush=True)
        self[result] += 1
        return result == "passed"


class Tree:
    """A directory with files of the kernel's, in which git knows those that we touch.

    What git keeps lies elsewhere, so that the tree looks like one without git.
    """

    def __init__(self, where):
        self.where = where
        self.environment = {**series.git_environment(),
                            "GIT_DIR": str(where.with_name(f"{where.name}-git")),
                            "GIT_WORK_TREE": str(where)}

    def git(self, *arguments, **options):
        """Run git; return what it prints."""
        return series.output("git", *arguments, env=self.environment, cwd=self.where, **options)

    def start(self, files):
        """Know these files, which are as Debian ships them."""
        shutil.rmtree(self.environment["GIT_DIR"], ignore_errors=True)
        self.git("init", "-q", "-b", "series")
        self.git("add", "--force", *files)
        self.git("commit", "-q", "-m", "Debian's")
        self.git("tag", "pristine")

    def reset(self):
        """Undo what an earlier check has left, whole or half."""
        if Path(self.environment["GIT_DIR"], "refs/tags/pristine").exists():
            for name in self.git("ls-files").splitlines():
                (self.where / name).unlink(missing_ok=True)
            self.git("reset", "-q", "--hard", "pristine")

    def apply(self, patches):
        """What who gets the series by mail does."""
        result = subprocess.run(["git", "am", "-q", *patches], env=self.environment,
                                cwd=self.where, check=False, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode or "warning" in result.stdout:
            raise Failed(result.stdout.rstrip())

    def commits(self):
        """One for each patch."""
        return self.git("rev-list", "--reverse", "pristine..series").split()

    def files(self, commit=None):
        """Names of the files of a commit, or of those that it touches, but deleted ones."""
        if commit:
            return self.git("diff-tree", "-r", "--no-commit-id", "--name-only",
                            "--diff-filter=d", commit).splitlines()
        return self.git("ls-files").splitlines()


def kmake(out, log, *arguments):
    """Run the kernel's make; return what it said, which goes to a log as well."""
    command = ["nice", "make", "-s", "-C", TREE, f"O={out}", f"-j{os.cpu_count()}", *arguments]
    result = subprocess.run(command, check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log.write_text(result.stdout, encoding="utf-8")
    if result.returncode:
        last = "\n".join(result.stdout.splitlines()[-30:])
        raise Failed(f"{last}\nit does not build: see above, all of it is in {log}")
    return result.stdout


def without_numbers(line):
    """A finding, wherever in the file it is."""
    return re.sub(r":\d+", "", line)


def findings(text, names, known=frozenset()):
    """Lines that find fault with one of these files, and are not known of before."""
    return [line for line in text.splitlines()
            if FINDING.search(line) and any(name in line for name in names)
            and without_numbers(line) not in known]


def fail_for(lines, what):
    """Fail where there are lines, and show them."""
    if lines:
        raise Failed("\n".join(lines) + f"\n{what}")


def configure(kind):
    """Configure one of the two builds for what the tree is now; return its directory."""
    out = WORK / kind.replace(" ", "-")
    out.mkdir(parents=True, exist_ok=True)
    fragment = (steps.SERIES / "check.config").read_text(encoding="utf-8")
    fragment += "".join(f"{line}\n" for line in KINDS[kind][0])
    (out / "fragment").write_text(fragment, encoding="utf-8")
    said = kmake(out, out / "config.log", "ARCH=x86_64", f"KCONFIG_ALLCONFIG={out}/fragment",
                 "allnoconfig")
    fail_for([line for line in said.splitlines() if "warning:" in line],
             "Kconfig finds fault with what the step makes of it")
    config = (out / ".config").read_text(encoding="utf-8").splitlines()
    fail_for([line for line in fragment.splitlines()
              if line.startswith("CONFIG") and line not in config],
             "tools/series/check.config: this does not come to pass: name what it depends on")
    return out


def compile_kernel(kind, log, *targets):
    """Build some of what the tree is now; return what the compiler and sparse say.

    Only what is compiled is checked: what has changed since, and all that depends on it.
    """
    return kmake(configure(kind), log, "ARCH=x86_64", "W=1", "C=1", "CHECK=sparse", *targets)


def known_findings(tree):
    """What is said about the kernel's files that are touched, before they are."""
    objects = [re.sub("c$", "o", name) for name in tree.files()
               if re.match(r"(mm|drivers)/.*\.c$", name)]
    said = compile_kernel("built in", WORK / "pristine.log", *objects)
    return {without_numbers(line) for line in said.splitlines()}


def build(kind, names, known, log):
    """Build what the tree is now; none of these files may be found fault with."""
    said = compile_kernel(kind, log, *KINDS[kind][1])
    fail_for(findings(said, names, known), f"all that the compiler and sparse say is in {log}")


def check_compiled(names):
    """Nothing would have been said about a file that was not compiled."""
    fail_for([name for name in names if name.endswith(".c")
              and name.startswith(("drivers/", "mm/"))
              and not any((WORK / kind.replace(" ", "-") / name).with_suffix(".o").exists()
                          for kind in KINDS)],
             "no build has compiled these: see to it in tools/series/check.config")


def link():
    """A kernel and its modules: no symbol is there twice, none that a module needs is missing."""
    kmake(configure("module"), WORK / "link.log", "ARCH=x86_64", "vmlinux", "modules")


def build_cmm(log):
    """powerpc's balloon, of which only the object is built."""
    out = WORK / "powerpc"
    out.mkdir(parents=True, exist_ok=True)
    if not (out / ".config").exists():
        kmake(out, log, *POWERPC, "pseries_le_defconfig")
    fail_for(findings(kmake(out, log, *POWERPC, CMM), [CMM.replace(".o", ".c")]), f"see {log}")


def checkpatch(patch, tree):
    """As a maintainer runs it.

    Of a new file it only says that somebody should maintain it; check_maintained()
    and check_maintainers() look whether somebody does.
    """
    result = subprocess.run(["perl", "scripts/checkpatch.pl", "--strict", "--terse", "--quiet",
                             "--no-summary", "--show-types", "--ignore", "FILE_PATH_CHANGES",
                             patch], cwd=tree, check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    fail_for(result.stdout.splitlines(), f"checkpatch finds fault with {patch.name}")


def section(maintainers):
    """The lines of the balloon's section of a MAINTAINERS."""
    return re.search(r"^VIRTIO BALLOON\n((?:.+\n)+)", maintainers, re.MULTILINE)[1].splitlines()


def check_maintained(tree):
    """All that our MAINTAINERS has is in the kernel's, and what that names is there."""
    ours = section((ROOT / "MAINTAINERS").read_text(encoding="utf-8"))
    theirs = section((tree.where / "MAINTAINERS").read_text(encoding="utf-8"))
    fail_for([line for line in ours if line not in theirs],
             "MAINTAINERS has this, and the section that the series leaves has not: "
             "edit the step's kernel.diff")
    patterns = [line.split()[1] for line in theirs if line.startswith("F:")]
    fail_for([pattern for pattern in patterns if not (LINUX / pattern).exists()],
             "MAINTAINERS names these, and they are not there")
    removed = set(tree.git("ls-tree", "-r", "--name-only", "pristine").splitlines())
    removed -= set(tree.files())
    everything = (tree.where / "MAINTAINERS").read_text(encoding="utf-8").splitlines()
    fail_for([name for name in removed if f"F:\t{name}" in everything],
             "MAINTAINERS names these, and the series takes them away")
    new = tree.git("diff-tree", "-r", "--name-only", "--diff-filter=A", "pristine", "series")
    fail_for([name for name in new.splitlines()
              if not any(steps.matches(name, pattern) for pattern in patterns)],
             "nobody maintains these: name them in MAINTAINERS, here and in the series")


def check_same(tree):
    """What git am makes is what our kernels are built from."""
    different = [name for name in tree.files()
                 if not (LINUX / name).is_file() or read(LINUX / name) != read(tree.where / name)]
    extra = [name for name in (BUILD / "linux-overlay").read_text(encoding="utf-8").splitlines()
             if (LINUX / name).exists() and not (tree.where / name).exists()]
    fail_for(different + extra, f"these differ between {LINUX} and what the patches make")


def check_same_tree():
    """The same of two whole trees, so that nothing else was changed either."""
    result = subprocess.run(["diff", "-rq", *(f"--exclude={name}" for name in IGNORED), LINUX,
                             TREE], check=False, text=True, stdout=subprocess.PIPE)
    fail_for(result.stdout.splitlines(), "these differ: if that is not what you have done to "
             f"them, remove {LINUX} and {TREE} to have them unpacked anew")


def self_test():
    """What get_maintainer.pl finds wrong with MAINTAINERS, without line numbers."""
    said = series.output("perl", "scripts/get_maintainer.pl", "--self-test=sections", cwd=TREE)
    return {re.sub(r":\d+:", ":", line) for line in said.splitlines()}


def check_maintainers(tree, before):
    """get_maintainer.pl finds nothing that it had not found before, and us for each file."""
    fail_for(sorted(self_test() - before), "scripts/get_maintainer.pl --self-test")
    new = tree.git("diff-tree", "-r", "--name-only", "--diff-filter=A", "pristine", "series")
    sections = {}
    for name in new.splitlines():
        said = series.output("perl", "scripts/get_maintainer.pl", "--no-git", "--no-git-fallback",
                             "--sections", "-f", name, cwd=TREE)
        sections[name] = "VIRTIO BALLOON" in said
    fail_for([name for name, ours in sections.items() if not ours],
             "get_maintainer.pl does not know us for these")


def lay_out_documents(tree, source):
    """Our documents, and what core-api has of our kernel-doc, as a book of their own."""
    entries, directives = [], []
    for name in (Path(name) for name in tree.files() if name.endswith(".rst")):
        text = (TREE / name).read_text(encoding="utf-8")
        if "virtio-balloon" not in name.stem:
            directives += re.findall(r"^.. kernel-doc:: .*/balloon_.*\n", text, re.MULTILINE)
            continue
        entry = name.relative_to("Documentation")
        steps.write(source / entry, read(TREE / name))
        entries.append(f"   {entry.with_suffix('')}\n")
        index = (TREE / name).with_name("index.rst").read_text(encoding="utf-8").splitlines()
        if f"   {name.stem}" not in index:
            raise Failed(f"{name.with_name('index.rst')} does not name {name.stem}")
    book = ["Balloons\n========\n\n.. toctree::\n\n", *entries, "\n", *directives]
    (source / "index.rst").write_text("".join(book), encoding="utf-8")


def check_documents(tree):
    """sphinx-build, as the kernel configures it, and what looks at other documents."""
    shutil.rmtree(WORK / "documents", ignore_errors=True)
    source, log = WORK / "documents/source", WORK / "documents/log"
    lay_out_documents(tree, source)
    environment = {**os.environ, "srctree": str(TREE), "BUILDDIR": str(WORK / "documents"),
                   "LC_ALL": "C.UTF-8"}
    result = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", TREE / "Documentation",
         "-D", f"kerneldoc_srctree={TREE}", "-D", f"kerneldoc_bin={TREE}/scripts/kernel-doc",
         source, WORK / "documents/html"], cwd=TREE, env=environment, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log.write_text(result.stdout, encoding="utf-8")
    if result.returncode:
        raise Failed(result.stdout + "sphinx-build fails, see above: is python3-sphinx there?")
    # It also misses programs that draw pictures.
    fail_for(findings(result.stdout, [str(source), "balloon"]),
             f"sphinx-build; all that it says is in {log}")
    # W=1 does this with files that are compiled; the tests' own are nobody's to call.
    headers = [name for name in tree.files() if name.endswith(".h") and "balloon" in name
               and "/tests/" not in name]
    for command, names in ((["scripts/kernel-doc", "-none", *headers], headers),
                           (["scripts/get_abi.pl", "validate"], ["virtio-balloon"])):
        said = series.output("perl", *command, cwd=TREE, stderr=subprocess.STDOUT)
        fail_for([line for line in said.splitlines() if any(name in line for name in names)],
                 command[0])


def test_weave():
    """The tests of what the series is made with."""
    series.output(sys.executable, "-B", "-m", "unittest", "-q", "test_weave", cwd=steps.SERIES,
                  stderr=subprocess.STDOUT)


def quick(results, patches):
    """What needs no build: the pristine files that are touched, and the patches."""
    results.check("weaves", test_weave)
    tree = Tree(BUILD / "series-am")
    shutil.rmtree(tree.where, ignore_errors=True)
    for name, file in steps.kernels().items():
        steps.write(tree.where / name, file)
    tree.start(steps.kernels())
    if not results.check("git am", tree.apply, patches):
        return
    results.check("the kernels are built from the same", check_same, tree)
    results.check("MAINTAINERS", check_maintained, tree)
    # Most of the time goes there, and each is a process of its own.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checks = [pool.submit(checkpatch, patch, LINUX) for patch in patches]
        for patch, check in zip(patches, checks):
            results.check(f"checkpatch: {patch.stem}", check.result)


def kunit_config():
    """What of our .kunitconfig the tree knows; empty where it has none of the suites."""
    ours = (ROOT / "drivers/virtio/balloon/tests/.kunitconfig").read_text(encoding="utf-8")
    known = "".join((TREE / name).read_text(encoding="utf-8") for name in
                    ("mm/tests/Kconfig", "drivers/virtio/balloon/Kconfig")
                    if (TREE / name).exists())
    suites = [line for line in ours.splitlines() if "_KUNIT_TEST=y" in line]
    gone = [line for line in suites
            if f"config {line.removeprefix('CONFIG_').removesuffix('=y')}\n" not in known]
    kept = [line for line in ours.splitlines() if line not in gone]
    return "\n".join(kept) + "\n" if len(gone) < len(suites) else ""


def run_kunit(config, log):
    """The suites that have come so far, under User Mode Linux: all pass."""
    out = WORK / "kunit"
    out.mkdir(parents=True, exist_ok=True)
    (out / ".kunitconfig").write_text(config, encoding="utf-8")
    command = ["nice", "sh", LAB / "kunit.sh", "um-of", TREE, out, out / ".kunitconfig"]
    result = subprocess.run(command, check=False, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    log.write_text(result.stdout, encoding="utf-8")
    tested = re.search(r"Testing complete. (.*)", result.stdout)
    if result.returncode or not tested:
        last = "\n".join(result.stdout.splitlines()[-30:])
        raise Failed(f"{last}\nKUnit fails at this step: all that it says is in {log}")
    print(tested[1], flush=True)


def check_commit(commit):
    """`make series` works in a clone of this tree, as it was then."""
    clone, build = BUILD / "series-at", BUILD / "series-at-build"
    if not clone.exists():
        series.output("git", "clone", "-q", "--no-local", "--no-checkout", str(ROOT), str(clone))
    series.output("git", "-C", str(clone), "fetch", "-q", "origin", commit)
    series.output("git", "-C", str(clone), "checkout", "-q", "--force", commit)
    shutil.rmtree(build, ignore_errors=True)
    shutil.copytree(PRISTINE, build / PRISTINE.name)
    result = subprocess.run([sys.executable, clone / "tools/series/series.py"], check=False,
                            env={**os.environ, "BUILD": str(build)}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        raise Failed(f"{result.stdout}make series failed at {commit}")


def check_commits(results):
    """The last commits, from when the series was first made of weaves."""
    for commit in steps.git("log", f"-{COMMITS}", "--format=%H %s").splitlines():
        name = commit.split()[0]
        if steps.git("cat-file", "-e", f"{name}:tools/series/weave.py") is not None:
            results.check(f"make series at {commit[:12]}{commit[40:]}", check_commit, name)
    for name in ("series-at", "series-at-build"):
        shutil.rmtree(BUILD / name, ignore_errors=True)


def check_steps(results, tree, patches, known):
    """Each step on its own: checkpatch, the builds, and KUnit."""
    for patch, commit in zip(patches, tree.commits()):
        tree.git("checkout", "-q", commit)
        names = tree.files(commit)
        results.check(f"checkpatch: {patch.stem}", checkpatch, patch, TREE)
        for kind in KINDS:
            log = WORK / f"{patch.stem}-{kind.replace(' ', '-')}.log"
            results.check(f"{kind}: {patch.stem}", build, kind, names, known, log)
        results.check(f"all of it compiled: {patch.stem}", check_compiled, names)
        if config := kunit_config():
            results.check(f"KUnit: {patch.stem}", run_kunit, config,
                          WORK / f"{patch.stem}-kunit.log")
        if CMM.replace(".o", ".c") in names:
            results.check(f"powerpc's cmm: {patch.stem}", build_cmm, WORK / f"{patch.stem}-cmm.log")


def full(results, patches):
    """All of it, on a whole kernel's source."""
    tree = Tree(TREE)
    if unpack(TREE):
        shutil.rmtree(tree.environment["GIT_DIR"], ignore_errors=True)
    tree.reset()
    before = self_test()
    tree.start(steps.kernels())
    # From nothing: only what is compiled is checked.
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    print("building the kernel's own files, to see what is said about them", flush=True)
    known = known_findings(tree)
    if not results.check("git am", tree.apply, patches):
        return
    results.check("the kernels are built from the same", check_same_tree)
    check_steps(results, tree, patches, known)
    tree.git("checkout", "-q", "series")
    results.check("a whole kernel, in the end", link)
    results.check("powerpc's cmm, in the end", build_cmm, WORK / "cmm.log")
    results.check("MAINTAINERS", check_maintained, tree)
    results.check("get_maintainer.pl", check_maintainers, tree, before)
    results.check("documents", check_documents, tree)
    check_commits(results)


def main():
    """Do what the command line says."""
    checks = {(): full, ("quick",): quick}.get(tuple(sys.argv[1:]))
    if not checks:
        raise Unusable(__doc__)
    results, patches = Results(), []
    if results.check("make series", lambda: patches.extend(series.make())):
        del patches[0]  # the cover letter
        subprocess.run(["sh", LAB / "tree.sh"], check=True)
        checks(results, patches)
    print(f"{results['passed']} passed, {results['failed']} failed")
    return 1 if results["failed"] else 0


if __name__ == "__main__":
    program.execute(main)
