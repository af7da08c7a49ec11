"""The log of decisions: an append-only chain in a private SQLite file, without pictures.

Each decision is stored as canonical JSON: keys sorted, no spaces, ASCII. Its hash is the SHA-256 of
three lines: the hash of the decision before it (64 zeros for the first), its number, and that JSON.
Old decisions may be erased. The number and hash of the last one erased become the anchor from which
the chain goes on. Anyone who can write the file could also write a new chain. So only a hash that
was noted elsewhere proves that nothing is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecli.errors import GateError
from facecli.stores.database import Store
from facecli.stores.kind import Kind, sound
from facecli.stores.times import now
from facecli.text import read_json_object

if TYPE_CHECKING:
    from sqlite_utils import Database

WAIT_MILLISECONDS = 500
"""How long to wait for another program: a gate must not stop for longer."""

CHAIN = """
CREATE TABLE decision (
    number INTEGER PRIMARY KEY,
    body TEXT NOT NULL,
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64)
) STRICT;

CREATE TABLE anchor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    pruned TEXT
) STRICT;
INSERT INTO anchor (id, number, sha256) VALUES (1, 0, printf('%064d', 0));

CREATE TRIGGER decision_follows BEFORE INSERT ON decision
    WHEN NEW.number <> 1 + coalesce(
        (SELECT max(number) FROM decision), (SELECT number FROM anchor)
    )
    BEGIN SELECT RAISE(ABORT, 'a decision follows the last one'); END;
CREATE TRIGGER decision_stays BEFORE UPDATE ON decision
    BEGIN SELECT RAISE(ABORT, 'a decision is never changed'); END;
CREATE TRIGGER decision_kept BEFORE DELETE ON decision
    WHEN OLD.number > (SELECT number FROM anchor)
    BEGIN SELECT RAISE(ABORT, 'only decisions before the anchor are erased'); END;
CREATE TRIGGER anchor_moves BEFORE UPDATE ON anchor
    WHEN NOT EXISTS (
        SELECT 1 FROM decision WHERE number = NEW.number AND sha256 = NEW.sha256
    )
    BEGIN SELECT RAISE(ABORT, 'the anchor moves to a decision'); END;
CREATE TRIGGER anchor_stays BEFORE DELETE ON anchor
    BEGIN SELECT RAISE(ABORT, 'the anchor stays'); END;
"""


def m0001_chain(database: Database) -> None:
    """Create the decisions and the anchor; triggers allow only appending and erasing the oldest."""
    database.executescript(CHAIN)


LOG = Kind(
    noun="decision log",
    steps=(m0001_chain,),
    error=GateError,
    failure=GateError,
    absent="there is none; the gate makes it with its first decision",
    damaged="the file is damaged: restore a backup",
    wait=WAIT_MILLISECONDS,
)


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision in the log: its number, from 1, its JSON, and its hash in the chain.

    `damage` says why the JSON of a damaged one cannot be read, and its body is {}.
    """

    number: int
    body: dict[str, Any]
    sha256: str
    damage: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the chain found.

    The decisions `first` to `last` are sound, and `head` is the hash of the last one. `erased` is
    how many were erased before them. `broken` is the number of the first decision that is wrong or
    missing, None if there is none, and `reason` says what is wrong.
    """

    first: int
    last: int
    head: str
    erased: int
    broken: int | None = None
    reason: str = ""


class DecisionLog(Store):
    """The chain of decisions; raises GateError for a file that cannot be used."""

    def __init__(self, path: Path | None, *, create: bool = True) -> None:
        """Open the log at a path; None is memory. With `create` a missing file is made."""
        super().__init__(path, LOG, create=create)

    def append(self, bodies: Sequence[Mapping[str, Any]]) -> list[int]:
        """Store decisions, all or none, and return their numbers.

        Each has a `time`, UTC in ISO 8601 to the millisecond. It is that of the clock, which may be
        wrong: the order is that of the numbers. Raises ValueError for a decision without a time.
        """
        return self.append_texts([canonical(body) for body in bodies])

    def append_texts(self, texts: Collection[str]) -> list[int]:
        """Store decisions that are canonical JSON already, all or none; return their numbers."""
        with self.writing() as database:
            last, sha256 = self._last()
            numbers = list(range(last + 1, last + 1 + len(texts)))
            for number, text in zip(numbers, texts, strict=True):
                sha256 = chained(sha256, number, text)
                row = {"number": number, "body": text, "sha256": sha256}
                database.table("decision").insert(row)
        return numbers

    def decisions(self, *, last: int | None = None) -> Iterator[Decision]:
        """Yield the decisions, oldest first; with `last`, only that many of the newest."""
        with self.reading() as connection:
            rows = connection.execute(
                "SELECT number, body, sha256 FROM decision WHERE number > "
                "(SELECT coalesce(max(number), 0) FROM decision) - ? ORDER BY number",
                (2**62 if last is None else last,),
            )
            for number, text, sha256 in rows:
                yield _read(number, text, sha256)

    def naming(self, names: Collection[str]) -> int:
        """Return how many decisions name one of these people, as a match or as a candidate."""
        query = """
            SELECT count(*) FROM decision
            WHERE EXISTS (SELECT 1 FROM json_each(?) WHERE instr(body, value))
        """
        spelt = json.dumps([json.dumps(name) for name in names])  # as in the bodies
        with self.reading() as connection:
            return int(connection.execute(query, (spelt,)).fetchone()[0])

    def verify(self, noted: tuple[int, str] | None = None) -> Verification:
        """Check every link of the chain from the anchor on.

        `noted` is the number and hash of a decision as an earlier check gave them. Without it,
        nothing shows that the newest decisions, or all of them, were removed, or that the whole
        chain was replaced. Raises GateError if the noted decision was erased as an old one.
        """
        with self.reading() as connection:
            anchor, head = self._anchor()
            number = anchor
            hashes = {anchor: head}
            rows = connection.execute("SELECT number, body, sha256 FROM decision ORDER BY number")
            for found, text, sha256 in rows:
                reason = ""
                if found != number + 1:
                    reason = "it is missing"
                elif sha256 != chained(head, found, text):
                    reason = "its hash does not follow from what it says and the hash before it"
                if reason:
                    return Verification(anchor + 1, number, head, anchor, number + 1, reason)
                number, head = found, sha256
                if noted is not None and noted[0] == number:
                    hashes[number] = sha256
        sound_to = Verification(anchor + 1, number, head, anchor)
        if noted is not None and noted[0] < anchor:
            raise GateError(f"{self._where}: decision {noted[0]} is erased: note a newer one")
        if noted is None or hashes.get(noted[0]) == noted[1]:
            return sound_to
        return replace(sound_to, broken=noted[0], reason=_unlike(noted[0], number))

    def prune(self, before: datetime, *, today: datetime | None = None) -> int:
        """Erase the decisions from before a time, but never the newest; return how many.

        The anchor takes the number and hash of the last one erased. A decision from after `today`
        (None: now) was made when the clock was wrong: it is as old as those that follow it. Raises
        GateError for a chain that is broken, since what is wrong with it would be erased too.
        """
        if (found := self.verify()).broken is not None:
            raise GateError(
                f"{self._where}: decision {found.broken}: {found.reason}. Nothing was erased: move "
                "the file to a safe place, and the gate begins a new one"
            )
        limit, latest = map(stamp, (before, today or datetime.now(UTC)))
        with self.writing() as database:
            anchor, _ = self._anchor()
            newest, _ = self._last()
            old = anchor
            for number, time in database.execute(
                "SELECT number, json_extract(body, '$.time') FROM decision ORDER BY number"
            ):
                if number == newest or limit <= time <= latest:
                    break
                old = number if time < limit else old
            if old > anchor:
                database.execute(
                    "UPDATE anchor SET number = ?, pruned = ?, "
                    "sha256 = (SELECT sha256 FROM decision WHERE number = ?)",
                    (old, now(), old),
                )
                database.execute("DELETE FROM decision WHERE number <= ?", (old,))
        self._empty_log()
        return old - anchor

    def _anchor(self) -> tuple[int, str]:
        number, sha256 = self._connection.execute("SELECT number, sha256 FROM anchor").fetchone()
        return int(number), str(sha256)

    def _last(self) -> tuple[int, str]:
        query = "SELECT number, sha256 FROM decision ORDER BY number DESC LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return self._anchor() if row is None else (int(row[0]), str(row[1]))


def stamp(moment: datetime) -> str:
    """Return a time as decisions state it; the order of such texts is that of the times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _unlike(number: int, last: int) -> str:
    """Return what is wrong with a decision whose hash was noted."""
    if number > last:
        return f"it was noted, but the chain ends with {last}: its end was removed"
    return "its hash is not the one that was noted: the chain was replaced"


def _read(number: Any, text: Any, sha256: Any) -> Decision:
    """Return a stored decision, or what is wrong with it."""
    sound((number, text, sha256), (int, str, str), "decision")
    try:
        body = read_json_object(text)
        if not isinstance(body.get("time"), str):
            raise ValueError("it has no time")
    except ValueError as error:
        return Decision(number, {}, sha256, f"decision {number} is damaged: {error}")
    return Decision(number, body, sha256)


def canonical(body: Mapping[str, Any]) -> str:
    """Return the JSON text of a decision, always the same one; raise ValueError without a time."""
    if not isinstance(body.get("time"), str):
        raise ValueError("a decision has a time")
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def chained(before: str, number: int, text: str) -> str:
    """Return the hash of a decision, from the hash before it, its number and its JSON."""
    return hashlib.sha256(f"{before}\n{number}\n{text}".encode()).hexdigest()
