"""`serve` is killed under load: what it has answered with 200 is stored, and it starts again."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fakes import PaintedFace, paint
from kill_works import assert_sound, people_of
from killing import Process, Words, import_all
from waiting import until

from facecli.server import sessions
from facecli.stores.decisions import DecisionLog

TOKEN, ADMIN = "t" * 32, "a" * 32
LISTENING = re.compile(r"listening at http://127\.0\.0\.1:(\d+)/")
USED = (
    *("facecli.cli.serve", "facecli.server.app", "facecli.server.serving", "sqlite_utils"),
    *("uvicorn.lifespan.on", "uvicorn.loops.auto", "uvicorn.protocols.http.auto"),
)
"""What the service imports, which takes longer than all that it does here."""

LOAD_SECONDS = 3.0
"""A service lives for at most so long after its first answer."""

PLANES, ANGLES = 15, (0, 20, 40)
"""People who come and go are in these places of the space of the fake network; see `fakes`."""

ADA, NOBODY = 1000, 1001
"""The numbers of a photo of who is always enrolled, and of one without a face."""


@dataclass
class Truth:
    """What the service has acknowledged, and what it was asked last: that may be stored or not."""

    enrolled: dict[str, bool] = field(default_factory=dict)
    asked: str | None = None
    decided: list[dict[str, Any]] = field(default_factory=list)
    answers: int = 0
    wrong: str | None = None


class Load:
    """Five clients of one service, until it is killed."""

    def __init__(self, port: int, folder: Path, truth: Truth, chance: random.Random) -> None:
        self._port = port
        self._folder = folder
        self._truth = truth
        self._draws = random.Random(chance.random())
        self._over = False
        jobs = (
            self._people(),
            *(ask() for ask in (self._questions, self._frames) for _ in range(2)),
        )
        self._threads = [threading.Thread(target=self._keep_asking, args=(job,)) for job in jobs]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        self._over = True
        for thread in self._threads:
            thread.join()

    def _keep_asking(self, job: Iterator[None]) -> None:
        try:
            while not self._over:
                next(job)
                self._truth.answers += 1
        except (OSError, http.client.HTTPException):
            pass  # it was killed
        except AssertionError as error:
            self._truth.wrong = str(error) or repr(error)

    def _ask(self, path: str, body: bytes, token: str = TOKEN) -> Any:
        """Return a whole answer to a request; raise AssertionError if it is not a 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            kind = "application/json" if path == "/forget" else "image/png"
            headers = {"Authorization": f"Bearer {token}", "Content-Type": kind}
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        assert answer.status == 200, (path, answer.status, said)
        return json.loads(said)

    def _photo(self, number: int) -> bytes:
        return (self._folder / f"{number}.png").read_bytes()

    def _people(self) -> Iterator[None]:
        """Enroll and forget people, one after the other."""
        truth = self._truth
        while True:
            number = self._draws.randrange(PLANES * len(ANGLES))
            name = truth.asked = f"Person{number}"
            if there := truth.enrolled.get(name, False):
                self._ask("/forget", json.dumps({"names": [name]}).encode(), ADMIN)
            else:
                self._ask(f"/enroll?name={name}", self._photo(number), ADMIN)
            truth.enrolled[name] = not there
            truth.asked = None
            yield
            time.sleep(0.2)  # a change makes every gate count its looks anew

    def _questions(self) -> Iterator[None]:
        """Ask who somebody is who is always enrolled."""
        while True:
            (said,) = self._ask("/identify", self._photo(ADA))
            assert said["person"] == "Ada", said
            yield

    def _frames(self) -> Iterator[None]:
        """Open page after page of the camera: Ada comes and goes, until it is decided about her."""
        while True:
            path = f"/gate?session={self._draws.getrandbits(128):032x}"
            events: list[dict[str, Any]] = []
            shown = itertools.chain([ADA] * 3, itertools.repeat(NOBODY))
            while not events:
                events = self._ask(path, self._photo(next(shown)))["events"]
                self._truth.decided += events
                yield


def commands(place: Path) -> list[Words]:
    stores = ("--db", place / "gallery.db", "--log", place / "log.db")
    tokens = ("--token-file", place / "token", "--admin-token-file", place / "admin")
    return [("serve", "--port", 0, *stores, *tokens)]


def prepare(place: Path) -> None:
    """Make the tokens, the photos and a folder for the service's sockets."""
    for name, token in (("token", TOKEN), ("admin", ADMIN)):
        (place / name).touch(mode=0o600)
        (place / name).write_text(token)
    for number, (plane, angle) in enumerate(itertools.product(range(PLANES), ANGLES)):
        paint(place / "photos" / f"{number}.png", PaintedFace(plane, angle))
    paint(place / "photos" / f"{ADA}.png", PaintedFace(PLANES))
    paint(place / "photos" / f"{NOBODY}.png")
    import_all(USED)
    (place / "run").mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(place / "run")
    ticks = itertools.count()  # from one frame to the next a look is always due
    vars(sessions)["time"] = SimpleNamespace(monotonic=lambda: next(ticks) / 5)


def started(place: Path) -> tuple[Process, Callable[[], int | None]]:
    """Start the service; return it and what tells its port, once it says so."""
    errors = place.with_suffix(".errors")
    errors.unlink(missing_ok=True)

    def port() -> int | None:
        found = LISTENING.search(errors.read_text()) if errors.exists() else None
        return int(found[1]) if found else None

    return Process(commands(place), errors), port


def check(place: Path, truth: Truth) -> None:
    """Check that all that was acknowledged is stored, and nothing that was not asked for."""
    assert truth.wrong is None, truth.wrong
    stored = {name for name, _ in people_of(place / "gallery.db")} if truth.enrolled else set()
    if truth.asked is not None:
        truth.enrolled[truth.asked] = truth.asked in stored
        truth.asked = None
    assert stored == {name for name, there in truth.enrolled.items() if there}
    if not truth.decided:
        return
    with DecisionLog(place / "log.db", create=False) as log:
        assert_sound(log)
        assert log.verify().broken is None
        kept = [one.body for one in log.decisions()]
    sessions_logged = {(one["source"], one["time"]): one for one in kept}
    for told in truth.decided:
        assert sessions_logged[told["source"], told["time"]].items() >= told.items()


def kill_often(folder: Path, *, kills: int, seed: int) -> dict[str, int]:
    """Kill the service again and again, a tenth of the times before it listens."""
    chance = random.Random(seed)
    place = folder / "place"
    place.mkdir()
    prepare(place)
    truth = Truth()
    enroll_ada(place, truth)
    early = 0
    for _ in range(kills):
        process, port = started(place)
        if chance.random() < 0.1:
            early += 1
            process.read_for(chance.uniform(0, 1))
            process.kill()
        else:
            under_load(process, port, place, truth, chance)
        assert process.ended().code == -signal.SIGKILL, place.with_suffix(".errors").read_text()
        check(place, truth)
    assert_tidy(place)
    return {
        "under_load": kills - early,
        "early": early,
        "answers": truth.answers,
        "decisions": len(truth.decided),
    }


def enroll_ada(place: Path, truth: Truth) -> None:
    """Enroll who is always there, and end this service as a user does."""
    words = ("--db", place / "gallery.db", "--library", place / "photos.db")
    enroll = ("enroll", "Ada", place / "photos" / f"{ADA}.png", *words)
    assert Process([enroll], place.with_suffix(".errors")).ended().code == 0
    truth.enrolled["Ada"] = True


def under_load(
    process: Process,
    port: Callable[[], int | None],
    place: Path,
    truth: Truth,
    chance: random.Random,
) -> None:
    """Ask a service many things at once, and kill it meanwhile."""
    until(port)
    found = port()
    assert found
    before = truth.answers
    load = Load(found, place / "photos", truth, chance)
    until(lambda: truth.answers > before or truth.wrong)
    time.sleep(chance.uniform(0, LOAD_SECONDS))
    process.kill()
    load.join()


def assert_tidy(place: Path) -> None:
    """Check that a service that ends in peace leaves no more than the stores and a socket."""
    process, port = started(place)
    until(port)
    os.kill(process.pid, signal.SIGTERM)
    process.ended()
    left = {one.name for one in place.iterdir()} - {"token", "admin", "photos", "run"}
    assert left == {"gallery.db", "log.db", "photos.db"}, left
    assert len(list((place / "run").rglob("*.*"))) <= 1, list((place / "run").rglob("*"))
