"""Opening a private SQLite file: its settings, its schema, and SQLite's errors in one line."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from facecli.files import PRIVATE
from facecli.stores.kind import REASONS, Damaged, Kind

OLDEST_SQLITE = (3, 37, 0)
"""The first version with STRICT tables (SQLite release notes, 2021-11-27)."""

SQLITE_VERSION = sqlite3.sqlite_version
"""The version of SQLite in use."""

SMALLEST_DATABASE = 512
"""Bytes: SQLite's smallest page. It takes a smaller file for a new database and overwrites it."""

UNWRITABLE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""How SQLite fails in a place where it cannot write: a read-only folder or disk, or a full one."""

LARGEST_COPY = 2**30
"""Bytes of the largest database that is copied into memory. A million templates take 0.7 GB."""

NO_LOG = b"\1\1"
"""Bytes 18 and 19 of a file without a write-ahead log (SQLite's file format, section 1.3.3)."""

SETTINGS = (
    ("foreign_keys", "ON", 1),  # off by default in SQLite
    ("synchronous", "FULL", 2),  # what was acknowledged survives a power cut
    ("secure_delete", "ON", 1),  # erased templates are overwritten; not every SQLite does so
    ("temp_store", "MEMORY", 2),  # no copies of rows in temporary files
    ("trusted_schema", "OFF", 0),  # a file from elsewhere cannot call functions of ours
)
"""Settings of a connection: the name, the value, and what SQLite answers when it accepts it."""


@contextmanager
def translated(kind: Kind, where: str) -> Iterator[None]:
    """Turn SQLite's errors into the kind's own; a misuse of the connection stays a bug."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        raise kind.failure(f"{where}: {kind.explain(error)}") from error
    except Damaged as error:
        raise kind.failure(f"{where}: {error}: {kind.damaged}") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the write lock for one transaction; if anything fails, nothing of it is stored.

    Ctrl-C can come at any instant. It may leave the transaction before this one open, which is
    rolled back first: no transaction begins inside another.
    """
    if isinstance(connection, _Copy) and connection.refusal is not None:
        raise connection.refusal
    try:
        connection.rollback()
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def open_connection(path: Path | None, kind: Kind, *, create: bool) -> sqlite3.Connection:
    """Open a database, bring its schema up to date and return the connection.

    None is a database in memory. Without `create` the file must exist. Raises the kind's error for
    another kind of database, for one made by a newer program, and for one that cannot be reached;
    such a file is left as it was. A file that can only be read is copied into memory: it can be
    read, and a change raises why it could not be opened to write.
    """
    where = kind.called(path)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise kind.error(f"SQLite {sqlite3.sqlite_version} is too old: {needed} is needed")
    with translated(kind, where):
        if path is None:
            return _ready(sqlite3.connect(":memory:"), kind, where, "memory")
        try:
            return _ready(connect(path, kind, create=create), kind, where, "wal")
        except sqlite3.OperationalError as error:
            readable = not create and error.sqlite_errorcode & 0xFF in UNWRITABLE
            copy = _copy(path) if readable else None
            if copy is None:
                raise
            _ready(copy, kind, where, "memory")
            copy.refusal = error
            return copy


def _ready(
    connection: sqlite3.Connection, kind: Kind, where: str, journal: str
) -> sqlite3.Connection:
    """Check and settle a connection, and bring its schema up to date; close it on failure."""
    try:
        connection.execute(f"PRAGMA busy_timeout = {kind.patience}")
        refuse_foreign(connection, kind, where)
        settle(connection, kind, where, journal)
        if kind.applied(connection) != kind.known():
            _upgrade(connection, kind)
    except BaseException:
        connection.close()
        raise
    return connection


class _Copy(sqlite3.Connection):
    """A database in memory, copied from a file that SQLite could not open to write: `refusal`."""

    refusal: sqlite3.Error | None = None


def _copy(path: Path) -> _Copy | None:
    """Return a copy of a file that may only be read, or None if that would not be its state.

    SQLite reads a file in WAL mode only where it can make two files beside it: not in a read-only
    place, nor on a full disk. What is in the file is all there is if there is no write-ahead log,
    and one state if it does not change while it is read.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        before = path.stat()
        data = bytearray(path.read_bytes()) if before.st_size <= LARGEST_COPY else bytearray()
        changed = path.stat().st_mtime_ns != before.st_mtime_ns or len(data) != before.st_size
        if changed or (log.exists() and log.stat().st_size):
            return None
    except OSError:
        return None
    data[18:20] = NO_LOG
    made = sqlite3.connect(":memory:", factory=_Copy)
    made.deserialize(bytes(data))
    return made


def connect(
    path: Path, kind: Kind, *, create: bool, where: str | None = None
) -> sqlite3.Connection:
    """Connect to a file, which messages call `where`.

    A new file is made here, as SQLite would let other users read it.
    """
    where = where or kind.called(path)
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
    # An absolute file: URI, so that a strange name is neither a URI nor ":memory:"; mode=rw, so
    # that SQLite never creates a file with permissions of its own choice.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)


def refuse_foreign(connection: sqlite3.Connection, kind: Kind, where: str) -> None:
    """Raise the kind's error unless the database is empty or ours; nothing has been written yet."""
    # One view of the database: another program may be creating it at this moment.
    try:
        connection.execute("BEGIN")
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


def settle(connection: sqlite3.Connection, kind: Kind, where: str, journal: str) -> None:
    """Apply the settings, and raise the kind's error if SQLite does not accept one."""
    for name, value, expected in SETTINGS:
        connection.execute(f"PRAGMA {name} = {value}")
        (answer,) = connection.execute(f"PRAGMA {name}").fetchone()
        if answer != expected:
            raise kind.error(f"{where}: SQLite refuses {name} = {value}")
    if _set_journal(connection, journal, kind.patience) != journal:
        raise kind.error(f"{where}: its disk does not allow a write-ahead log; use a local disk")


def _set_journal(connection: sqlite3.Connection, journal: str, patience: int) -> str:
    """Set the journal mode and return the mode that SQLite reports.

    SQLite does not wait for a lock here, and two programs that open a new file at once would
    collide. So the waiting is done here.
    """
    deadline = time.monotonic() + patience / 1000
    while True:
        try:
            return str(connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _upgrade(connection: sqlite3.Connection, kind: Kind) -> None:
    """Apply the schema steps that are missing, all in one transaction or none.

    The write lock is taken first, and then it is checked what is missing. So two programs that open
    a new database at once do not both create its tables.
    """
    from sqlite_utils import Database, Migrations

    migrations = Migrations(kind.noun)
    for step in kind.steps:
        migrations()(step)
    database = Database(connection, execute_plugins=False, recursive_triggers=False)
    with transaction(connection):
        migrations.apply(database)
