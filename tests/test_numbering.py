"""A run on some of the photos: corrections hold for the faces of the other photos as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes import THRESHOLD, embedded, embedding

from facecli.albums.corrections import Corrections
from facecli.albums.sorting import group
from facecli.faces.embedding import EmbeddedPicture
from facecli.stores.library import Library
from facecli.stores.library.clusters import AlbumStore, Fact

PAIR = embedded("pair", embedding(0, 0), embedding(1, 0))
ONE, TWO, MORE = (embedded(name, embedding(1, at)) for at, name in enumerate("xyz", 1))
OTHER, LIKE_OTHER = (embedded(name, embedding(2, at)) for at, name in enumerate("op"))


@pytest.fixture
def store() -> Iterator[AlbumStore]:
    with Library.memory() as library:
        yield AlbumStore(library)


def run(store: AlbumStore, *pictures: EmbeddedPicture, k: int | None = None) -> None:
    group(pictures, store=store, threshold=THRESHOLD, k=k)


def numbers(store: AlbumStore, picture: EmbeddedPicture) -> list[int]:
    """Return the clusters of a picture's faces, in the order in which they were first stored."""
    return [one.identity for one in store.sightings([picture.sha256])]


def test_a_face_of_another_photo_moves_with_the_face_it_is_bound_to(store: AlbumStore) -> None:
    run(store, ONE, TWO, OTHER)
    assert (numbers(store, ONE), numbers(store, TWO), numbers(store, OTHER)) == ([1], [1], [2])
    Corrections(store).merge(2, [1])
    run(store, MORE, LIKE_OTHER)
    assert (numbers(store, MORE), numbers(store, LIKE_OTHER)) == ([3], [4])
    Corrections(store).merge(3, [4])
    run(store, OTHER, MORE, LIKE_OTHER, k=1)
    assert {one.identity for one in store.sightings()} == {2}


def test_faces_bound_to_different_faces_of_one_photo_never_meet(store: AlbumStore) -> None:
    """The photo that shows them side by side is not part of the last run."""
    run(store, PAIR, OTHER)
    run(store, LIKE_OTHER)
    assert (numbers(store, PAIR), numbers(store, OTHER)) == ([1, 2], [3])
    Corrections(store).merge(1, numbers(store, OTHER))
    Corrections(store).merge(2, numbers(store, LIKE_OTHER))
    run(store, OTHER, LIKE_OTHER)
    assert numbers(store, PAIR) == [*numbers(store, OTHER), *numbers(store, LIKE_OTHER)] == [1, 2]


def test_a_face_does_not_move_to_where_its_photo_has_another(store: AlbumStore) -> None:
    """Most faces of the new cluster were in 2, but there a face of the same photo stays."""
    run(store, PAIR, ONE, TWO, MORE, OTHER)
    first, second = numbers(store, PAIR)
    assert numbers(store, ONE) == numbers(store, TWO) == [second]
    Corrections(store).merge(3, [first])
    run(store, ONE, TWO, MORE, OTHER, k=1)
    assert (numbers(store, ONE), numbers(store, OTHER)) == ([3], [3])
    assert numbers(store, PAIR) == [3, second]


def test_a_cluster_does_not_take_the_number_of_one_it_was_said_to_differ_from(
    store: AlbumStore,
) -> None:
    run(store, ONE, TWO, MORE, OTHER)
    absent, shown = store.sightings([ONE.sha256])[0], store.sightings([OTHER.sha256])[0]
    store.correct("not-same", facts=[Fact(0, "different", absent.id, shown.id)])
    run(store, TWO, MORE, OTHER, k=1)
    assert numbers(store, ONE) == [1]
    assert numbers(store, TWO) == numbers(store, MORE) == numbers(store, OTHER) == [2]
