"""A private SQLite file: its modes, settings, schema, transactions, and errors in one line."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from facecli.errors import FacecliError
from facecli.files import PRIVATE

if TYPE_CHECKING:
    from sqlite_utils import Database

    Step = Callable[[Database], None]

BUSY_MILLISECONDS = 10_000
"""How long to wait for another program's transaction; an enrollment holds the lock for less."""

OLDEST_SQLITE = (3, 37, 0)
"""The first with STRICT tables (SQLite release notes, 2021-11-27)."""

SMALLEST_DATABASE = 512
"""Bytes, SQLite's smallest page; it takes a file of one byte for a new database and writes it."""

SETTINGS = (
    ("foreign_keys", "ON", 1),  # off by default in SQLite
    ("synchronous", "FULL", 2),  # what was acknowledged outlives a power cut
    ("secure_delete", "ON", 1),  # erased templates are overwritten; not every SQLite does so
    ("temp_store", "MEMORY", 2),  # no copies of rows in temporary files
    ("trusted_schema", "OFF", 0),  # a file from elsewhere brings no functions into play
)
"""Settings of a connection: name, value, and what SQLite answers once it has taken it."""

REASONS = {
    sqlite3.SQLITE_PERM: "no permission to open it",
    sqlite3.SQLITE_BUSY: "another program is using it: try again when that has finished",
    sqlite3.SQLITE_LOCKED: "another program is using it: try again when that has finished",
    sqlite3.SQLITE_READONLY: "it cannot be written: the file or its folder is read-only",
    sqlite3.SQLITE_IOERR: "reading or writing failed: is the disk full or failing? "
    "Nothing of this was stored, what was there before is kept",
    sqlite3.SQLITE_FULL: "the disk is full. Nothing of this was stored, "
    "what was there before is kept",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: its folder is missing or may not be written",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database",
}
"""What SQLite's primary result codes mean to a user, but for a damaged file."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What sets one kind of database apart.

    `noun` is what messages call it and sqlite-utils records its `steps` under: numbered functions,
    oldest first, that are never changed once released. `error` is raised for whatever a user can
    act on; `absent` and `damaged` say what to do about a file that is not there or broken. `wait`
    is how many milliseconds to wait for another program, None for the usual time.
    """

    noun: str
    steps: tuple[Step, ...]
    error: type[FacecliError]
    absent: str
    damaged: str
    wait: int | None = None

    @property
    def patience(self) -> int:
        """How long to wait for another program's transaction, in milliseconds."""
        return BUSY_MILLISECONDS if self.wait is None else self.wait

    def called(self, path: Path | None) -> str:
        """Return how to call a database in a message, in one line even if its path is hostile."""
        return f"{self.noun} in memory" if path is None else f"{self.noun} {os.fspath(path)!r}"

    def known(self) -> list[str]:
        """Return the names of the steps this program has."""
        return [step.__name__ for step in self.steps]

    def applied(self, connection: sqlite3.Connection) -> list[str]:
        """Return the names of the steps a database has been through, not importing sqlite-utils.

        Every opening asks this, and the import costs more than reading ten thousand templates.
        """
        table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlite_migrations'"
        if connection.execute(table).fetchone() is None:
            return []
        names = "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY id"
        return [name for (name,) in connection.execute(names, (self.noun,))]

    def upgrade(self, connection: sqlite3.Connection) -> None:
        """Apply the steps that are missing, all in one transaction or none.

        The write lock is taken before looking what is missing, so that two programs that open a
        new database at once do not both create its tables.
        """
        from sqlite_utils import Database, Migrations

        migrations = Migrations(self.noun)
        for step in self.steps:
            migrations()(step)
        database = Database(connection, execute_plugins=False, recursive_triggers=False)
        with transaction(connection):
            migrations.apply(database)


class Store:
    """One database in a file for its owner alone; use it in a `with` block and from one thread.

    Every change is one transaction that has reached the disk when it ends.
    """

    def __init__(self, path: Path | None, kind: Kind, *, create: bool) -> None:
        """Open the database at a path, made if need be and `create` is true; None is memory."""
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

    def close(self) -> None:
        """Close the database; the last program to do so tidies its write-ahead log away."""
        self._connection.close()

    @cached_property
    def _database(self) -> Database:
        """Return the connection under sqlite-utils, imported only to write: it takes 50 ms."""
        from sqlite_utils import Database

        return Database(self._connection, execute_plugins=False, recursive_triggers=False)

    @contextmanager
    def writing(self) -> Iterator[Database]:
        """Hold the write lock for one transaction; nothing of it stays if anything fails."""
        with translated(self._kind, self._where), transaction(self._connection):
            yield self._database

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """See one state of the database throughout; inside a transaction, that one's."""
        with translated(self._kind, self._where):
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.rollback()

    def _empty_log(self) -> bool:
        """Move the log into the database and empty it; tell whether that could be done now."""
        try:
            row = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.OperationalError:
            return False
        return bool(row[0] == 0)

    def _files(self) -> list[Path]:
        """Return the database's files that exist now."""
        if self.path is None:
            return []
        beside = (self.path.with_name(self.path.name + end) for end in ("", "-wal", "-shm"))
        return [file for file in beside if file.exists()]


@contextmanager
def translated(kind: Kind, where: str) -> Iterator[None]:
    """Turn SQLite's errors into the kind's own; a misuse of the connection stays a bug."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        damaged = code == sqlite3.SQLITE_CORRUPT
        reason = kind.damaged if damaged else REASONS.get(code, error)
        raise kind.error(f"{where}: {reason}") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock for one transaction; nothing of it stays if anything fails."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def open_connection(path: Path | None, kind: Kind, *, create: bool) -> sqlite3.Connection:
    """Open a database, bring its schema up to date and return the connection.

    None is a database in memory. Without `create` the file must exist. Raises the kind's error for
    what is another kind's, of a newer program, or out of reach; such a file is left as it was.
    """
    where = kind.called(path)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise kind.error(f"SQLite {sqlite3.sqlite_version} is too old: {needed} is needed")
    with translated(kind, where):
        connection = sqlite3.connect(":memory:") if path is None else _connect(path, kind, create)
        try:
            connection.execute(f"PRAGMA busy_timeout = {kind.patience}")
            _refuse_foreign(connection, kind, where)
            _settle(connection, kind, where, "memory" if path is None else "wal")
            if kind.applied(connection) != kind.known():
                kind.upgrade(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _connect(path: Path, kind: Kind, create: bool) -> sqlite3.Connection:
    """Connect to a file, made first if need be: SQLite itself would let others read it."""
    where = kind.called(path)
    try:
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # SQLite gives its log and index the same mode.
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
        found = path.stat()
    except FileNotFoundError as error:
        raise kind.error(f"{where}: {kind.absent}") from error
    except OSError as error:
        raise kind.error(f"{where}: {error.strerror}") from error
    except ValueError as error:
        raise kind.error(f"{where}: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise kind.error(f"{where}: it is {what}")
    if 0 < found.st_size < SMALLEST_DATABASE:
        raise kind.error(f"{where}: {REASONS[sqlite3.SQLITE_NOTADB]}")
    # An absolute file: URI, so that a hostile name is neither a URI nor ":memory:"; mode=rw,
    # so that SQLite never creates a file with the rights it finds usual.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)


def _refuse_foreign(connection: sqlite3.Connection, kind: Kind, where: str) -> None:
    """Raise the kind's error before anything is written, unless the database is empty or ours."""
    # One view of the database: another program may be making this very one.
    connection.execute("BEGIN")
    try:
        applied = kind.applied(connection)
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        (count,) = tables.fetchone()
    finally:
        connection.rollback()
    newer = [name for name in applied if name not in kind.known()]
    if newer:
        raise kind.error(
            f"{where}: made by a newer facecli (schema {len(applied)}, this program knows "
            f"{len(kind.known())}): upgrade facecli"
        )
    if count and not applied:
        raise kind.error(f"{where}: it is another program's database")


def _settle(connection: sqlite3.Connection, kind: Kind, where: str, journal: str) -> None:
    """Apply the settings and make sure that each was taken."""
    for name, value, expected in SETTINGS:
        connection.execute(f"PRAGMA {name} = {value}")
        (answer,) = connection.execute(f"PRAGMA {name}").fetchone()
        if answer != expected:
            raise kind.error(f"{where}: SQLite refuses {name} = {value}")
    if _set_journal(connection, journal, kind.patience) != journal:
        raise kind.error(f"{where}: its disk does not allow a write-ahead log; use a local disk")


def _set_journal(connection: sqlite3.Connection, journal: str, patience: int) -> str:
    """Set the journal mode and return what SQLite made of it.

    SQLite does not wait for a lock here, so that two programs opening a new file at once would
    collide: the wait is ours.
    """
    deadline = time.monotonic() + patience / 1000
    while True:
        try:
            return str(connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
