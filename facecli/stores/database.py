"""One database of ours in a private SQLite file, and the transactions on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from facecli.stores.connection import open_connection, transaction, translated
from facecli.stores.kind import Kind

if TYPE_CHECKING:
    from sqlite_utils import Database


class Store:
    """One database in a file that only its owner may read; use it in a `with` block, in one thread.

    Every change is one transaction, which is on the disk when it ends.
    """

    def __init__(self, path: Path | None, kind: Kind, *, create: bool) -> None:
        """Open the database at a path; None is memory. With `create` a missing file is made."""
        self.path = path
        self._kind = kind
        self._where = kind.called(path)
        self._connection = open_connection(path, kind, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def location(self) -> str:
        """Where the database is: its path, or ":memory:"."""
        return ":memory:" if self.path is None else os.fspath(self.path)

    def close(self) -> None:
        """Close the database; the last program to close it removes the write-ahead log."""
        self._connection.close()

    @cached_property
    def _database(self) -> Database:
        """Return the connection under sqlite-utils, imported only to write, as that takes 50 ms."""
        from sqlite_utils import Database

        return Database(self._connection, execute_plugins=False, recursive_triggers=False)

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """Hold the write lock for one transaction; if anything fails, nothing of it is stored."""
        with translated(self._kind, self._where), transaction(self._connection):
            yield self._database

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """As `writing`, without sqlite-utils, whose import takes longer than a small change."""
        with translated(self._kind, self._where), transaction(self._connection):
            yield self._connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """See one state of the database for the whole block; inside a transaction, its state."""
        with translated(self._kind, self._where):
            if self._connection.in_transaction:
                yield self._connection
                return
            try:
                self._connection.execute("BEGIN")
                yield self._connection
            finally:
                self._connection.rollback()

    def _empty_log(self) -> bool:
        """Move the write-ahead log into the database and empty it; return whether that worked."""
        try:
            row = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
        return bool(row[0] == 0)

    def _disk_use(self) -> tuple[int, bool]:
        """Return the bytes of the database's files, and whether only their owner may read them."""
        if self.path is None:
            return 0, True
        beside = (self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm"))
        states = [file.stat() for file in beside if file.exists()]
        private = all(state.st_mode & 0o077 == 0 for state in states)
        return sum(state.st_size for state in states), private
