"""One face a photo: which one, whose, and what becomes of photos without any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import embedded, embedding

from facecli.datasets import UNKNOWN, PhotoSet
from facecli.evaluation.samples import gather
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


def test_the_main_face_of_a_photo_is_taken() -> None:
    picture = replace(embedded("x", embedding(0, 0), embedding(1, 0)), size=(280, 80))
    samples = gather(photo_set(1), [picture], DIMENSION)
    assert samples.faces == (1,)
    np.testing.assert_array_equal(samples.embeddings, [embedding(1, 0)])


def test_a_copy_of_a_photo_counts_once_for_its_person_and_again_for_another() -> None:
    ada = embedded("same", embedding(0, 0))
    samples = gather(photo_set(0, 0, 1), [ada, ada, ada], DIMENSION)
    assert samples.without_copies().paths == ("0.jpg", "2.jpg")


def test_leaving_copies_out_keeps_the_failures() -> None:
    samples = gather(photo_set(0, 1), [embedded("a", embedding(0, 0)), embedded("b")], DIMENSION)
    assert samples.without_copies().failed_paths == ("1.jpg",)
