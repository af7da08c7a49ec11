"""Commands on a gallery in PostgreSQL: what they answer, how they fail, and their exit codes."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, embedding, fake_card, new_template, paint

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.stores.address import PostgresAddress, located
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.stores.opening import gallery_at

pytest.importorskip("psycopg")
from postgres_server import Server, new_address, server

Run = Callable[..., Result]
SECRET = "s3cret-enough"


@pytest.fixture
def address() -> PostgresAddress:
    """Where there is no gallery yet."""
    return new_address()


@pytest.fixture
def run(address: PostgresAddress) -> Run:
    """Run a command with fake networks on a gallery of the server."""

    def invoke(*arguments: object, db: str | None = None, stdin: str | None = None) -> Result:
        settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
        texts = [*map(str, arguments), "--db", db or address.url]
        return CliRunner().invoke(cli, texts, obj=settings, input=stdin)

    return invoke


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos of Ada, one of Bob, one of a stranger."""
    paint(tmp_path / "ada.png", PaintedFace(0, 0))
    paint(tmp_path / "ada2.png", PaintedFace(0, 4))
    paint(tmp_path / "bob.png", PaintedFace(1, 0))
    paint(tmp_path / "eve.png", PaintedFace(5, 0))
    return tmp_path


@pytest.fixture
def enrolled(run: Run, photos: Path) -> Run:
    """The same, with Ada and Bob enrolled."""
    for name in ("Ada", "Bob"):
        done = run("enroll", name, photos / f"{name.lower()}.png")
        assert done.exit_code == 0, done.output
    return run


def last(outcome: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outcome.stdout.splitlines()[-1])
    return found


def refusal(outcome: Result) -> str:
    """Return the one line of a command that failed."""
    assert outcome.exit_code == 2, outcome.output
    (line,) = outcome.stderr.splitlines()
    return line


def names(run: Run, **more: Any) -> list[str]:
    lines = run("people", "list", "--json", **more).stdout.splitlines()
    return [json.loads(line)["name"] for line in lines]


class TestAnswers:
    def test_enroll_says_where(self, run: Run, photos: Path, address: PostgresAddress) -> None:
        done = run("enroll", "Ada", photos / "ada.png", "--json")
        assert (done.exit_code, last(done)["gallery"]) == (0, str(address))
        assert run("enroll", "Ada", photos / "ada.png").exit_code == 0
        assert run("enroll", "Bob", photos / "ada2.png").exit_code == 2
        assert names(run) == ["Ada"]

    def test_identify_knows_people_and_strangers(self, enrolled: Run, photos: Path) -> None:
        known = enrolled("identify", photos / "ada2.png", "--json")
        assert known.exit_code == 0
        assert last(known)["candidates"][0]["name"] == "Ada"
        assert enrolled("identify", photos / "eve.png").exit_code == 1

    def test_verify_a_person(self, enrolled: Run, photos: Path) -> None:
        assert enrolled("verify", "person:Ada", photos / "ada2.png").exit_code == 0
        assert enrolled("verify", "person:Ada", photos / "bob.png").exit_code == 1
        assert "no person 'Eve'" in refusal(enrolled("verify", "person:Eve", photos / "bob.png"))

    def test_people_change(self, enrolled: Run) -> None:
        assert enrolled("people", "rename", "Bob", "Rob").exit_code == 0
        assert "someone else" in refusal(enrolled("people", "rename", "Rob", "ada"))
        assert enrolled("people", "set-id", "Rob", "E-7").exit_code == 0
        assert enrolled("people", "merge", "Rob", "Ada").exit_code == 0
        shown = last(enrolled("people", "show", "Ada", "--json"))
        assert (shown["external_id"], len(shown["templates"])) == ("E-7", 2)
        assert names(enrolled) == ["Ada"]

    def test_forget_says_what_the_server_keeps(self, enrolled: Run) -> None:
        done = enrolled("people", "forget", "Ada", "--yes", "--json")
        assert done.exit_code == 0
        receipt = last(done)
        assert (receipt["people"], receipt["scrubbed"]) == (["Ada"], False)
        assert receipt["remains"].startswith("the server's write-ahead log")
        assert "may still be in the server's write-ahead log" in done.stderr
        assert names(enrolled) == ["Bob"]
        assert "no person 'Nobody'" in refusal(enrolled("people", "forget", "Nobody", "--yes"))

    def test_calibrate_from_the_gallery(self, run: Run, address: PostgresAddress) -> None:
        import numpy as np

        from facecli.vectors.distances import normalize

        rows = np.zeros((80, 128))
        rows[:, 32:36] = np.random.default_rng(0).normal(size=(80, 4)) + 1
        templates = [new_template(f"P {i}", row, f"p{i}") for i, row in enumerate(normalize(rows))]
        with gallery_at(address).open(create=True) as gallery:
            gallery.add(templates, fake_card())
        done = run("calibrate", "--far", "0.01", "--force", "--json")
        assert done.exit_code == 0, done.output
        assert run("calibrate", "--show", "--json").exit_code == 0
        assert run("calibrate", "--clear", "--yes").exit_code == 0

    def test_doctor_reads_every_template(self, enrolled: Run, address: PostgresAddress) -> None:
        done = enrolled("doctor", "--json")
        findings = {one["topic"]: one for one in map(json.loads, done.stdout.splitlines()[:-1])}
        assert str(address) in findings["database"]["text"]
        assert "2 people, 2 templates" in findings["database"]["text"]
        assert findings["database permissions"]["healthy"]
        assert findings["database integrity"]["text"] == "no fault found"
        assert enrolled("doctor", "gallery").exit_code == 0

    def test_people_move_to_a_file_and_back(self, enrolled: Run, run: Run, tmp_path: Path) -> None:
        file, other = tmp_path / "people.jsonl", str(tmp_path / "other.db")
        assert enrolled("people", "export", file).exit_code == 0
        assert run("people", "import", file, db=other).exit_code == 0
        assert names(run, db=other) == ["Ada", "Bob"]
        back = new_address().url
        assert run("people", "import", file, db=back).exit_code == 0
        assert names(run, db=back) == ["Ada", "Bob"]

    def test_names_are_completed(
        self, enrolled: Run, address: PostgresAddress, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from facecli.stores.opening import names_beginning

        assert names_beginning(address, "AD", 5) == ["Ada"]

    @pytest.mark.parametrize("command", [["backup", "x.db"], ["restore", "x.db", "--yes"]])
    def test_copies_are_the_servers_own_business(
        self, enrolled: Run, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert "pg_dump" in refusal(enrolled(*command))
        assert not (tmp_path / "x.db").exists()


class TestFailures:
    def test_an_empty_database_has_no_gallery(self, run: Run) -> None:
        assert "there is none; enroll someone first" in refusal(run("people", "list"))

    def test_a_server_that_is_down(self, run: Run) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        db = f"postgresql://ada:{SECRET}@127.0.0.1:{port}/db"
        line = refusal(run("people", "list", db=db))
        assert "onnection refused" in line
        assert f"postgresql://ada@127.0.0.1:{port}/db" in line
        assert SECRET not in line
        found = run("doctor", "--json", db=db)
        assert found.exit_code == 1
        assert SECRET not in found.output

    def test_a_database_that_is_not_there(self, run: Run) -> None:
        db = server().of("nowhere_at_all")
        assert '"nowhere_at_all" does not exist' in refusal(run("people", "list", db=db))

    def test_an_option_that_postgresql_does_not_know(self, run: Run) -> None:
        db = f"postgresql://ada:{SECRET}@host/db?colour={SECRET}"
        line = refusal(run("people", "list", db=db))
        assert "PostgreSQL does not understand this URL" in line
        assert SECRET not in line

    def test_verbose_shows_no_password(self, run: Run) -> None:
        for db in (f"postgresql://a:{SECRET}%zz@h/db", f"postgresql://a:{SECRET}@127.0.0.1:1/db"):
            outcome = run("people", "list", "--verbose", db=db)
            assert outcome.exit_code == 2
            assert SECRET not in outcome.output

    def test_pgvector_is_missing(self, run: Run, address: PostgresAddress, photos: Path) -> None:
        """The role may make tables in a schema that it was given, but no extension."""
        database, db = server().used[-1], server().role(create=False, of=address)
        role, _ = server().roles[-1]
        server().administer(f"CREATE SCHEMA facecli AUTHORIZATION {role}", database)
        server().administer("DROP EXTENSION vector", database)
        line = refusal(run("enroll", "Ada", photos / "ada.png", db=db))
        assert "the extension pgvector is missing" in line
        assert "CREATE EXTENSION vector" in line
        server().administer("CREATE EXTENSION vector", database)
        assert run("enroll", "Ada", photos / "ada.png", db=db).exit_code == 0

    def test_a_role_that_may_not_make_a_gallery(
        self, run: Run, address: PostgresAddress, photos: Path
    ) -> None:
        db = server().role(create=False, of=address)
        line = refusal(run("enroll", "Ada", photos / "ada.png", db=db))
        assert "has no right to make a gallery here" in line

    def test_a_role_that_may_only_read(self, enrolled: Run, address: PostgresAddress) -> None:
        db = server().role(create=False, of=address)
        assert "the server refuses it" in refusal(enrolled("people", "list", db=db))


@pytest.fixture
def passwords() -> Iterator[Server]:
    """The server, which asks for passwords; skip where it is not ours to change."""
    if server().folder is None:
        pytest.skip("the server is not started by the tests")
    server().ask_for_passwords(True)
    yield server()
    server().ask_for_passwords(False)


class TestPasswords:
    def test_wrong_none_and_right(
        self,
        run: Run,
        address: PostgresAddress,
        passwords: Server,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        known = passwords.role(create=True, of=address, password=SECRET)
        wrong = known.replace(SECRET, "wr0ng")
        line = refusal(run("people", "list", db=wrong))
        assert "password authentication failed" in line
        assert "wr0ng" not in line
        none = known.replace(f":{SECRET}", "")
        assert "PGPASSFILE" in refusal(run("people", "list", db=none))
        assert "enroll someone first" in refusal(run("people", "list", db=known))
        file = tmp_path / "pgpass"
        file.write_text(f"*:*:*:*:{SECRET}\n")
        file.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(file))
        assert "enroll someone first" in refusal(run("people", "list", db=none))


def test_a_file_gallery_is_still_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    with SqliteGallery(path) as gallery:
        gallery.add([new_template("Ada", embedding(0, 0))], fake_card())
    assert located(path) == path
    assert names(run, db=str(path)) == ["Ada"]


@dataclass(frozen=True)
class Roles:
    """The roles of the page, under names of their own on a server that other tests use too."""

    address: PostgresAddress
    database: str

    def named(self, text: str) -> str:
        return re.sub(r"facecli_(owner|desk|gate)", rf"facecli_\1_{self.database[-12:]}", text)

    def run(self, block: str) -> None:
        server().administer(self.named(sql_of(block)), self.database)

    def url(self, role: str) -> str:
        return re.sub(r"//([^@/]*@)?", f"//{self.named(role)}@", self.address.url, count=1)


@pytest.fixture
def roles(address: PostgresAddress) -> Roles:
    """The roles before the gallery is made; skip where the server is too old for their rights."""
    if server().version < 17:
        pytest.skip("PostgreSQL 17 brings the right MAINTAIN")
    made = Roles(address, server().used[-1])
    made.run("roles before")
    for role in ("facecli_owner", "facecli_desk", "facecli_gate"):
        server().roles.append((made.named(role), made.database))
    return made


def test_the_roles_of_the_page_can_do_what_they_need_and_no_more(
    run: Run, roles: Roles, photos: Path
) -> None:
    owner, desk, gate = map(roles.url, ("facecli_owner", "facecli_desk", "facecli_gate"))
    assert run("enroll", "Ada", photos / "ada.png", db=owner).exit_code == 0
    roles.run("roles after")
    assert run("enroll", "Bob", photos / "bob.png", db=desk).exit_code == 0
    assert run("people", "rename", "Bob", "Rob", db=desk).exit_code == 0
    assert run("identify", photos / "ada2.png", db=gate).exit_code == 0
    assert run("doctor", "gallery", db=gate).exit_code == 0
    for change in (["rename", "Rob", "Bob"], ["forget", "Rob", "--yes"]):
        assert "the server refuses it" in refusal(run("people", *change, db=gate))
    forgotten = run("people", "forget", "Rob", "--yes", "--json", db=desk)
    assert last(forgotten)["remains"].startswith("the server's write-ahead log")


def sql_of(name: str) -> str:
    """Return the block of SQL under a mark in the page."""
    page = Path(__file__).resolve().parents[1] / "docs" / "scale.md"
    found = re.search(rf"<!-- test: {name} -->\n```sql\n(.*?)```", page.read_text("utf-8"), re.S)
    assert found is not None
    return found[1]
