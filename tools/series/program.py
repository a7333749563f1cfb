# SPDX-License-Identifier: GPL-2.0
"""How each program here ends: with one line where something is wrong."""

import errno
import os
import subprocess
import sys

from kernel_source import BUILD, Unusable


def execute(main):
    """Run main(), which returns an exit status or nothing."""
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        # A make that we start is no part of the one that may have started us.
        os.environ.pop(name, None)
    try:
        BUILD.mkdir(parents=True, exist_ok=True)
        sys.exit(main())
    except Unusable as error:
        sys.exit(f"error: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error.cmd[0]} failed, see above")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(f"error: no space left for {error.filename or BUILD}: make room, "
                 "or set BUILD= to a directory elsewhere")
    except KeyboardInterrupt:
        sys.exit("interrupted")
