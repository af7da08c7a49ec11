"""Clusters keep their numbers and names from run to run, by hand-made embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from fakes import GOOD, THRESHOLD, embedded, embedding
from hypothesis import given
from hypothesis import strategies as st

from facecli.albums.corrections import Corrections
from facecli.albums.grouping import Grouping, threshold_among
from facecli.albums.naming import Namer
from facecli.albums.sorting import group, regroup
from facecli.faces.embedding import EmbeddedPicture
from facecli.models import DIMENSION
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore
from facecli.types import Quality, TemplateMatrix
from facecli.vectors.distances import normalize


@pytest.fixture
def store() -> Iterator[AlbumStore]:
    with Library.memory() as library:
        yield AlbumStore(library)


def numbered(grouping: Grouping) -> dict[int, set[str]]:
    """Return the sources of each cluster by its number."""
    return {one.number: {face.source for face in one.faces} for one in grouping.clusters}


def person(plane: int, photos: int, *, first: int = 0) -> list[EmbeddedPicture]:
    """Return photos of one person, each a step from the last."""
    return [
        embedded(f"{plane}-{place}", embedding(plane, place))
        for place in range(first, first + photos)
    ]


def test_numbers_begin_with_the_largest_and_stay_when_sizes_change(store: AlbumStore) -> None:
    first = group([*person(0, 2), *person(1, 3)], store=store, threshold=THRESHOLD)
    assert {number: len(one) for number, one in numbered(first).items()} == {1: 3, 2: 2}
    more = group([*person(0, 6), *person(1, 3), *person(2, 1)], store=store, threshold=THRESHOLD)
    assert {number: len(one) for number, one in numbered(more).items()} == {2: 6, 1: 3, 3: 1}


def test_numbers_of_people_who_are_gone_never_come_back(store: AlbumStore) -> None:
    group(person(0, 3), store=store, threshold=THRESHOLD)
    assert list(numbered(group(person(1, 3), store=store, threshold=THRESHOLD))) == [2]
    again = group([*person(0, 3), *person(1, 3)], store=store, threshold=THRESHOLD)
    assert set(numbered(again)) == {1, 2}


def test_of_the_parts_of_a_cluster_the_largest_keeps_the_number(store: AlbumStore) -> None:
    pictures = [embedded(str(angle), embedding(0, angle)) for angle in (0, 1, 2, 12, 13)]
    assert list(numbered(group(pictures, store=store, threshold=THRESHOLD))) == [1]
    parted = numbered(group(pictures, store=store, threshold=0.1))
    assert parted == {1: {"0", "1", "2"}, 2: {"12", "13"}}


def test_the_part_with_the_named_face_keeps_number_and_name(store: AlbumStore) -> None:
    pictures = [embedded(str(angle), embedding(0, angle)) for angle in (0, 1, 2, 12, 13)]
    group(pictures, store=store, threshold=THRESHOLD)
    central = store.members(1)[0]
    Corrections(store).name(1, "Ada")
    parted = group(pictures, store=store, threshold=0.001)
    (ada,) = [one for one in parted.clusters if one.name]
    assert (ada.number, ada.name, ada.enrolled) == (1, "Ada", False)
    assert ada.faces[0].sha256 == central.sha256


def test_a_name_shows_where_the_face_it_was_given_for_is_not_looked_at(store: AlbumStore) -> None:
    pictures = person(0, 5)
    group(pictures, store=store, threshold=THRESHOLD)
    anchor = store.members(1)[0].sha256
    Corrections(store).name(1, "Ada")
    rest = [one for one in pictures if one.sha256 != anchor]
    (ada,) = group(rest, store=store, threshold=THRESHOLD).clusters
    assert (ada.number, ada.name) == (1, "Ada")


def test_copies_of_a_picture_are_one_photo_in_two_places(store: AlbumStore) -> None:
    picture = embedded("a", embedding(0, 0), embedding(0, 5))
    copy = replace(picture, source="copy/a")
    grouping = group([picture, copy], store=store, threshold=THRESHOLD)
    assert [len(one.faces) for one in grouping.clusters] == [2, 2]
    assert not grouping.people, "nobody is in two photos"
    assert {face.source for face in grouping.seen_once} == {"a", "copy/a"}


def test_a_face_is_known_again_though_its_box_has_moved_a_little(store: AlbumStore) -> None:
    group([*person(0, 2), *person(1, 1)], store=store, threshold=THRESHOLD)

    def moved(picture: EmbeddedPicture, by: float) -> EmbeddedPicture:
        face = picture.faces[0]
        left, top, right, bottom = face.detection.box
        box = (left + by, top + by, right + by, bottom + by)
        face = replace(face, detection=replace(face.detection, box=box))
        return replace(picture, faces=(face,), size=(200, 200))

    pictures = [moved(one, 10) for one in (*person(1, 1), *person(0, 2))]
    assert set(numbered(group(pictures, store=store, threshold=THRESHOLD))) == {1, 2}
    assert len(store.sightings()) == 3
    elsewhere = [moved(one, 50) for one in person(0, 2)]
    assert set(numbered(group(elsewhere, store=store, threshold=THRESHOLD))) == {3}


@pytest.mark.parametrize(
    ("quality", "confidence", "width"),
    [
        (replace(GOOD, sharpness=1.0), 1.0, 200),
        (replace(GOOD, eye_distance=9.0), 1.0, 200),
        (GOOD, 0.98, 200),
        (GOOD, 1.0, 50),
    ],
    ids=["blurred", "tiny", "doubtful", "cut off"],
)
def test_poor_faces_join_people_and_make_none(
    store: AlbumStore, quality: Quality, confidence: float, width: int
) -> None:
    def poor(source: str, angle: int) -> EmbeddedPicture:
        picture = embedded(source, embedding(0, angle), quality=quality)
        face = replace(
            picture.faces[0],
            detection=replace(picture.faces[0].detection, confidence=confidence),
        )
        return replace(picture, faces=(face,), size=(width, 200))

    alone = group([poor("x", 0), poor("y", 1)], store=store, threshold=THRESHOLD)
    assert [face.weak for face in alone.seen_once] == [True, True]
    Corrections(store).name(1, "Ada")
    pictures = [poor("x", 0), poor("y", 1), *person(0, 2, first=2)]
    (ada,) = group(pictures, store=store, threshold=THRESHOLD).clusters
    assert (ada.name, len(ada.faces), sum(face.weak for face in ada.faces)) == ("Ada", 4, 2)


def test_regrouping_shows_corrections_without_clustering_again(store: AlbumStore) -> None:
    pictures = [*person(0, 3), *person(1, 2)]
    group(pictures, store=store, threshold=THRESHOLD)
    Corrections(store).merge(1, [2])
    assert numbered(regroup(pictures, store=store)) == {1: {one.source for one in pictures}}


def test_who_was_named_is_somebody_though_seen_once(store: AlbumStore) -> None:
    group(person(0, 1), store=store, threshold=THRESHOLD)
    Corrections(store).name(1, "Ada")
    grouping = group(person(0, 1), store=store, threshold=THRESHOLD)
    assert [one.name for one in grouping.people] == ["Ada"]
    assert not grouping.seen_once
    assert not group(person(1, 2), store=store, threshold=THRESHOLD, min_photos=3).people


@pytest.mark.slow
@given(st.integers(0, 2**32 - 1), st.integers(1, 25), st.floats(0.3, 2))
def test_running_again_and_in_any_order_changes_no_number(
    seed: int, photos: int, threshold: float
) -> None:
    rng = np.random.default_rng(seed)
    pictures = [
        embedded(str(number), *_vectors(rng, int(rng.integers(0, 4)))) for number in range(photos)
    ] + person(0, 1)
    with Library.memory() as library:
        store = AlbumStore(library)
        first = numbered(group(pictures, store=store, threshold=threshold))
        shuffled = [pictures[place] for place in rng.permutation(len(pictures))]
        again = numbered(group(shuffled, store=store, threshold=threshold))
    # Ties between equally near clusters may be broken another way, which faces drawn at random
    # have none of.
    assert again == first
    assert sorted(first) == list(range(1, len(first) + 1))


def _vectors(rng: np.random.Generator, faces: int) -> list[np.ndarray]:
    centres = np.eye(4, DIMENSION)[rng.integers(4, size=faces)]
    return list(normalize(centres + 0.1 * rng.normal(size=(faces, DIMENSION)))) if faces else []


# Names from the gallery


def namer(**people: float) -> Namer:
    """Return people of plane 0, each at an angle in steps."""
    rows = np.stack([embedding(0, angle) for angle in people.values()])
    ids = np.arange(1, len(people) + 1)
    matrix = TemplateMatrix(ids, ids, rows, dict(enumerate(people, start=1)))
    return Namer(matrix, threshold=THRESHOLD, gap=0.025)


def names(grouping: Grouping) -> dict[int, str | None]:
    return {one.number: one.name for one in grouping.clusters}


def test_people_enrolled_name_the_clusters_near_them(store: AlbumStore) -> None:
    pictures = [*person(0, 3), *person(1, 2)]
    grouping = group(pictures, store=store, threshold=THRESHOLD, namer=namer(Ada=4))
    assert names(grouping) == {1: "Ada", 2: None}
    assert [one.enrolled for one in grouping.clusters] == [True, False]


def test_two_people_as_near_name_nobody(store: AlbumStore) -> None:
    twins = namer(Ada=-8, Eve=10)
    assert names(group(person(0, 3), store=store, threshold=THRESHOLD, namer=twins)) == {1: None}
    clear = namer(Ada=-4, Eve=10)
    assert names(group(person(0, 3), store=store, threshold=THRESHOLD, namer=clear)) == {1: "Ada"}


def test_a_given_name_goes_before_an_enrolled_one(store: AlbumStore) -> None:
    group(person(0, 3), store=store, threshold=THRESHOLD)
    Corrections(store).name(1, "Countess")
    grouping = group(person(0, 3), store=store, threshold=THRESHOLD, namer=namer(Ada=1))
    assert [(one.name, one.enrolled) for one in grouping.clusters] == [("Countess", False)]


def test_nobody_enrolled_is_in_a_photo_twice(store: AlbumStore) -> None:
    """Two clusters near Ada share a photo: the nearer has the name; a third elsewhere may too."""
    both = embedded("both", embedding(0, 0), embedding(0, 6))
    grouping = group([both], store=store, threshold=THRESHOLD, namer=namer(Ada=4))
    found = {one.faces[0].face: one.name for one in grouping.clusters}
    assert found == {0: None, 1: "Ada"}


def test_the_mean_over_all_faces_decides(store: AlbumStore) -> None:
    """Ada is near one face of the cluster, but not near it as a whole."""
    grouping = group(person(0, 12), store=store, threshold=THRESHOLD, namer=namer(Ada=21))
    assert names(grouping) == {1: None}


# The threshold

RATES = {"1e-3": 1.25, "1e-4": 1.1, "1e-5": 0.98}


def test_the_more_faces_the_nearer_they_must_be_but_never_beyond_the_threshold() -> None:
    assert threshold_among(2, 1.1, RATES) == 1.1
    assert threshold_among(2_000, 1.1, RATES) == pytest.approx(1.1)
    assert threshold_among(20_000, 1.1, RATES) == pytest.approx(0.98)
    assert threshold_among(200_000, 1.1, RATES) == pytest.approx(0.86)
    assert threshold_among(20_000, 0.9, RATES) == 0.9


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0, 4))
def test_the_threshold_never_rises_with_faces(few: int, many: int, threshold: float) -> None:
    few, many = sorted((few, many))
    assert 0 <= threshold_among(many, threshold, RATES) <= threshold_among(few, threshold, RATES)


def test_a_model_that_knows_one_rate_keeps_its_threshold() -> None:
    assert threshold_among(10**6, 1.1, {"1e-4": 1.1}) == 1.1
