# SPDX-License-Identifier: GPL-2.0
"""The guest's tests that are as much about the kernel's own driver, run with both."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from host.paths import BUILD, LAB, ROOT, Unusable
from host.view import print_table

NAME = "tests"
TITLE = "tests of what a guest may expect of its balloon"
FILES = ("test_unaffordable_target.py", "test_restraint.py", "test_workloads.py")


def outcome(case):
    """Of a test in pytest's XML: one line."""
    for kind in ("failure", "error"):
        problem = case.find(kind)
        if problem is not None:
            return "failed: " + problem.get("message", "").splitlines()[0]
    return "skipped" if case.find("skipped") is not None else "passed"


def run(peer):
    """Run them; return the outcome of each by its name."""
    answer = BUILD / f"bench-tests-{peer}.xml"
    answer.unlink(missing_ok=True)
    subprocess.run([sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider",
                    f"--rootdir={ROOT}", f"--junitxml={answer}",
                    *(LAB / name for name in FILES)],
                   env={**os.environ, "PEER": peer}, check=False)
    if not answer.exists():
        raise Unusable("pytest has not run: see above")
    results = {}
    for case in ElementTree.parse(answer).getroot().iter("testcase"):
        # A second entry is the clean-up that failed after the test did.
        results.setdefault(case.get("name").removeprefix("test_").replace("_", " "), outcome(case))
    return results


def failed(results):
    """Those that did, by their names."""
    return [f"{NAME}: {name}" for name, what in results.items() if what.startswith("failed")]


def report(results, peers):
    """Print both drivers' outcomes side by side."""
    rows = [(name, *(results[peer].get(name, "-") for peer in peers))
            for name in results[next(iter(peers))]]
    print_table(("", *peers.values()), rows, f"{NAME}: {TITLE}")
