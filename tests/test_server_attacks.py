"""Clients that are silent or slow, or many, make nobody else wait; all on loopback."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fake_service import ADMIN, TOKEN, running
from fakes import PaintedFace, paint
from test_serve import ask
from waiting import until

from facecli.server import arrivals
from facecli.server.arrivals import Arrivals, TooLong
from facecli.server.connections import FIRST_SECONDS, HEAD_SECONDS, MOST_OF_PEER

SLOW_BODY = b"%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n%s\r\na"
AUTHORIZED = f"Authorization: Bearer {TOKEN}\r\n".encode()

AT_ONCE = 1.0
"""Seconds within which a good request is answered while others attack."""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("attacked")
    with running(folder / "gallery.db") as (_, port):
        yield port


@contextmanager
def connected(port: int, count: int, sending: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections that send something, and then nothing more."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            one.sendall(sending)
            opened.append(one)
        yield opened


def is_closed(connection: socket.socket) -> bool:
    """Tell whether the other end has closed a connection; drop what it has sent."""
    connection.setblocking(False)
    try:
        while connection.recv(2**16):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


def answered_at_once(port: int, photo: Path) -> None:
    """Ask good questions: of a client with a token, without one, and of the administrator."""
    for path, body, token in (
        ("/identify", photo, TOKEN),
        ("/health", None, None),
        ("/metrics", None, TOKEN),
        ("/people", None, TOKEN),
        ("/enroll?name=Ada&dry_run=1", photo, ADMIN),
    ):
        began = time.monotonic()
        status = ask(port, path, body, token=token)[0]
        assert (path, status) == (path, 200)
        assert time.monotonic() - began < AT_ONCE, path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return paint(tmp_path / "ada.png", PaintedFace(0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "path", "authorization"),
    [
        (b"POST", b"/", b""),
        (b"POST", b"/identify", b""),
        (b"POST", b"/health", b""),
        (b"GET", b"/health", b""),
        (b"POST", b"/nowhere", b""),
        (b"GET", b"/metrics", AUTHORIZED),
        (b"PUT", b"/identify", AUTHORIZED),
        (b"POST", b"/identify", AUTHORIZED),
        (b"POST", b"/enroll?name=x", AUTHORIZED.replace(TOKEN.encode(), ADMIN.encode())),
    ],
)
def test_slow_bodies_make_nobody_wait(
    port: int, photo: Path, method: bytes, path: bytes, authorization: bytes
) -> None:
    """40 of them, where 16 stopped the service for 29 seconds: with a token or without one."""
    with connected(port, 40, SLOW_BODY % (method, path, authorization)) as slow:
        answered_at_once(port, photo)
        if not authorization or path == b"/metrics":
            until(lambda: all(map(is_closed, slow)), seconds=AT_ONCE * 5)
        answered_at_once(port, photo)


@pytest.mark.slow
@pytest.mark.parametrize("head", [b"", b"P", b"POST /identify HTTP/1.1\r\nHost: localhost\r\nA: "])
def test_silent_connections_make_nobody_wait_and_are_closed(
    port: int, photo: Path, head: bytes
) -> None:
    """Those beyond the limit soon, the others after a few seconds, even if some bytes came."""
    with connected(port, 130, head) as silent:
        answered_at_once(port, photo)
        until(lambda: sum(map(is_closed, silent)) >= 130 - MOST_OF_PEER, seconds=FIRST_SECONDS + 2)
        answered_at_once(port, photo)
        until(lambda: all(map(is_closed, silent)), seconds=HEAD_SECONDS + 2)


@pytest.mark.slow
def test_a_head_that_comes_byte_by_byte_has_a_deadline(port: int) -> None:
    with connected(port, 1, b"GET /health HTTP/1.1\r\nX: ") as (one,):
        began = time.monotonic()

        def hung_up() -> bool:
            time.sleep(0.1)
            with suppress(OSError):
                one.sendall(b"a")
                return False
            return True

        until(hung_up, seconds=HEAD_SECONDS + 3)
        assert time.monotonic() - began > HEAD_SECONDS - 1


@pytest.mark.slow
def test_what_needs_no_photo_searched_is_answered_while_all_places_are_taken(
    tmp_path: Path, photo: Path
) -> None:
    """And the administrator has a place."""
    raw = photo.read_bytes()
    head = f"POST /identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(raw)}\r\n"
    whole = head.encode() + AUTHORIZED + b"\r\n" + raw
    with running(tmp_path / "g.db", how="held") as (_, port), connected(port, 16, whole):
        until(lambda: ask(port, "/identify", photo)[0] == 429)
        for path in ("/health", "/metrics", "/people"):
            began = time.monotonic()
            assert ask(port, path)[0] == 200
            assert time.monotonic() - began < AT_ONCE
        with connected(port, 1, whole.replace(TOKEN.encode(), ADMIN.encode())) as (administrator,):
            administrator.settimeout(0.5)
            with pytest.raises(TimeoutError):  # it is not refused: it waits for its answer
                administrator.recv(1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/verify", "/forget", "/rename", "/merge", "/enroll?name=%ED%A0%80"]
)
def test_half_a_character_is_the_clients_mistake(port: int, path: str, photo: Path) -> None:
    """JSON can spell half of a surrogate pair, which was a traceback and status 500."""
    half = b'"x\\ud83d"'
    bodies = {
        "/verify": b'{"a": {"person": ' + half + b'}, "b": {"person": "Ada"}}',
        "/forget": b'{"names": [' + half + b"]}",
        "/rename": b'{"from": "Ada", "to": ' + half + b"}",
        "/merge": b'{"from": "Ada", "into": ' + half + b"}",
    }
    headers = {"Content-Type": "application/json"} if path in bodies else {}
    status, said, _ = ask(port, path, bodies.get(path, photo.read_bytes()), token=ADMIN, **headers)
    assert 400 <= status < 500 or path not in bodies
    assert status < 500
    assert "Traceback" not in str(said)


# bodies that are arriving


class Sender:
    """A client whose body arrives in the pieces that it is told to send."""

    def __init__(self) -> None:
        self.pieces: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def send(self, body: bytes, *, more: bool = True) -> None:
        self.pieces.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def arriving(self, among: Arrivals, peer: str = "a") -> asyncio.Task[bytes]:
        return asyncio.create_task(among.whole({}, self.pieces.get, peer=peer))


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def in_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(30):
            await work()

    # In a thread of its own: where a browser was started, this one has a loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, whole()).result()


def test_the_slowest_of_too_many_bodies_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one address: another one's bodies stay."""
    monkeypatch.setattr(arrivals, "MOST_OF_PEER", 2)

    async def work() -> None:
        among, senders = Arrivals(), [Sender() for _ in range(4)]
        peers = ["b", "a", "a", "a"]
        tasks = []
        for sender, peer in zip(senders, peers, strict=True):
            tasks.append(sender.arriving(among, peer))
            await settled()
        assert [one.done() for one in tasks] == [False, True, False, False]
        with pytest.raises(TimeoutError):
            await tasks[1]
        for number in (0, 2, 3):
            senders[number].send(b"x" * number, more=False)
            assert await tasks[number] == b"x" * number

    in_loop(work)


def test_too_many_bytes_are_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_ARRIVING_BYTES", 100)

    async def work() -> None:
        among, slow, fast = Arrivals(), Sender(), Sender()
        first = slow.arriving(among)
        slow.send(b"x" * 80)
        await settled()
        second = fast.arriving(among)
        fast.send(b"y" * 30)
        fast.send(b"y" * 30, more=False)
        assert await second == b"y" * 60
        with pytest.raises(TimeoutError):
            await first

    in_loop(work)


def test_a_body_is_as_long_as_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "MOST_BYTES", 10)

    async def work() -> None:
        sender = Sender()
        task = sender.arriving(Arrivals())
        sender.send(b"x" * 10)
        sender.send(b"x", more=False)
        with pytest.raises(TooLong):
            await task

    in_loop(work)
