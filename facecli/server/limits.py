"""The limits of every request: access, size, number and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from facecli.records import stamped, to_json
from facecli.records.health import error
from facecli.server.access import Access, Refusal
from facecli.server.metrics import Metrics

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Answer = TypeVar("Answer")

FINISH_BYTES, FINISH_SECONDS = 2**24, 0.25
"""How much of the body of a request that is refused is dropped before the answer, and how long."""

MOST_BYTES = 32 * 2**20
"""Largest request body: two photos of a 50-megapixel camera in base64."""

MOST_REQUESTS = 16
"""Most requests at the same time, so that memory is limited. Others get status 429."""

MOST_SECONDS = 30.0
"""Longest time for a request, from its start to the end of its answer."""

RETRY_SECONDS = 1

SAFE = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; "
    b"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(self), microphone=(), geolocation=()",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
}
"""Headers of every answer. Browsers must not store or frame it, or load files from elsewhere."""


class Workers:
    """Threads that do the work. A job that timed out still counts until it ends."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._abandoned: set[Future[Any]] = set()

    async def do(self, work: Callable[[], Answer]) -> Answer:
        """Run `work` in a thread and return its result."""
        future = self._pool.submit(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._abandoned.add(future)
            raise

    @property
    def abandoned(self) -> int:
        """The number of jobs that still run after their request ended."""
        self._abandoned = {one for one in self._abandoned if not one.done()}
        return len(self._abandoned)

    def close(self) -> None:
        """Finish the jobs that have begun and drop the jobs that wait."""
        self._pool.shutdown(cancel_futures=True)


class LimitedApp:
    """An ASGI application that checks every request before it passes it to another one.

    It refuses requests without access, too many requests at a time, and requests that are too large
    or too slow. `paths` are the paths that are counted under their own name.
    """

    def __init__(self, app: App, access: Access, workers: Workers, metrics: Metrics) -> None:
        self._app = app
        self._access = access
        self.workers = workers
        self._metrics = metrics
        self.in_flight = 0
        self.paths: frozenset[str] = frozenset()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began = time.monotonic()
        reply = _Reply(send)
        refusal = await self._answered(scope, receive, reply)
        if refusal is not None and not reply.status:
            await reply.refuse(refusal)
        path = scope["path"] if scope["path"] in self.paths else "other"
        self._metrics.request(path, reply.status, time.monotonic() - began)

    async def _answered(self, scope: Message, receive: Receive, reply: _Reply) -> Refusal | None:
        """Let the application answer, or return why the request is refused."""
        headers = dict(scope["headers"])
        if refusal := self._access.refusal(scope["path"], headers):
            await _let_finish(receive)
            return refusal
        if self.in_flight + self.workers.abandoned >= MOST_REQUESTS:
            await _let_finish(receive)
            return Refusal(429, "busy: try again in a second")
        with self._counted():
            try:
                async with asyncio.timeout(MOST_SECONDS):
                    body = await _body(headers, receive)
                    if body is None:
                        return Refusal(413, f"more than {MOST_BYTES // 2**20} MiB")
                    await self._app(scope, _replayed(body, receive), reply)
            except TimeoutError:
                return Refusal(503, f"not done after {MOST_SECONDS:.0f} s")
            except ConnectionError:
                return Refusal(499, "the client has gone")
        return None

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1


class _Reply:
    """Sends the answer: adds the headers of every answer and remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *SAFE.items()]
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        body = to_json(stamped(error(refusal.reason))).encode()
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        headers.append((b"content-length", str(len(body)).encode()))
        if refusal.status == 429:
            headers.append((b"retry-after", str(RETRY_SECONDS).encode()))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
        await self(start)
        await self({"type": "http.response.body", "body": body})


async def _let_finish(receive: Receive) -> None:
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


async def _body(headers: dict[bytes, bytes], receive: Receive) -> bytes | None:
    """Return the whole body, or None if it is too large.

    Raises ConnectionError if the client goes away before the end.
    """
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > MOST_BYTES:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives the body in one piece, then whatever else is received."""
    pieces = [body]

    async def next_message() -> Message:
        if pieces:
            return {"type": "http.request", "body": pieces.pop(), "more_body": False}
        return await receive()

    return next_message
