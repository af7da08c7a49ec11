"""The limits of connections: those that wait make room for others, and none waits for long."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 5.0
"""Longest time from the start of a connection, or its last answer, to the whole head of a request.
"""

MOST_WAITING, MOST_OF_PEER = 128, 64
"""Most connections that wait for the head of a request, of all peers and of one address."""

FIRST_SECONDS = 0.2
"""A new connection may wait this long, however many others there are: for a client that sends."""


class Connections:
    """The connections that wait for a request, oldest first. Used by the event loop only.

    One that waits too long is closed. If too many wait, the oldest are closed: a client that sends
    its request at once is answered, however many others are silent.
    """

    def __init__(self) -> None:
        self._waiting: dict[LimitedProtocol, asyncio.TimerHandle] = {}

    def note(self, connection: LimitedProtocol, *, waits: bool) -> None:
        """Note whether a connection waits for the head of a request."""
        if not waits:
            if timer := self._waiting.pop(connection, None):
                timer.cancel()
        elif connection not in self._waiting:
            loop = connection.loop
            self._waiting[connection] = loop.call_later(HEAD_SECONDS, self._close, connection)
            if len(self._waiting) > MOST_OF_PEER:
                loop.call_later(FIRST_SECONDS, self._make_room)

    def _make_room(self) -> None:
        peers = Counter(connection.peer for connection in self._waiting)
        for connection in list(self._waiting):
            if len(self._waiting) > MOST_WAITING or peers[connection.peer] > MOST_OF_PEER:
                peers[connection.peer] -= 1
                self._close(connection)

    def _close(self, connection: LimitedProtocol) -> None:
        self.note(connection, waits=False)
        connection.transport.close()


class LimitedProtocol(H11Protocol):
    """A connection that tells whether it waits for a request."""

    def __init__(self, limits: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits

    @property
    def peer(self) -> str:
        """The address at the other end."""
        return self.client[0] if self.client else ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._note()

    def data_received(self, data: bytes) -> None:
        """Take what has arrived: a part of a request's head, or of its body."""
        super().data_received(data)
        self._note()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._note()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._limits.note(self, waits=False)
        super().connection_lost(exc)

    def _note(self) -> None:
        answering = self.cycle is not None and not self.cycle.response_complete
        self._limits.note(self, waits=not answering and not self.transport.is_closing())
