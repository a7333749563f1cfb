# SPDX-License-Identifier: GPL-2.0
"""Runs a program of the lab; a known failure ends it with one line, and cleanly."""

import errno
import os
import signal
import subprocess
import sys

from .guest import CommandFailed, GuestDied
from .paths import BUILD, Unusable
from .qmp import Disconnected, QMPError
from .until import Stuck

FAILURES = (Stuck, CommandFailed, GuestDied, Disconnected, QMPError)


def _interrupted(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def execute(main):
    """Run main(), which returns an exit status; turn known failures into one line."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        # A make that this program starts must not be a part of a make that started it.
        os.environ.pop(name, None)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # The exception makes context managers end QEMU, as at Ctrl-C.
        signal.signal(number, _interrupted)
    try:
        status = main()
    except Unusable as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        status = 1
    except subprocess.CalledProcessError as error:
        print(f"error: {error.cmd[0]} failed, see above", file=sys.stderr)
        status = 1
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"error: no space left for {error.filename or BUILD}: make room, "
              "or set BUILD= to a directory elsewhere", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)
