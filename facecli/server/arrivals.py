"""The limits of request bodies: how large, how many at a time, and which one makes room."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MOST_BYTES = 32 * 2**20
"""Largest request body: two photos of a 50-megapixel camera in base64."""

MOST_ARRIVING, MOST_OF_PEER = 64, 32
"""Most bodies that arrive at the same time, of all peers and of one address."""

MOST_ARRIVING_BYTES = 4 * MOST_BYTES
"""Most bytes of them that are held."""

FINISH_BYTES, FINISH_SECONDS = 2**24, 0.25
"""How much of the body of a request that is refused is dropped before the answer, and how long."""


class TooLong(Exception):
    """A body larger than MOST_BYTES."""


class Arrivals:
    """The bodies that are arriving, oldest first.

    If there are too many, the oldest is given up: it is the slowest.
    """

    def __init__(self) -> None:
        self._arriving: list[_Arrival] = []

    async def whole(self, headers: Mapping[bytes, bytes], receive: Receive, *, peer: str) -> bytes:
        """Return a body when it is whole.

        Raises TooLong, TimeoutError if it has to make room for others, and ConnectionError if the
        client goes away.
        """
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > MOST_BYTES:
            raise TooLong
        async with asyncio.timeout(None) as limit:
            one = _Arrival(peer, limit)
            self._arriving.append(one)
            try:
                self._make_room()
                while await one.more(receive):
                    self._make_room()
            finally:
                self._arriving.remove(one)
        return bytes(one.data)

    def _make_room(self) -> None:
        left = [one for one in self._arriving if not one.given_up]
        held = sum(len(one.data) for one in left)
        peers = Counter(one.peer for one in left)
        for one in left:
            many = peers.total() > MOST_ARRIVING or peers[one.peer] > MOST_OF_PEER
            if many or held > MOST_ARRIVING_BYTES:
                one.give_up()
                peers[one.peer] -= 1
                held -= len(one.data)


class _Arrival:
    """A body that is arriving, and the limit that ends it."""

    def __init__(self, peer: str, limit: asyncio.Timeout) -> None:
        self.peer = peer
        self.data = bytearray()
        self.given_up = False
        self._limit = limit

    async def more(self, receive: Receive) -> bool:
        """Take the next piece, and tell whether there is more."""
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        self.data += message.get("body", b"")
        if len(self.data) > MOST_BYTES:
            raise TooLong
        return bool(message.get("more_body"))

    def give_up(self) -> None:
        """Raise TimeoutError where the body is waited for."""
        self.given_up = True
        self._limit.reschedule(0)


def has_body(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether the head of a request announces a body."""
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


async def let_finish(receive: Receive) -> None:
    """Drop what a client that is refused still sends: a little, and for a short time.

    If the connection were closed while it sends, it would be reset, and the client would never see
    why it was refused.
    """
    dropped = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(FINISH_SECONDS):
            while dropped < FINISH_BYTES:
                message = await receive()
                dropped += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
