"""The limits around the service, and the networks that remember, each by itself."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from fakes import FakeDetector, FakeEncoder
from PIL import Image
from waiting import PATIENT

from facecli.server import limits
from facecli.server.access import Access, is_loopback
from facecli.server.limits import App, Lanes, LimitedApp, Workers
from facecli.server.metrics import Metrics
from facecli.warm import memory
from facecli.warm.memory import Memory, RememberingDetector, RememberingEncoder

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EVERYONE = Access(token=None, admin=None, loopback=True)


def limited(app: App, looks: Workers) -> LimitedApp:
    """Return an application inside the limits, which takes bodies at /x."""
    made = LimitedApp(app, EVERYONE, Lanes(Workers(1), looks, Workers(1)), Metrics())
    made.bodies = frozenset({"/x"})
    return made


def ask(app: LimitedApp, receive: Receive) -> tuple[int, dict[str, Any]]:
    """Ask an application and return its answer's status and JSON."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    head = {"method": "POST", "path": "/x", "headers": [(b"host", b"localhost")]}
    scope = {"type": "http", **head}
    # In a thread of its own: where a browser was started, this one has a loop already.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, app(scope, receive, send)).result()
    return sent[0]["status"], json.loads(sent[1]["body"])


async def empty() -> Message:
    return {"type": "http.request", "body": b""}


async def never() -> Message:
    await asyncio.sleep(PATIENT)
    raise AssertionError("the limit did not end it")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_SECONDS", 0.05)


class Slow:
    """An application whose jobs begin before the limit is reached, and end when told to."""

    def __init__(self, workers: Workers) -> None:
        self.finish = threading.Event()
        self._workers = workers

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        begun = threading.Event()

        def job() -> None:
            begun.set()
            self.finish.wait(PATIENT)

        asked = asyncio.create_task(self._workers.do(job))
        await asyncio.sleep(0)
        begun.wait(PATIENT)  # holds the event loop too, and with it the limit
        await asked


def test_work_that_takes_too_long_is_answered_and_counts_until_it_ends(hurried: None) -> None:
    workers = Workers(1)
    slow = Slow(workers)
    app = limited(slow, workers)
    status, said = ask(app, empty)
    assert (status, said["reason"]) == (503, "not done after 0 s")
    assert (app.in_flight, workers.abandoned) == (0, 1)
    slow.finish.set()
    workers.close()
    assert workers.abandoned == 0


def test_jobs_nobody_waits_for_leave_no_room_for_more(
    hurried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_REQUESTS", 2)
    workers = Workers(2)
    slow = Slow(workers)
    app = limited(slow, workers)
    assert [ask(app, empty)[0] for _ in range(3)] == [503, 503, 429]
    slow.finish.set()
    workers.close()
    assert workers.abandoned == 0


def test_a_sender_that_stalls_is_answered(hurried: None) -> None:
    async def unreachable(scope: Message, receive: Receive, send: Send) -> None:
        raise AssertionError("the body is not there yet")

    assert ask(limited(unreachable, Workers(1)), never)[0] == 503


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_loopback_is_known_by_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "localhost.evil.example", "127.0.0.1.evil.example", "2130706433"]
)
def test_nothing_else_is_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_networks_are_asked_once_and_answer_alike() -> None:
    detector, encoder, known = FakeDetector(), FakeEncoder(), Memory()
    remembering = RememberingDetector(detector, known)
    pictures = [Image.new("RGB", (30, 20), colour) for colour in ("grey", "black", "grey")]
    assert remembering.detect(pictures) == FakeDetector().detect(pictures)
    assert detector.seen == 2
    chips = np.zeros((3, 150, 150, 3), np.uint8)
    embedding = RememberingEncoder(encoder, known)
    first = embedding.embed(chips)
    first[:] = 9  # an answer is the caller's own
    assert np.array_equal(embedding.embed(chips), FakeEncoder().embed(chips))
    embedding.embed(chips[:2])
    assert encoder.batches == [3, 2], "another batch is another question"


def test_memory_forgets_the_oldest_of_what_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "KEPT", 3)
    known = Memory()
    for number in range(5):
        known.absorb({bytes([number]): number})
    assert known.recall(b"\x04", lambda: "new") == 4
    assert known.recall(b"\x00", lambda: "new") == "new"
    assert known.learnt == {b"\x00": "new"}
