"""The transactions on one connection to a gallery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.pq import TransactionStatus

from facecli.stores.gallery.postgres.connecting import PATIENCE_SECONDS, Connection, close
from facecli.stores.gallery.postgres.errors import translated

BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

BEGIN_CHANGING = f"""
    BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL lock_timeout = '{PATIENCE_SECONDS}s';
    SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
        WHERE pg_catalog.current_setting('synchronous_commit') = 'off'
"""
"""What is acknowledged is on the disk, also where the server is set to promise less."""

BEGIN_WRITING = "; ".join((BEGIN_CHANGING, "SELECT id FROM facecli.meta FOR UPDATE"))
"""One writer at a time, from its first question on: the row is the lock. Readers do not wait."""


class Session:
    """One connection to a gallery, which messages call `where`; in one thread at a time."""

    def __init__(self, connection: Connection, where: str) -> None:
        self._connection = connection
        self._where = where

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Be the one writer for one transaction; if anything fails, nothing of it is stored."""
        with translated(self._where), transaction(self._connection, BEGIN_WRITING):
            yield self._connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """See one state of the database for the whole block; inside a transaction, its state."""
        with translated(self._where):
            if self._connection.info.transaction_status == TransactionStatus.INTRANS:
                yield self._connection
                return
            with transaction(self._connection, BEGIN_READING):
                yield self._connection

    @contextmanager
    def asking(self) -> Iterator[Connection]:
        """Ask one question, which sees one state by itself and needs one trip to the server."""
        with translated(self._where):
            yield self._connection


@contextmanager
def transaction(connection: Connection, begin: str) -> Iterator[None]:
    """Run one transaction; if anything fails, also Ctrl-C, nothing of it is stored."""
    try:
        roll_back(connection)
        connection.execute(begin)
        yield
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: Connection) -> None:
    """End a transaction without a trace, if there is one; close a connection that is stuck."""
    status = connection.info.transaction_status
    if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        with suppress(psycopg.Error):
            connection.execute("ROLLBACK")
    elif status == TransactionStatus.ACTIVE:
        close(connection)
