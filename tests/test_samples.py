"""One face a photo: which one, whose, and what becomes of photos without any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import embedded, embedding

from facecli.datasets import UNKNOWN, PhotoSet
from facecli.evaluation.samples import gather, most_prominent
from facecli.models import DIMENSION
from facecli.types import Failure


def photo_set(*labels: int) -> PhotoSet:
    paths = tuple(f"{place}.jpg" for place in range(len(labels)))
    none = np.zeros(len(labels), dtype=bool)
    return PhotoSet(Path(), paths, np.array(labels, np.int64), ("Ada", "Bob"), none)


def test_photos_keep_their_order_and_their_people() -> None:
    photos = photo_set(0, 1, UNKNOWN)
    samples = gather(photos, [embedded(name, embedding(0, 3)) for name in "abc"], DIMENSION)
    assert samples.paths == ("0.jpg", "1.jpg", "2.jpg")
    assert samples.people == ("Ada", "Bob", "")
    assert (samples.faces, samples.failures, len(samples.qualities)) == ((0, 0, 0), (), 3)


def test_a_photo_without_a_face_is_a_failure_apart_from_one_that_cannot_be_read() -> None:
    broken = Failure("b", "is empty")
    samples = gather(
        photo_set(0, 1, 0), [embedded("a"), broken, embedded("c", embedding(0, 1))], DIMENSION
    )
    assert samples.failures == (Failure.no_face("a"), broken)
    assert samples.failed == ("Ada", "Bob")
    assert (len(samples), samples.unreadable) == (1, 1)


def test_every_photo_must_be_accounted_for() -> None:
    with pytest.raises(ValueError, match="zip"):
        gather(photo_set(0, 1), [embedded("a", embedding(0, 0))], DIMENSION)


def test_no_photos_are_no_samples() -> None:
    assert gather(photo_set(), [], 64).embeddings.shape == (0, 64)


def test_the_face_in_the_middle_is_taken_before_a_larger_one_at_the_edge() -> None:
    """Boxes of 80 × 80 centred at (40, 40), (140, 40) and (240, 40); the photo is 280 × 80."""
    picture = embedded("x", embedding(0, 0), embedding(1, 0), embedding(2, 0))
    assert most_prominent(replace(picture, size=(280, 80))) == 1
    # 6,400 - 2 · 100² beside 6,400 - 0 in a photo of 80 × 80 around the first face.
    assert most_prominent(replace(picture, size=(80, 80))) == 0
    assert gather(photo_set(1), [replace(picture, size=(480, 80))], DIMENSION).faces == (2,)


def test_twice_the_squared_distance_from_the_middle_counts_against_the_area() -> None:
    """10,000 - 2 · 60² = 2,800 loses to 70² = 4,900 in the middle; at 48 away 5,392 wins."""
    picture = replace(embedded("x", embedding(0, 0), embedding(1, 0)), size=(400, 200))

    def chosen(away: float) -> int:
        boxes = [(150 + away, 50.0, 250 + away, 150.0), (165.0, 65.0, 235.0, 135.0)]
        faces = tuple(
            replace(face, detection=replace(face.detection, box=box))
            for face, box in zip(picture.faces, boxes, strict=True)
        )
        return most_prominent(replace(picture, faces=faces))

    assert (chosen(60), chosen(48)) == (1, 0)


def test_a_copy_of_a_photo_counts_once_for_its_person_and_again_for_another() -> None:
    ada = embedded("same", embedding(0, 0))
    samples = gather(photo_set(0, 0, 1), [ada, ada, ada], DIMENSION)
    assert samples.without_copies().paths == ("0.jpg", "2.jpg")


def test_leaving_copies_out_keeps_the_failures() -> None:
    samples = gather(photo_set(0, 1), [embedded("a", embedding(0, 0)), embedded("b")], DIMENSION)
    assert samples.without_copies().failed_paths == ("1.jpg",)
