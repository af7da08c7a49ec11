"""Whether the frames of a stream come in time, by its own clock against ours."""

from __future__ import annotations

import math
from collections.abc import Callable

LATE, FRESH = 1.0, 0.5
"""Seconds behind from which frames do not count, and below which they count again."""

CATCHING_UP = 3.0
"""Seconds after which a stream that is still behind is given up."""

DRIFT = 1e-3
"""By what share a camera's clock may go slower than ours without its frames coming late."""


class Pace:
    """Tells which frames of a stream come too late to decide about anybody.

    Where a machine is too busy they wait in the buffers of the network, and whoever is on them may
    have gone since. Not to look at them gives the decoder time to catch up; if that is not enough
    the stream is `lost`, to be opened anew with nothing waiting. Where it gained nothing at all it
    may be the stream's clock that is slow: then twice as much is borne from there.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` is told of a stream that is lost."""
        self._say = say
        self._borne = LATE
        self.begin()

    def begin(self) -> None:
        """Begin with a stream just opened: the promptest of its frames will be the measure."""
        self.lost = False
        self._least = self._before = math.inf
        self._since: float | None = None
        self._worst = 0.0

    def counts(self, due: float, now: float) -> bool:
        """Tell whether the next frame, due at a time on the stream's clock, comes in time."""
        behind = self._behind(due, now)
        if self._since is None:
            if behind <= self._borne:
                return True
            self._since, self._worst = now, 0.0
        self._worst = max(self._worst, behind)
        if behind < FRESH:
            self._since = None
            self._borne = LATE
            return True
        if now - self._since > CATCHING_UP:
            self.lost = True
            if behind > self._worst - FRESH:
                self._borne *= 2
            self._say(f"pictures come {behind:.0f} s late; is the stream too large to decode?")
        return False

    def _behind(self, due: float, now: float) -> float:
        """Return by how many seconds a frame is later than the promptest."""
        drift = DRIFT * max(0.0, now - self._before)
        self._least = min(self._least + drift, now - due)
        self._before = now
        return now - due - self._least
