"""`log show --since`: the time that was meant, said, and the decisions from then on."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from facecli.cli import cli
from facecli.stores.decisions import DecisionLog

pytestmark = pytest.mark.base

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def in_rome(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours before UTC in summer, one in winter."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Decisions at 12:00, 13:00 and 14:00 UTC on a day in May, and one and three hours ago."""
    path = tmp_path / "log.db"
    recent = [datetime.now(UTC) - timedelta(hours=hours) for hours in (3, 1)]
    times = [f"2026-05-31T{hour}:00:00.000+00:00" for hour in (12, 13, 14)]
    times += [one.isoformat(timespec="milliseconds") for one in recent]
    with DecisionLog(path) as chain:
        chain.append([{"time": one, "status": "unknown", "source": "gate"} for one in times])
    return path


@pytest.fixture
def run(log: Path) -> Run:
    return lambda *words: CliRunner().invoke(cli, ["log", "show", "--log", str(log), *words])


def numbers(result: Result) -> list[int]:
    assert result.exit_code == 0, result.output
    return [int(line.split()[0]) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("2026-05-31", [1, 2, 3, 4, 5]),
        ("2026-05-31T15:00", [2, 3, 4, 5]),
        ("2026-05-31 15:00:00", [2, 3, 4, 5]),
        ("2026-05-31T15:00:01", [3, 4, 5]),
        ("2026-05-31T15:00+00:00", [4, 5]),
        ("2026-05-31T14:00:00Z", [3, 4, 5]),
        ("2026-05-31T16:00+02:00", [3, 4, 5]),
        ("2h", [5]),
        ("200m", [4, 5]),
        ("1d", [4, 5]),
        ("900w", [1, 2, 3, 4, 5]),
    ],
)
def test_decisions_from_then_on(since: str, found: list[int], run: Run) -> None:
    assert numbers(run("--since", since)) == found


def test_the_time_that_was_understood_is_said_with_its_zone(run: Run) -> None:
    assert "since 2026-05-31 15:00:00 CEST (UTC+0200)" in run("--since", "2026-05-31T15:00").stderr
    assert "since 2026-01-31 00:00:00 CET (UTC+0100)" in run("--since", "2026-01-31").stderr
    assert "since 2026-05-31 17:00:00 CEST" in run("--since", "2026-05-31T15:00Z").stderr


def test_all_since_then_or_the_last_of_them(run: Run, log: Path) -> None:
    with DecisionLog(log) as chain:
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        chain.append([{"time": moment}] * 30)
    assert len(numbers(run("--since", "2h"))) == 31
    assert numbers(run("--since", "2h", "--last", "2")) == [34, 35]
    assert len(numbers(run())) == 20


def test_json_and_nothing(run: Run) -> None:
    lines = run("--since", "2h", "--json").stdout.splitlines()
    assert [json.loads(line)["number"] for line in lines] == [5]
    assert run("--since", "1m").stdout == "nothing was decided since then\n"


def test_a_damaged_decision_is_told(run: Run, log: Path) -> None:
    with sqlite3.connect(log) as other:
        other.execute("DROP TRIGGER decision_stays")
        other.execute("UPDATE decision SET body = '{' WHERE number = 1")
    done = run("--since", "2h")
    assert done.exit_code == 2
    assert "decision 1 is damaged" in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["5"]


@pytest.mark.parametrize("text", ["", "soon", "2x", "-2d", "2026-13-01", "9" * 9 + "w", "1.5h"])
def test_what_is_no_time_is_one_line(text: str, run: Run) -> None:
    done = run("--since", text)
    assert done.exit_code == 2
    assert "neither a date or time" in " ".join(done.stderr.split())
