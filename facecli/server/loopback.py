"""Serve a page to one person on this machine, under a secret address on loopback.

Other programs and web sites cannot use it. The path holds a random token. The Host header must be
the address of this server, which stops DNS rebinding. Requests that change anything must be JSON
and come from the page itself (Origin header).
"""

from __future__ import annotations

import hmac
import json
import queue
import secrets
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from facecli.errors import FacecliError, reason_of
from facecli.text import read_json

LOOPBACK = "127.0.0.1"

MOST_BYTES = 2**20
"""Largest request body: enough for the SHA-256 of thousands of photos."""

SECONDS = 30.0
"""A connection that sends nothing for this long is closed."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LoopbackPage(Protocol):
    """The page to serve. All methods are called in the thread that runs `Server.serve`."""

    def page(self) -> str:
        """Return the page as HTML."""
        ...

    def picture(self, name: str) -> bytes | None:
        """Return the JPEG with this name, or None if the page has no such picture."""
        ...

    def correct(self, request: Any) -> None:
        """Apply a correction that the page sent, any JSON value.

        Raises FacecliError with the reason if it is not a correction or cannot be applied.
        """
        ...


class Server(ThreadingHTTPServer):
    """Serve a page at `address` until interrupted. Port 0 takes any free port.

    Raises FacecliError if the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, page_source: LoopbackPage, *, port: int = 0) -> None:
        self.page_source = page_source
        self.token = secrets.token_urlsafe(24)
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise FacecliError(f"port {port}: {error.strerror}") from error
        self.host = f"{LOOPBACK}:{self.server_port}"

    @property
    def address(self) -> str:
        """The page's address. It contains the secret token."""
        return f"http://{self.host}/{self.token}/"

    def serve(self) -> None:
        """Answer requests in this thread, one by one, since SQLite needs a single thread."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        while True:
            self._jobs.get()()

    def handle_error(self, *_: Any) -> None:
        """Report errors, except when a browser closes the connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the serving thread; return its result or raise its error."""
        answer: Future[Any] = Future()

        def job() -> None:
            try:
                answer.set_result(function())
            except Exception as error:
                answer.set_exception(error)

        self._jobs.put(job)
        return answer.result()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = SECONDS
    server_version, sys_version = "facecli", ""

    def do_GET(self) -> None:
        name = self._name()
        if name is None:
            return
        try:
            self._show(name)
        except FacecliError as error:
            self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, error=str(error))

    def _show(self, name: str) -> None:
        page_source = self.server.page_source
        if name == "":
            page: str = self.server.call(page_source.page)
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page.encode())
        elif (picture := self.server.call(lambda: page_source.picture(name))) is not None:
            self._answer(HTTPStatus.OK, "image/jpeg", picture)
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        name = self._name()
        if name is None:
            return
        length = self.headers.get("Content-Length", "")
        if name != "correct":
            self._refuse(HTTPStatus.NOT_FOUND)
        elif self.headers.get("Origin") != f"http://{self.server.host}":
            self._refuse(HTTPStatus.FORBIDDEN)
        elif self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        elif not length.isdecimal() or int(length) > MOST_BYTES:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            self._correct(self.rfile.read(int(length)))

    def _correct(self, body: bytes) -> None:
        try:
            request = read_json(body)
        except ValueError:
            return self._reply(HTTPStatus.BAD_REQUEST, error="this is not JSON")
        try:
            self.server.call(lambda: self.server.page_source.correct(request))
        except FacecliError as error:
            # Not an HTTP error: the page shows the reason.
            return self._reply(HTTPStatus.OK, error=str(error))
        except Exception as error:
            return self._reply(HTTPStatus.INTERNAL_SERVER_ERROR, error=reason_of(error))
        return self._reply(HTTPStatus.OK)

    def log_message(self, *_: Any) -> None:
        """Log nothing: the address is secret, and stderr belongs to the user."""

    def _name(self) -> str | None:
        """Return the name after the secret path; refuse a request without it and return None."""
        _, _, rest = self.path.partition("/")
        token, slash, name = rest.partition("/")
        known = hmac.compare_digest(token.encode(), self.server.token.encode())
        if self.headers.get("Host") != self.server.host:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
        elif not known or not slash:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            return name
        return None

    def _refuse(self, status: HTTPStatus) -> None:
        self._answer(status, "text/plain; charset=utf-8", status.phrase.encode())

    def _reply(self, status: HTTPStatus, **fields: str) -> None:
        self._answer(status, "application/json", json.dumps(fields).encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)
