# SPDX-License-Identifier: GPL-2.0
"""The Makefile's errors, and its behaviour when the user stops a program."""

import os
import pty
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from host.paths import BUILD, LAB, ROOT
from host.until import HANG_SECONDS

pytestmark = pytest.mark.any_transport

# Marks the processes that these tests start: other users may also run guests.
MARK = f"STARTED_BY_TEST={uuid.uuid4()}"

ENVIRONMENT = {**os.environ, "BUILD": str(BUILD), **dict([MARK.split("=")])}
for _name in ("K", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "TRANSPORT"):
    ENVIRONMENT.pop(_name, None)


def make(*arguments, path=None):
    """Run make; return the completed process."""
    environment = dict(ENVIRONMENT)
    if path:
        environment["PATH"] = f"{path}:{environment['PATH']}"
    return subprocess.run(["make", "-s", "-C", ROOT, *arguments], env=environment, check=False,
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)


def check_refused(result, *words):
    """Check that make failed with one line that has all of these words."""
    errors = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert result.returncode != 0
    assert len(errors) == 1 and errors[0].startswith("error: "), errors
    for word in words:
        assert word in errors[0]


def running():
    """Names of running processes that these tests have started, directly or not."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if MARK.encode() in path.read_bytes():
                found.append((path.parent / "comm").read_text(encoding="utf-8").strip())
        except OSError:
            pass  # the process ended meanwhile, or is another user's
    return found


@pytest.mark.parametrize("setting, words", [
    ("TARGETS=banana", ("TARGETS", "banana")),
    ("TARGETS=1G 0", ("TARGETS", "'0'")),
    ("TARGETS=,", ("TARGETS",)),
    ("TARGETS=5G", ("TARGETS", "5120", "MEM=")),
    ("TARGETS=1M", ("TARGETS",)),
    ("MEM=lots", ("MEM", "lots")),
    ("MEM=1M", ("MEM", "512M")),
    ("KERNEL=9.9-none", ("9.9-none", "not installed", "KERNEL=")),
    ("KERNEL=../../etc", ("not installed",)),
    ("PEER=other", ("PEER",)),
    ("QEMU=qemu-none", ("qemu-none", "apt install qemu-system-x86")),
    ("DEVICE=no-such=on", ("no-such",)),
])
def test_bad_setting(setting, words):
    """make refuses an impossible setting, and leaves no process."""
    check_refused(make("run", setting), *words)
    assert not running()


def test_unknown_transport():
    """make refuses an unknown transport, and lists the known ones."""
    check_refused(make("check-guest", "TRANSPORT=pigeon"), "TRANSPORT", "pigeon", "modern", "mmio")


@pytest.mark.parametrize("target, setting, words", [
    ("bench", "S=pigeon", ("S:", "pigeon", "inflate", "hugetlbfs")),
    ("bench", "ROUNDS=none", ("ROUNDS", "none")),
    ("bench-restraint", "S=pigeon", ("S:", "pigeon", "target", "burst")),
    ("bench-restraint", "ROUNDS=0", ("ROUNDS", "'0'")),
    ("soak", "MINUTES=many", ("MINUTES", "many")),
    ("soak", "MINUTES=0", ("MINUTES", "0.5")),
    ("soak", "SEED=pigeon", ("SEED", "pigeon")),
    ("soak", "SANITIZER=pigeon", ("SANITIZER", "pigeon", "kasan", "kcsan")),
])
def test_bad_choice(target, setting, words):
    """make refuses an unknown choice before it builds anything, and lists the known ones."""
    check_refused(make(target, setting), *words)


@pytest.fixture(name="pretend")
def fixture_pretend(tmp_path):
    """A function that makes a PATH with a fake program in front of the machine's."""
    def pretend(**programs):
        for name, script in programs.items():
            program = tmp_path / name.replace("_", "-")
            program.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
            program.chmod(0o755)
        return tmp_path
    return pretend


@pytest.mark.parametrize("target", ["run", "check", "guest"])
def test_other_machine(pretend, target):
    """make refuses a machine that is not x86-64."""
    check_refused(make(target, path=pretend(uname="echo aarch64")), "aarch64", "make modules")


def test_no_space(pretend):
    """make notices a full disk before it writes."""
    full = pretend(df="echo; echo disk 100 95 5 95% /")
    check_refused(make("run", path=full), "5 MiB", "make room")


def test_packages_missing_and_not_root(pretend):
    """A user who may not install packages gets the command to type."""
    path = pretend(dpkg_query="exit 1", id="echo 1000", sudo="exit 1")
    result = make("run", path=path)
    check_refused(result, "apt install", "qemu-system-x86", "linux-image-6.12-cloud-amd64")
    assert "missing" in result.stdout


def test_shell_without_terminal():
    """make guest does not wait for input if there is no terminal."""
    check_refused(make("guest"), "terminal")


def test_no_headers():
    """make modules names the missing headers."""
    check_refused(make("modules", "KDIR=/nowhere"), "/nowhere", "KDIR=")


def test_modules_install(boot, tmp_path):
    """The module lands under updates/, and depmod knows it."""
    assert boot  # this fixture has built the module
    result = make("modules_install", f"DESTDIR={tmp_path}")
    assert result.returncode == 0, result.stderr
    installed = list(tmp_path.glob("lib/modules/*/updates/virtio_balloon.ko"))
    assert len(installed) == 1
    index = installed[0].parents[1] / "modules.dep"
    assert "updates/virtio_balloon.ko:" in index.read_text(encoding="ascii")


def start(program, **options):
    """Start a program of the lab as a terminal does, in a process group of its own."""
    def heed_interrupt():
        # If the tests run in the background, they may ignore SIGINT.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen([sys.executable, LAB / program], env=ENVIRONMENT | {
        "MEM": "512M", "TARGETS": "384M"}, start_new_session=True,
        preexec_fn=heed_interrupt, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_run_leaves_nothing(boot, number):
    """Ctrl-C, or a kill, in the middle of a run ends QEMU too."""
    assert boot
    with start("run.py", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        try:
            for line in run.stdout:
                if line.startswith("guest: "):
                    break
            assert any("qemu" in name for name in running()), "no guest to be stopped in"
            os.killpg(run.pid, number)
            rest = run.stdout.read()
            assert run.wait(HANG_SECONDS) == 130
        finally:
            run.kill()
    assert rest.splitlines()[-1] == "interrupted", rest
    assert not running()


def read_until(terminal, pattern):
    """Read from a program's terminal up to a pattern; return the match."""
    text = ""
    while not (match := re.search(pattern, text)):
        text += os.read(terminal, 4096).decode(errors="replace")
    return match


def test_shell(boot):
    """make guest: the shell works, the monitor answers, and no process is left after exit."""
    assert boot
    ours, theirs = pty.openpty()
    with start("shell.py", stdin=theirs, stdout=theirs, stderr=theirs) as shell:
        try:
            os.close(theirs)
            socket = Path(read_until(ours, r"QMP socket: (\S+)")[1])
            read_until(ours, "# ")
            os.write(ours, b"modprobe virtio_balloon && echo loa''ded\n")
            read_until(ours, "loaded")
            client = [sys.executable, LAB / "host" / "qmp.py", socket]
            subprocess.run([*client, "balloon", f"value={400 << 20}"], check=True)
            answer = subprocess.run([*client, "query-balloon"], check=True, capture_output=True)
            assert b"actual" in answer.stdout
            os.write(ours, b"exit\n")
            assert shell.wait(HANG_SECONDS) == 0
        finally:
            shell.kill()
            os.close(ours)
    assert not socket.parent.exists()
    assert not running()
