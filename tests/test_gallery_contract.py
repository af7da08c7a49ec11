"""What every engine of a gallery promises: each test runs on all of them."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import embedding, fake_card, new_template
from galleries import EMPTY, PLACES, takes, unit_vectors
from waiting import PATIENT

from facecli.errors import FingerprintMismatch, GalleryError
from facecli.models import DIMENSION
from facecli.stores.contract import GalleryPlace, GalleryStore
from facecli.types import Calibration, FloatArray, ModelCard, NewTemplate

CARD = fake_card()
CALIBRATION = Calibration(
    fingerprint=CARD.fingerprint,
    model=CARD.name,
    threshold=0.5,
    far=1e-3,
    far_low=1e-4,
    far_high=2e-3,
    people=3,
    impostor_pairs=3,
    genuine_pairs=0,
    fnmr=None,
    source="made up",
    created="2026-11-26T00:00:00+00:00",
    impostors={"squared_l2": [0.5, 1.0]},
)


@pytest.fixture(params=EMPTY)
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GalleryStore]:
    """An empty gallery of each engine."""
    with EMPTY[request.param](tmp_path) as gallery:
        yield gallery


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> GalleryPlace:
    """A place of each engine that keeps galleries, where there is none yet."""
    return PLACES[request.param](tmp_path)


@pytest.fixture
def gallery_of_two(gallery: GalleryStore) -> GalleryStore:
    """Ada is plane 0, angle 0; Bob is plane 1, angle 0."""
    gallery.add([new_template("Ada", embedding(0, 0)), new_template("Bob", embedding(1, 0))], CARD)
    return gallery


def card_of(dimension: int, name: str = "wide") -> ModelCard:
    """Return the card of another model, with this dimension."""
    return dataclasses.replace(fake_card(name), dimension=dimension)


class TestAdding:
    def test_vectors_come_back_bit_for_bit_in_the_order_added(self, gallery: GalleryStore) -> None:
        ids = gallery.add(takes("Ada", 3) + takes("Bob", 2, seed=1), CARD)
        matrix = gallery.matrix(CARD)
        assert matrix.template_ids.tolist() == ids
        assert [matrix.names[person] for person in matrix.person_ids] == ["Ada"] * 3 + ["Bob"] * 2
        np.testing.assert_array_equal(
            matrix.embeddings, np.concatenate([unit_vectors(3), unit_vectors(2, seed=1)])
        )
        assert matrix.embeddings.dtype == np.float32

    def test_everything_else_comes_back_too(self, gallery: GalleryStore) -> None:
        template = dataclasses.replace(
            takes("Ada", 1)[0], box=(-1.5, 2.25, 100.0, 1e4), external_id="E-7"
        )
        (row,) = gallery.add([template], CARD)
        person = gallery.person("Ada")
        assert (person.external_id, person.templates) == ("E-7", 1)
        (stored,) = gallery.templates_of("Ada")
        assert (stored.id, stored.person_id) == (row, person.id)
        assert stored.fingerprint == CARD.fingerprint
        assert stored.image_sha256 == template.image_sha256
        assert stored.box == template.box
        assert stored.quality == template.quality
        assert person.created == stored.created
        assert stored.created.endswith("+00:00")

    def test_it_is_kept_after_closing(self, place: GalleryPlace) -> None:
        with place.open(create=True) as gallery:
            gallery.add(takes("Ada", 2), CARD)
        with place.open() as gallery:
            assert len(gallery.matrix(CARD).embeddings) == 2

    def test_people_are_listed_by_name(self, gallery: GalleryStore) -> None:
        for name in ("bob", "Ada", "Zoë", "Émile"):
            gallery.add(takes(name, 1), CARD)
        names = [person.name for person in gallery.people()]
        assert names == ["Ada", "bob", "Zoë", "Émile"]

    def test_nothing_to_add_stores_nothing(self, gallery: GalleryStore) -> None:
        assert gallery.add([], CARD) == []
        assert gallery.models() == []

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
        self, gallery: GalleryStore, vector: FloatArray, reason: str
    ) -> None:
        generation = gallery.generation()
        with pytest.raises(GalleryError, match=rf"'Bob'.*{reason}"):
            gallery.add([*takes("Ada", 2), new_template("Bob", vector)], CARD)
        assert gallery.people() == []
        assert gallery.generation() == generation

    def test_a_length_within_rounding_is_kept_as_it_is(self, gallery: GalleryStore) -> None:
        vector = unit_vectors(1)[0] * np.float32(1.0009)
        gallery.add([new_template("Ada", vector)], CARD)
        np.testing.assert_array_equal(gallery.matrix(CARD).embeddings[0], vector)

    def test_a_box_that_is_no_number_is_refused(self, gallery: GalleryStore) -> None:
        broken = dataclasses.replace(takes("Ada", 1)[0], box=(0.0, 0.0, float("nan"), 1.0))
        with pytest.raises(GalleryError, match="'Ada': its box"):
            gallery.add([broken], CARD)

    def test_a_face_is_enrolled_once(self, gallery: GalleryStore) -> None:
        """The same box of the same photo is refused, whoever it is said to be this time."""
        vector = unit_vectors(1)[0]
        gallery.add([new_template("Ada", vector, "photo")], CARD)
        with pytest.raises(GalleryError, match=r"'Bob'.*enrolled already, as 'Ada'"):
            gallery.add([*takes("Cy", 1), new_template("Bob", vector, "photo")], CARD)
        assert [person.name for person in gallery.people()] == ["Ada"]

    def test_a_face_twice_in_one_batch_is_refused(self, gallery: GalleryStore) -> None:
        with pytest.raises(GalleryError, match="enrolled already"):
            gallery.add([*takes("Ada", 1), *takes("Ada", 1)], CARD)
        assert gallery.people() == []

    def test_another_face_of_a_photo_and_another_model_are_no_repetition(
        self, gallery: GalleryStore
    ) -> None:
        template = takes("Ada", 1)[0]
        beside = dataclasses.replace(template, person="Bob", box=(200.0, 0.0, 300.0, 100.0))
        gallery.add([template, beside], CARD)
        gallery.add([template], fake_card("other"))
        assert [person.templates for person in gallery.people()] == [2, 1]

    @pytest.mark.slow
    def test_two_processes_adding_at_once_both_succeed(self, place: GalleryPlace) -> None:
        """Neither waits in vain nor takes the other's people for its own."""
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_add_people, args=(place, tag)) for tag in "ab"]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(PATIENT)
        assert [worker.exitcode for worker in workers] == [0, 0]
        with place.open() as gallery:
            assert gallery.integrity_check() == []
            assert len(gallery.people()) == 80
            matrix = gallery.matrix(CARD)
        for template, person in zip(matrix.embeddings, matrix.person_ids, strict=True):
            tag, number = matrix.names[int(person)].split("-")
            expected = unit_vectors(1, seed=1000 * (tag == "b") + int(number))[0]
            np.testing.assert_array_equal(template, expected)


def _add_people(place: GalleryPlace, tag: str) -> None:
    with place.open(create=True) as gallery:
        for number in range(40):
            vector = unit_vectors(1, seed=1000 * (tag == "b") + number)[0]
            gallery.add([new_template(f"{tag}-{number}", vector)], CARD)


class TestExternalIds:
    def given_as(self, name: str, external_id: str | None, photo: int) -> NewTemplate:
        template = takes(name, photo + 1)[photo]
        return dataclasses.replace(template, external_id=external_id)

    def test_one_may_come_later_and_then_stays(self, gallery: GalleryStore) -> None:
        for photo, external_id in enumerate((None, "7", None, "7")):
            gallery.add([self.given_as("Ada", external_id, photo)], CARD)
        assert gallery.person("Ada").external_id == "7"

    def test_a_person_has_one(self, gallery: GalleryStore) -> None:
        gallery.add([self.given_as("Ada", "7", 0)], CARD)
        with pytest.raises(GalleryError, match="'Ada' has the external ids '7' and '8'"):
            gallery.add([self.given_as("Ada", "8", 1)], CARD)

    def test_a_person_has_one_within_a_batch(self, gallery: GalleryStore) -> None:
        with pytest.raises(GalleryError, match="'Ada' has the external ids '7' and '8'"):
            gallery.add([self.given_as("Ada", str(7 + i), i) for i in range(2)], CARD)

    @pytest.mark.parametrize("at_once", [True, False])
    def test_two_people_never_share_one(self, gallery: GalleryStore, at_once: bool) -> None:
        ada, bob = self.given_as("Ada", "7", 0), self.given_as("Bob", "7", 0)
        if not at_once:
            gallery.add([ada], CARD)
        with pytest.raises(GalleryError, match="'7' of 'Bob' belongs to 'Ada'"):
            gallery.add([ada, bob] if at_once else [bob], CARD)


class TestNames:
    @pytest.mark.parametrize("text", ["", "a\nb", "x" * 201])
    def test_a_name_that_cannot_be_shown_is_refused(self, gallery: GalleryStore, text: str) -> None:
        with pytest.raises(GalleryError, match=r"^name "):
            gallery.add([new_template(text, unit_vectors(1)[0], "photo")], CARD)
        assert gallery.people() == []

    def test_an_external_id_is_checked_as_a_name_is(self, gallery: GalleryStore) -> None:
        template = dataclasses.replace(takes("Ada", 1)[0], external_id="7\x00")
        with pytest.raises(GalleryError, match=r"^external id "):
            gallery.add([template], CARD)

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
    def test_any_other_text_is_kept_as_text(self, gallery: GalleryStore, name: str) -> None:
        gallery.add(takes(name, 1), CARD)
        assert gallery.person(name).name == name
        gallery.forget([name])
        assert gallery.people() == []

    @pytest.mark.parametrize(
        "other",
        ["ZOË  ÅBERG", " zoë åberg ", "Zoe\u0308 A\u030aberg", "Zoë\u00a0Åberg", "Ｚoë Åberg"],
    )
    def test_spellings_of_one_name_are_one_person(self, gallery: GalleryStore, other: str) -> None:
        gallery.add([new_template("Zoë Åberg", unit_vectors(1)[0], "first")], CARD)
        gallery.add([new_template(other, unit_vectors(1)[0], "second")], CARD)
        (person,) = gallery.people()
        assert (person.name, person.templates) == ("Zoë Åberg", 2)
        assert gallery.person(other) == person

    def test_the_first_spelling_in_a_batch_stays(self, gallery: GalleryStore) -> None:
        vector = unit_vectors(1)[0]
        batch = [new_template(name, vector, name) for name in ("Zoë", "Ada", "zoë")]
        gallery.add(batch, CARD)
        assert [person.name for person in gallery.people()] == ["Ada", "Zoë"]
        assert gallery.person("Zoë").id < gallery.person("Ada").id

    def test_an_unknown_name_is_answered_with_the_one_meant(
        self, gallery_of_two: GalleryStore
    ) -> None:
        with pytest.raises(GalleryError, match=r"no person 'adda'.*did you mean 'Ada'"):
            gallery_of_two.person("adda")
        with pytest.raises(GalleryError) as caught:
            gallery_of_two.templates_of("Nobody\nat all")
        assert str(caught.value).isprintable()
        assert "mean" not in str(caught.value)

    def test_an_empty_gallery_says_so(self, gallery: GalleryStore) -> None:
        with pytest.raises(GalleryError, match="nobody is enrolled"):
            gallery.person("Ada")


class TestChanging:
    def test_renaming_keeps_the_person(self, gallery_of_two: GalleryStore) -> None:
        before = gallery_of_two.person("Ada")
        after = gallery_of_two.rename("ada", " Ada Lovelace ")
        assert after == dataclasses.replace(before, name="Ada Lovelace")
        assert [person.name for person in gallery_of_two.people()] == ["Ada Lovelace", "Bob"]

    def test_a_name_can_be_spelt_anew(self, gallery_of_two: GalleryStore) -> None:
        assert gallery_of_two.rename("Ada", "ADA").name == "ADA"

    def test_a_name_in_use_is_refused(self, gallery_of_two: GalleryStore) -> None:
        with pytest.raises(GalleryError, match="'Bob' is someone else"):
            gallery_of_two.rename("Ada", "bob")
        with pytest.raises(GalleryError, match="U\\+000A"):
            gallery_of_two.rename("Ada", "a\nb")
        assert [person.name for person in gallery_of_two.people()] == ["Ada", "Bob"]

    def test_merging_moves_templates_and_drops_the_source(self, gallery: GalleryStore) -> None:
        ids = gallery.add(takes("Ada", 2) + takes("Adah", 3, seed=1), CARD)
        merged = gallery.merge("Adah", "Ada")
        assert (merged.name, merged.templates) == ("Ada", 5)
        assert gallery.people() == [merged]
        assert [template.id for template in gallery.templates_of("Ada")] == ids

    @pytest.mark.parametrize(
        ("source_id", "target_id", "kept"), [("1", None, "1"), ("1", "2", "2"), (None, "2", "2")]
    )
    def test_merging_keeps_an_external_id(
        self,
        gallery: GalleryStore,
        source_id: str | None,
        target_id: str | None,
        kept: str,
    ) -> None:
        source = dataclasses.replace(takes("Adah", 1)[0], external_id=source_id)
        target = dataclasses.replace(takes("Ada", 1)[0], external_id=target_id)
        gallery.add([source, target], CARD)
        assert gallery.merge("Adah", "Ada").external_id == kept

    def test_nobody_is_merged_with_themselves(self, gallery_of_two: GalleryStore) -> None:
        with pytest.raises(GalleryError, match="one person already"):
            gallery_of_two.merge("Ada", "ADA")
        assert len(gallery_of_two.people()) == 2

    def test_every_change_has_a_generation_of_its_own(self, gallery: GalleryStore) -> None:
        seen = [gallery.generation()]
        changes: list[Callable[[], object]] = [
            lambda: gallery.add(takes("Ada", 2), CARD),
            lambda: gallery.add(takes("Bob", 1, seed=1), CARD),
            lambda: gallery.rename("Bob", "Rob"),
            lambda: gallery.merge("Rob", "Ada"),
            lambda: gallery.forget(["Ada"]),
            lambda: gallery.set_calibration(CALIBRATION),
            gallery.clear_calibrations,
        ]
        for change in changes:
            change()
            seen.append(gallery.generation())
        assert len(set(seen)) == len(seen)

    def test_reading_leaves_the_generation(self, gallery_of_two: GalleryStore) -> None:
        before = gallery_of_two.generation()
        gallery_of_two.people()
        gallery_of_two.matrix(CARD)
        gallery_of_two.integrity_check()
        assert gallery_of_two.generation() == before

    def test_a_running_reader_sees_what_another_program_did(self, place: GalleryPlace) -> None:
        with place.open(create=True) as desk, place.open() as gate:
            before = gate.generation()
            desk.add(takes("Ada", 1), CARD)
            assert gate.generation() != before
            assert len(gate.matrix(CARD).embeddings) == 1


class TestForgetting:
    def test_the_receipt_says_who_and_how_much(self, gallery: GalleryStore) -> None:
        gallery.add(takes("Ada", 2) + takes("Bob", 1, seed=1) + takes("Cy", 1, seed=2), CARD)
        receipt = gallery.forget(["bob", "Ada", "ADA"])
        assert (receipt.people, receipt.templates) == (("Bob", "Ada"), 3)
        assert receipt.scrubbed is not bool(receipt.remains)
        assert receipt.at.endswith("+00:00")
        assert [person.name for person in gallery.people()] == ["Cy"]
        assert len(gallery.matrix(CARD).embeddings) == 1

    def test_an_unknown_name_leaves_everyone(self, gallery_of_two: GalleryStore) -> None:
        with pytest.raises(GalleryError, match="no person 'Eve'"):
            gallery_of_two.forget(["Ada", "Eve"])
        assert len(gallery_of_two.people()) == 2

    def test_ids_never_come_back_for_someone_else(self, gallery: GalleryStore) -> None:
        """A gate that still remembers the id of a forgotten person must not find another one."""
        (template,) = gallery.add(takes("Ada", 1), CARD)
        person = gallery.person("Ada").id
        gallery.forget(["Ada"])
        (later,) = gallery.add(takes("Bob", 1), CARD)
        assert later > template
        assert gallery.person("Bob").id > person


class TestAsking:
    def test_pictures_already_enrolled_are_known_by_model(
        self, gallery_of_two: GalleryStore
    ) -> None:
        ada = gallery_of_two.templates_of("Ada")[0]
        both = dataclasses.replace(
            new_template("Bob", unit_vectors(1)[0], "Ada"), box=(9.0, 9.0, 20.0, 20.0)
        )
        gallery_of_two.add([both], CARD)
        known = gallery_of_two.images_known([ada.image_sha256, "0" * 64], CARD.fingerprint)
        assert known == {ada.image_sha256: ("Ada", "Bob")}
        assert gallery_of_two.images_known([ada.image_sha256], "other") == {}

    @pytest.mark.parametrize("dimension", [64, 128])
    def test_an_empty_gallery_has_an_empty_matrix_of_any_model(
        self, gallery: GalleryStore, dimension: int
    ) -> None:
        matrix = gallery.matrix(card_of(dimension))
        assert matrix.embeddings.shape == (0, dimension)
        assert matrix.embeddings.dtype == np.float32
        assert matrix.template_ids.dtype == matrix.person_ids.dtype == np.int64
        assert matrix.names == {}

    def test_models_never_mix(self, gallery_of_two: GalleryStore) -> None:
        other = fake_card("other")
        gallery_of_two.add(takes("Cy", 1), other)
        matrix = gallery_of_two.matrix(other)
        assert list(matrix.names.values()) == ["Cy"]
        assert len(gallery_of_two.matrix(CARD).embeddings) == 2

    def test_asking_for_a_model_without_templates_names_those_there_are(
        self, gallery_of_two: GalleryStore
    ) -> None:
        with pytest.raises(FingerprintMismatch) as caught:
            gallery_of_two.matrix(fake_card("other"))
        message = str(caught.value)
        other = fake_card("other").fingerprint
        for part in ("'fake-128'", CARD.fingerprint[:12], other[:12], "--model"):
            assert part in message

    def test_once_its_people_are_forgotten_a_model_is_no_obstacle(
        self, gallery_of_two: GalleryStore
    ) -> None:
        gallery_of_two.forget(["Ada", "Bob"])
        assert len(gallery_of_two.matrix(fake_card("other")).embeddings) == 0

    def test_statistics_count(self, gallery: GalleryStore) -> None:
        gallery.add(takes("Ada", 2) + takes("Bob", 1, seed=1), CARD)
        gallery.add(takes("Ada", 1), fake_card("other"))
        found = gallery.statistics()
        assert (found.people, found.templates) == (2, 4)
        assert list(found.models) == gallery.models()
        assert [(one.name, one.templates) for one in found.models] == [
            ("fake-128", 3),
            ("other", 1),
        ]
        assert found.private
        assert found.path == gallery.location

    def test_a_model_is_listed_after_its_people_are_forgotten(self, gallery: GalleryStore) -> None:
        gallery.add(takes("Ada", 2), CARD)
        gallery.forget(["Ada"])
        (model,) = gallery.models()
        assert (model.name, model.fingerprint) == (CARD.name, CARD.fingerprint)
        assert (model.dimension, model.templates) == (CARD.dimension, 0)

    def test_a_persons_templates_are_of_every_model_oldest_first(
        self, gallery: GalleryStore
    ) -> None:
        first = gallery.add(takes("Ada", 2), CARD)
        second = gallery.add(takes("Ada", 1), fake_card("other"))
        found = gallery.templates_of("ada")
        assert [one.id for one in found] == first + second
        assert [one.fingerprint == CARD.fingerprint for one in found] == [True, True, False]

    def test_a_sound_gallery_has_no_problems(self, gallery_of_two: GalleryStore) -> None:
        assert gallery_of_two.integrity_check() == []


class TestDimensions:
    def test_each_model_has_its_own(self, gallery: GalleryStore) -> None:
        """One person may have templates of both, and each matrix is as wide as its model."""
        wide = card_of(512)
        gallery.add(takes("Ada", 2), CARD)
        gallery.add(takes("Ada", 3, dimension=512), wide)
        assert gallery.matrix(CARD).embeddings.shape == (2, DIMENSION)
        np.testing.assert_array_equal(
            gallery.matrix(wide).embeddings, unit_vectors(3, dimension=512)
        )
        assert [model.dimension for model in gallery.models()] == [DIMENSION, 512]
        assert gallery.integrity_check() == []

    def test_a_listed_model_stands_for_its_card(self, gallery: GalleryStore) -> None:
        gallery.add(takes("Ada", 1, dimension=64), card_of(64))
        (model,) = gallery.models()
        assert gallery.matrix(model).embeddings.shape == (1, 64)

    def test_a_vector_of_another_dimension_is_refused(self, gallery: GalleryStore) -> None:
        with pytest.raises(GalleryError, match="'Ada': expected 512 numbers of float32"):
            gallery.add(takes("Ada", 1), card_of(512))
        assert gallery.models() == []

    def test_a_model_keeps_its_dimension(self, gallery: GalleryStore) -> None:
        """A card that says something else is wrong: nothing is stored, and nothing is answered."""
        gallery.add(takes("Ada", 1), card_of(DIMENSION))
        other = card_of(64)
        said = "templates of model 'wide' have 128 numbers, the model gives 64"
        with pytest.raises(GalleryError, match=said):
            gallery.add(takes("Bob", 1, dimension=64), other)
        with pytest.raises(GalleryError, match=said):
            gallery.matrix(other)
        assert [person.name for person in gallery.people()] == ["Ada"]


class TestCalibrations:
    def test_each_model_has_one_and_they_are_listed_by_name(self, gallery: GalleryStore) -> None:
        other = dataclasses.replace(CALIBRATION, fingerprint="ff", model="a-other", fnmr=0.25)
        later = dataclasses.replace(CALIBRATION, threshold=0.25, impostors={})
        assert gallery.calibrations() == []
        for one in (CALIBRATION, other, later):
            gallery.set_calibration(one)
        assert gallery.calibrations() == [other, later]

    def test_clearing_says_how_many_there_were(self, gallery: GalleryStore) -> None:
        gallery.set_calibration(CALIBRATION)
        assert gallery.clear_calibrations() == 1
        assert gallery.calibrations() == []
        assert gallery.clear_calibrations() == 0

    def test_one_that_cannot_be_leaves_the_former_one(self, gallery: GalleryStore) -> None:
        gallery.set_calibration(CALIBRATION)
        with pytest.raises(GalleryError):
            gallery.set_calibration(dataclasses.replace(CALIBRATION, threshold=5.0))
        assert gallery.calibrations() == [CALIBRATION]


class TestPlaces:
    def test_a_gallery_is_made_only_when_asked_for(self, place: GalleryPlace) -> None:
        assert not place.exists()
        with pytest.raises(GalleryError, match="there is none; enroll someone first"):
            place.open()
        assert not place.exists()
        place.open(create=True).__exit__(None, None, None)
        assert place.exists()

    def test_a_gallery_says_where_it_is(self, place: GalleryPlace) -> None:
        with place.open(create=True) as gallery:
            assert gallery.location == place.location

    def test_a_change_that_fails_half_way_leaves_everything(self, place: GalleryPlace) -> None:
        """The last template of a batch is refused by what is stored: the first ones go too."""
        (stored,) = takes("Ada", 1)
        again = dataclasses.replace(stored, person="Bob")
        with place.open(create=True) as gallery:
            gallery.add([stored], CARD)
            before = gallery.generation()
            with pytest.raises(GalleryError, match="enrolled already"):
                gallery.add([*takes("Cy", 2), again], CARD)
        with place.open() as gallery:
            assert gallery.generation() == before
            assert [person.name for person in gallery.people()] == ["Ada"]
