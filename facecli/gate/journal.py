"""Write decisions to the log without stopping the gate if the disk fails."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from facecli.errors import FacecliError
from facecli.stores.decisions import DecisionLog, canonical

RETRY_SECONDS = 5.0
"""How long to wait after a failed write before the next try."""

MOST_WAITING = 100_000
"""Decisions kept in memory at most, about 100 MB. If more wait, the oldest go to `on_lost`."""


class Journal:
    """Appends decisions to the log at a path, from any thread; a bad disk never raises an error.

    Decisions that cannot be written wait in memory, in order, and are tried again. `warn` is called
    once when this begins and once when it is over. `on_lost` gets each decision that would be lost,
    as JSON.
    """

    def __init__(
        self, path: Path, *, warn: Callable[[str], None], on_lost: Callable[[str], None]
    ) -> None:
        """Open the log, or create it; raise GateError if this is not possible."""
        self._path = path
        self._warn = warn
        self._on_lost = on_lost
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._next_try = 0.0
        self._failing = False
        DecisionLog(path).close()

    def append(self, decision: Mapping[str, Any]) -> int:
        """Store one decision, a JSON object with its `time`; return its number, 0 if it waits."""
        with self._lock:
            self._waiting.append(canonical(decision))
            while len(self._waiting) > MOST_WAITING:
                self._on_lost(self._waiting.popleft())
            return self._write()

    def retry(self) -> int:
        """Write the waiting decisions if a new try is due; return how many still wait."""
        with self._lock:
            if self._waiting:
                self._write()
            return len(self._waiting)

    def close(self) -> int:
        """Try a last time; pass the remaining decisions to `on_lost` and return their number."""
        with self._lock:
            self._next_try = 0.0
            if self._waiting:
                self._write()
            left = len(self._waiting)
            while self._waiting:
                self._on_lost(self._waiting.popleft())
            return left

    def _write(self) -> int:
        """Write all waiting decisions in one transaction; return the last number, 0 on failure."""
        if time.monotonic() < self._next_try:
            return 0
        try:
            # The log is opened for each write. A gate decides only a few times a minute, any thread
            # may write, and a log that was moved or put back is noticed.
            with DecisionLog(self._path) as log:
                numbers = log.append_texts(self._waiting)
        except (FacecliError, OSError, MemoryError) as error:
            self._next_try = time.monotonic() + RETRY_SECONDS
            if not self._failing:
                self._warn(f"{error}; decisions wait in memory and are tried again")
            self._failing = True
            return 0
        self._waiting.clear()
        if self._failing:
            count = len(numbers)
            self._warn(f"the decision log can be written again; decisions that waited: {count}")
        self._failing = False
        return numbers[-1]
