# SPDX-License-Identifier: GPL-2.0
"""A soak of a minute (see soak.py for longer ones)."""

import pytest

from host.chosen import SEED
from host.migration import HINTS
from host.soak import MEMORY, Soak

pytestmark = [pytest.mark.ours, pytest.mark.any_transport]
SECONDS = 60


def test_everything_at_once(boot):
    """All activities at the same time lose no page and cause no hang."""
    with boot("soak", build="debug", memory=MEMORY, init_args="page_owner=on",
              extra=HINTS) as guest:
        soak = Soak(guest, SEED)
        with soak:
            soak.last(SECONDS)
        soak.settle()
        print("\n".join(f"{count:8} {what}" for what, count in soak.rows()))
        assert not soak.problems, "\n".join(soak.problems)
