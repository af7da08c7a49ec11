"""A quick look at who is enrolled, for a shell that completes a name."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from facecli.stores.connection import connect
from facecli.stores.gallery.sqlite.migrations import GALLERY
from facecli.text import name_key

PATIENCE_MILLISECONDS = 200
"""How long to wait for another program: somebody is typing."""


def names_beginning(path: Path, beginning: str, most: int) -> list[str]:
    """Return the names of a gallery that begin with a text in any spelling, `most` at most.

    Nothing is written and no schema is brought up to date. Raises sqlite3.Error and GalleryError.
    """
    key = name_key(beginning)
    with closing(connect(path, GALLERY, create=False)) as connection:
        connection.execute(f"PRAGMA busy_timeout = {PATIENCE_MILLISECONDS}")
        connection.execute("PRAGMA query_only = ON")
        query = "SELECT name FROM person WHERE substr(name_key, 1, ?) = ? ORDER BY name_key LIMIT ?"
        return [str(name) for (name,) in connection.execute(query, (len(key), key, most))]
