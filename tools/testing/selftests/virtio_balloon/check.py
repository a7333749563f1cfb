#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Run groups of tests (style, kunit, kernel, guest), show their output, add up their results.

The last line is "N passed, N failed", with ", N skipped" where there are any.
The exit status is 0 only if nothing failed and something passed.
"""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter

from host import program, transport
from host.paths import BUILD, ROOT, SELFTEST, Unusable, newest_kernel

STYLE_CHECKS = ("checkpatch", "sparse", "W=1")
KERNELS = ("poison",)
GUESTS = 2  # at a time


def shell(script, *arguments):
    """Run one of the scripts beside this one; return its exit status."""
    return subprocess.run(["sh", SELFTEST / script, *arguments], check=False).returncode


def say(result, name, seconds):
    """One test's result, in one line."""
    print(f"{result} {name} ({seconds:.0f} s)", flush=True)


def check_style():
    """Each checker over all C files is one test."""
    results = Counter()
    for name in STYLE_CHECKS:
        start = time.monotonic()
        result = "failed" if shell("style.sh", name) else "passed"
        say(result, f"style: {name}", time.monotonic() - start)
        results[result] += 1
    return results


def kunit_cases(group):
    """All cases of a group in kunit.py's JSON, and of the groups within it."""
    yield from group.get("test_cases", ())
    for part in group.get("sub_groups", ()):
        yield from kunit_cases(part)


def check_kunit():
    """Each KUnit case is a test; so is the build, where it fails."""
    answer = BUILD / "kunit.json"
    answer.unlink(missing_ok=True)
    status = shell("kunit.sh", str(answer))
    if not answer.exists():
        say("failed", "kunit: the suites did not run, see above", 0)
        return Counter(failed=1)
    results = Counter({"PASS": "passed", "SKIP": "skipped"}.get(case["status"], "failed")
                      for case in kunit_cases(json.loads(answer.read_text(encoding="utf-8"))))
    if (status and not results["failed"]) or not results["passed"]:
        say("failed", f"kunit: kunit.py ended with status {status}", 0)
        results["failed"] += 1
    return results


def check_kernel():
    """Each kernel of configs/ that the guest's tests boot: it builds."""
    results = Counter()
    for name in KERNELS:
        start = time.monotonic()
        result = "failed" if shell("kernel.sh", name) else "passed"
        say(result, f"kernel: {name}", time.monotonic() - start)
        results[result] += 1
    return results


def check_guest():
    """Each pytest test is a test."""
    answer = BUILD / "guest.xml"
    answer.unlink(missing_ok=True)
    selection = ["-k", os.environ["K"]] if os.environ.get("K") else []
    status = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-rs", "--tb=short", "-p", "no:cacheprovider",
         "-n", str(GUESTS), "--dist", "loadfile",
         f"--rootdir={ROOT}", f"--junitxml={answer}", *selection, SELFTEST],
        check=False).returncode
    try:
        suite = ElementTree.parse(answer).getroot().find("testsuite")
        count = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    except (OSError, ElementTree.ParseError):
        say("failed", f"guest: pytest ended with status {status}", 0)
        return Counter(failed=1)
    # One test may both fail and have its clean-up fail: an error more than there are tests.
    failed = len({(case.get("classname"), case.get("name")) for case in suite.iter("testcase")
                  if case.find("failure") is not None or case.find("error") is not None})
    results = Counter(failed=failed, skipped=count["skipped"])
    names = {(case.get("classname"), case.get("name")) for case in suite.iter("testcase")}
    results["passed"] = len(names) - failed - count["skipped"]
    if status and not failed:
        say("failed", f"guest: pytest ended with status {status}", 0)
        results["failed"] += 1
    return results


GROUPS = {"style": check_style, "kunit": check_kunit, "kernel": check_kernel,
          "guest": check_guest}


def main():
    """Run the groups that the command line names."""
    transport.chosen()  # now: an error in pytest would be more than a line
    # For the scripts, whoever calls: the Makefile's own defaults.
    os.environ["BUILD"] = str(BUILD)
    os.environ["KERNEL"] = os.environ.get("KERNEL") or newest_kernel()
    os.environ["KDIR"] = os.environ.get("KDIR") or f"/lib/modules/{os.environ['KERNEL']}/build"
    os.environ["PYTHON"] = sys.executable
    BUILD.mkdir(parents=True, exist_ok=True)
    results = Counter()
    for name in sys.argv[1:]:
        if name not in GROUPS:
            raise Unusable(f"no such group of tests: {name}: choose from {' '.join(GROUPS)}")
        print(f"== {name}", flush=True)
        results += GROUPS[name]()
    line = f"{results['passed']} passed, {results['failed']} failed"
    if results["skipped"]:
        line += f", {results['skipped']} skipped"
    print(line)
    return 0 if results["passed"] and not results["failed"] else 1


if __name__ == "__main__":
    program.execute(main)
