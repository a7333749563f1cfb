# SPDX-License-Identifier: GPL-2.0
"""Runs the guest tests that also apply to the kernel's own driver, with both drivers."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter

from host.paths import BUILD, LAB, ROOT, Unusable

from .scenario import Scenario
from .table import Row

FILES = ("test_unaffordable_target.py", "test_restraint.py", "test_workloads.py")


def outcome(case):
    """The outcome of a test in pytest's XML, in one line."""
    for kind in ("failure", "error"):
        problem = case.find(kind)
        if problem is not None:
            return "failed: " + problem.get("message", "").splitlines()[0]
    return "skipped" if case.find("skipped") is not None else "passed"


def run(peer):
    """Run the tests; return the outcome of each by its name."""
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
        # A second entry is a failed clean-up after a failed test.
        results.setdefault(case.get("name").removeprefix("test_").replace("_", " "), outcome(case))
    return results


class PeerTests(Scenario):
    """The tests for both drivers; each is a figure."""
    NAME = "tests"
    TITLE = "tests of what a guest may expect of its balloon"
    SETUPS = {"ours": None, "stock": None}

    def rounds(self, wanted):
        return 1

    def play(self, lab, setups):
        for contestant, _ in setups:
            yield contestant, run(contestant)

    def brief(self, figures):
        counts = Counter(what.partition(":")[0] for what in figures.values())
        return ", ".join(f"{count} {what}" for what, count in counts.items())

    def conclude(self, seen):
        self.ROWS = tuple(Row(name, name, peer="stock", told=True, words=("passed", "skipped"))
                          for name in seen.keys("ours"))
