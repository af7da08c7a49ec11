"""Ctrl-C at any instant: the program dies of the signal, and keeps all that it has learnt."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from fakes import FakeDetector, FakeEncoder, PaintedFace, new_template, paint
from PIL import Image
from waiting import PATIENT, until

from facecli.stores.connection import transaction
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.library import Library
from facecli.types import Detection

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

PHOTOS = 12
POINTS = 25
"""Instants at which a command is interrupted, spread over all its steps."""

PACKAGE = "/facecli/"


class CountingDetector(FakeDetector):
    """Writes down which photo it has searched, by the plane of its face."""

    def __init__(self, diary: Path) -> None:
        super().__init__()
        self._diary = diary

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Find painted faces."""
        found = super().detect(pictures)
        if found[0]:
            plane = int(np.asarray(pictures[0])[..., 0].max())
            with self._diary.open("ab") as stream:
                stream.write(bytes([plane]))
        return found


def interrupt_after(steps: int | None) -> Callable[[], int]:
    """Send SIGINT when this thread has made so many steps in facecli; return how to ask for them.

    A step is a line of the package. None never interrupts.
    """
    made = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal made
        if PACKAGE not in frame.f_code.co_filename:
            return None
        if event == "line":
            made += 1
            if made == steps:
                sys.settrace(None)
                os.kill(os.getpid(), signal.SIGINT)
        return trace

    sys.settrace(trace)
    return lambda: made


def run(words: list[str], steps: int | None, diary: Path) -> int:
    """Run facecli as its entry does, interrupted after so many steps; return how many it made."""
    from facecli import __main__ as entry
    from facecli.cli.settings import Settings

    setattr(Settings, "detector", lambda _: CountingDetector(diary))  # noqa: B010
    setattr(Settings, "encoder", lambda _: FakeEncoder())  # noqa: B010
    setattr(Settings, "card", lambda _: FakeEncoder().card)  # noqa: B010
    sys.argv = ["facecli", *words]
    count = interrupt_after(steps)
    with pytest.raises(SystemExit) as end:
        entry.main()
    sys.settrace(None)
    assert not end.value.code
    return count()


def forked(work: Callable[[], object]) -> int:
    """Do work in a fork, silently; return how it ended, as `os.waitpid` says."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


def attack(command: str, folder: Path, place: Path) -> None:
    """Interrupt a command at many points, each time with a library of its own."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    words = [command, str(folder), "--library", str(place / "whole.db")]
    said = place / "steps"
    assert not forked(lambda: said.write_text(str(run(words, None, place / "whole"))))
    steps = int(said.read_text())
    assert steps > 1000
    for point in range(POINTS):
        at = 3 + (steps - 5) * point // POINTS  # at the first, there is no `try` yet
        database, diary = place / f"{point}.db", place / f"{point}"
        words[-1] = str(database)
        ended = forked(lambda: run(words, at, diary))  # noqa: B023 - done before the next
        assert os.WIFSIGNALED(ended), f"step {at} of {steps}: {ended}"
        assert os.WTERMSIG(ended) == signal.SIGINT
        searched = set(diary.read_bytes()) if diary.exists() else set()
        kept = photos_in(database)
        # A thread may have been in the middle of a photo, or have none but its faces.
        assert kept >= len(searched) - threads(command), f"step {at} of {steps}"
        assert not forked(lambda: run(words, None, diary))  # noqa: B023
        assert photos_in(database) == PHOTOS


def threads(command: str) -> int:
    """Return how many photos a command may be in the middle of."""
    from facecli.faces.acquisition import SEARCHERS

    return 1 if command == "cluster" else SEARCHERS


def photos_in(database: Path) -> int:
    """Return how many photos a library knows; it must be sound."""
    if not database.exists():
        return 0
    with Library(database) as library, library.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return library.statistics().photos


@pytest.mark.slow
@pytest.mark.parametrize("command", ["cluster", "embed"])
def test_an_interrupt_at_many_points_loses_nothing(command: str, tmp_path: Path) -> None:
    for plane in range(PHOTOS):
        paint(tmp_path / "photos" / f"{plane}.png", PaintedFace(plane))
    program = [sys.executable, __file__, command, str(tmp_path / "photos"), str(tmp_path)]
    tests = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, *sys.path])}
    environment["FACECLI_DB"] = str(tmp_path / "gallery.db")
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr


def interrupted_at(line: int, work: Callable[[], object]) -> bool:
    """Do work, with a KeyboardInterrupt at this line of facecli; return whether it came so far."""
    made = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal made
        if "/stores/" not in frame.f_code.co_filename:
            return None
        if event in ("line", "return"):
            made += 1
            if made == line:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return made >= line


@pytest.mark.parametrize("kind", ["reading", "writing"])
def test_after_an_interrupt_anywhere_the_next_change_is_stored(kind: str) -> None:
    """Before, BEGIN was outside the `try`: the next transaction could not begin."""
    card = FakeEncoder().card
    for line in range(1, 1000):
        with SqliteGallery.memory() as gallery:
            vector = np.eye(1, 128, dtype=np.float32)[0]
            work = {
                "reading": gallery.people,
                "writing": lambda: gallery.add([new_template("Ada", vector)], card),  # noqa: B023
            }[kind]
            came = interrupted_at(line, work)
            gallery.add([new_template("Bob", vector)], card)
            assert "Bob" in [person.name for person in gallery.people()]
        if not came:
            assert line > 5
            return
    raise AssertionError("it never came to its end")


def test_a_transaction_rolls_back_what_an_interrupt_left_open() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (n)")
    connection.execute("BEGIN")
    connection.execute("INSERT INTO t VALUES (1)")
    with transaction(connection):
        connection.execute("INSERT INTO t VALUES (2)")
    assert connection.execute("SELECT n FROM t").fetchall() == [(2,)]


@pytest.mark.slow
def test_a_shell_sees_130_and_one_line(tmp_path: Path) -> None:
    """The picture on stdin never ends: when a pipe's worth is read, the rest is waited for."""
    environment = {**os.environ, "FACECLI_DB": str(tmp_path / "g.db")}
    reading, writing = os.pipe()
    command = [sys.executable, "-m", "facecli", "identify", "-"]
    running = subprocess.Popen(command, stdin=reading, stderr=subprocess.PIPE, env=environment)
    os.close(reading)
    os.write(writing, bytes(2**20))
    state = Path(f"/proc/{running.pid}/stat")
    until(lambda: not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "S")
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=PATIENT / 10)[1].strip() == b"facecli: interrupted"
    os.close(writing)
    assert running.returncode == -signal.SIGINT  # which a shell calls 130


if __name__ == "__main__":
    attack(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
