# SPDX-License-Identifier: GPL-2.0
"""The kernel's source as Debian ships it: all of it, or the files that we touch."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

# The tests' harness has what every program of this tree needs.
sys.path.append(str(Path(__file__).resolve().parents[1] / "testing/lab"))
from host.paths import BUILD, ROOT, Unusable  # noqa: E402  pylint: disable=wrong-import-position

SOURCE = Path("/usr/src/linux-source-6.12.tar.xz")
PRISTINE = BUILD / "linux-pristine"


class File(NamedTuple):
    """What git keeps of a file."""
    content: bytes
    executable: bool


def read(path):
    """A file of the file system."""
    return File(path.read_bytes(), os.access(path, os.X_OK))


def write(path, file):
    """Make the file, and the directories that lead to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.content)
    path.chmod(0o755 if file.executable else 0o644)


def stamp():
    """What changes when Debian ships another source."""
    try:
        status = SOURCE.stat()
    except FileNotFoundError:
        raise Unusable(f"{SOURCE} is missing: apt install linux-source-6.12") from None
    return f"{status.st_size} {int(status.st_mtime)}\n"


def unpack(tree):
    """Have all of the source in a directory; say whether it was not there before."""
    mark = tree / ".unpacked"
    # Empty: by an earlier version of this, which did not look for another source.
    if mark.exists() and mark.read_text(encoding="utf-8") in ("", stamp()):
        return False
    print(f"unpacking {SOURCE} (a minute or two)", flush=True)
    wanted = stamp()
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    if subprocess.run(["tar", "-xf", SOURCE, "-C", tree, "--strip-components=1"],
                      check=False).returncode:
        raise Unusable(f"{SOURCE} does not unpack: is there room for it in {tree.parent}?")
    mark.write_text(wanted, encoding="utf-8")
    return True


def extract(names):
    """Have these files in PRISTINE, those of them that there are."""
    print(f"reading {len(names)} files from {SOURCE} (half a minute)", flush=True)
    # What is not in the archive makes tar fail, and its message is not of interest.
    top = SOURCE.name.removesuffix(".tar.xz")
    subprocess.run(["tar", "-xf", SOURCE, "-C", PRISTINE, "--strip-components=1",
                    "--verbatim-files-from", "--files-from=-"],
                   input="".join(f"{top}/{name}\n" for name in names), text=True,
                   stderr=subprocess.DEVNULL, check=False)


def pristine(names):
    """These of the kernel's files, by name; those that it has.

    To read them takes half a minute, so they are kept, never fewer than before.
    """
    mark, asked = PRISTINE / ".stamp", PRISTINE / ".asked"
    if not mark.exists() or mark.read_text(encoding="utf-8") != stamp():
        shutil.rmtree(PRISTINE, ignore_errors=True)
        PRISTINE.mkdir(parents=True)
    known = set(asked.read_text(encoding="utf-8").split()) if asked.exists() else set()
    if not known.issuperset(names):
        known |= set(names)
        extract(sorted(known))
        asked.write_text("\n".join(sorted(known)) + "\n", encoding="utf-8")
        mark.write_text(stamp(), encoding="utf-8")
    return {name: read(PRISTINE / name) for name in names if (PRISTINE / name).is_file()}
