"""A quick look at who is enrolled, for a shell that completes a name."""

from __future__ import annotations

from contextlib import closing

from facecli.stores.address import PostgresAddress
from facecli.stores.gallery.postgres.connecting import connect
from facecli.text import name_key

PATIENCE_SECONDS = 2
"""The least that PostgreSQL's library waits for a connection; somebody is typing."""

QUERY = """
    SELECT name FROM facecli.person WHERE pg_catalog.starts_with(name_key, %s)
    ORDER BY name_key LIMIT %s
"""


def names_beginning(address: PostgresAddress, beginning: str, most: int) -> list[str]:
    """Return the names of a gallery that begin with a text in any spelling, `most` at most.

    Raises GalleryError and psycopg.Error.
    """
    where = f"gallery {str(address)!r}"
    with closing(connect(address, where, seconds=PATIENCE_SECONDS)) as connection:
        rows = connection.execute(QUERY, (name_key(beginning), most))
        return [str(name) for (name,) in rows]
