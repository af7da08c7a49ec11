"""`identify --source` and `log` as commands: JSON lines, what is refused, and a clean stop."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, embedding, new_template, paint
from waiting import PATIENT, until

from facecli import __main__ as entry
from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.portraits import eileen_collins, grace_hopper
from facecli.stores.decisions import DecisionLog
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.warm import client as relay

HOSTILE = "Ada <b>;--"
Run = Callable[..., Result]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    place = tmp_path / "gallery.db"
    with SqliteGallery(place) as gallery:
        people = [new_template(HOSTILE, embedding(0, 0)), new_template("Bob", embedding(1, 0))]
        gallery.add(people, FakeEncoder().card)
    return place


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "decisions.db"


@pytest.fixture
def run(database: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command with the fake networks, the gallery and a log of its own."""
    monkeypatch.setenv("FACECLI_DB", str(database))
    monkeypatch.setenv("FACECLI_LOG", str(log))

    def invoke(*arguments: object, stdin: bytes | None = None) -> Result:
        settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
        return CliRunner().invoke(cli, list(map(str, arguments)), obj=settings, input=stdin)

    return invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return Ada, Bob, and a stranger, in this order, and a file that is no picture."""
    place = tmp_path / "frames \x1b[31m"
    paint(place / "1.png", PaintedFace(0, 3))
    paint(place / "2.png", PaintedFace(1, left=200))
    (place / "3.png").write_bytes(b"not a picture")
    paint(place / "4.png", PaintedFace(5, left=200))
    return place


def events(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_folder_gives_a_decision_a_picture_and_the_log_holds_them_all(
    run: Run, folder: Path, log: Path
) -> None:
    result = run("identify", "--source", folder)
    found = events(result)
    assert [(one["status"], one["person"]) for one in found] == [
        ("match", HOSTILE),
        ("match", "Bob"),
        ("unknown", None),
    ]
    assert [Path(one["source"]).name for one in found] == ["1.png", "2.png", "4.png"]
    assert {one["kind"] for one in found} == {"gate_event"}
    assert "3.png: " in result.stderr
    assert "\x1b" not in result.output
    with DecisionLog(log, create=False) as chain:
        assert chain.verify().broken is None
        logged = [one.body for one in chain.decisions()]
    assert logged == found


def test_pictures_on_stdin_are_one_source_and_confirm_asks_for_several(
    run: Run, folder: Path
) -> None:
    picture = (folder / "2.png").read_bytes()
    found = events(run("identify", "--source", "-", "--confirm", 4, stdin=4 * picture))
    assert [(one["status"], one["person"], one["looks"]) for one in found] == [("match", "Bob", 4)]


def test_commands_run_for_their_outcomes(run: Run, folder: Path, tmp_path: Path) -> None:
    for option in ("match", "unknown"):
        (tmp_path / option).write_text(
            f"import os\nopen({str(tmp_path / 'heard')!r}, 'a').write("
            f"'{option} ' + os.environ['FACECLI_STATUS'] + '\\n')"
        )
    commands = [f"{sys.executable} {tmp_path / option}" for option in ("match", "unknown")]
    events(
        run("identify", "--source", folder, "--on-match", commands[0], "--on-unknown", commands[1])
    )
    heard = sorted((tmp_path / "heard").read_text().splitlines())
    assert heard == ["match match", "match match", "unknown unknown"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["identify"], "Missing argument"),
        (["identify", "x.png", "--source", "0"], "--source cannot be used with"),
        (["identify", "--source", "0", "--faces", "largest"], "--source cannot be used with"),
        (["identify", "x.png", "--on-match", "true"], "--on-match needs --source"),
        (["identify", "x.png", "--log", "x.db"], "--log needs --source"),
        (["identify", "--source", "nowhere"], "no such camera, stream, video file or folder"),
        (["identify", "--source", "nowhere", "--watch"], "--watch is for folders"),
        (["identify", "--source", ".", "--on-match", "no-such-command"], "no such command"),
        (["identify", "--source", ".", "--webhook", "file:///x"], "not an http or https address"),
        (["log", "show"], "there is none"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(run: Run, arguments: list[str], reason: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert "Traceback" not in result.output


def test_without_opencv_a_camera_says_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = run("identify", "--source", 0)
    assert result.exit_code == 2
    assert "pip install 'facecli[gate]'" in result.stderr


def test_a_log_that_is_no_log_stops_the_gate_before_it_starts(
    run: Run, folder: Path, log: Path
) -> None:
    log.write_bytes(b"x" * 5000)
    result = run("identify", "--source", folder)
    assert result.exit_code == 2
    assert "not a SQLite database" in result.stderr


def test_decisions_that_cannot_be_logged_end_on_stderr(
    run: Run, folder: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails once the gate is running."""

    def broken(*_: object) -> None:
        raise OSError("no disk")

    monkeypatch.setattr(DecisionLog, "append_texts", broken)
    result = run("identify", "--source", folder)
    found = events(result)
    rescued = [json.loads(line) for line in result.stderr.splitlines() if line[0] == "{"]
    assert [one["track"] for one in rescued] == [one["track"] for one in found] == [1, 2, 3]


def test_the_log_is_shown_exported_checked_and_pruned(run: Run, folder: Path, log: Path) -> None:
    run("identify", "--source", folder)
    shown = run("log", "show", "--last", 2)
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["2", "3"]
    assert "\x1b" not in shown.stdout
    exported = events(run("log", "export"))
    assert [one["number"] for one in exported] == [1, 2, 3]
    assert exported[0]["body"]["person"] == HOSTILE
    (whole,) = events(run("log", "verify", "--json"))
    assert (whole["broken"], whole["head"]) == (None, exported[-1]["sha256"])
    assert run("log", "prune", "--older-than", 1).exit_code == 2, "nobody said yes"
    (pruned,) = events(run("log", "prune", "--older-than", 1, "--yes", "--json"))
    assert pruned["erased"] == 0


def test_a_broken_log_names_its_first_broken_decision(run: Run, folder: Path, log: Path) -> None:
    run("identify", "--source", folder)
    with sqlite3.connect(log) as other:
        other.execute("DROP TRIGGER decision_stays")
        other.execute(
            "UPDATE decision SET body = replace(body, 'person\":\"Bob', 'person\":\"Eve')"
        )
    result = run("log", "verify")
    assert result.exit_code == 1
    assert "decision 2: " in result.stdout
    kept = run("log", "prune", "--older-than", 1, "--yes")
    assert kept.exit_code == 2
    assert "Nothing was erased" in kept.stderr


def test_what_a_check_prints_is_what_the_next_one_takes(run: Run, folder: Path, log: Path) -> None:
    assert run("identify", "--source", folder).exit_code == 0
    first = run("log", "verify").stdout
    noted = first.split()[-1]
    assert noted.startswith("3:")
    assert run("log", "verify", "--noted", noted).exit_code == 0
    log.unlink()
    with DecisionLog(log):
        pass
    empty = run("log", "verify")
    assert "nothing was decided yet, or all was removed" in empty.stdout
    assert empty.exit_code == 0
    gone = run("log", "verify", "--noted", noted)
    assert gone.exit_code == 1
    assert "its end was removed" in gone.stdout
    assert run("log", "verify", "--noted", "3:abc").exit_code == 2


GATE = """
import itertools, sys, types
from fakes import FakeDetector, FakeEncoder
from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.gate import sources

ticks = itertools.count()  # a clock that no busy machine outruns: nobody is out of view for long
sources.time = types.SimpleNamespace(monotonic=lambda: next(ticks) / 1000)

class Noting(FakeDetector):
    def detect(self, pictures):
        with open("looks", "a") as file:
            file.write(f"plane {pictures[0].getextrema()[0][1] - 128}\\n")
        return super().detect(pictures)

cli.main(sys.argv[1:], obj=Settings(detector=Noting(), encoder=FakeEncoder()))
"""


@pytest.mark.slow
def test_a_watched_folder_takes_what_comes_at_once_and_stops_within_a_second(
    database: Path, log: Path, tmp_path: Path
) -> None:
    """The second is for a machine with nothing else to do."""
    folder = tmp_path / "frames"
    folder.mkdir()
    paint(tmp_path / "new.png", PaintedFace(1))
    variables = {"FACECLI_DB": str(database), "FACECLI_LOG": str(log)}
    gate = subprocess.Popen(
        [sys.executable, "-c", GATE, "identify", "--source", str(folder), "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **variables},
        cwd=tmp_path,
    )
    assert gate.stderr is not None
    assert gate.stdout is not None
    assert "watching" in gate.stderr.readline()
    (tmp_path / "new.png").rename(folder / "new.png")
    assert json.loads(gate.stdout.readline())["person"] == "Bob"
    began = time.monotonic()
    gate.send_signal(signal.SIGINT)
    assert gate.wait(PATIENT) == 0
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    assert time.monotonic() - began < 1.0 * max(1.0, 3 * load)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_its_last_decision_written(
    database: Path, log: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """The stranger is still in view, and is decided about at the end."""
    folder = tmp_path / "frames"
    folder.mkdir()
    arguments = ["identify", "--source", folder, "--watch", "--confirm", "2", "-v"]
    gate = subprocess.Popen(
        [sys.executable, "-c", GATE, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent),
            "FACECLI_DB": str(database),
            "FACECLI_LOG": str(log),
        },
        cwd=tmp_path,
    )
    assert gate.stderr is not None
    assert "watching" in gate.stderr.readline()
    arrivals = iter(range(10_000))

    def arrive(face: PaintedFace) -> None:
        """Put one more picture into the folder, whole at once."""
        paint(tmp_path / "new.png", face)
        (tmp_path / "new.png").rename(folder / f"{next(arrivals):05}.png")

    def looks(plane: int) -> int:
        noted = tmp_path / "looks"
        return noted.read_text().count(f"plane {plane}\n") if noted.exists() else 0

    def decided() -> bool:
        arrive(PaintedFace(1, left=40))
        time.sleep(0.2)
        return log.exists() and len(_decisions(log)) > 0

    until(decided)
    for _ in range(2):
        arrive(PaintedFace(7, left=200))
    until(lambda: looks(7) == 2)
    gate.send_signal(number)
    out, _ = gate.communicate(timeout=PATIENT)
    assert gate.returncode == 0
    said = [(one["status"], one["person"]) for one in map(json.loads, out.splitlines())]
    assert said == [("match", "Bob"), ("unknown", None)]
    assert [body["status"] for body in _decisions(log)] == ["match", "unknown"]


@pytest.mark.parametrize("source", [["--source", "0"], ["--source=0"]])
def test_a_gate_is_never_run_by_a_service(
    source: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end with the service, and its signals would reach nobody."""
    asked: list[str] = []

    def answer(_: object) -> int:
        asked.append("service")
        return 0

    def here() -> int:
        asked.append("here")
        return 0

    monkeypatch.setattr(relay, "relayed", answer)
    monkeypatch.setattr("facecli.cli.run", here)
    monkeypatch.setattr(sys, "argv", ["facecli", "identify", *source])
    with pytest.raises(SystemExit):
        entry.main()
    assert asked == ["here"]
    monkeypatch.setattr(sys, "argv", ["facecli", "identify", "photo.jpg"])
    with pytest.raises(SystemExit):
        entry.main()
    assert asked == ["here", "service"]


def _decisions(log: Path) -> list[dict[str, Any]]:
    with DecisionLog(log, create=False) as chain:
        return [one.body for one in chain.decisions()]


@pytest.mark.network
def test_two_portraits_on_stdin_are_told_apart_by_the_real_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACECLI_DB", str(tmp_path / "gallery.db"))
    monkeypatch.setenv("FACECLI_LOG", str(tmp_path / "decisions.db"))
    assert CliRunner().invoke(cli, ["enroll", "Grace", str(grace_hopper())]).exit_code == 0
    pictures = grace_hopper().read_bytes() * 2 + eileen_collins().read_bytes() * 2
    result = CliRunner().invoke(
        cli, ["identify", "--source", "-", "--confirm", "2"], input=pictures
    )
    assert [(one["status"], one["person"]) for one in events(result)] == [
        ("match", "Grace"),
        ("unknown", None),
    ]
