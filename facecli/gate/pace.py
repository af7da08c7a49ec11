"""Find frames of a stream that arrive late, by comparing the stream's clock with ours."""

from __future__ import annotations

import math
from collections.abc import Callable

LATE, FRESH = 1.0, 0.5
"""Frames more than LATE seconds behind are skipped, until one is less than FRESH seconds behind."""

CATCHING_UP = 3.0
"""A stream that is still behind after this many seconds is opened again."""

DRIFT = 1e-3
"""The share by which a camera's clock may be slower than ours before its frames count as late."""


class Pace:
    """Tells which frames of a stream arrive too late to decide about anybody.

    If the machine is too busy, frames wait in the network's buffers, and the people they show may
    have left. Skipping late frames gives the decoder time to catch up. If this is not enough, the
    stream is `lost`: it must be opened again, which empties the buffers. If skipping did not reduce
    the delay at all, the stream's clock may be slow: then the limit is doubled.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        """Take the function to call with a message when the stream is lost."""
        self._warn = warn
        self._limit = LATE
        self.begin()

    def begin(self) -> None:
        """Begin with a newly opened stream: its earliest frame becomes the reference."""
        self.lost = False
        self._offset = self._before = math.inf
        self._late_since: float | None = None
        self._worst = 0.0

    def counts(self, due: float, now: float) -> bool:
        """Return whether the next frame is in time.

        `due` is its time on the stream's clock, `now` the time on ours, both in seconds.
        """
        behind = self._behind(due, now)
        if self._late_since is None:
            if behind <= self._limit:
                return True
            self._late_since, self._worst = now, 0.0
        self._worst = max(self._worst, behind)
        if behind < FRESH:
            self._late_since = None
            self._limit = LATE
            return True
        if now - self._late_since > CATCHING_UP:
            self.lost = True
            if behind > self._worst - FRESH:
                self._limit *= 2
            self._warn(f"pictures come {behind:.0f} s late; is the stream too large to decode?")
        return False

    def _behind(self, due: float, now: float) -> float:
        """Return how many seconds later than the earliest frame this one is, drift allowed for."""
        drift = DRIFT * max(0.0, now - self._before)
        self._offset = min(self._offset + drift, now - due)
        self._before = now
        return now - due - self._offset
