# SPDX-License-Identifier: GPL-2.0
"""The one way to wait for what has to come about."""

import time

# Only catches hangs: an emulated guest on a busy machine is slow, not stuck.
HANG_SECONDS = 600


class Stuck(Exception):
    """Something that had to come about has not, for a long time."""


def until(condition, what, *, limit=HANG_SECONDS, tick=0.01, pause=None, progress=None,
          error=Stuck):
    """Look at `condition` again and again until its answer is true; return the answer.

    what: what is waited for, in words, or a function that has the words at the end.
    tick: seconds between two looks.  pause: a function in place of that sleep, which returns
    early if something tells.  progress: a function; the limit begins anew whenever its
    answer is another one.  error: what is raised after `limit` seconds.
    """
    last, deadline = progress and progress(), time.monotonic() + limit
    while not (answer := condition()):
        if progress and (now := progress()) != last:
            last, deadline = now, time.monotonic() + limit
        if time.monotonic() > deadline:
            words = what() if callable(what) else what
            raise error(f"{words}: not within {limit} s")
        if pause:
            pause()
        else:
            time.sleep(tick)
    return answer
