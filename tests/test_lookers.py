"""What decodes and searches photos can be ended, and the service goes on."""

from __future__ import annotations

import http.client
import os
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from fake_service import DEADLY, HANGING, HUNGRY, HostileDetector, running
from fakes import FakeDetector, FakeEncoder, PaintedFace, fake_card, paint
from test_serve import ask
from waiting import until

from facecli.errors import ModelError, PictureError
from facecli.faces.images import EncodedPicture
from facecli.recognition.networks import these_networks
from facecli.server.lookers import UNTIL, Lookers
from facecli.types import Detector, Encoder, Failure, ModelCard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc"),
]

SOON = 10.0
"""Seconds within which the next request is answered, though a process has to start for it.

It takes one, on a busy machine two; what the fakes import takes longer.
"""


@pytest.fixture(scope="module")
def lookers() -> Iterator[Lookers]:
    with Lookers(partial(these_networks, HostileDetector(), FakeEncoder()), most=1) as started:
        yield started


@pytest.fixture
def good(tmp_path: Path) -> bytes:
    return paint(tmp_path / "good.png", PaintedFace(0)).read_bytes()


def bad(folder: Path, width: int) -> bytes:
    return paint(folder / f"{width}.png", PaintedFace(0), size=(width, 240)).read_bytes()


def faces(lookers: Lookers, data: bytes) -> int:
    (found,) = lookers.embed([EncodedPicture(data, "photo")], "all")
    assert not isinstance(found, Failure)
    return len(found.faces)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pids(lookers: Lookers) -> list[int | None]:
    return [one.process.pid for one in lookers._all]


def test_a_frame_is_seen_or_only_measured(lookers: Lookers, good: bytes) -> None:
    seen = lookers.view(good, search=True)
    assert seen.size == (400, 240)
    assert seen.glimpses is not None
    assert len(seen.glimpses) == 1
    assert lookers.view(good, search=False).glimpses is None


def test_what_takes_too_much_memory_is_refused(
    lookers: Lookers, good: bytes, tmp_path: Path
) -> None:
    """8 GiB are refused at once, and the process stays."""
    before = pids(lookers)
    (failed,) = lookers.embed([EncodedPicture(bad(tmp_path, HUNGRY), "photo")], "all")
    assert isinstance(failed, Failure)
    assert "out of memory" in failed.reason
    assert faces(lookers, good) == 1
    assert pids(lookers) == before


def test_a_process_that_dies_is_replaced(lookers: Lookers, good: bytes, tmp_path: Path) -> None:
    before = pids(lookers)
    with pytest.raises(PictureError, match="its search was ended"):
        lookers.embed([EncodedPicture(bad(tmp_path, DEADLY), "photo")], "all")
    assert faces(lookers, good) == 1
    assert pids(lookers) != before
    lookers._all[0].process.kill()  # while it has nothing to do
    lookers._all[0].process.join()
    assert faces(lookers, good) == 1


def test_a_look_ends_with_the_time_of_its_request(
    lookers: Lookers, good: bytes, tmp_path: Path
) -> None:
    (before,) = pids(lookers)
    data = bad(tmp_path, HANGING)
    token = UNTIL.set(time.monotonic() + 0.3)
    try:
        with pytest.raises(TimeoutError):
            faces(lookers, data)
        with pytest.raises(TimeoutError):  # it is not even begun
            faces(lookers, good)
    finally:
        UNTIL.reset(token)
    assert not Path(f"/proc/{before}").exists()
    assert faces(lookers, good) == 1


def test_those_who_wait_have_their_turn(good: bytes) -> None:
    load = partial(these_networks, FakeDetector(), FakeEncoder())
    with Lookers(load, most=2) as lookers:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.append(faces(lookers, good))) for _ in range(8)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert found == [1] * 8
        assert len(pids(lookers)) <= 2


def broken() -> tuple[Detector, Encoder]:
    raise ModelError("there is no such model")


def test_networks_that_cannot_be_loaded_are_an_error_at_the_start() -> None:
    with pytest.raises(ModelError, match="there is no such model"):
        Lookers(broken)


class ChangingEncoder(FakeEncoder):
    """Has another fingerprint in each process, like a file that is replaced."""

    @property
    def card(self) -> ModelCard:
        return fake_card(str(os.getpid()))


def test_another_model_is_not_taken_for_the_one_before(good: bytes, tmp_path: Path) -> None:
    """A process that replaces another one reads the model's file again."""
    with Lookers(partial(these_networks, HostileDetector(), ChangingEncoder()), most=1) as lookers:
        with pytest.raises(PictureError):
            faces(lookers, bad(tmp_path, DEADLY))
        with pytest.raises(ModelError, match="has changed"):
            faces(lookers, good)


# over HTTP


def test_the_service_survives_and_the_core_is_free_again(tmp_path: Path, good: bytes) -> None:
    with running(tmp_path / "g.db", "hostile") as (process, port):
        assert ask(port, "/identify", good)[0] == 200
        for width, status in ((HUNGRY, 422), (DEADLY, 422), (HANGING, 503)):
            status_of_bad, said, _ = ask(port, "/identify", bad(tmp_path, width))
            assert (status_of_bad, said["kind"]) == (status, "error")
            began = time.monotonic()
            until(lambda: ask(port, "/identify", good)[0] == 200)
            assert time.monotonic() - began < SOON
        until(lambda: is_idle(process.pid), seconds=SOON)
        family = [process.pid, *children(process.pid)]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), seconds=20)


def is_idle(process: int) -> bool:
    """Tell whether a process and its children leave the cores alone for half a second."""
    before = {pid: cpu_seconds(pid) for pid in (process, *children(process))}
    time.sleep(0.5)
    return sum(cpu_seconds(pid) - used for pid, used in before.items()) < 0.1


def children(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def ask_in_vain(port: int, photo: bytes) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        ask(port, "/identify", photo)


def test_a_look_does_not_outlive_a_service_that_is_killed(tmp_path: Path, good: bytes) -> None:
    with running(tmp_path / "g.db", "held") as (process, port):
        asking = threading.Thread(target=ask_in_vain, args=(port, good))
        asking.start()
        until((tmp_path / "begun").exists)
        family = children(process.pid)
        assert family
        process.kill()
        asking.join()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family), seconds=20)
