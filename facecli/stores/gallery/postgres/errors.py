"""What goes wrong with a PostgreSQL server, in one line without a password."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from facecli.errors import GalleryError, GalleryUnavailable
from facecli.stores.kind import BUSY

DAMAGED = "the database is damaged: restore a backup"
LOST = "the connection to the server was lost; see what is stored before you repeat a change"
FULL = "the disk is full. Nothing was stored; what was there before is kept"
BESIDE = "something else changed it at the same moment. Nothing was stored: try again"

REASONS = {
    "23505": BESIDE,
    "25006": "this server only answers questions, as a replica does. Nothing was stored",
    "40001": BESIDE,
    "40P01": BESIDE,
    "53100": FULL,
    "53300": "the server has no connection left: raise its max_connections, or close programs",
    "55P03": BUSY,
    "57014": "the server stopped the question: its statement_timeout is too short",
    "57P01": LOST,
    "57P02": LOST,
    "57P03": "the server is starting or stopping: try again",
    "57P05": LOST,
    "XX001": DAMAGED,
    "XX002": DAMAGED,
}
"""What PostgreSQL's codes mean to a user (PostgreSQL, "Error Codes")."""

NO_RIGHT = "42501"
ABSENT = {"3F000", "42P01"}
"""The codes for a schema and a table that are not there."""

RIGHTS = "docs/scale.md has the rights that a desk and a gate need"
PASSWORD = "give it in a file that PGPASSFILE names, or in the URL"  # noqa: S105 - not one


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn the errors of server and driver into the gallery's; a misuse of the driver is a bug."""
    try:
        yield
    except psycopg.Error as error:
        if error.sqlstate is None and isinstance(error, psycopg.ProgrammingError):
            raise
        wrong = isinstance(error, psycopg.DataError) and error.sqlstate is None
        raise (GalleryError if wrong else GalleryUnavailable)(
            f"{where}: {explain(error)}"
        ) from error


def explain(error: psycopg.Error) -> str:
    """Return what an error means to a user, in one line."""
    code = error.sqlstate
    said = " ".join((error.diag.message_primary or str(error)).split())
    if code is None:
        return _without_code(error, said)
    if code.startswith("08"):
        return LOST
    if code == NO_RIGHT:
        return f"the server refuses it: {said}; {RIGHTS}"
    return REASONS.get(code, said)


def _without_code(error: psycopg.Error, said: str) -> str:
    """Explain an error that the driver raised: most often there is no connection."""
    if "no password supplied" in said:
        return f"the server asks for a password: {PASSWORD}"
    if said.startswith(("connection failed:", "connection timeout", "failed to resolve")):
        return said.removeprefix("connection failed: ")
    if isinstance(error, psycopg.OperationalError):
        return LOST
    return said
