"""The log of decisions shows any change, and no disk, however bad, stops the gate."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waiting import PATIENT

from facecli.errors import GateError
from facecli.gate import journal as journal_module
from facecli.gate.journal import Journal
from facecli.stores.decisions import DecisionLog, canonical, chained

START = datetime(2026, 1, 1, tzinfo=UTC)


def decision(number: int, **fields: Any) -> dict[str, Any]:
    """Return a decision of one a day."""
    moment = START + timedelta(days=number)
    return {"time": moment.isoformat(timespec="milliseconds"), "person": f"P{number}", **fields}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "decisions.db"


@pytest.fixture
def log(path: Path) -> Iterator[DecisionLog]:
    """A log of ten decisions."""
    with DecisionLog(path) as made:
        assert made.append([decision(number) for number in range(1, 11)]) == list(range(1, 11))
        yield made


def test_decisions_come_back_in_order_as_they_were(log: DecisionLog) -> None:
    assert [one.body for one in log.decisions()] == [decision(number) for number in range(1, 11)]
    assert [one.number for one in log.decisions(last=3)] == [8, 9, 10]


def test_the_chain_can_be_checked_by_anyone_from_the_export(log: DecisionLog) -> None:
    """By the rule in the documentation alone: three lines, canonical JSON, SHA-256."""
    before = "0" * 64
    for one in log.decisions():
        exported = json.loads(json.dumps(one.body))
        before = chained(before, one.number, canonical(exported))
        assert before == one.sha256
    assert before == log.verify().head


def test_a_decision_without_its_time_is_refused(log: DecisionLog) -> None:
    with pytest.raises(ValueError, match="time"):
        log.append([decision(11), {"person": "Ada"}])
    assert log.verify().last == 10, "all or none"


FORBIDDEN = [
    "UPDATE decision SET body = replace(body, 'P4', 'P5')",
    "DELETE FROM decision WHERE number = 4",
    "DELETE FROM decision",
    "INSERT OR REPLACE INTO decision SELECT 4, body, sha256 FROM decision WHERE number = 5",
    "INSERT INTO decision SELECT 12, body, sha256 FROM decision WHERE number = 5",
    "UPDATE anchor SET number = 5",
    "DELETE FROM anchor",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_database_itself_refuses_to_change_the_past(
    log: DecisionLog, path: Path, statement: str
) -> None:
    with sqlite3.connect(path) as other, pytest.raises(sqlite3.IntegrityError):
        other.execute(statement)
    assert log.verify().broken is None


TRIGGERS = ("decision_follows", "decision_stays", "decision_kept", "anchor_moves", "anchor_stays")


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE decision SET body = replace(body, 'P4', 'P5')", 4),
        ("UPDATE decision SET sha256 = printf('%064d', 1) WHERE number = 10", 10),
        ("DELETE FROM decision WHERE number = 6", 6),
        ("DELETE FROM decision WHERE number <= 2", 1),
        ("UPDATE anchor SET number = 1", 2),
        (
            "UPDATE decision SET body = (SELECT body FROM decision WHERE number = 8) "
            "WHERE number = 7",
            7,
        ),
    ],
)
def test_whoever_removes_the_triggers_is_found_out_at_the_first_decision_touched(
    log: DecisionLog, path: Path, statement: str, broken: int
) -> None:
    with sqlite3.connect(path) as other:
        for trigger in TRIGGERS:
            other.execute(f"DROP TRIGGER {trigger}")
        other.execute(statement)
    found = log.verify()
    assert found.broken == broken
    assert found.last == broken - 1 or broken <= 2


def test_old_decisions_are_erased_and_the_rest_still_hangs_together(
    log: DecisionLog, path: Path
) -> None:
    head = log.verify().head
    assert log.prune(START + timedelta(days=6)) == 5
    found = log.verify()
    assert (found.first, found.last, found.erased, found.broken) == (6, 10, 5, None)
    assert found.head == head, "what was noted elsewhere still holds"
    assert log.append([decision(11)]) == [11]
    assert log.verify().broken is None
    kept = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"P6" in kept
    assert b"P5" not in kept, "an erased decision is still in the files"


def test_the_newest_decision_stays_whatever_its_age(log: DecisionLog) -> None:
    assert log.prune(START + timedelta(days=1000)) == 9
    assert log.prune(START + timedelta(days=1000)) == 0
    assert [one.number for one in log.decisions()] == [10]
    assert log.verify().broken is None


def test_a_broken_chain_is_evidence_and_is_not_pruned(log: DecisionLog, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("DROP TRIGGER decision_stays")
        other.execute("UPDATE decision SET body = replace(body, 'P3', 'P4') WHERE number = 3")
    other.close()
    with pytest.raises(GateError, match=r"decision 3: .* Nothing was erased: move the file"):
        log.prune(START + timedelta(days=6))
    assert [one.number for one in log.decisions()] == list(range(1, 11))
    assert log.verify().broken == 3


FUTURE = {"time": "2099-01-01T00:00:00.000+00:00"}


@pytest.mark.parametrize(
    ("days", "erased"),
    [
        ([1, None, 2, 20, 21], 3),  # the clock jumped ahead and back
        ([None, None, 1, 2, 20], 4),
        ([1, 2, None, 20, 21], 2),  # it may be as young as the one after it
        ([1, 2, None, None], 2),  # it is still ahead: nothing shows how old these are
        ([None, None, None], 0),
    ],
)
def test_a_clock_that_jumped_does_not_stop_retention(days: list[int | None], erased: int) -> None:
    with DecisionLog(None) as log:
        log.append([FUTURE if day is None else decision(day) for day in days])
        today = START + timedelta(days=30)
        assert log.prune(START + timedelta(days=10), today=today) == erased
        assert log.verify().broken is None
        assert len(list(log.decisions())) == len(days) - erased


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("DELETE FROM decision WHERE number > 7", True),
        ("DELETE FROM decision WHERE number = 10", True),
        ("DELETE FROM decision", True),
        ("DELETE FROM decision; UPDATE anchor SET number = 0", True),
        ("SELECT 1", False),
    ],
)
def test_a_cut_end_is_seen_by_what_was_noted(
    log: DecisionLog, path: Path, statement: str, broken: bool
) -> None:
    """By itself the chain cannot show it, and the help of `log verify` says so."""
    whole = log.verify()
    noted = whole.last, whole.head
    with sqlite3.connect(path) as other:
        for trigger in TRIGGERS:
            other.execute(f"DROP TRIGGER {trigger}")
        other.executescript(statement)
    other.close()
    assert log.verify().broken is None
    found = log.verify(noted)
    assert (found.broken is not None) == broken
    assert ("was removed" in found.reason) == broken


def test_a_replaced_chain_is_seen_by_what_was_noted(log: DecisionLog) -> None:
    whole = log.verify()
    with DecisionLog(None) as other:
        other.append([decision(number, forged=True) for number in range(1, 12)])
        assert other.verify((10, whole.head)).broken == 10
    log.append([decision(11)])
    assert log.verify((whole.last, whole.head)).broken is None
    log.prune(START + timedelta(days=8))
    assert log.verify((10, whole.head)).broken is None
    with pytest.raises(GateError, match="decision 3 is erased: note a newer one"):
        log.verify((3, "0" * 64))


@settings(max_examples=25)
@given(st.lists(st.integers(1, 4), max_size=5), st.lists(st.integers(0, 20), max_size=3))
def test_any_appends_and_prunings_leave_a_sound_chain(batches: list[int], days: list[int]) -> None:
    with DecisionLog(None) as log:
        count = 0
        for place, batch in enumerate(batches):
            log.append([decision(count + step) for step in range(batch)])
            count += batch
            if place < len(days):
                log.prune(START + timedelta(days=days[place]))
        found = log.verify()
        assert (found.last, found.broken) == (count, None)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def lost() -> list[str]:
    return []


@pytest.fixture
def journal(
    path: Path, said: list[str], lost: list[str], monkeypatch: pytest.MonkeyPatch
) -> Journal:
    monkeypatch.setattr(journal_module, "RETRY_SECONDS", 0.0)
    return Journal(path, warn=said.append, on_lost=lost.append)


def persons(path: Path) -> list[str]:
    with DecisionLog(path, create=False) as log:
        assert log.verify().broken is None
        return [one.body["person"] for one in log.decisions()]


@pytest.mark.slow
def test_a_locked_log_costs_half_a_second_and_no_decision(
    journal: Journal, path: Path, said: list[str], lost: list[str]
) -> None:
    assert journal.append(decision(1)) == 1
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert [journal.append(decision(2)), journal.append(decision(3))] == [0, 0]
    assert journal.retry() == 2
    assert len(said) == 1
    assert "another program" in said[0]
    holder.close()
    with DecisionLog(path) as log, log.reading() as connection:
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (500,)
    assert journal.append(decision(4)) == 4
    assert persons(path) == ["P1", "P2", "P3", "P4"]
    assert said[1:] == ["the decision log can be written again; decisions that waited: 3"]
    assert journal.close() == 0
    assert not lost


@pytest.mark.slow
def test_a_log_that_cannot_be_written_is_left_alone_for_a_while(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate that tried at every decision would stand still for most of the time."""
    tried: list[Path] = []

    def opened(path: Path) -> DecisionLog:
        tried.append(path)
        return DecisionLog(path)

    monkeypatch.setattr(journal_module, "DecisionLog", opened)
    monkeypatch.setattr(journal_module, "RETRY_SECONDS", 10 * PATIENT)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    for number in range(1, 50):
        journal.append(decision(number))
    assert tried == [path], "it tried at every decision"
    holder.close()
    assert journal.close() == 0, "the last try does not wait"
    assert len(persons(path)) == 49


def test_what_cannot_be_written_at_the_end_is_handed_over_in_order(
    journal: Journal, path: Path, lost: list[str]
) -> None:
    path.unlink()
    path.mkdir()
    journal.append(decision(1))
    journal.append(decision(2))
    assert journal.close() == 2
    assert [json.loads(line)["person"] for line in lost] == ["P1", "P2"]


def test_beyond_a_limit_the_oldest_are_handed_over(
    journal: Journal, path: Path, lost: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MOST_WAITING", 2)
    path.unlink()
    path.mkdir()
    for number in range(1, 6):
        journal.append(decision(number))
    assert [json.loads(line)["person"] for line in lost] == ["P1", "P2", "P3"]


def test_another_programs_database_is_refused_at_the_start(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    with pytest.raises(GateError, match="another program's database"):
        Journal(path, warn=print, on_lost=print)


def tell(text: object) -> None:
    """Write a line that reaches a reader at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def child(mode: Callable[[Path], None], path: Path) -> list[str]:
    return [sys.executable, __file__, mode.__name__, str(path)]


def append_until_killed(path: Path) -> None:
    journal = Journal(path, warn=tell, on_lost=tell)
    for number in range(1, 100_000):
        tell(journal.append(decision(number)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_kill_loses_no_decision_whose_number_was_returned(path: Path, seed: int) -> None:
    chance = random.Random(seed)
    writer = subprocess.Popen(child(append_until_killed, path), stdout=subprocess.PIPE)
    assert writer.stdout is not None
    lines = [writer.stdout.readline() for _ in range(chance.randrange(1, 30))]
    time.sleep(chance.uniform(0, 0.02))
    writer.send_signal(signal.SIGKILL)
    lines += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    stored = len([line for line in lines if line.endswith(b"\n")])
    assert len(persons(path)) in (stored, stored + 1)


def append_until_full(path: Path) -> None:
    """Append while no file may grow beyond 100,000 bytes, then go on with room again."""
    import resource

    journal_module.RETRY_SECONDS = 0.0
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    journal = Journal(path, warn=tell, on_lost=tell)
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, unlimited[1]))
    number = 1
    while journal.append(decision(number, filler="x" * 1000)):
        number += 1
    journal.append(decision(number + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    journal.append(decision(number + 2))
    tell(f"{number + 2} {journal.close()}")


@pytest.mark.slow
def test_a_full_disk_stops_nothing_and_loses_nothing(path: Path) -> None:
    done = subprocess.run(
        child(append_until_full, path), capture_output=True, text=True, check=True
    )
    trouble, over, last = done.stdout.splitlines()
    assert "disk full" in trouble
    assert over == "the decision log can be written again; decisions that waited: 3"
    count, left = map(int, last.split())
    assert left == 0
    assert count > 10
    assert persons(path) == [f"P{number}" for number in range(1, count + 1)]


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
