"""The gallery keeps what it is given, exactly and for its owner alone, and forgets for good."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEncoder, fake_card, new_template
from hypothesis import example, given
from hypothesis import strategies as st
from waiting import PATIENT

from facecli.errors import FingerprintMismatch, GalleryError
from facecli.models import DIMENSION
from facecli.stores import database
from facecli.stores.gallery import Gallery, migrations
from facecli.stores.names import MAX_NAME_LENGTH, clean_name, name_key
from facecli.types import FloatArray, NewTemplate

CARD = fake_card()


def unit_vectors(count: int, seed: int = 0) -> FloatArray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def takes(name: str, count: int, seed: int = 0) -> list[NewTemplate]:
    """Return a person's templates, each from a picture of its own."""
    vectors = unit_vectors(count, seed)
    return [new_template(name, vector, f"{name}-{i}") for i, vector in enumerate(vectors)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gallery.db"


@pytest.fixture
def on_disk(path: Path) -> Iterator[Gallery]:
    with Gallery(path) as gallery:
        yield gallery


class TestAdding:
    def test_vectors_come_back_bit_for_bit_in_the_order_added(self, on_disk: Gallery) -> None:
        ids = on_disk.add(takes("Ada", 3) + takes("Bob", 2, seed=1), CARD)
        matrix = on_disk.matrix(CARD.fingerprint)
        assert matrix.template_ids.tolist() == ids
        assert [matrix.names[person] for person in matrix.person_ids] == ["Ada"] * 3 + ["Bob"] * 2
        np.testing.assert_array_equal(
            matrix.embeddings, np.concatenate([unit_vectors(3), unit_vectors(2, seed=1)])
        )
        assert matrix.embeddings.dtype == np.float32

    def test_everything_else_comes_back_too(self, empty_gallery: Gallery) -> None:
        template = dataclasses.replace(
            takes("Ada", 1)[0], box=(-1.5, 2.25, 100.0, 1e4), external_id="E-7"
        )
        (row,) = empty_gallery.add([template], CARD)
        person = empty_gallery.person("Ada")
        assert (person.external_id, person.templates) == ("E-7", 1)
        (stored,) = empty_gallery.templates_of("Ada")
        assert (stored.id, stored.person_id) == (row, person.id)
        assert stored.fingerprint == CARD.fingerprint
        assert stored.image_sha256 == template.image_sha256
        assert stored.box == template.box
        assert stored.quality == template.quality
        assert person.created == stored.created
        assert stored.created.endswith("+00:00")

    def test_it_is_kept_after_closing(self, path: Path) -> None:
        with Gallery(path) as gallery:
            gallery.add(takes("Ada", 2), CARD)
        with Gallery(path, create=False) as gallery:
            assert len(gallery.matrix(CARD.fingerprint).embeddings) == 2

    def test_people_are_listed_by_name(self, empty_gallery: Gallery) -> None:
        for name in ("bob", "Ada", "Zoë", "Émile"):
            empty_gallery.add(takes(name, 1), CARD)
        names = [person.name for person in empty_gallery.people()]
        assert names == ["Ada", "bob", "Zoë", "Émile"]

    def test_nothing_to_add_stores_nothing(self, empty_gallery: Gallery) -> None:
        assert empty_gallery.add([], CARD) == []
        assert empty_gallery.models() == []

    @pytest.mark.parametrize(
        ("vector", "reason"),
        [
            (unit_vectors(1)[0].astype(np.float64), "float64"),
            (np.full(512, 512**-0.5, np.float32), "512"),
            (unit_vectors(2), "2, 128"),
            (np.zeros(DIMENSION, np.float32), "length 1, not 0"),
            (np.full(DIMENSION, np.nan, np.float32), "length 1, not nan"),
            (np.full(DIMENSION, np.inf, np.float32), "length 1, not inf"),
            (unit_vectors(1)[0] * np.float32(1.002), "length 1, not 1.002"),
        ],
        ids=["float64", "512-long", "two-rows", "zero", "nan", "infinite", "too-long"],
    )
    def test_a_bad_vector_stops_the_whole_batch(
        self, on_disk: Gallery, vector: FloatArray, reason: str
    ) -> None:
        generation = on_disk.generation()
        with pytest.raises(GalleryError, match=rf"'Bob'.*{reason}"):
            on_disk.add([*takes("Ada", 2), new_template("Bob", vector)], CARD)
        assert on_disk.people() == []
        assert on_disk.generation() == generation

    def test_a_length_within_rounding_is_kept_as_it_is(self, empty_gallery: Gallery) -> None:
        vector = unit_vectors(1)[0] * np.float32(1.0009)
        empty_gallery.add([new_template("Ada", vector)], CARD)
        np.testing.assert_array_equal(empty_gallery.matrix(CARD.fingerprint).embeddings[0], vector)

    def test_a_box_that_is_no_number_is_refused(self, empty_gallery: Gallery) -> None:
        broken = dataclasses.replace(takes("Ada", 1)[0], box=(0.0, 0.0, float("nan"), 1.0))
        with pytest.raises(GalleryError, match="'Ada': its box"):
            empty_gallery.add([broken], CARD)

    def test_the_card_says_how_many_numbers_an_embedding_has(self, empty_gallery: Gallery) -> None:
        card = dataclasses.replace(CARD, name="wide", fingerprint="f" * 64, dimension=512)
        with pytest.raises(GalleryError, match="'Ada': expected 512 numbers"):
            empty_gallery.add(takes("Ada", 1), card)
        assert empty_gallery.models() == []
        wide = np.full(512, 512**-0.5, np.float32)
        empty_gallery.add([new_template("Ada", wide)], card)
        empty_gallery.add(takes("Ada", 2), CARD)
        np.testing.assert_array_equal(empty_gallery.matrix("f" * 64).embeddings, wide[None])
        assert empty_gallery.matrix(CARD.fingerprint).embeddings.shape == (2, DIMENSION)
        assert empty_gallery.integrity_check() == []

    def test_a_face_is_enrolled_once(self, on_disk: Gallery) -> None:
        """The same box of the same photo is refused, whoever it is said to be this time."""
        vector = unit_vectors(1)[0]
        on_disk.add([new_template("Ada", vector, "photo")], CARD)
        with pytest.raises(GalleryError, match=r"'Bob'.*enrolled already, as 'Ada'"):
            on_disk.add([*takes("Cy", 1), new_template("Bob", vector, "photo")], CARD)
        assert [person.name for person in on_disk.people()] == ["Ada"]

    def test_a_face_twice_in_one_batch_is_refused(self, on_disk: Gallery) -> None:
        with pytest.raises(GalleryError, match="enrolled already"):
            on_disk.add([*takes("Ada", 1), *takes("Ada", 1)], CARD)
        assert on_disk.people() == []

    def test_another_face_of_a_photo_and_another_model_are_no_repetition(
        self, empty_gallery: Gallery
    ) -> None:
        template = takes("Ada", 1)[0]
        beside = dataclasses.replace(template, person="Bob", box=(200.0, 0.0, 300.0, 100.0))
        empty_gallery.add([template, beside], CARD)
        empty_gallery.add([template], fake_card("other"))
        assert [person.templates for person in empty_gallery.people()] == [2, 1]

    @pytest.mark.slow
    def test_two_processes_adding_at_once_both_succeed(self, path: Path) -> None:
        """Neither waits in vain nor takes the other's people for its own."""
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_add_people, args=(path, tag)) for tag in "ab"]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(PATIENT)
        assert [worker.exitcode for worker in workers] == [0, 0]
        with Gallery(path, create=False) as gallery:
            assert gallery.integrity_check() == []
            assert len(gallery.people()) == 80
            matrix = gallery.matrix(CARD.fingerprint)
        for template, person in zip(matrix.embeddings, matrix.person_ids, strict=True):
            tag, number = matrix.names[int(person)].split("-")
            expected = unit_vectors(1, seed=1000 * (tag == "b") + int(number))[0]
            np.testing.assert_array_equal(template, expected)


def _add_people(path: Path, tag: str) -> None:
    with Gallery(path) as gallery:
        for number in range(40):
            vector = unit_vectors(1, seed=1000 * (tag == "b") + number)[0]
            gallery.add([new_template(f"{tag}-{number}", vector)], CARD)


class TestExternalIds:
    def given_as(self, name: str, external_id: str | None, photo: int) -> NewTemplate:
        template = takes(name, photo + 1)[photo]
        return dataclasses.replace(template, external_id=external_id)

    def test_one_may_come_later_and_then_stays(self, empty_gallery: Gallery) -> None:
        for photo, external_id in enumerate((None, "7", None, "7")):
            empty_gallery.add([self.given_as("Ada", external_id, photo)], CARD)
        assert empty_gallery.person("Ada").external_id == "7"

    def test_a_person_has_one(self, empty_gallery: Gallery) -> None:
        empty_gallery.add([self.given_as("Ada", "7", 0)], CARD)
        with pytest.raises(GalleryError, match="'Ada' has the external ids '7' and '8'"):
            empty_gallery.add([self.given_as("Ada", "8", 1)], CARD)

    def test_a_person_has_one_within_a_batch(self, empty_gallery: Gallery) -> None:
        with pytest.raises(GalleryError, match="'Ada' has the external ids '7' and '8'"):
            empty_gallery.add([self.given_as("Ada", str(7 + i), i) for i in range(2)], CARD)

    @pytest.mark.parametrize("at_once", [True, False])
    def test_two_people_never_share_one(self, empty_gallery: Gallery, at_once: bool) -> None:
        ada, bob = self.given_as("Ada", "7", 0), self.given_as("Bob", "7", 0)
        if not at_once:
            empty_gallery.add([ada], CARD)
        with pytest.raises(GalleryError, match="'7' of 'Bob' belongs to 'Ada'"):
            empty_gallery.add([ada, bob] if at_once else [bob], CARD)


class TestNames:
    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "is empty"),
            (" \t ", "is empty"),
            ("\u200b\u200d", "is empty"),
            ("a\nb", "U\\+000A"),
            ("a\x1b[31mb", "U\\+001B"),
            ("a\x00b", "U\\+0000"),
            ("a\u2028b", "U\\+2028"),
            ("evil\u202egpj.exe", "U\\+202E"),
            ("caf\udce9", "U\\+DCE9"),
            ("x" * (MAX_NAME_LENGTH + 1), "201 characters"),
        ],
    )
    def test_a_name_that_cannot_be_shown_is_refused(
        self, empty_gallery: Gallery, text: str, reason: str
    ) -> None:
        with pytest.raises(GalleryError, match=f"^name .*{reason}") as caught:
            empty_gallery.add([new_template(text, unit_vectors(1)[0], "photo")], CARD)
        message = str(caught.value)
        assert message.isprintable()
        assert len(message) < 100

    @pytest.mark.parametrize(
        "name",
        [
            "Robert'); DROP TABLE person;--",
            "<script>alert(1)</script>",
            "../../etc/passwd",
            "-rf",
            "%s {0} \\n",
            "李小龍",
            "نرگس\u200cی",
            "👩‍🚀",
        ],
    )
    def test_any_other_text_is_kept_as_text(self, empty_gallery: Gallery, name: str) -> None:
        empty_gallery.add(takes(name, 1), CARD)
        assert empty_gallery.person(name).name == name
        empty_gallery.forget([name])
        assert empty_gallery.people() == []

    @pytest.mark.parametrize(
        "other",
        ["ZOË  ÅBERG", " zoë åberg ", "Zoe\u0308 A\u030aberg", "Zoë\u00a0Åberg", "Ｚoë Åberg"],
    )
    def test_spellings_of_one_name_are_one_person(self, empty_gallery: Gallery, other: str) -> None:
        empty_gallery.add([new_template("Zoë Åberg", unit_vectors(1)[0], "first")], CARD)
        empty_gallery.add([new_template(other, unit_vectors(1)[0], "second")], CARD)
        (person,) = empty_gallery.people()
        assert (person.name, person.templates) == ("Zoë Åberg", 2)
        assert empty_gallery.person(other) == person

    def test_the_first_spelling_in_a_batch_stays(self, empty_gallery: Gallery) -> None:
        vector = unit_vectors(1)[0]
        batch = [new_template(name, vector, name) for name in ("Zoë", "Ada", "zoë")]
        empty_gallery.add(batch, CARD)
        assert [person.name for person in empty_gallery.people()] == ["Ada", "Zoë"]
        assert empty_gallery.person("Zoë").id < empty_gallery.person("Ada").id

    @given(st.text(max_size=30))
    @example("ﬃ\u0345İß")
    def test_an_accepted_name_is_stable(self, text: str) -> None:
        """Cleaning twice changes nothing, and every spelling tried has the same key."""
        try:
            name = clean_name(text)
        except GalleryError:
            return
        assert clean_name(name) == name
        assert unicodedata.is_normalized("NFC", name)
        key = name_key(name)
        assert key == name_key(key)
        for spelling in (text, f" {name} ", unicodedata.normalize("NFD", name), name.casefold()):
            assert name_key(spelling) == key

    def test_an_unknown_name_is_answered_with_the_one_meant(self, gallery_of_two: Gallery) -> None:
        with pytest.raises(GalleryError, match=r"no person 'adda'.*did you mean 'Ada'"):
            gallery_of_two.person("adda")
        with pytest.raises(GalleryError) as caught:
            gallery_of_two.templates_of("Nobody\nat all")
        assert str(caught.value).isprintable()
        assert "mean" not in str(caught.value)

    def test_an_empty_gallery_says_so(self, empty_gallery: Gallery) -> None:
        with pytest.raises(GalleryError, match="nobody is enrolled"):
            empty_gallery.person("Ada")


class TestChanging:
    def test_renaming_keeps_the_person(self, gallery_of_two: Gallery) -> None:
        before = gallery_of_two.person("Ada")
        after = gallery_of_two.rename("ada", " Ada Lovelace ")
        assert after == dataclasses.replace(before, name="Ada Lovelace")
        assert [person.name for person in gallery_of_two.people()] == ["Ada Lovelace", "Bob"]

    def test_a_name_can_be_spelt_anew(self, gallery_of_two: Gallery) -> None:
        assert gallery_of_two.rename("Ada", "ADA").name == "ADA"

    def test_a_name_in_use_is_refused(self, gallery_of_two: Gallery) -> None:
        with pytest.raises(GalleryError, match="'Bob' is someone else"):
            gallery_of_two.rename("Ada", "bob")
        with pytest.raises(GalleryError, match="U\\+000A"):
            gallery_of_two.rename("Ada", "a\nb")
        assert [person.name for person in gallery_of_two.people()] == ["Ada", "Bob"]

    def test_merging_moves_templates_and_drops_the_source(self, empty_gallery: Gallery) -> None:
        ids = empty_gallery.add(takes("Ada", 2) + takes("Adah", 3, seed=1), CARD)
        merged = empty_gallery.merge("Adah", "Ada")
        assert (merged.name, merged.templates) == ("Ada", 5)
        assert empty_gallery.people() == [merged]
        assert [template.id for template in empty_gallery.templates_of("Ada")] == ids

    @pytest.mark.parametrize(
        ("source_id", "target_id", "kept"), [("1", None, "1"), ("1", "2", "2"), (None, "2", "2")]
    )
    def test_merging_keeps_an_external_id(
        self,
        empty_gallery: Gallery,
        source_id: str | None,
        target_id: str | None,
        kept: str,
    ) -> None:
        source = dataclasses.replace(takes("Adah", 1)[0], external_id=source_id)
        target = dataclasses.replace(takes("Ada", 1)[0], external_id=target_id)
        empty_gallery.add([source, target], CARD)
        assert empty_gallery.merge("Adah", "Ada").external_id == kept

    def test_nobody_is_merged_with_themselves(self, gallery_of_two: Gallery) -> None:
        with pytest.raises(GalleryError, match="one person already"):
            gallery_of_two.merge("Ada", "ADA")
        assert len(gallery_of_two.people()) == 2

    def test_every_change_has_a_generation_of_its_own(self, empty_gallery: Gallery) -> None:
        seen = [empty_gallery.generation()]
        changes: list[Callable[[], object]] = [
            lambda: empty_gallery.add(takes("Ada", 2), CARD),
            lambda: empty_gallery.add(takes("Bob", 1, seed=1), CARD),
            lambda: empty_gallery.rename("Bob", "Rob"),
            lambda: empty_gallery.merge("Rob", "Ada"),
            lambda: empty_gallery.forget(["Ada"]),
        ]
        for change in changes:
            change()
            seen.append(empty_gallery.generation())
        assert len(set(seen)) == len(seen)

    def test_reading_leaves_the_generation(self, gallery_of_two: Gallery) -> None:
        before = gallery_of_two.generation()
        gallery_of_two.people()
        gallery_of_two.matrix(CARD.fingerprint)
        gallery_of_two.integrity_check()
        assert gallery_of_two.generation() == before

    def test_a_running_reader_sees_what_another_program_did(
        self, on_disk: Gallery, path: Path
    ) -> None:
        with Gallery(path) as gate:
            before = gate.generation()
            on_disk.add(takes("Ada", 1), CARD)
            assert gate.generation() != before
            assert len(gate.matrix(CARD.fingerprint).embeddings) == 1


class TestForgetting:
    def test_the_receipt_says_who_and_how_much(self, on_disk: Gallery) -> None:
        on_disk.add(takes("Ada", 2) + takes("Bob", 1, seed=1) + takes("Cy", 1, seed=2), CARD)
        receipt = on_disk.forget(["bob", "Ada", "ADA"])
        assert (receipt.people, receipt.templates, receipt.scrubbed) == (("Bob", "Ada"), 3, True)
        assert receipt.at.endswith("+00:00")
        assert [person.name for person in on_disk.people()] == ["Cy"]
        assert len(on_disk.matrix(CARD.fingerprint).embeddings) == 1

    def test_an_unknown_name_leaves_everyone(self, gallery_of_two: Gallery) -> None:
        with pytest.raises(GalleryError, match="no person 'Eve'"):
            gallery_of_two.forget(["Ada", "Eve"])
        assert len(gallery_of_two.people()) == 2

    def test_ids_never_come_back_for_someone_else(self, empty_gallery: Gallery) -> None:
        """A gate that still remembers the id of a forgotten person must not find another one."""
        (template,) = empty_gallery.add(takes("Ada", 1), CARD)
        person = empty_gallery.person("Ada").id
        empty_gallery.forget(["Ada"])
        (later,) = empty_gallery.add(takes("Bob", 1), CARD)
        assert later > template
        assert empty_gallery.person("Bob").id > person

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(3))
    def test_nothing_of_the_forgotten_is_left_in_the_files(self, path: Path, seed: int) -> None:
        """After a random life of the gallery, no 16 bytes of an erased vector remain, nor names."""
        chance = np.random.default_rng(seed)
        vectors = unit_vectors(400, seed=seed)
        names = [f"Person-{seed}-{number:03}-Surname" for number in range(80)]
        with Gallery(path) as gallery:
            for start in range(0, 400, 50):
                batch = [
                    new_template(names[i % 80], vectors[i], f"photo{i}")
                    for i in range(start, start + 50)
                ]
                gallery.add(batch, CARD)
            gallery.merge(names[1], names[0])
            gone = [names[0], *chance.permutation(names[2:])[:40].tolist()]
            for name in gone[:5]:
                gallery.forget([name])
            assert gallery.forget(gone[5:]).scrubbed
            left = _raw_bytes(path)
            kept = gallery.matrix(CARD.fingerprint).embeddings
        erased = [vector for i, vector in enumerate(vectors) if _owner(i, names) in gone]
        assert len(erased) == 5 * 42
        assert len(kept) == 400 - len(erased)
        assert all(vector.tobytes() in left for vector in kept)
        assert not any(piece in left for vector in erased for piece in _pieces(vector))
        assert not any(name.encode() in left for name in gone)

    def test_before_that_the_log_did_hold_them(self, on_disk: Gallery, path: Path) -> None:
        """The search above can find: a deletion without its clean-up leaves the vector."""
        (template,) = takes("Ada", 1)
        on_disk.add([template], CARD)
        with sqlite3.connect(path) as other:
            other.execute("DELETE FROM template")
        other.close()
        assert template.embedding.tobytes() in _raw_bytes(path)

    def test_a_reader_in_the_way_is_reported(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The person is gone, but the receipt does not claim what could not be done."""
        monkeypatch.setattr(database, "BUSY_MILLISECONDS", 20)
        with Gallery(path) as gallery:
            gallery.add(takes("Ada", 1), CARD)
            reader = sqlite3.connect(path)
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM person").fetchall()
            assert not gallery.forget(["Ada"]).scrubbed
            assert gallery.people() == []
            reader.close()


def _owner(number: int, names: list[str]) -> str:
    """Return who a vector belongs to at the end: the second person was merged into the first."""
    owner = names[number % 80]
    return names[0] if owner == names[1] else owner


def _raw_bytes(path: Path) -> bytes:
    files = [path.with_name(path.name + end) for end in ("", "-wal")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def _pieces(vector: FloatArray) -> list[bytes]:
    whole = vector.tobytes()
    return [whole[start : start + 16] for start in range(0, len(whole), 16)]


class TestAsking:
    def test_pictures_already_enrolled_are_known_by_model(self, gallery_of_two: Gallery) -> None:
        ada = gallery_of_two.templates_of("Ada")[0]
        both = dataclasses.replace(
            new_template("Bob", unit_vectors(1)[0], "Ada"), box=(9.0, 9.0, 20.0, 20.0)
        )
        gallery_of_two.add([both], CARD)
        known = gallery_of_two.images_known([ada.image_sha256, "0" * 64], CARD.fingerprint)
        assert known == {ada.image_sha256: ("Ada", "Bob")}
        assert gallery_of_two.images_known([ada.image_sha256], "other") == {}

    def test_an_empty_gallery_has_an_empty_matrix_of_any_model(
        self, empty_gallery: Gallery
    ) -> None:
        matrix = empty_gallery.matrix("anything")
        assert matrix.embeddings.shape[0] == 0
        assert matrix.template_ids.dtype == matrix.person_ids.dtype == np.int64
        assert matrix.names == {}

    def test_models_never_mix(self, gallery_of_two: Gallery) -> None:
        other = fake_card("other")
        gallery_of_two.add(takes("Cy", 1), other)
        matrix = gallery_of_two.matrix(other.fingerprint)
        assert list(matrix.names.values()) == ["Cy"]
        assert len(gallery_of_two.matrix(CARD.fingerprint).embeddings) == 2

    def test_asking_for_a_model_without_templates_names_those_there_are(
        self, gallery_of_two: Gallery
    ) -> None:
        with pytest.raises(FingerprintMismatch) as caught:
            gallery_of_two.matrix("f" * 64)
        message = str(caught.value)
        for part in ("'fake-128'", CARD.fingerprint[:12], "f" * 12, "--model"):
            assert part in message

    def test_once_its_people_are_forgotten_a_model_is_no_obstacle(
        self, gallery_of_two: Gallery
    ) -> None:
        gallery_of_two.forget(["Ada", "Bob"])
        assert len(gallery_of_two.matrix("f" * 64).embeddings) == 0

    def test_statistics_count(self, on_disk: Gallery, path: Path) -> None:
        on_disk.add(takes("Ada", 2) + takes("Bob", 1, seed=1), CARD)
        on_disk.add(takes("Ada", 1), fake_card("other"))
        found = on_disk.statistics()
        assert (found.people, found.templates, found.path) == (2, 4, str(path))
        assert [(model.name, model.templates) for model in found.models] == [
            ("fake-128", 3),
            ("other", 1),
        ]
        assert found.private
        assert found.size >= path.stat().st_size > 0
        path.chmod(0o640)
        assert not on_disk.statistics().private

    def test_a_sound_gallery_has_no_problems(self, gallery_of_two: Gallery) -> None:
        assert gallery_of_two.integrity_check() == []
        assert gallery_of_two.statistics().path == ":memory:"


def tampered(path: Path, sql: str, *parameters: object) -> None:
    """Change the database behind the program's back."""
    with sqlite3.connect(path) as outsider:
        outsider.execute("PRAGMA ignore_check_constraints = ON")
        outsider.execute(sql, parameters)
    outsider.close()


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        unit_vectors(1)[0].tobytes()[:-1],
        np.zeros(DIMENSION, "<f4").tobytes(),
        np.full(DIMENSION, np.nan, "<f4").tobytes(),
        np.full(DIMENSION, np.float32(3e38), "<f4").tobytes(),
        (unit_vectors(1)[0] * np.float32(1.002)).tobytes(),
    ],
    ids=["empty", "short", "zero", "nan", "huge", "long"],
)
def test_a_damaged_template_is_named(path: Path, stored: bytes) -> None:
    """It is never searched, and the health check finds it too."""
    with Gallery(path) as gallery:
        ids = gallery.add(takes("Ada", 2) + takes("Bob", 2, seed=1), CARD)
        tampered(path, "UPDATE template SET embedding = ? WHERE id = ?", stored, ids[2])
        with pytest.raises(GalleryError, match=f"template {ids[2]} of 'Bob' is damaged"):
            gallery.matrix(CARD.fingerprint)
        assert any(f"template {ids[2]} is not" in line for line in gallery.integrity_check())


def test_an_orphan_is_found_by_the_health_check(on_disk: Gallery, path: Path) -> None:
    on_disk.add(takes("Ada", 1), CARD)
    tampered(path, "DELETE FROM person")
    assert any("template" in line and "person" in line for line in on_disk.integrity_check())


class TestTheFile:
    def test_is_for_its_owner_alone(self, tmp_path: Path) -> None:
        """Folder, database, log and index, whatever the umask says."""
        path = tmp_path / "new" / "gallery.db"
        before = os.umask(0o000)
        try:
            with Gallery(path) as gallery:
                gallery.add(takes("Ada", 1), CARD)
                modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        finally:
            os.umask(before)
        assert modes == dict.fromkeys(("gallery.db", "gallery.db-wal", "gallery.db-shm"), 0o600)
        assert path.parent.stat().st_mode & 0o777 == 0o700

    def test_settings_are_taken(self, path: Path) -> None:
        opened = database.open_connection(path, migrations.GALLERY, create=True)
        expected = dict.fromkeys(("foreign_keys", "secure_delete"), 1) | {
            "synchronous": 2,
            "journal_mode": "wal",
            "busy_timeout": database.BUSY_MILLISECONDS,
        }
        found = {name: opened.execute(f"PRAGMA {name}").fetchone()[0] for name in expected}
        opened.close()
        assert found == expected
        assert database.BUSY_MILLISECONDS >= 5000

    def test_a_setting_not_taken_is_an_error(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database, "SETTINGS", (("secure_delete", "OFF", 1),))
        with pytest.raises(GalleryError, match="refuses secure_delete"):
            Gallery(path)

    def test_an_old_sqlite_is_named(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
        with pytest.raises(GalleryError, match=r"is too old: 3\.37\.0 is needed"):
            Gallery(path)

    def test_opening_to_read_imports_no_sqlite_utils(self, path: Path) -> None:
        """Its import takes longer than reading ten thousand templates."""
        with Gallery(path) as gallery:
            gallery.add(takes("Ada", 1), CARD)
        script = (
            "import sys; from pathlib import Path; from facecli.stores.gallery import Gallery\n"
            "with Gallery(Path(sys.argv[1])) as gallery:\n"
            "    assert len(gallery.matrix(sys.argv[2]).embeddings) == 1\n"
            "    assert gallery.people()\n"
            "assert 'sqlite_utils' not in sys.modules\n"
        )
        command = [sys.executable, "-c", script, str(path), CARD.fingerprint]
        subprocess.run(command, check=True)

    @pytest.mark.parametrize("name", ["file:x?mode=memory", ":memory:", "a%20b?c#d", "ü \n.db"])
    def test_a_strange_name_is_a_file_name(self, tmp_path: Path, name: str) -> None:
        with Gallery(tmp_path / name) as gallery:
            gallery.add(takes("Ada", 1), CARD)
        assert [file.name for file in tmp_path.iterdir()] == [name]

    def test_a_missing_one_is_made_only_when_asked_for(self, path: Path) -> None:
        with pytest.raises(GalleryError, match="there is none; enroll someone first"):
            Gallery(path, create=False)
        assert not path.exists()


def _text(path: Path) -> None:
    path.write_text("Dear diary\n" * 500)


def _short_text(path: Path) -> None:
    path.write_text("x")


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _other_database(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()


def _damaged_database(path: Path) -> None:
    with Gallery(path) as gallery:
        gallery.add(takes("Ada", 50), CARD)
    whole = bytearray(path.read_bytes())
    whole[4096 : 5 * 4096] = b"\xff" * (4 * 4096)
    path.write_bytes(bytes(whole))


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (_text, "not a SQLite database"),
        (_short_text, "not a SQLite database"),
        (_folder, "a folder"),
        (_pipe, "not a regular file"),
        (_dangling_link, "there is none"),
        (_other_database, "another program's database"),
        (_damaged_database, "damaged"),
    ],
)
def test_what_is_no_gallery_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, prepare: Callable[[Path], None], reason: str
) -> None:
    path = tmp_path / "it's\nhere.db"
    prepare(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(GalleryError, match=reason) as caught:
        Gallery(path)
    message = str(caught.value)
    assert message.isprintable()
    assert "here.db" in message
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("name", ["file/gallery.db", "nul\0.db", "x" * 300])
def test_an_impossible_place_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GalleryError, match=r"^gallery ") as caught:
        Gallery(tmp_path / name)
    assert str(caught.value).isprintable()


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as nobody where the tests run as root, whom no mode keeps from writing."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_place_is_refused_in_one_line() -> None:
    """Neither a new gallery nor one that lies there can be used: its log could not be written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Gallery(folder / "old.db") as gallery:
            gallery.add(takes("Ada", 1), CARD)
        (folder / "old.db").chmod(0o444)
        folder.chmod(0o555)
        with unprivileged():
            with pytest.raises(GalleryError, match=r"old\.db': .*read-only"):
                Gallery(folder / "old.db")
            with pytest.raises(GalleryError, match=r"new\.db': Permission denied"):
                Gallery(folder / "new.db")
        folder.chmod(0o700)


def test_a_closed_gallery_is_a_bug_not_a_message(empty_gallery: Gallery) -> None:
    empty_gallery.close()
    with pytest.raises(sqlite3.ProgrammingError):
        empty_gallery.people()


def test_the_encoder_of_the_tests_fits(empty_gallery: Gallery, encoder: FakeEncoder) -> None:
    """The fake card is one that a gallery accepts, as the real default's is."""
    assert encoder.card.dimension == DIMENSION
    assert empty_gallery.add(takes("Ada", 1), encoder.card) == [1]
