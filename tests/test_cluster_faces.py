"""Faces of many photos sorted into people, by hand-made embeddings."""

from __future__ import annotations

import pytest
from fakes import THRESHOLD, embedded, embedding, squared_l2_of

from facecli.albums.grouping import Grouping
from facecli.albums.sorting import group
from facecli.errors import FaceError
from facecli.faces.embedding import EmbeddedPicture
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore
from facecli.types import Failure

pytestmark = pytest.mark.base


def grouped(*pictures: EmbeddedPicture | Failure, k: int | None = None) -> Grouping:
    with Library.memory() as library:
        return group(pictures, store=AlbumStore(library), threshold=THRESHOLD, k=k)


def sources(grouping: Grouping) -> list[set[str]]:
    return [{face.source for face in one.faces} for one in grouping.clusters]


def test_people_come_largest_first_and_those_seen_once_last() -> None:
    grouping = grouped(
        embedded("c1", embedding(2, 0)),
        embedded("a1", embedding(0, 0)),
        embedded("b1", embedding(1, 0)),
        embedded("a2", embedding(0, 6)),
        embedded("b2", embedding(1, 4)),
        embedded("a3", embedding(0, 3)),
    )
    assert sources(grouping) == [{"a1", "a2", "a3"}, {"b1", "b2"}, {"c1"}]
    assert [len(one.faces) for one in grouping.people] == [3, 2]
    assert [face.source for face in grouping.seen_once] == ["c1"]
    assert grouping.photos == 6


def test_the_most_typical_face_comes_first_with_squared_l2_to_the_centroid() -> None:
    pictures = [embedded(name, embedding(0, place)) for name, place in [("x", 0), ("y", 3)]]
    grouping = grouped(*pictures, embedded("z", embedding(0, 6)))
    faces = grouping.clusters[0].faces
    assert faces[0].source == "y"
    assert faces[0].squared_l2 == pytest.approx(0.0, abs=1e-6)
    assert faces[1].squared_l2 == pytest.approx(squared_l2_of(3), abs=1e-6)
    assert {face.cluster for face in faces} == {1}


def test_faces_of_one_photo_are_never_one_person() -> None:
    twins = embedded("twins", embedding(0, 0), embedding(0, 1))
    grouping = grouped(twins, embedded("one", embedding(0, 0)))
    assert sorted(len(one.faces) for one in grouping.clusters) == [1, 2]
    for one in grouping.clusters:
        photos = [face.source for face in one.faces]
        assert len(photos) == len(set(photos))


def test_k_decides_how_many() -> None:
    pictures = [embedded(str(place), embedding(0, place)) for place in (0, 1, 10, 11)]
    assert len(grouped(*pictures).clusters) == 1
    grouping = grouped(*pictures, k=2)
    assert sorted(map(sorted, sources(grouping))) == [["0", "1"], ["10", "11"]]


@pytest.mark.parametrize(
    ("k", "reason"), [(4, "number of faces, 3: not 4"), (1, "one photo holds 2 faces")]
)
def test_an_impossible_k_is_an_error(k: int, reason: str) -> None:
    both = embedded("both", embedding(0, 0), embedding(1, 0))
    with pytest.raises(FaceError, match=reason):
        grouped(both, embedded("x", embedding(2, 0)), k=k)


def test_photos_that_gave_nothing_are_listed() -> None:
    failure = Failure("broken", "is empty")
    grouping = grouped(embedded("x", embedding(0, 0)), failure, embedded("landscape"))
    assert grouping.failures == (failure,)
    assert grouping.without_face == ("landscape",)
    assert grouping.photos == 3


def test_no_face_at_all_is_an_error() -> None:
    with pytest.raises(FaceError, match="no face in 2 photos"):
        grouped(embedded("landscape"), Failure("broken", "is empty"))
