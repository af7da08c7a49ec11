"""Decisions on their way to the log: whatever becomes of the disk, none holds the gate up."""

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
"""How long to leave a log alone that could not be written."""

MOST_WAITING = 100_000
"""Decisions kept in memory at most, some 100 MB of them; beyond it the oldest are rescued."""


class Journal:
    """Appends decisions to the log at a path, from any thread, and never raises for a bad disk.

    What cannot be written waits in memory, in order, and is tried again. `say` is told once when
    that begins and once when it is over. `rescue` takes the decisions, as JSON, that would be lost.
    """

    def __init__(
        self, path: Path, *, say: Callable[[str], None], rescue: Callable[[str], None]
    ) -> None:
        """Open the log, made if need be; raise GateError if that cannot be done."""
        self._path = path
        self._say = say
        self._rescue = rescue
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._resting = 0.0
        self._trouble = False
        DecisionLog(path).close()

    def append(self, decision: Mapping[str, Any]) -> int:
        """Store one decision, a JSON object with its `time`; return its number, 0 if it waits."""
        with self._lock:
            self._waiting.append(canonical(decision))
            while len(self._waiting) > MOST_WAITING:
                self._rescue(self._waiting.popleft())
            return self._write()

    def retry(self) -> int:
        """Write what waits, if it is time to; return how many still wait."""
        with self._lock:
            if self._waiting:
                self._write()
            return len(self._waiting)

    def close(self) -> int:
        """Try a last time; hand what is left to `rescue` and return how many that were."""
        with self._lock:
            self._resting = 0.0
            if self._waiting:
                self._write()
            left = len(self._waiting)
            while self._waiting:
                self._rescue(self._waiting.popleft())
            return left

    def _write(self) -> int:
        """Write all that waits in one transaction; return the number of the last, 0 if it waits."""
        if time.monotonic() < self._resting:
            return 0
        try:
            # Opened for each: a gate decides a few times a minute, any thread may, and a log moved
            # away or put back is noticed.
            with DecisionLog(self._path) as log:
                numbers = log.append_texts(self._waiting)
        except (FacecliError, OSError, MemoryError) as error:
            self._resting = time.monotonic() + RETRY_SECONDS
            if not self._trouble:
                self._say(f"{error}; decisions wait in memory and are tried again")
            self._trouble = True
            return 0
        self._waiting.clear()
        if self._trouble:
            self._say(f"the decision log is written again: {len(numbers)} had waited")
        self._trouble = False
        return numbers[-1]
