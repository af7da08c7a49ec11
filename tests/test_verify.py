"""Verification: one number, one threshold, and sides that say what was taken of them."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import (
    GOOD,
    THRESHOLD,
    FakeEncoder,
    embedded,
    embedding,
    fake_card,
    new_template,
    squared_l2_of,
)

from facecli.errors import FaceError, GalleryError, PictureError
from facecli.recognition.verify import Sample, Side, person_sample, photo_sample, verify
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import Failure, FloatArray, Quality

pytestmark = pytest.mark.base


def photo(*vectors: FloatArray) -> Sample:
    return photo_sample(embedded("x.jpg", *vectors))


@pytest.mark.parametrize(("steps", "same"), [(0, True), (14, True), (15, False), (60, False)])
def test_same_means_at_or_under_the_threshold(steps: int, same: bool) -> None:
    verdict = verify(photo(embedding(0, 0)), photo(embedding(0, steps)), threshold=THRESHOLD)
    assert verdict.same is same
    assert verdict.squared_l2 == pytest.approx(squared_l2_of(steps), abs=1e-6)
    assert verdict.threshold == THRESHOLD


def test_the_threshold_itself_is_the_same_person() -> None:
    a, b = photo(embedding(0, 0)), photo(embedding(0, 9))
    squared = verify(a, b, threshold=4.0).squared_l2
    assert verify(a, b, threshold=squared).same
    assert not verify(a, b, threshold=float(np.nextafter(squared, 0.0))).same


def test_a_threshold_of_zero_is_obeyed() -> None:
    a, b = photo(embedding(0, 0)), photo(embedding(0, 1))
    assert verify(a, a, threshold=0.0).same
    assert not verify(a, b, threshold=0.0).same


def test_of_several_faces_the_main_one_counts_and_it_says_so() -> None:
    sample = photo(embedding(0, 0), embedding(1, 0), embedding(2, 0))
    assert sample.side.faces == 3
    assert sample.side.notes == ("3 faces, the main one taken",)
    np.testing.assert_array_equal(sample.embeddings, [embedding(1, 0)])
    assert sample.side.box == (100.0, 0.0, 180.0, 80.0)


def test_a_face_that_would_not_be_enrolled_is_compared_with_a_note() -> None:
    poor = Quality(eye_distance=3.0, sharpness=GOOD.sharpness, brightness=120.0, turn=0.0)
    sample = photo_sample(embedded("x.jpg", embedding(0, 0), quality=poor))
    (note,) = sample.side.notes
    assert note.startswith("too small")


def test_a_photo_without_a_face_is_an_error_that_names_it() -> None:
    with pytest.raises(FaceError, match=r"^x\.jpg: no face found$"):
        photo()


def test_an_unreadable_photo_is_an_error_that_names_it() -> None:
    with pytest.raises(PictureError, match=r"^y\.jpg: is empty$"):
        photo_sample(Failure("y.jpg", "is empty"))


def test_a_person_is_the_nearest_of_their_templates(
    gallery_of_two: SqliteGallery, encoder: FakeEncoder
) -> None:
    gallery_of_two.add([new_template("Ada", embedding(0, 20), "second")], encoder.card)
    matrix = gallery_of_two.matrix(encoder.card)
    ada = person_sample(gallery_of_two.person("Ada"), matrix)
    assert ada.side == Side("Ada", "person", templates=2)
    verdict = verify(photo(embedding(0, 18)), ada, threshold=THRESHOLD)
    assert verdict.squared_l2 == pytest.approx(squared_l2_of(2), abs=1e-6)


def test_both_sides_may_be_people(gallery_of_two: SqliteGallery, encoder: FakeEncoder) -> None:
    matrix = gallery_of_two.matrix(encoder.card)
    ada, bob = (person_sample(gallery_of_two.person(name), matrix) for name in ("Ada", "Bob"))
    assert verify(ada, bob, threshold=THRESHOLD).squared_l2 == pytest.approx(2.0)
    assert verify(ada, ada, threshold=THRESHOLD).squared_l2 == 0.0


def test_a_person_known_to_another_model_only_is_an_error(gallery_of_two: SqliteGallery) -> None:
    other = fake_card("other-128")
    gallery_of_two.add([new_template("Cleo", embedding(2, 0))], other)
    matrix = gallery_of_two.matrix(other)
    with pytest.raises(GalleryError, match="'Ada' has no template of this model"):
        person_sample(gallery_of_two.person("Ada"), matrix)


def test_the_order_of_the_sides_does_not_matter() -> None:
    a, b = photo(embedding(0, 3)), photo(embedding(0, 11))
    assert (
        verify(a, b, threshold=THRESHOLD).squared_l2 == verify(b, a, threshold=THRESHOLD).squared_l2
    )
