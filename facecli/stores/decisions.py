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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facecli.errors import GateError
from facecli.stores.database import Store
from facecli.stores.kind import Kind
from facecli.stores.times import now

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
    """One decision in the log: its number, from 1, its JSON, and its hash in the chain."""

    number: int
    body: dict[str, Any]
    sha256: str


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

        Each has a `time`, UTC in ISO 8601 to the millisecond, which is not before the one of the
        decision before it. Raises ValueError for a decision without a time.
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
                try:
                    body = json.loads(text)
                except ValueError as error:
                    raise GateError(f"{self._where}: decision {number} is damaged") from error
                yield Decision(number, body, sha256)

    def verify(self) -> Verification:
        """Check every link of the chain from the anchor on."""
        with self.reading() as connection:
            anchor, head = self._anchor()
            number = anchor
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
        return Verification(anchor + 1, number, head, anchor)

    def prune(self, before: datetime) -> int:
        """Erase the decisions from before a time, but never the newest; return how many.

        The anchor takes the number and hash of the last one erased.
        """
        limit = before.astimezone(UTC).isoformat(timespec="milliseconds")
        with self.writing() as database:
            anchor, _ = self._anchor()
            newest, _ = self._last()
            old = anchor
            for number, time in database.execute(
                "SELECT number, json_extract(body, '$.time') FROM decision ORDER BY number"
            ):
                if time >= limit or number == newest:
                    break
                old = number
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


def canonical(body: Mapping[str, Any]) -> str:
    """Return the JSON text of a decision, always the same one; raise ValueError without a time."""
    if not isinstance(body.get("time"), str):
        raise ValueError("a decision has a time")
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)


def chained(before: str, number: int, text: str) -> str:
    """Return the hash of a decision, from the hash before it, its number and its JSON."""
    return hashlib.sha256(f"{before}\n{number}\n{text}".encode()).hexdigest()
