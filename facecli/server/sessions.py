"""Gates for browser cameras: one for each open page. Their decisions are logged."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from facecli.gate.engine import Follower
from facecli.gate.journal import Journal
from facecli.gate.types import GateEvent
from facecli.recognition.recognizer import Recognizer
from facecli.records import stamped
from facecli.records.gate import GateEventRecord, SightingRecord, gate_event, sighting
from facecli.server.lookers import Lookers

MOST_SESSIONS = 16
IDLE_SECONDS = 60.0
"""A page that sends no frame for this long counts as closed."""


@dataclass(slots=True)
class _Session:
    gate: Follower
    began: float
    used: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sessions:
    """The gates of the open pages, by the random name that each page has chosen.

    Every decision goes to the journal. Works from any thread.
    """

    def __init__(self, recognizer: Recognizer, lookers: Lookers, journal: Journal) -> None:
        self._recognizer = recognizer
        self._lookers = lookers
        self._journal = journal
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()

    def feed(self, name: str, frame: bytes) -> SightingRecord:
        """Feed a frame to a page's gate; return the faces in view and the new decisions."""
        session = self._session(name)
        with session.lock:
            at = time.monotonic() - session.began
            view = self._lookers.view(frame, search=session.gate.due(at))
            seen = session.gate.see(view.glimpses, at, source=f"page {name[:8]}")
            events = [self._written(event, session) for event in seen.events]
        self._journal.retry()
        return sighting(seen, view.size, events)

    def close(self) -> None:
        """Decide about everyone still in view on any page."""
        with self._lock:
            for session in self._sessions.values():
                self._finish(session)
            self._sessions.clear()

    def _session(self, name: str) -> _Session:
        """Return a page's gate, made if the page is new; end the gates of closed pages."""
        now = time.monotonic()
        with self._lock:
            session = self._sessions.pop(name, None)
            if session is None:
                # If the gallery cannot be read, a page gets the error, since it can ask again. A
                # camera's gate goes on with the people it knows.
                gate = Follower(self._recognizer, people=self._recognizer)
                session = _Session(gate, began=now, used=now)
            session.used = now
            self._sessions[name] = session
            while self._is_over(next(iter(self._sessions.values())), now):
                self._finish(self._sessions.popitem(last=False)[1])
        return session

    def _is_over(self, oldest: _Session, now: float) -> bool:
        return len(self._sessions) > MOST_SESSIONS or now - oldest.used > IDLE_SECONDS

    def _finish(self, session: _Session) -> None:
        with session.lock:
            for event in session.gate.finish(time.monotonic() - session.began):
                self._written(event, session)

    def _written(self, event: GateEvent, session: _Session) -> GateEventRecord:
        record = gate_event(event, session.gate.point)
        self._journal.append(stamped(record))
        return record
