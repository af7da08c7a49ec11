"""Bounded waits that poll: how long a test waits decides nothing but how it fails."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENT = 300.0
"""Seconds that anything may take on a machine with a load of many times its cores."""


def until(done: Callable[[], object], *, seconds: float = PATIENT) -> None:
    """Wait until something is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
