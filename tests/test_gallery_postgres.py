"""What is particular to a gallery in PostgreSQL: erasing, rights, connections, and its schema."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fakes import embedding, fake_card, new_template, recognizer_of
from galleries import takes, unit_vectors
from waiting import until

from facecli.errors import GalleryError, GalleryUnavailable
from facecli.stores.address import PostgresAddress
from facecli.stores.contract import GalleryStore
from facecli.stores.opening import gallery_at

pytest.importorskip("psycopg")
import psycopg
from postgres_server import new_address, server

from facecli.stores.gallery.postgres import erasing, migrations, session
from facecli.stores.gallery.postgres.connecting import MOST_IDLE, Connection
from facecli.stores.gallery.postgres.place import PostgresPlace
from facecli.stores.gallery.postgres.store import PostgresGallery

CARD = fake_card()
CONNECTED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend'
"""


@pytest.fixture
def address() -> PostgresAddress:
    return new_address()


@pytest.fixture
def place(address: PostgresAddress) -> PostgresPlace:
    return PostgresPlace(address)


@pytest.fixture
def gallery_of_two(place: PostgresPlace) -> PostgresGallery:
    """Ada is plane 0, angle 0; Bob is plane 1, angle 0."""
    gallery = place.open(create=True)
    gallery.add([new_template("Ada", embedding(0, 0)), new_template("Bob", embedding(1, 0))], CARD)
    return gallery


def tell(address: PostgresAddress, statement: str) -> None:
    with psycopg.connect(address.url, autocommit=True) as connection:
        connection.execute(statement)


class TestForgetting:
    @pytest.fixture
    def folder(self) -> Path:
        """The folder of the server's databases; skip where it is on another machine."""
        folder = server().folder
        if folder is None:
            pytest.skip("the server is not started by the tests")
        return folder / "base"

    def on_disk(self, folder: Path) -> bytes:
        server().administer("CHECKPOINT")
        with psycopg.connect(server().of(server().used[-1])) as connection:
            query = "SELECT oid FROM pg_database WHERE datname = current_database()"
            (oid,) = connection.execute(query).fetchone() or (0,)
        return b"".join(file.read_bytes() for file in (folder / str(oid)).iterdir())

    @pytest.mark.slow
    def test_nothing_of_the_forgotten_is_left_in_the_tables(
        self, place: PostgresPlace, folder: Path
    ) -> None:
        """Neither a vector nor a name, in any file of the database."""
        vectors = unit_vectors(300, seed=1)
        names = [f"Person-{number:03}-Surname" for number in range(60)]
        with place.open(create=True) as gallery:
            for start in range(0, 300, 50):
                rows = range(start, start + 50)
                batch = [new_template(names[i % 60], vectors[i], f"photo{i}") for i in rows]
                gallery.add(batch, CARD)
            tell_all(gallery, "ANALYZE facecli.person, facecli.template")
            gallery.rename(names[5], "Another-Surname")
            gallery.merge(names[1], names[0])
            receipt = gallery.forget(["Another-Surname", names[0], *names[10:30]])
            kept = gallery.matrix(CARD).embeddings
        assert receipt.remains == erasing.IN_THE_LOG
        left = self.on_disk(folder)
        erased = [vectors[i] for i in range(300) if i % 60 in {0, 1, 5, *range(10, 30)}]
        assert len(erased) + len(kept) == 300
        assert all(vector.tobytes() in left for vector in kept)
        assert not any(
            vector.tobytes()[at : at + 16] in left for vector in erased for at in (0, 64)
        )
        gone = [names[i] for i in (0, 1, 5, *range(10, 30))]
        assert not [name for name in gone if name.encode() in left]
        assert not [name for name in gone if name.lower().encode() in left]

    def test_before_that_the_tables_did_hold_them(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress, folder: Path
    ) -> None:
        """The search above can find: a plain DELETE and VACUUM leave the vector."""
        gallery_of_two.add([new_template("Cy", unit_vectors(1)[0])], CARD)
        tell(address, "DELETE FROM facecli.person WHERE name = 'Cy'")
        tell(address, "VACUUM facecli.template")
        assert unit_vectors(1)[0].tobytes() in self.on_disk(folder)

    def test_a_reader_in_the_way_is_reported(
        self, gallery_of_two: PostgresGallery, place: PostgresPlace
    ) -> None:
        """An older snapshot still sees the erased rows: they have to be kept for it."""
        with place.open() as reader, reader.reading():
            reader.generation()
            receipt = gallery_of_two.forget(["Ada"])
        assert receipt.remains.startswith(erasing.READ_MEANWHILE)
        assert [person.name for person in gallery_of_two.people()] == ["Bob"]

    def test_a_lock_in_the_way_is_reported(
        self,
        gallery_of_two: PostgresGallery,
        place: PostgresPlace,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(erasing, "WAIT_SECONDS", "0.1")
        with place.open() as reader, reader.reading():
            reader.people()
            receipt = gallery_of_two.forget(["Ada"])
        assert receipt.remains.startswith(erasing.READ_MEANWHILE)
        (patience,) = row(gallery_of_two, "SHOW lock_timeout")
        assert patience == "0"

    def test_a_desk_that_may_not_clean_is_told(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress
    ) -> None:
        desk = PostgresAddress(server().role(create=False, of=address), "desk")
        role, _ = server().roles[-1]
        tell(
            address,
            f"GRANT USAGE ON SCHEMA facecli TO {role};"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA facecli TO {role};"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA facecli TO {role}",
        )
        with PostgresPlace(desk).open() as gallery:
            gallery.add([new_template("Cy", embedding(2, 0))], CARD)
            assert gallery.forget(["Cy"]).remains.startswith(erasing.NOT_OURS)


def tell_all(gallery: PostgresGallery, statement: str) -> None:
    with gallery.asking() as connection:
        connection.execute(statement)


def row(gallery: PostgresGallery, query: str) -> tuple[object, ...]:
    with gallery.asking() as connection:
        found = connection.execute(query).fetchone()
    assert found is not None
    return found


class TestRights:
    def test_a_gate_reads_and_changes_nothing(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress
    ) -> None:
        gate = PostgresAddress(server().role(create=False, of=address), "gate")
        role, _ = server().roles[-1]
        tell(
            address,
            f"GRANT USAGE ON SCHEMA facecli TO {role};"
            f"GRANT SELECT ON ALL TABLES IN SCHEMA facecli TO {role}",
        )
        with PostgresPlace(gate).open() as gallery:
            assert len(gallery.matrix(CARD).embeddings) == 2
            assert gallery.statistics().private
            for change in (
                lambda: gallery.forget(["Ada"]),
                lambda: gallery.rename("Ada", "Eve"),
                lambda: gallery.add(takes("Eve", 1), CARD),
            ):
                with pytest.raises(GalleryError, match="the server refuses it"):
                    change()
        assert len(gallery_of_two.people()) == 2

    def test_a_gallery_that_everybody_may_read_is_not_private(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress
    ) -> None:
        tell(address, "GRANT USAGE ON SCHEMA facecli TO PUBLIC")
        assert not gallery_of_two.statistics().private


class TestDamage:
    def test_a_template_that_is_no_unit_vector_is_named(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress
    ) -> None:
        long = "[" + ",".join(["1"] * 128) + "]"
        tell(address, f"UPDATE facecli.template SET embedding = '{long}' WHERE id = 2")
        with pytest.raises(GalleryError, match="template 2 of 'Bob' is damaged"):
            gallery_of_two.matrix(CARD)
        assert gallery_of_two.integrity_check() == [
            "template 2 is not a unit vector of 128 numbers"
        ]

    def test_the_table_takes_no_other_dimension(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress
    ) -> None:
        with pytest.raises(psycopg.errors.CheckViolation):
            tell(address, "UPDATE facecli.template SET embedding = '[1,0]' WHERE id = 2")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            tell(
                address,
                "UPDATE facecli.template SET embedding = '[1,0]', dimension = 2 WHERE id = 2",
            )

    def test_a_table_from_elsewhere_may_have_another(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress
    ) -> None:
        tell(address, "ALTER TABLE facecli.template DROP CONSTRAINT template_check")
        tell(address, "UPDATE facecli.template SET embedding = '[1,0]' WHERE id = 1")
        with pytest.raises(GalleryError, match="template 1 of 'Ada' is damaged"):
            gallery_of_two.matrix(CARD)
        assert len(gallery_of_two.integrity_check()) == 1

    def test_a_calibration_that_is_no_json_is_named(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress
    ) -> None:
        tell(
            address,
            "INSERT INTO facecli.calibration VALUES"
            " ('f', 'm', 1, 0, 0, 0, 0, 0, 0, NULL, 's', 'c', '{')",
        )
        with pytest.raises(GalleryError, match="its calibration is damaged"):
            gallery_of_two.calibrations()

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE facecli.person SET name = 'Eve' WHERE id = 1",
            "DELETE FROM facecli.template",
            "TRUNCATE facecli.template",
        ],
    )
    def test_a_change_by_hand_has_its_generation_too(
        self, gallery_of_two: PostgresGallery, address: PostgresAddress, statement: str
    ) -> None:
        before = gallery_of_two.generation()
        tell(address, statement)
        assert gallery_of_two.generation() != before


class TestSchema:
    def test_a_newer_one_is_left_alone(
        self, gallery_of_two: PostgresGallery, place: PostgresPlace, address: PostgresAddress
    ) -> None:
        tell(address, "INSERT INTO facecli.migration (name, applied) VALUES ('m0099_x', 'now')")
        with pytest.raises(GalleryError, match="made by a newer facecli"):
            place.open()

    def test_another_programs_is_left_alone(
        self, place: PostgresPlace, address: PostgresAddress
    ) -> None:
        tell(address, "CREATE SCHEMA facecli; CREATE TABLE facecli.person (id integer)")
        with pytest.raises(GalleryError, match="its schema facecli is another program's"):
            place.open(create=True)
        tell(address, "SELECT id FROM facecli.person")

    def test_a_missing_step_is_applied_once(
        self,
        gallery_of_two: PostgresGallery,
        place: PostgresPlace,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def m0002_more(connection: Connection, pgvector: str) -> None:
            connection.execute("CREATE TABLE facecli.more (id integer)")

        monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, m0002_more))
        for _ in range(2):
            with place.open() as gallery:
                assert gallery.statistics().schema_version == 2
                assert len(gallery.people()) == 2

    def test_a_step_that_fails_leaves_nothing(
        self, place: PostgresPlace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def m0002_broken(connection: Connection, pgvector: str) -> None:
            connection.execute("SELECT 1 / 0")

        monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS, m0002_broken))
        with pytest.raises(GalleryUnavailable, match="division by zero"):
            place.open(create=True)
        assert not place.exists()

    def test_a_database_that_cannot_hold_every_name_is_refused(self) -> None:
        name = f"{server().database()}_latin"
        server().administer(
            f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        )
        try:
            latin = PostgresAddress(server().of(name), "latin")
            with pytest.raises(GalleryError, match="UTF8 is needed"):
                PostgresPlace(latin).open(create=True)
        finally:
            server().administer(f"DROP DATABASE {name} WITH (FORCE)")


class TestConnections:
    def test_questions_one_after_the_other_share_one(
        self, gallery_of_two: PostgresGallery, place: PostgresPlace
    ) -> None:
        seen = set()
        for _ in range(3):
            with place.open() as gallery:
                seen.add(row(gallery, "SELECT pg_backend_pid()"))
        assert len(seen) == 1

    def test_threads_ask_at_once_and_few_connections_wait(
        self, gallery_of_two: PostgresGallery, place: PostgresPlace
    ) -> None:
        together = threading.Barrier(8)

        def ask(_: int) -> int:
            with place.open() as gallery:
                together.wait(30)
                return len(gallery.matrix(CARD).embeddings)

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(8))) == [2] * 8
        until(lambda: row(gallery_of_two, CONNECTED) == (MOST_IDLE + 1,))

    def test_one_that_died_while_it_waited_is_replaced(
        self, gallery_of_two: PostgresGallery, place: PostgresPlace
    ) -> None:
        """As after a restart of the server; a question that was under way is an error."""
        with place.open():
            pass
        end_connections()
        with place.open() as gallery:
            assert len(gallery.people()) == 2
        with pytest.raises(GalleryUnavailable, match="connection to the server was lost"):
            gallery_of_two.people()

    def test_a_change_that_loses_its_connection_leaves_nothing(
        self, gallery_of_two: PostgresGallery, place: PostgresPlace
    ) -> None:
        def lose() -> None:
            with gallery_of_two.writing() as connection:
                connection.execute("DELETE FROM facecli.person")
                end_connections()
                connection.execute("DELETE FROM facecli.template")

        with pytest.raises(GalleryUnavailable, match="connection to the server was lost"):
            lose()
        with place.open() as gallery:
            assert len(gallery.people()) == 2

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_a_fork_does_not_use_its_parents(
        self, gallery_of_two: PostgresGallery, place: PostgresPlace
    ) -> None:
        with place.open() as gallery:
            before = row(gallery, "SELECT pg_backend_pid()")
        child = os.fork()
        if not child:
            with place.open() as gallery:
                other = row(gallery, "SELECT pg_backend_pid()")
            os._exit(0 if other != before else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        with place.open() as gallery:
            assert row(gallery, "SELECT pg_backend_pid()") == before

    def test_a_place_that_is_gone_leaves_no_connection(self, address: PostgresAddress) -> None:
        with PostgresPlace(address).open(create=True):
            pass
        with psycopg.connect(address.url) as connection:
            connection.autocommit = True
            until(lambda: connection.execute(CONNECTED).fetchone() == (1,))


def test_a_recognizer_reads_again_only_what_has_changed(
    gallery_of_two: PostgresGallery, place: PostgresPlace
) -> None:
    """As a gate and a service do, from any thread."""
    recognizer = recognizer_of(place)
    with ThreadPoolExecutor(4) as pool:
        known = {id(one) for one in pool.map(lambda _: recognizer.known(), range(8))}
        assert len(known) == 1
        gallery_of_two.forget(["Bob"])
        assert {one.templates for one in pool.map(lambda _: recognizer.known(), range(8))} == {1}


def end_connections() -> None:
    """Let the server end all connections to the databases of this test."""
    for name in server().used:
        server().administer(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )


class TestWriters:
    def test_a_second_one_waits_and_gives_up_with_a_reason(
        self,
        gallery_of_two: PostgresGallery,
        place: PostgresPlace,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        begin = session.BEGIN_WRITING.replace("10s", "100ms")
        monkeypatch.setattr(session, "BEGIN_WRITING", begin)
        with place.open() as other, gallery_of_two.writing():
            assert len(other.people()) == 2
            with pytest.raises(GalleryUnavailable, match="another program is using it"):
                other.rename("Ada", "Eve")

    def test_it_decides_by_what_the_first_has_stored(
        self, gallery_of_two: PostgresGallery, place: PostgresPlace
    ) -> None:
        """The second one began earlier, but sees the name that the first took meanwhile."""

        def take(gallery: GalleryStore) -> str:
            with pytest.raises(GalleryError) as caught:
                gallery.rename("Bob", "Eve")
            return str(caught.value)

        with place.open() as other, ThreadPoolExecutor(1) as pool:
            with gallery_of_two.writing():
                waiting = pool.submit(take, other)
                time.sleep(0.3)
                renamed = "UPDATE facecli.person SET name = 'Eve', name_key = 'eve' WHERE id = 1"
                tell_all(gallery_of_two, renamed)
            assert "'Eve' is someone else" in waiting.result(30)

    def test_the_server_may_promise_less_but_a_change_is_on_the_disk(
        self, gallery_of_two: PostgresGallery
    ) -> None:
        tell_all(gallery_of_two, "SET synchronous_commit = off")
        with gallery_of_two.writing():
            assert row(gallery_of_two, "SHOW synchronous_commit") == ("on",)


def test_text_that_postgresql_cannot_hold_is_refused(gallery_of_two: PostgresGallery) -> None:
    with pytest.raises(GalleryError, match="no person"):
        gallery_of_two.person("a\0b")
    with pytest.raises(GalleryError, match="NUL"):
        gallery_of_two.add([new_template("Cy", embedding(2, 0))], fake_card("x\0y"))
    assert gallery_of_two.images_known(["\0"], CARD.fingerprint) == {}


def test_embeddings_cannot_be_changed_in_place(gallery_of_two: PostgresGallery) -> None:
    matrix = gallery_of_two.matrix(CARD)
    assert not matrix.embeddings.flags.writeable
    assert matrix.embeddings.dtype == np.float32


def test_it_is_opened_by_its_address(address: PostgresAddress) -> None:
    assert isinstance(gallery_at(address.url), PostgresPlace)
    assert gallery_at(address).location == str(address)
