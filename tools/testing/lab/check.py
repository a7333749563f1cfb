#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Run groups of tests, show their output, add up their results.

usage: check.py GROUP[+GROUP...]...

Groups that are joined by a plus run at the same time.  The output of the first group
is shown as it comes, the output of the others after the first has ended.  At the end
there is another line for each failed test, and "N passed, N failed", with ", N
skipped" if tests were skipped.  The exit status is 0 only if no test failed and at
least one passed.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter

from host import kernel, klog, program, transport
from host.paths import BUILD, LAB, ROOT, Unusable, newest_kernel

# Arguments of style.sh.
COMPILE = {"sparse and W=1": "compile"}
STYLE_CHECKS = {"floors": "floors", "checkpatch": "checkpatch", **COMPILE}
KERNELS = ("kunit", "debug")  # the second is made from the first
# Guests at a time.
GUESTS = 3
DEBUG_GUESTS = 1  # at the same time as GUESTS
LONG_GUESTS = 2

SUMMARY = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")

# Begins the lines at the end: they may be the only part of the output that is kept.
FAILURE = "FAILED: "
failures = []


def shell(script, *arguments):
    """Run one of the scripts beside this one; return its exit status."""
    return subprocess.run(["sh", LAB / script, *arguments], check=False).returncode


def say(result, name, seconds):
    """Print the result of one test in a line."""
    print(f"{result} {name} ({seconds:.0f} s)", flush=True)
    if result == "failed":
        failures.append(name)


def check_style(checks=STYLE_CHECKS):
    """Run each checker over all C files as one test."""
    results = Counter()
    for name, check in checks.items():
        start = time.monotonic()
        result = "failed" if shell("style.sh", check) else "passed"
        say(result, f"style: {name}", time.monotonic() - start)
        results[result] += 1
    return results


def check_compile():
    """Run the checks without checkpatch: the series runs checkpatch over its patches."""
    return check_style({"floors": "floors", **COMPILE})


def check_series():
    """Run the part of `make series-check` that builds nothing; each check is a test."""
    command = [sys.executable, ROOT / "tools/series/check.py", "quick"]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for last in process.stdout:
            if not re.match(r"\d+ passed", last):
                print(last, end="", flush=True)
            if last.startswith("failed "):
                failures.append(last.split(maxsplit=1)[1].rstrip())
    count = re.fullmatch(r"(\d+) passed, (\d+) failed\n", last)
    if not count:
        say("failed", "series: it was not checked, see above", 0)
        return Counter(failed=1)
    return Counter(passed=int(count[1]), failed=int(count[2]))


def kunit_cases(group):
    """All cases of a group in kunit.py's JSON, and of the groups within it."""
    yield from group.get("test_cases", ())
    for part in group.get("sub_groups", ()):
        yield from kunit_cases(part)


def splats(log):
    """Lines of the log in which the kernel complains, also if no test has failed."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        return [str(error)]
    return [line for line in lines if klog.SPLAT.search(line)]


def check_kunit(arch="um", log=BUILD / "kunit" / "test.log"):
    """Run KUnit.  Each case is a test; a failed build and a complaint of the kernel are too."""
    answer = BUILD / f"kunit-{arch}.json"
    answer.unlink(missing_ok=True)
    status = shell("kunit.sh", arch, str(answer))
    if not answer.exists():
        say("failed", f"kunit {arch}: the suites did not run, see above", 0)
        return Counter(failed=1)
    results = Counter()
    for case in kunit_cases(json.loads(answer.read_text(encoding="utf-8"))):
        result = {"PASS": "passed", "SKIP": "skipped"}.get(case["status"], "failed")
        results[result] += 1
        if result == "failed":
            failures.append(f"kunit {arch}: {case['name']}: {case['status']}")
    alarms = splats(log)
    if alarms or (status and not results["failed"]) or not results["passed"]:
        print("\n".join(alarms))
        say("failed", f"kunit {arch}: kunit.py ended with status {status}, see {log}", 0)
        results["failed"] += 1
    return results


def check_kunit_debug():
    """Run KUnit in the kernel with run-time checks."""
    return check_kunit("x86_64", BUILD / "kernel" / "kunit" / "test.log")


def check_kernel():
    """Build each kernel of configs/ that the guest tests boot."""
    results = Counter()
    for name in KERNELS:
        start = time.monotonic()
        result = "failed" if shell("kernel.sh", name) else "passed"
        say(result, f"kernel: {name}", time.monotonic() - start)
        results[result] += 1
    return results


def check_guest(name="guest", guests=GUESTS, selection=()):
    """Run the guest tests; each test of pytest is a test."""
    answer = BUILD / f"{name}.xml"
    answer.unlink(missing_ok=True)
    if os.environ.get("K"):
        selection = *selection, "-k", os.environ["K"]
    status = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-rs", "--tb=short", "-p", "no:cacheprovider",
         "-n", str(guests), "--dist", "loadfile",
         f"--rootdir={ROOT}", f"--junitxml={answer}", *selection, LAB],
        check=False).returncode
    try:
        suite = ElementTree.parse(answer).getroot().find("testsuite")
        count = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
    except (OSError, ElementTree.ParseError):
        say("failed", f"{name}: pytest ended with status {status}", 0)
        return Counter(failed=1)
    # A test and its clean-up may both fail, so failures and errors may exceed the tests.
    failed = {(case.get("classname"), case.get("name")) for case in suite.iter("testcase")
              if case.find("failure") is not None or case.find("error") is not None}
    failures.extend(f"{name}: {module.split('.')[-1]}::{test}" for module, test in sorted(failed))
    results = Counter(failed=len(failed), skipped=count["skipped"])
    names = {(case.get("classname"), case.get("name")) for case in suite.iter("testcase")}
    results["passed"] = len(names) - len(failed) - count["skipped"]
    if status and not failed:
        say("failed", f"{name}: pytest ended with status {status}", 0)
        results["failed"] += 1
    return results


def check_guest_debug():
    """Test the core, and each feature once, in the kernel with run-time checks."""
    os.environ["KERNEL"] = "debug"
    return check_guest("guest-debug", DEBUG_GUESTS, ("-m", "debug"))


def check_long():
    """Run the guest tests that take too long for each day."""
    os.environ["LONG"] = "1"
    return check_guest("guest-long", LONG_GUESTS, ("-m", "long"))


def run_groups(names):
    """Run the first group in this process, and the others one after the other in a second one."""
    print(f"== {names[0]}", flush=True)
    if not names[1:]:
        return GROUPS[names[0]]()
    with tempfile.TemporaryFile("w+", dir=BUILD) as output:
        with subprocess.Popen([sys.executable, __file__, *names[1:]], stdout=output,
                              stderr=subprocess.STDOUT) as others:
            try:
                results = GROUPS[names[0]]()
            except BaseException:
                others.terminate()
                raise
            print(f"waiting for {' and '.join(names[1:])}", flush=True)
        output.seek(0)
        lines = output.read().splitlines()
    print("\n".join(line for line in lines[:-1] if not line.startswith(FAILURE)), flush=True)
    failures.extend(line.removeprefix(FAILURE) for line in lines if line.startswith(FAILURE))
    counts = SUMMARY.fullmatch(lines[-1]) if lines else None
    if not counts:
        say("failed", f"{' '.join(names[1:])}: ended with {lines[-1:]}", 0)
        return results + Counter(failed=1)
    passed, failed, skipped = (int(count or 0) for count in counts.groups())
    return results + Counter(passed=passed, failed=failed, skipped=skipped)


GROUPS = {"style": check_style, "compile": check_compile, "series": check_series,
          "kunit": check_kunit, "kunit-debug": check_kunit_debug, "kernel": check_kernel,
          "guest": check_guest, "guest-debug": check_guest_debug, "long": check_long}


def main():
    """Run the groups that the command line names."""
    transport.chosen()  # an error here is one line; in pytest it would be many
    # The scripts need the defaults of the Makefile, also if make did not start this program.
    os.environ["BUILD"] = str(BUILD)
    os.environ["KERNEL"] = os.environ.get("KERNEL") or newest_kernel()
    release = newest_kernel() if os.environ["KERNEL"] in kernel.BUILT else os.environ["KERNEL"]
    os.environ["KDIR"] = os.environ.get("KDIR") or f"/lib/modules/{release}/build"
    os.environ["PYTHON"] = sys.executable
    BUILD.mkdir(parents=True, exist_ok=True)
    results = Counter()
    for argument in sys.argv[1:]:
        names = argument.split("+")
        for name in names:
            if name not in GROUPS:
                raise Unusable(f"no such group of tests: {name}: choose from {' '.join(GROUPS)}")
        results += run_groups(names)
    for failure in failures:
        print(f"{FAILURE}{failure}")
    line = f"{results['passed']} passed, {results['failed']} failed"
    if results["skipped"]:
        line += f", {results['skipped']} skipped"
    print(line)
    return 0 if results["passed"] and not results["failed"] else 1


if __name__ == "__main__":
    program.execute(main)
