"""A page for one person on this machine: served on loopback, to whoever knows its secret address.

Other programs and other web sites on the same machine are kept out: the path holds a random token,
the Host header must name this very server (so that no foreign name can be bound to it), and what
changes anything must come from the page itself (Origin) as JSON.
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

from facecli.errors import FacecliError

LOOPBACK = "127.0.0.1"

MOST_BYTES = 2**20
"""Of a request's body: thousands of photos by their SHA-256."""

SECONDS = 30.0
"""A connection that says nothing for so long is closed."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LoopbackPage(Protocol):
    """What is served; its methods are all called in the thread that runs `Server.serve`."""

    def page(self) -> str:
        """Return the page as HTML."""
        ...

    def picture(self, name: str) -> bytes | None:
        """Return the JPEG of a name in the page, or None."""
        ...

    def correct(self, said: Any) -> None:
        """Obey what the page sent, any JSON value; raise FacecliError with what is wrong."""
        ...


class Server(ThreadingHTTPServer):
    """Serve a page at `address` until interrupted; port 0 takes any that is free.

    Raises FacecliError for a port that is taken.
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
        """The page's address, which is its secret too."""
        return f"http://{self.host}/{self.token}/"

    def serve(self) -> None:
        """Answer requests, one after the other, in this thread: SQLite knows no other."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        while True:
            self._jobs.get()()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of a browser that hangs up; report what else goes wrong."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*_)

    def ask(self, question: Callable[[], Any]) -> Any:
        """Have a question answered in the serving thread; raise what it raises."""
        answer: Future[Any] = Future()

        def job() -> None:
            try:
                answer.set_result(question())
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
            page: str = self.server.ask(page_source.page)
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page.encode())
        elif (picture := self.server.ask(lambda: page_source.picture(name))) is not None:
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
            said = json.loads(body)
        except (ValueError, RecursionError):
            return self._reply(HTTPStatus.BAD_REQUEST, error="this is not JSON")
        try:
            self.server.ask(lambda: self.server.page_source.correct(said))
        except FacecliError as error:
            # An answer like any other: what was asked for cannot be, and the page says why.
            return self._reply(HTTPStatus.OK, error=str(error))
        return self._reply(HTTPStatus.OK)

    def log_message(self, *_: Any) -> None:
        """Say nothing: the address is a secret, and stderr is the user's."""

    def _name(self) -> str | None:
        """Return what is asked for below the secret path; refuse who does not know it."""
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
