"""What is left of forgotten people on a PostgreSQL server: as little as a client can bring about.

DELETE only marks a row, and a plain VACUUM leaves its bytes in the free space of a page. VACUUM
FULL writes the tables anew without it. The write-ahead log is the server's own: no client empties
it, so a receipt never says that nothing is left.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from facecli.stores.gallery.postgres.connecting import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = ("facecli.template", "facecli.person")

WAIT_SECONDS = 5
"""How long to wait for those who read: who asks meanwhile waits as long."""

IN_THE_LOG = (
    "the server's write-ahead log until it is recycled, and its archives, replicas and backups"
)
READ_MEANWHILE = "the tables, which somebody was reading: run VACUUM FULL on them when nobody is"
NOT_OURS = "the tables, which this role may not clean: let their owner run VACUUM FULL on them"

_FIRST_NUMBER = re.compile(r"\d+")


def clean(connection: Connection) -> str:
    """Write the tables anew without what was deleted; return where it may still be.

    The connection must not be in a transaction. A failure is not an error, as people are forgotten
    already: the answer says what is left to do.
    """
    heard: list[_Said] = []
    try:
        with _waiting_briefly(connection), _listening(connection, heard):
            for table in TABLES:
                connection.execute(f"VACUUM (FULL, VERBOSE) {table}")
    except psycopg.Error:
        return f"{READ_MEANWHILE}; {IN_THE_LOG}"
    if any(one.severity == "WARNING" for one in heard):
        return f"{NOT_OURS}; {IN_THE_LOG}"
    if any(one.kept for one in heard):
        return f"{READ_MEANWHILE}; {IN_THE_LOG}"
    return IN_THE_LOG


@dataclass(frozen=True, slots=True)
class _Said:
    """What the server says beside an answer.

    `kept` is how many deleted rows VACUUM FULL had to copy for somebody's older snapshot: its
    detail begins with that number, in every language of the server.
    """

    severity: str
    kept: int


def _said(notice: psycopg.errors.Diagnostic) -> _Said:
    number = _FIRST_NUMBER.match(notice.message_detail or "")
    return _Said(notice.severity_nonlocalized or "", int(number[0]) if number else 0)


@contextmanager
def _waiting_briefly(connection: Connection) -> Iterator[None]:
    connection.execute(f"SET lock_timeout = '{WAIT_SECONDS}s'")
    try:
        yield
    finally:
        connection.execute("RESET lock_timeout")


@contextmanager
def _listening(connection: Connection, heard: list[_Said]) -> Iterator[None]:
    """Collect what the server says beside its answers; the notice itself lives no longer."""

    def listen(notice: psycopg.errors.Diagnostic) -> None:
        heard.append(_said(notice))

    connection.add_notice_handler(listen)
    try:
        yield
    finally:
        connection.remove_notice_handler(listen)
