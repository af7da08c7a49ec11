"""Whole copies of databases, made and put back while other programs use them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from facecli.errors import FacecliError
from facecli.files import drafting, name_new
from facecli.stores.connection import (
    connect,
    open_connection,
    refuse_foreign,
    settle,
    translated,
)
from facecli.stores.kind import BUSY, Kind

PAGES = 4096
"""Pages copied at a time, 16 MB: between two steps Ctrl-C is heard."""

BESIDE = ("-wal", "-shm", "-journal")
"""Endings of the files that SQLite keeps beside a database in use."""

UNREADABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

NAMES = ("gallery", "library", "log")
"""The databases that can be copied."""


@dataclass(frozen=True, slots=True)
class Copyable:
    """A kind of database that can be copied.

    `name` is one of NAMES. `counting` is the query that counts its entries, and `one` and `many`
    are their names. `problems` says what is wrong with a database, a line each.
    """

    name: str
    kind: Kind
    counting: str
    one: str
    many: str
    problems: Callable[[sqlite3.Connection], list[str]]


@dataclass(frozen=True, slots=True)
class Contents:
    """A sound database: its file, its size in bytes, and how many entries it has."""

    path: Path
    size: int
    entries: int


def copyable(name: str) -> Copyable:
    """Return the kind of database of a name."""
    from facecli.stores.decisions import LOG
    from facecli.stores.gallery.sqlite.migrations import GALLERY
    from facecli.stores.gallery.sqlite.reading import problems
    from facecli.stores.library.migrations import LIBRARY

    known = (
        Copyable("gallery", GALLERY, "SELECT count(*) FROM person", "person", "people", problems),
        Copyable("library", LIBRARY, "SELECT count(*) FROM picture", "photo", "photos", _damage),
        # A chain of decisions that is broken is copied too: it is evidence.
        Copyable("log", LOG, "SELECT count(*) FROM decision", "decision", "decisions", _damage),
    )
    return next(one for one in known if one.name == name)


def back_up(database: Path, file: Path, what: Copyable) -> Contents:
    """Write a checked copy of a database to a new file; return what is in it.

    The file appears whole or not at all, and only its owner can read it. It is one file, which
    needs no other beside it. Programs that use the database are not disturbed, and what they store
    meanwhile is not in the copy. Raises the kind's error for a database that is missing, damaged or
    of another kind, and for a file that exists or cannot be written.
    """
    with _reading(database, what, what.kind.called(database)) as (source, found):
        _write_new(source, file, what, _called(file))
    return found


def examine(file: Path, what: Copyable) -> Contents:
    """Check a backup and return what is in it; raise the kind's error if it cannot be used."""
    with _reading_backup(file, what) as (_, found):
        return found


def put_back(file: Path, database: Path, what: Copyable) -> Contents:
    """Put the contents of a backup in the place of a database; return what is in it now.

    It is one transaction of the database: at any moment it holds what it held before or the whole
    backup, also after a kill. Programs that use it see the new contents with their next question.
    A database that is missing is made. Raises the kind's error for a backup that is damaged, of
    another kind or made by a newer facecli, and for a database that cannot be written or is none.
    """
    where = what.kind.called(database)
    with _reading_backup(file, what) as (source, _):
        if not database.exists():
            _write_missing(source, database, what, where)
        elif database.samefile(file):
            raise what.kind.error(f"{where}: it is the backup itself")
        else:
            _write_over(source, database, what, where)
    open_connection(database, what.kind, create=False).close()  # today's schema
    with _reading(database, what, where) as (_, found):
        return found


def _called(file: Path) -> str:
    return f"backup {os.fspath(file)!r}"


def _reading_backup(
    file: Path, what: Copyable
) -> AbstractContextManager[tuple[sqlite3.Connection, Contents]]:
    """Open a backup; what is wrong with it has another cure than what is wrong with a database."""
    kind = replace(
        what.kind, absent="there is no such file", damaged="it is damaged: use another backup"
    )
    return _reading(file, replace(what, kind=kind), _called(file))


@contextmanager
def _reading(
    path: Path, what: Copyable, where: str
) -> Iterator[tuple[sqlite3.Connection, Contents]]:
    """Open a database that is sound and of this kind, and hold one view of it."""
    with translated(what.kind, where), closing(_opened(path, what.kind, where)) as connection:
        _refuse_other(connection, what, where)
        connection.execute("BEGIN")
        if found := what.problems(connection):
            raise what.kind.failure(f"{where}: {what.kind.damaged} ({found[0]})")
        (entries,) = connection.execute(what.counting).fetchone()
        yield connection, Contents(path, path.stat().st_size, entries)


def _opened(path: Path, kind: Kind, where: str) -> sqlite3.Connection:
    """Connect to a database to read it, also where nothing can be written."""
    connection = connect(path, kind, create=False, where=where)
    try:
        _get_ready(connection, kind)
    except sqlite3.OperationalError:
        connection.close()
        real = Path(os.path.realpath(path))
        if any(real.with_name(real.name + ending).exists() for ending in BESIDE):
            raise
        # SQLite makes a log even to read. Where it cannot make one, nobody writes.
        connection = sqlite3.connect(f"{real.as_uri()}?immutable=1", uri=True)
        _get_ready(connection, kind)
    return connection


def _get_ready(connection: sqlite3.Connection, kind: Kind) -> None:
    connection.execute(f"PRAGMA busy_timeout = {kind.patience}")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("SELECT count(*) FROM sqlite_master")


def _refuse_other(connection: sqlite3.Connection, what: Copyable, where: str) -> None:
    """Raise the kind's error for an empty database, and for one of another kind."""
    if what.kind.applied(connection):
        refuse_foreign(connection, what.kind, where)
        return
    for other in map(copyable, NAMES):
        if other.kind.applied(connection):
            raise what.kind.error(f"{where}: it is a {other.kind.noun}: use --of {other.name}")
    raise what.kind.error(f"{where}: it is not a {what.kind.noun}")


def _damage(connection: sqlite3.Connection) -> list[str]:
    """Return what SQLite finds wrong with a database, a line each."""
    lines = [line for (line,) in connection.execute("PRAGMA integrity_check")]
    return [] if lines == ["ok"] else lines


def _write_new(source: sqlite3.Connection, file: Path, what: Copyable, where: str) -> None:
    """Copy a database, check the copy, and then give it its name, which must be free."""
    kind = what.kind
    if os.path.lexists(file):
        raise kind.error(f"{where}: it exists already: choose another name, or delete it first")
    try:
        with drafting(file) as (handle, draft), os.fdopen(handle):
            try:
                with translated(kind, where):
                    _fill(draft, source, kind, where)
                with _reading(draft, what, where):
                    pass
            finally:
                for ending in BESIDE:
                    draft.with_name(draft.name + ending).unlink(missing_ok=True)
            os.fsync(handle)
            name_new(draft, file)
            _keep_name(file.parent)
    except OSError as error:
        raise kind.error(f"{where}: {file.parent}: {error.strerror}") from error


def _fill(draft: Path, source: sqlite3.Connection, kind: Kind, where: str) -> None:
    """Copy a database into an empty file that nobody else knows."""
    with closing(sqlite3.connect(f"{draft.absolute().as_uri()}?mode=rw", uri=True)) as target:
        for setting in ("journal_mode = OFF", "synchronous = OFF"):
            target.execute(f"PRAGMA {setting}")
        _copy(source, target, kind, where)
        # Without a write-ahead log the file can be read where nothing can be written.
        target.execute("PRAGMA journal_mode = DELETE")


def _keep_name(folder: Path) -> None:
    """Put the names of a folder on the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _write_missing(source: sqlite3.Connection, database: Path, what: Copyable, where: str) -> None:
    """Make a database that is missing."""
    try:
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The log of a database that is gone. SQLite would take it for part of the new one.
        for ending in BESIDE:
            database.with_name(database.name + ending).unlink(missing_ok=True)
    except OSError as error:
        raise what.kind.error(f"{where}: {error.strerror}") from error
    _write_new(source, database, what, where)


def _write_over(source: sqlite3.Connection, database: Path, what: Copyable, where: str) -> None:
    """Replace the contents of a database in one transaction."""
    with (
        _told_to_move(what, where),
        closing(connect(database, what.kind, create=False)) as target,
    ):
        target.execute(f"PRAGMA busy_timeout = {what.kind.patience}")
        try:
            refuse_foreign(target, what.kind, where)
            settle(target, what.kind, where, "wal")
        except sqlite3.DatabaseError as error:
            # What is damaged is overwritten, if only SQLite can still open it.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
                raise
        sizes = {one.execute("PRAGMA page_size").fetchone() for one in (source, target)}
        if len(sizes) > 1:
            raise what.kind.error(f"{where}: its pages have another size: move it away first")
        _copy(source, target, what.kind, where)
        target.execute("PRAGMA busy_timeout = 0")
        with suppress(sqlite3.OperationalError):  # others may be reading: the last one does it
            target.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@contextmanager
def _told_to_move(what: Copyable, where: str) -> Iterator[None]:
    """Say what to do about a database that is too damaged to be written."""
    try:
        with translated(what.kind, where):
            yield
    except FacecliError as error:
        cause = error.__cause__
        if isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode & 0xFF in UNREADABLE:
            raise what.kind.error(
                f"{where}: it is damaged and cannot be written: stop the programs that use it, "
                "move it away with the files -wal and -shm beside it, and restore again"
            ) from cause
        raise


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, kind: Kind, where: str) -> None:
    """Copy all pages in one transaction of the target."""

    def heed(status: int, _: int, __: int) -> None:
        # SQLite has waited for the lock already; Python would try again for ever.
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise kind.failure(f"{where}: {BUSY}")

    source.backup(target, pages=PAGES, progress=heed)
