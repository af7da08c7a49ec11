"""What sets one kind of database apart: its name in messages, its schema, and its errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any

from facecli.errors import FacecliError

if TYPE_CHECKING:
    from sqlite_utils import Database

    Step = Callable[[Database], None]

BUSY_MILLISECONDS = 10_000
"""How long to wait for another program's transaction. An enrollment holds the lock for less."""

BUSY = "another program is using it: try again when that program has finished"

REASONS = {
    sqlite3.SQLITE_PERM: "no permission to open it",
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_READONLY: "it cannot be written: the file or its folder is read-only",
    sqlite3.SQLITE_IOERR: "reading or writing failed: is the disk full or failing? "
    "Nothing was stored; what was there before is kept",
    sqlite3.SQLITE_FULL: "the disk is full. Nothing was stored; what was there before is kept",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: its folder is missing or not writable",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database",
}
"""What SQLite's primary result codes mean to a user. A damaged file has its own message."""


class Damaged(Exception):
    """A row holds what no row of this program does. It becomes the error of its kind."""


def sound(row: Sequence[Any], kinds: Sequence[type | UnionType], what: str) -> Sequence[Any]:
    """Return a row whose values are of these kinds; raise Damaged for any other.

    The tables see to it themselves, but a file from elsewhere may have other tables.
    """
    if len(row) != len(kinds) or not all(map(isinstance, row, kinds)):
        raise Damaged(f"a {what} in it is not as this program writes it")
    return row


@dataclass(frozen=True, slots=True)
class Kind:
    """What sets one kind of database apart.

    `noun` is its name in messages, and the name under which sqlite-utils records its `steps`.
    Steps are numbered functions that build the schema, oldest first. A released step is never
    changed; a new one is appended. `error` is raised for anything a user can act on. `failure`, the
    same class or a subclass of it, is raised when SQLite itself fails. `absent` and `damaged` tell
    the user what to do about a file that is missing or broken. `wait` is how many milliseconds to
    wait for another program; None means BUSY_MILLISECONDS.
    """

    noun: str
    steps: tuple[Step, ...]
    error: type[FacecliError]
    failure: type[FacecliError]
    absent: str
    damaged: str
    wait: int | None = None

    @property
    def patience(self) -> int:
        """How long to wait for another program's transaction, in milliseconds."""
        return BUSY_MILLISECONDS if self.wait is None else self.wait

    def called(self, path: Path | None) -> str:
        """Return the name of a database in a message: one line, whatever its path holds."""
        return f"{self.noun} in memory" if path is None else f"{self.noun} {os.fspath(path)!r}"

    def known(self) -> list[str]:
        """Return the names of the steps that this program has."""
        return [step.__name__ for step in self.steps]

    def applied(self, connection: sqlite3.Connection) -> list[str]:
        """Return the names of the steps that a database has been through.

        This does not import sqlite-utils: every opening asks, and the import takes longer than
        reading ten thousand templates.
        """
        table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlite_migrations'"
        if connection.execute(table).fetchone() is None:
            return []
        names = "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY id"
        return [name for (name,) in connection.execute(names, (self.noun,))]

    def explain(self, error: sqlite3.Error) -> str:
        """Return what an error of SQLite means to a user."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return self.damaged if code == sqlite3.SQLITE_CORRUPT else REASONS.get(code, str(error))
