"""Records of backups, and of databases restored from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Bytes, Choices, Count, WrittenBy

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.stores.copying import Contents, Copyable

WhichDatabase = Annotated[str, Choices(("gallery", "library", "log")), "which database it is"]
Entries = Annotated[Count, "people, photos or decisions in it"]


class BackupRecord(TypedDict):
    """A copy of a database was written."""

    kind: Annotated[Literal["backup"], WrittenBy(("facecli backup",))]
    of: WhichDatabase
    database: Annotated[str, "the database's file"]
    file: Annotated[str, "the copy"]
    size: Annotated[Bytes, "size of the copy"]
    entries: Entries


class RestoredRecord(TypedDict):
    """A database holds what a backup held."""

    kind: Annotated[Literal["restored"], WrittenBy(("facecli restore",))]
    of: WhichDatabase
    database: Annotated[str, "the database's file"]
    file: Annotated[str, "the backup"]
    entries: Entries


def backup(what: Copyable, copied: Contents, file: Path) -> BackupRecord:
    """Return the record of a copy that was written."""
    return {
        "kind": "backup",
        "of": what.name,
        "database": str(copied.path),
        "file": str(file),
        "size": file.stat().st_size,
        "entries": copied.entries,
    }


def restored(what: Copyable, found: Contents, file: Path) -> RestoredRecord:
    """Return the record of a database that was restored."""
    return {
        "kind": "restored",
        "of": what.name,
        "database": str(found.path),
        "file": str(file),
        "entries": found.entries,
    }
