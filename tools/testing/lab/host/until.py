# SPDX-License-Identifier: GPL-2.0
"""The one function that waits for a condition."""

import time

# Long enough to catch only hangs: an emulated guest on a busy machine is slow.
HANG_SECONDS = 600


class Stuck(Exception):
    """A condition did not become true for a long time."""


def until(condition, what, *, limit=HANG_SECONDS, tick=0.01, pause=None, progress=None,
          error=Stuck):
    """Call `condition` again and again until its answer is true; return the answer.

    what: the condition in words, or a function that returns the words at the end.
    tick: seconds between two calls.  pause: a function in place of this sleep, which may
    return early after an event.  progress: a function; the limit begins anew when its
    answer changes.  error: the exception that is raised after `limit` seconds.
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
