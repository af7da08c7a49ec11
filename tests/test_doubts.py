"""What a person should look at again, against plain loops and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fakes import THRESHOLD, embedded, embedding, squared_l2_of

from facecli.albums.corrections import Corrections
from facecli.albums.doubts import GAP, NEAR, QUEUE, find_doubts, said_apart
from facecli.albums.grouping import Grouping
from facecli.albums.sorting import group
from facecli.faces.embedding import EmbeddedPicture
from facecli.models import DIMENSION
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore
from facecli.types import FloatArray
from facecli.vectors.distances import normalize


@pytest.fixture
def store() -> AlbumStore:
    return AlbumStore(Library.memory())


def sorted_into(store: AlbumStore, *pictures: EmbeddedPicture) -> Grouping:
    return group(pictures, store=store, threshold=THRESHOLD)


def one_each(*vectors: FloatArray) -> list[EmbeddedPicture]:
    return [embedded(f"{number}.jpg", vector) for number, vector in enumerate(vectors)]


def near_pair() -> list[EmbeddedPicture]:
    """Return two clusters that just missed being one, and one far away."""
    angles = (embedding(0, 0), embedding(0, 1), embedding(0, 15), embedding(0, 16))
    return one_each(*angles, embedding(3, 0), embedding(3, 0))


def test_clusters_that_just_missed_being_one_are_shown_with_the_mean_between_them(
    store: AlbumStore,
) -> None:
    pictures = near_pair()
    grouping = sorted_into(store, *pictures)
    assert len(grouping.clusters) == 3
    (pair,) = find_doubts(grouping, pictures).clusters
    between = [squared_l2_of(steps) for steps in (15, 16, 14, 15)]
    assert pair.squared_l2 == pytest.approx(np.mean(between), abs=1e-5)
    assert THRESHOLD < pair.squared_l2 <= NEAR * THRESHOLD
    assert {pair.one, pair.other} == {one.number for one in grouping.clusters} - {
        next(one.number for one in grouping.clusters if one.faces[0].source == "4.jpg")
    }


def test_what_somebody_said_and_what_a_photo_shows_is_beyond_doubt(store: AlbumStore) -> None:
    pictures = near_pair()
    grouping = sorted_into(store, *pictures)
    (pair,) = find_doubts(grouping, pictures).clusters
    Corrections(store).not_same(pair.one, pair.other)
    apart = said_apart(store)
    assert {frozenset(one) for one in apart} == {frozenset((pair.one, pair.other))}
    assert find_doubts(grouping, pictures, apart=apart).clusters == ()
    together = [*pictures, embedded("both.jpg", embedding(0, 0), embedding(0, 15))]
    grouping = sorted_into(AlbumStore(Library.memory()), *together)
    assert find_doubts(grouping, together).clusters == ()


def test_two_names_are_two_people_and_one_name_leaves_the_doubt(store: AlbumStore) -> None:
    pictures = near_pair()
    (pair,) = find_doubts(sorted_into(store, *pictures), pictures).clusters
    Corrections(store).name(pair.one, "Ada")
    assert len(find_doubts(sorted_into(store, *pictures), pictures).clusters) == 1
    Corrections(store).name(pair.other, "Bob")
    assert find_doubts(sorted_into(store, *pictures), pictures).clusters == ()


def test_people_seen_once_are_not_shown_beside_each_other(store: AlbumStore) -> None:
    pictures = one_each(embedding(0, 0), embedding(0, 15))
    assert find_doubts(sorted_into(store, *pictures), pictures).clusters == ()


def test_all_doubts_are_those_of_plain_loops(store: AlbumStore) -> None:
    """Copies of a photo count once; clusters of its own photo cannot be a face's."""
    generator = np.random.default_rng(3)
    crowd = np.zeros((60, DIMENSION), np.float32)
    crowd[:, :5] = np.repeat(generator.normal(0, 1, (10, 5)), 6, axis=0)
    crowd[:, :5] += generator.normal(0, 0.45, (60, 5))
    pictures = one_each(*normalize(crowd))
    pictures += [pictures[0], embedded("two.jpg", embedding(0, 3), embedding(0, 21))]
    grouping = sorted_into(store, *pictures)
    vectors = {
        (one.sha256, place): row for one in pictures for place, row in enumerate(one.embeddings)
    }
    members = {
        one.number: {(face.sha256, face.face) for face in one.faces} for one in grouping.clusters
    }
    photos = {number: {sha256 for sha256, _ in keys} for number, keys in members.items()}

    def mean(key: tuple[str, int], keys: set[tuple[str, int]]) -> float:
        others = [vectors[one] for one in keys if one != key]
        return float(np.mean([((vectors[key] - one) ** 2).sum() for one in others]))

    faces = []
    for number, keys in members.items():
        for key in sorted(keys):
            if len(keys) < 2:
                continue
            own = mean(key, keys)
            rest = {
                other: mean(key, members[other]) for other in members if key[0] not in photos[other]
            }
            nearest = min(rest.values())
            torn = nearest < own + GAP * THRESHOLD and nearest <= NEAR * THRESHOLD
            if torn or own > NEAR * THRESHOLD:
                faces.append((key, number, own, nearest))
    found = find_doubts(grouping, pictures)
    assert len(found.faces) == len(faces) <= QUEUE
    assert len(faces) > 2
    by_key = {(one.face.sha256, one.face.face): one for one in found.faces}
    for key, number, own, nearest in faces:
        doubt = by_key[key]
        assert doubt.face.cluster == number
        assert (doubt.own, doubt.squared_l2) == pytest.approx((own, nearest), abs=1e-4)
    margins = [one.squared_l2 - one.own for one in found.faces]
    assert margins == sorted(margins)
    people = {one.number for one in grouping.people}
    pairs = {}
    for one, other in itertools.combinations(sorted(members), 2):
        between = float(np.mean([mean(key, members[other]) for key in members[one]]))
        near = between <= NEAR * THRESHOLD and not photos[one] & photos[other]
        if near and {one, other} & people:
            pairs[one, other] = between
    assert len(pairs) > 0
    assert {(min(a.one, a.other), max(a.one, a.other)): a.squared_l2 for a in found.clusters} == (
        pytest.approx(pairs, abs=1e-4)
    )
