"""The limits of every request: access, size, number and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from facecli.records import stamped, to_json
from facecli.records.health import error
from facecli.server.access import Access, Refusal
from facecli.server.arrivals import (
    MOST_BYTES,
    Arrivals,
    Message,
    Receive,
    TooLong,
    has_body,
    let_finish,
)
from facecli.server.described import STYLE_HASH
from facecli.server.lookers import UNTIL
from facecli.server.metrics import Metrics

Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Answer = TypeVar("Answer")

MOST_REQUESTS = 16
"""Most requests with a photo that are worked on or wait for it; others get status 429.

A request counts from when its body is whole. Those that need no photo searched do not count.
"""

ADMIN_REQUESTS = 2
"""How many more there may be if the administrator asks."""

MOST_QUICK = 64
"""Most requests at the same time that need no photo searched."""

MOST_SECONDS = 30.0
"""Longest time for a request, from its start to the end of its answer."""

RETRY_SECONDS = 1

SAFE = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; "
    b"style-src 'self' 'sha256-" + STYLE_HASH.encode() + b"'; "
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
    """Threads that do the work. A job that timed out still counts until it ends, which is soon."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._abandoned: set[Future[Any]] = set()

    async def do(self, work: Callable[[], Answer]) -> Answer:
        """Run `work` in a thread and return its result."""
        future = self._pool.submit(copy_context().run, work)
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


@dataclass(frozen=True, slots=True)
class Lanes:
    """The threads for each sort of work: none waits for another.

    `quick` asks the gallery, `looks` searches photos, and `admin` does so for the administrator.
    """

    quick: Workers
    looks: Workers
    admin: Workers

    def close(self) -> None:
        """Finish the jobs that have begun and drop the jobs that wait."""
        for one in (self.quick, self.looks, self.admin):
            one.close()


class LimitedApp:
    """An ASGI application that checks every request before it passes it to another one.

    It refuses requests without access, too many requests at a time, and requests that are too large
    or too slow. `paths` are the paths that are counted under their own name. `bodies` are those
    whose POST has a body: what is sent to others is not read.
    """

    def __init__(self, app: App, access: Access, lanes: Lanes, metrics: Metrics) -> None:
        self._app = app
        self._access = access
        self.lanes = lanes
        self._metrics = metrics
        self._arrivals = Arrivals()
        self._quick = self.in_flight = 0
        self.paths: frozenset[str] = frozenset()
        self.bodies: frozenset[str] = frozenset()

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
        UNTIL.set(time.monotonic() + MOST_SECONDS)
        if refusal := self._access.refusal(scope["path"], headers):
            await let_finish(receive)
            return refusal
        try:
            async with asyncio.timeout(MOST_SECONDS):
                if scope["path"] in self.bodies and scope["method"] == "POST":
                    return await self._with_body(scope, headers, receive, reply)
                return await self._without_body(scope, headers, receive, reply)
        except TimeoutError:
            return Refusal(503, f"not done after {MOST_SECONDS:.0f} s")
        except ConnectionError:
            return Refusal(499, "the client has gone")

    async def _with_body(
        self, scope: Message, headers: dict[bytes, bytes], receive: Receive, reply: _Reply
    ) -> Refusal | None:
        peer = (scope.get("client") or ("",))[0]
        try:
            body = await self._arrivals.whole(headers, receive, peer=peer)
        except TooLong:
            return Refusal(413, f"more than {MOST_BYTES // 2**20} MiB")
        except TimeoutError:
            return Refusal(408, "the request was still arriving, and others waited")
        most = MOST_REQUESTS + ADMIN_REQUESTS * self._access.administers(headers)
        if self.in_flight + self.lanes.looks.abandoned + self.lanes.admin.abandoned >= most:
            return Refusal(429, "busy: try again in a second")
        self.in_flight += 1
        try:
            await self._app(scope, _replayed(body, receive), reply)
        finally:
            self.in_flight -= 1
        return None

    async def _without_body(
        self, scope: Message, headers: dict[bytes, bytes], receive: Receive, reply: _Reply
    ) -> Refusal | None:
        if has_body(headers):
            await let_finish(receive)
            reply.last = True  # what still arrives is not the next request
        if self._quick >= MOST_QUICK:
            return Refusal(429, "busy: try again in a second")
        self._quick += 1
        try:
            await self._app(scope, _replayed(b"", receive), reply)
        finally:
            self._quick -= 1
        return None


class _Reply:
    """Sends the answer: adds the headers of every answer and remembers the status.

    After the `last` answer the connection is closed.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.last = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *SAFE.items()]
            if self.last:
                message["headers"].append((b"connection", b"close"))
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        body = to_json(stamped(error(refusal.reason))).encode()
        self.last = True
        headers = [(b"content-type", b"application/json")]
        headers.append((b"content-length", str(len(body)).encode()))
        if refusal.status == 429:
            headers.append((b"retry-after", str(RETRY_SECONDS).encode()))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
        await self(start)
        await self({"type": "http.response.body", "body": body})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a function that gives the body in one piece, then whatever else is received."""
    pieces = [body]

    async def next_message() -> Message:
        if pieces:
            return {"type": "http.request", "body": pieces.pop(), "more_body": False}
        return await receive()

    return next_message
