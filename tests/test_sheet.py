"""What a contact sheet is made from: map, days and thumbnails; and that text in it stays text."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from fakes import embedded, embedding
from hypothesis import given, settings
from hypothesis import strategies as st
from markup import Structure

from facecli.albums.doubts import DoubtfulFace, Doubts, SimilarClusters
from facecli.albums.grouping import Cluster, ClusteredFace, Grouping
from facecli.errors import LibraryError
from facecli.models import DIMENSION
from facecli.report import projection
from facecli.report.people import Key, Reviewing, people_page
from facecli.report.projection import FEWEST, MOST, project
from facecli.report.sheet import days, faces_of, places, thumbnails
from facecli.stores.library import Library
from facecli.types import Failure
from facecli.vectors.distances import normalize

GENERATOR = np.random.default_rng(1)


def face(source: str, cluster: int, number: int = 0, sha256: str = "") -> ClusteredFace:
    """Return a face; its photo's hash follows from its name."""
    key = sha256 or hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()
    return ClusteredFace(source, key, number, (0.0, 0.0, 9.0, 9.0), 0.9, cluster, 0.25)


def grouping(*clusters: Cluster) -> Grouping:
    """Return clusters with a photo without a face and an unreadable one."""
    return Grouping(clusters, ("wall.png",), (Failure("bad.png", "empty file"),), 9, threshold=1.0)


def page(text: str, *, review: bool) -> str:
    """Return a page that shows one text in all places that foreign text can reach."""
    faces = (face(f"{text}/a.png", 1), face(f"{text}/{text}", 1))
    alone = face(f"{text}b.png", 2)
    people = grouping(Cluster(1, text, False, faces), Cluster(2, None, False, (alone,)))
    people = Grouping(
        people.clusters, (text,), (Failure(text, text),), people.photos, threshold=people.threshold
    )
    keys = faces_of(people)
    return people_page(
        people,
        Doubts((DoubtfulFace(faces[1], 1.0, 2, 1.1),), (SimilarClusters(1, 2, 1.1),)),
        picture_of=lambda key: "data:,",
        days={},
        places=dict.fromkeys(keys, (0.5, 0.5)),
        facts=((text, text),),
        review=Reviewing(text) if review else None,
    )


@pytest.mark.slow
@pytest.mark.parametrize("review", [False, True])
@settings(max_examples=15)
@given(text=st.text(st.characters(codec=None, exclude_characters="/"), min_size=1, max_size=20))
def test_no_name_and_no_file_changes_the_structure_of_the_sheet(review: bool, text: str) -> None:
    html = page(f"x{text}", review=review)
    assert Structure(html).tags == Structure(page("x", review=review)).tags
    html.encode()


def test_copies_of_a_photo_show_a_face_once() -> None:
    first, copy = face("a.png", 1, sha256="0" * 64), face("b.png", 1, sha256="0" * 64)
    people = grouping(Cluster(1, "Ada", False, (first, copy, face("c.png", 1))))
    assert faces_of(people) == [(first.sha256, 0), (face("c.png", 1).sha256, 0)]
    html = people_page(
        people,
        Doubts((), ()),
        picture_of=lambda key: "data:,",
        days={"a.png": date(2020, 1, 2), "c.png": date(2020, 1, 2)},
        places={},
        facts=(),
    )
    assert "2 faces in 2 photos" in html
    assert html.count("<time>2020-01-02</time>") == 1


def test_without_scikit_learn_principal_components_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = normalize(GENERATOR.normal(0, 1, (30, DIMENSION)))
    by_tsne = project(rows)
    monkeypatch.setattr(projection, "has_tsne", lambda: False)
    plain = project(rows)
    assert plain.shape == by_tsne.shape == (30, 2)
    assert plain.min() >= 0
    assert plain.max() <= 1
    assert not np.allclose(plain, by_tsne)


def test_few_faces_are_laid_out_by_principal_components() -> None:
    """Three on a line stay on it, in their order; one alone has a place too."""
    rows = np.stack([embedding(0, angle) for angle in (0, 2, 8)])
    laid = project(rows)
    assert laid.shape == (3, 2)
    assert laid.min() >= 0
    assert laid.max() <= 1
    first, middle, last = laid[:, 0]
    assert first < middle < last or first > middle > last
    assert project(rows[:1]).shape == (1, 2)


def test_many_faces_keep_their_neighbours_and_their_places_from_run_to_run() -> None:
    centres = np.repeat(GENERATOR.normal(0, 1, (6, DIMENSION)), 8, axis=0)
    rows = normalize((centres + GENERATOR.normal(0, 0.2, centres.shape)).astype(np.float32))
    assert len(rows) >= FEWEST
    laid = project(rows)
    assert (laid == project(rows)).all()
    near = ((laid[:, None] - laid[None]) ** 2).sum(axis=2)
    np.fill_diagonal(near, np.inf)
    assert (near.argmin(axis=1) // 8 == np.arange(48) // 8).all()
    with pytest.raises(ValueError, match="at most"):
        project(np.zeros((MOST + 1, 2), np.float32))


def test_where_there_is_no_room_for_all_the_most_central_faces_of_people_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("facecli.report.sheet.MOST", 2)
    pictures = [embedded(f"{one}.png", embedding(0, one)) for one in range(4)]
    faces = [face(f"{one}.png", 1, sha256=pictures[one].sha256) for one in range(3)]
    alone = face("3.png", 2, sha256=pictures[3].sha256)
    people = grouping(Cluster(2, None, False, (alone,)), Cluster(1, "Ada", False, tuple(faces)))
    assert list(places(people, pictures)) == [(one.sha256, 0) for one in faces[:2]]


def test_files_without_a_day_have_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe1 nothing")
    assert days([str(broken), str(tmp_path / "gone.jpg"), str(tmp_path)]) == {}


def test_a_face_that_the_library_does_not_have_is_named() -> None:
    key: Key = ("0" * 64, 0)
    with Library.memory() as library, pytest.raises(LibraryError, match="look at the photo again"):
        list(thumbnails(library, [key]))
