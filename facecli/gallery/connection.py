"""Opening a gallery's database: its file, its settings, its schema, and its errors in one line."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facecli import migrations
from facecli.errors import GalleryError

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
    sqlite3.SQLITE_CORRUPT: "the file is damaged: restore a backup",
    sqlite3.SQLITE_FULL: "the disk is full. Nothing of this was stored, "
    "what was there before is kept",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: its folder is missing or may not be written",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database",
}
"""What SQLite's primary result codes mean to a user."""


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn SQLite's errors into GalleryError; a misuse of the connection stays a bug."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        raise GalleryError(f"gallery {where}: {REASONS.get(code, error)}") from error


def described(path: Path | None) -> str:
    """Return how to call a gallery in a message: hostile paths escaped, so that it is one line."""
    return "in memory" if path is None else repr(os.fspath(path))


def open_connection(path: Path | None, *, create: bool) -> sqlite3.Connection:
    """Open a gallery's database, bring its schema up to date and return the connection.

    None is a gallery in memory. Without `create` the file must exist. Raises GalleryError for
    what is no gallery, of a newer program, or out of reach; such a file is left as it was.
    """
    where = described(path)
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        raise GalleryError(f"SQLite {sqlite3.sqlite_version} is too old: {needed} is needed")
    with translated(where):
        connection = sqlite3.connect(":memory:") if path is None else _connect(path, create)
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
            _refuse_foreign(connection, where)
            _settle(connection, where, "memory" if path is None else "wal")
            if migrations.applied(connection) != migrations.known():
                migrations.upgrade(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _connect(path: Path, create: bool) -> sqlite3.Connection:
    """Connect to a file, made first if need be: SQLite itself would let others read it."""
    where = described(path)
    try:
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _create_private(path)
        found = path.stat()
    except FileNotFoundError as error:
        raise GalleryError(f"gallery {where}: there is none; enroll someone first") from error
    except OSError as error:
        raise GalleryError(f"gallery {where}: {error.strerror}") from error
    except ValueError as error:
        raise GalleryError(f"gallery {where}: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "not a regular file"
        raise GalleryError(f"gallery {where}: it is {what}")
    if 0 < found.st_size < SMALLEST_DATABASE:
        raise GalleryError(f"gallery {where}: {REASONS[sqlite3.SQLITE_NOTADB]}")
    # An absolute file: URI, so that a hostile name is neither a URI nor ":memory:"; mode=rw,
    # so that SQLite never creates a file with the rights it finds usual.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)


def _create_private(path: Path) -> None:
    """Create an empty file for its owner alone; SQLite gives its log and index the same mode."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return


def _refuse_foreign(connection: sqlite3.Connection, where: str) -> None:
    """Raise GalleryError before anything is written, unless the database is empty or ours."""
    # One view of the database: another program may be making this very gallery.
    connection.execute("BEGIN")
    try:
        applied = migrations.applied(connection)
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
        (count,) = tables.fetchone()
    finally:
        connection.rollback()
    newer = [name for name in applied if name not in migrations.known()]
    if newer:
        raise GalleryError(
            f"gallery {where}: made by a newer facecli (schema {len(applied)}, this program knows "
            f"{len(migrations.known())}): upgrade facecli"
        )
    if count and not applied:
        raise GalleryError(f"gallery {where}: it is another program's database")


def _settle(connection: sqlite3.Connection, where: str, journal: str) -> None:
    """Apply the settings and make sure that each was taken."""
    for name, value, expected in SETTINGS:
        connection.execute(f"PRAGMA {name} = {value}")
        (answer,) = connection.execute(f"PRAGMA {name}").fetchone()
        if answer != expected:
            raise GalleryError(f"gallery {where}: SQLite refuses {name} = {value}")
    if _set_journal(connection, journal) != journal:
        raise GalleryError(
            f"gallery {where}: its disk does not allow a write-ahead log; use a local disk"
        )


def _set_journal(connection: sqlite3.Connection, journal: str) -> str:
    """Set the journal mode and return what SQLite made of it.

    SQLite does not wait for a lock here, so that two programs opening a new file at once would
    collide: the wait is ours.
    """
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            return str(connection.execute(f"PRAGMA journal_mode = {journal}").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
