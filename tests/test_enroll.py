"""Enrollment: what becomes of each photo and why; a batch is stored whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import (
    FakeDetector,
    FakeEncoder,
    PaintedFace,
    fake_card,
    networks_of,
    paint,
    squared_l2_of,
)

from facecli.errors import GalleryError
from facecli.faces.embedding import BATCH
from facecli.recognition.enroll import Outcome, PhotoOutcome, examine, judge, store
from facecli.recognition.roster import EnrollmentRequest
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import Failure

pytestmark = pytest.mark.base

ADA, BOB, CLEO = PaintedFace(0), PaintedFace(1), PaintedFace(2)


class Enrolling:
    """Someone enrolling photos into one gallery."""

    def __init__(self, gallery: SqliteGallery, folder: Path, encoder: FakeEncoder) -> None:
        self.gallery = gallery
        self.folder = folder
        self.encoder = encoder

    def photo(
        self, person: str, name: str, *faces: PaintedFace, key: str | None = None
    ) -> EnrollmentRequest:
        return EnrollmentRequest(person, paint(self.folder / f"{name}.png", *faces), key)

    def judge(
        self, *requests: EnrollmentRequest | Failure, largest: bool = False, twins: bool = False
    ) -> list[PhotoOutcome]:
        examined = examine(
            requests, networks_of(FakeDetector(), self.encoder).embed, largest=largest
        )
        card = self.encoder.card
        return judge(
            examined, self.gallery, card, threshold=card.threshold, allow_look_alikes=twins
        )

    def enroll(
        self, *requests: EnrollmentRequest | Failure, largest: bool = False, twins: bool = False
    ) -> list[PhotoOutcome]:
        outcomes = self.judge(*requests, largest=largest, twins=twins)
        store(outcomes, self.gallery, self.encoder.card)
        return outcomes

    @property
    def enrolled(self) -> dict[str, int]:
        return {person.name: person.templates for person in self.gallery.people()}


@pytest.fixture
def enrolling(empty_gallery: SqliteGallery, tmp_path: Path, encoder: FakeEncoder) -> Enrolling:
    return Enrolling(empty_gallery, tmp_path, encoder)


def outcomes_of(photos: list[PhotoOutcome]) -> list[Outcome]:
    return [photo.outcome for photo in photos]


def test_one_photo_is_enough(enrolling: Enrolling) -> None:
    (photo,) = enrolling.enroll(enrolling.photo("Ada", "a", ADA))
    assert (photo.outcome, photo.reasons, photo.warnings) == (Outcome.ACCEPTED, (), ())
    assert enrolling.enrolled == {"Ada": 1}
    (template,) = enrolling.gallery.templates_of("Ada")
    assert photo.template is not None
    assert template.image_sha256 == photo.template.image_sha256
    assert template.box == pytest.approx((40, 40, 160, 160), abs=2)


def test_judging_stores_nothing(enrolling: Enrolling) -> None:
    assert enrolling.judge(enrolling.photo("Ada", "a", ADA))[0].template is not None
    assert enrolling.enrolled == {}


@pytest.mark.parametrize(
    ("faces", "outcome", "reason"),
    [
        ([], Outcome.NO_FACE, "no face found"),
        ([ADA, PaintedFace(1, left=200)], Outcome.SEVERAL_FACES, "2 faces"),
        ([PaintedFace(0, side=12)], Outcome.LOW_QUALITY, "too small"),
        ([PaintedFace(0, blurred=True)], Outcome.LOW_QUALITY, "blurred"),
        ([PaintedFace(0, dark=True)], Outcome.LOW_QUALITY, "dark"),
        ([PaintedFace(0, turn=0.9)], Outcome.LOW_QUALITY, "turned away"),
    ],
    ids=["none", "several", "small", "blurred", "dark", "turned"],
)
def test_each_unfit_photo_is_refused_with_its_reason(
    enrolling: Enrolling, faces: list[PaintedFace], outcome: Outcome, reason: str
) -> None:
    (photo,) = enrolling.enroll(enrolling.photo("Ada", "a", *faces))
    assert photo.outcome is outcome
    assert reason in photo.reasons[0]
    assert photo.template is None
    assert photo.outcome.refused
    assert enrolling.enrolled == {}


def test_the_largest_of_several_faces_may_be_asked_for(enrolling: Enrolling) -> None:
    small = PaintedFace(1, left=200, side=60)
    (photo,) = enrolling.enroll(enrolling.photo("Ada", "a", small, ADA), largest=True)
    assert photo.warnings == ("2 faces, the main one taken",)
    assert photo.template is not None
    assert photo.template.box == pytest.approx((40, 40, 160, 160), abs=2)


def test_a_batch_goes_on_after_what_cannot_be_read_or_used(
    enrolling: Enrolling, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    photos = enrolling.enroll(
        Failure("people.csv line 1", "no name"),
        EnrollmentRequest("Ada", tmp_path / "empty.jpg"),
        EnrollmentRequest("Ada", tmp_path / "missing.jpg"),
        EnrollmentRequest("\u202eevil", tmp_path / "x.jpg"),
        enrolling.photo("Bob", "b", BOB),
    )
    assert outcomes_of(photos) == [
        Outcome.BAD_REQUEST,
        Outcome.UNREADABLE,
        Outcome.UNREADABLE,
        Outcome.BAD_REQUEST,
        Outcome.ACCEPTED,
    ]
    assert photos[0].source == "people.csv line 1"
    assert "U+202E" in photos[3].reasons[0]
    assert enrolling.enrolled == {"Bob": 1}


def test_somebody_who_is_enrolled_under_another_name_is_refused(enrolling: Enrolling) -> None:
    enrolling.enroll(enrolling.photo("Ada", "a", ADA))
    (photo,) = enrolling.enroll(enrolling.photo("Eve", "e", PaintedFace(0, 14)))
    assert photo.outcome is Outcome.LOOK_ALIKE
    assert photo.look_alike is not None
    assert (photo.look_alike.person, photo.look_alike.source) == ("Ada", None)
    assert photo.look_alike.squared_l2 == pytest.approx(squared_l2_of(14), abs=1e-5)
    assert photo.reasons == ("looks like Ada, who is enrolled: squared L2 0.470",)
    assert enrolling.enrolled == {"Ada": 1}


def test_somebody_beyond_the_threshold_is_no_look_alike(enrolling: Enrolling) -> None:
    enrolling.enroll(
        enrolling.photo("Ada", "a", ADA), enrolling.photo("Eve", "e", PaintedFace(0, 15))
    )
    assert enrolling.enrolled == {"Ada": 1, "Eve": 1}


def test_two_names_for_one_face_in_a_batch_are_both_refused(enrolling: Enrolling) -> None:
    """Nothing says which name is wrong, whatever their order; a third person is not affected."""
    batch = [
        enrolling.photo("Ada", "a", ADA),
        enrolling.photo("Bob", "b", BOB),
        enrolling.photo("Eve", "e", PaintedFace(0, 3)),
    ]
    for order in (batch, batch[::-1]):
        photos = {photo.person: photo for photo in enrolling.judge(*order)}
        assert photos["Ada"].outcome is photos["Eve"].outcome is Outcome.LOOK_ALIKE
        assert photos["Bob"].outcome is Outcome.ACCEPTED
        assert photos["Eve"].look_alike is not None
        assert photos["Eve"].look_alike.source == batch[0].source


def test_twins_are_accepted_when_allowed_and_still_pointed_out(enrolling: Enrolling) -> None:
    enrolling.enroll(enrolling.photo("Ada", "a", ADA))
    (photo,) = enrolling.enroll(enrolling.photo("Eve", "e", PaintedFace(0, 3)), twins=True)
    assert photo.outcome is Outcome.ACCEPTED
    assert photo.look_alike is not None
    assert "looks like Ada" in photo.warnings[0]
    assert enrolling.enrolled == {"Ada": 1, "Eve": 1}


def test_a_batch_may_be_run_again(enrolling: Enrolling) -> None:
    """The same pictures of the same people are skipped, which is no refusal."""
    batch = [enrolling.photo("Ada", "a", ADA), enrolling.photo("Bob", "b", BOB)]
    enrolling.enroll(*batch)
    again = enrolling.enroll(*batch, enrolling.photo("Cleo", "c", CLEO))
    assert outcomes_of(again) == [Outcome.REPEATED, Outcome.REPEATED, Outcome.ACCEPTED]
    assert not any(outcome.refused for outcome in outcomes_of(again))
    assert enrolling.enrolled == {"Ada": 1, "Bob": 1, "Cleo": 1}


def test_the_same_picture_twice_in_a_batch_is_stored_once(enrolling: Enrolling) -> None:
    first, second = enrolling.photo("Ada", "a", ADA), enrolling.photo("ada ", "copy", ADA)
    photos = enrolling.enroll(first, second)
    assert outcomes_of(photos) == [Outcome.ACCEPTED, Outcome.REPEATED]
    assert first.source in photos[1].reasons[0]
    assert enrolling.enrolled == {"Ada": 1}


def test_a_picture_that_repeats_a_refused_one_is_refused_too(enrolling: Enrolling) -> None:
    enrolling.enroll(enrolling.photo("Ada", "a", ADA))
    twin = PaintedFace(0, 3)
    photos = enrolling.enroll(
        enrolling.photo("Eve", "e1", twin), enrolling.photo("Eve", "e2", twin)
    )
    assert outcomes_of(photos) == [Outcome.LOOK_ALIKE] * 2
    assert photos[1].look_alike == photos[0].look_alike


@pytest.mark.parametrize("twins", [False, True])
def test_one_picture_under_two_names_is_refused_even_for_twins(
    enrolling: Enrolling, twins: bool
) -> None:
    photos = enrolling.enroll(
        enrolling.photo("Ada", "a", ADA), enrolling.photo("Eve", "e", ADA), twins=twins
    )
    assert outcomes_of(photos) == [Outcome.LOOK_ALIKE] * 2
    enrolling.enroll(enrolling.photo("Ada", "a", ADA))
    (photo,) = enrolling.enroll(enrolling.photo("Eve", "e", ADA), twins=twins)
    assert photo.outcome is Outcome.LOOK_ALIKE
    assert photo.reasons == ("the same picture as Ada's",)


def test_photos_that_resemble_no_other_of_their_person_are_pointed_out(
    enrolling: Enrolling,
) -> None:
    photos = enrolling.enroll(
        enrolling.photo("Ada", "1", PaintedFace(0, 0)),
        enrolling.photo("Ada", "2", PaintedFace(0, 10)),
        enrolling.photo("Ada", "3", PaintedFace(5, 0)),
    )
    assert outcomes_of(photos) == [Outcome.ACCEPTED] * 3
    assert [photo.warnings for photo in photos] == [
        (),
        (),
        ("unlike every other photo of Ada: the nearest is squared L2 2.000",),
    ]
    (later,) = enrolling.enroll(enrolling.photo("Ada", "4", PaintedFace(6, 0)))
    assert later.warnings == ("unlike every other photo of Ada: the nearest is squared L2 2.000",)


def test_names_differing_in_case_and_spaces_are_one_person(enrolling: Enrolling) -> None:
    enrolling.enroll(enrolling.photo("Ada Lovelace", "a", ADA))
    (photo,) = enrolling.enroll(enrolling.photo(" ada  LOVELACE", "b", PaintedFace(0, 2)))
    assert photo.outcome is Outcome.ACCEPTED
    assert enrolling.enrolled == {"Ada Lovelace": 2}


def test_external_ids_must_belong_to_one_person_each(enrolling: Enrolling) -> None:
    enrolling.enroll(enrolling.photo("Ada", "a", ADA, key="1"))
    photos = enrolling.enroll(
        enrolling.photo("Ada", "a2", PaintedFace(0, 1), key="2"),
        enrolling.photo("Bob", "b", BOB, key="1"),
        enrolling.photo("Cleo", "c", CLEO, key="3"),
        enrolling.photo("Dan", "d", PaintedFace(3), key="3"),
        enrolling.photo("Eve", "e", PaintedFace(4), key="4"),
    )
    assert outcomes_of(photos) == [Outcome.BAD_REQUEST] * 4 + [Outcome.ACCEPTED]
    assert photos[0].reasons == ("Ada has the external ids 1 and 2: are they two?",)
    assert photos[1].reasons == ("external id 1 belongs to Ada too",)
    assert {one.name: one.external_id for one in enrolling.gallery.people()} == {
        "Ada": "1",
        "Eve": "4",
    }


def test_a_name_with_quotes_html_and_accents_survives(enrolling: Enrolling) -> None:
    name = 'Zoë <b>O\'Neil</b> "Z"; DROP TABLE person;--'
    enrolling.enroll(enrolling.photo(name, "z", ADA))
    assert enrolling.enrolled == {name: 1}


def test_accepted_photos_are_stored_in_one_transaction(
    enrolling: Enrolling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the gallery refuses one template, none of the batch is there."""
    outcomes = enrolling.judge(enrolling.photo("Ada", "a", ADA), enrolling.photo("Bob", "b", BOB))
    enrolling.enroll(enrolling.photo("Bob", "b", BOB))
    with pytest.raises(GalleryError, match="enrolled already"):
        store(outcomes, enrolling.gallery, enrolling.encoder.card)
    assert enrolling.enrolled == {"Bob": 1}


def test_people_can_be_enrolled_again_with_another_model(enrolling: Enrolling) -> None:
    """Vectors of the old model are never compared with the new one's, nor lost."""
    enrolling.enroll(enrolling.photo("Ada", "a", ADA))
    enrolling.encoder = FakeEncoder(fake_card("other-128"))
    photos = enrolling.enroll(
        enrolling.photo("Ada", "a", ADA), enrolling.photo("Eve", "e", PaintedFace(0, 20))
    )
    assert outcomes_of(photos) == [Outcome.ACCEPTED] * 2
    assert enrolling.enrolled == {"Ada": 2, "Eve": 1}


def test_photos_are_embedded_in_batches_in_the_order_given(enrolling: Enrolling) -> None:
    requests = [
        enrolling.photo(f"P{plane}", f"{plane}-{angle}", PaintedFace(plane, angle))
        for plane in range(16)
        for angle in range(3)
    ]
    outcomes = enrolling.judge(*requests)
    assert [photo.source for photo in outcomes] == [request.source for request in requests]
    assert set(outcomes_of(outcomes)) == {Outcome.ACCEPTED}
    assert max(enrolling.encoder.batches) == BATCH
    assert sum(enrolling.encoder.batches) == 48
