"""Which face of a photo is meant: a large one near the middle, whole; and whether it is clear."""

from __future__ import annotations

import math

import pytest
from fakes import GOOD, FakeEncoder, embedded, embedding
from hypothesis import given
from hypothesis import strategies as st

from facecli.faces.embedding import EmbeddedPicture, embed_pictures
from facecli.faces.prominence import CENTRAL, CLOSE, MainFace, main_face, prominence
from facecli.types import Box, Detection, Face

SIZE = (400, 300)


def face(box: Box) -> Face:
    point = (0.0, 0.0)
    return Face(Detection(box, (point,) * 5, 1.0), GOOD)


def square(x: float, y: float, side: float) -> Box:
    """Return a square box about a middle, which is measured from the photo's edge."""
    x, y = x - 0.5, y - 0.5
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def chosen(*boxes: Box, size: tuple[int, int] = SIZE) -> int:
    return main_face([face(box) for box in boxes], size).number


def test_a_face_alone_is_meant_without_a_word() -> None:
    alone = main_face([face(square(390, 290, 40))], SIZE)
    assert (alone, alone.notes) == (MainFace(0, 1, doubtful=False), ())


def test_without_a_face_there_is_no_choice() -> None:
    with pytest.raises(ValueError, match="no face"):
        main_face([], SIZE)


def test_of_faces_at_one_place_the_larger_is_meant() -> None:
    assert chosen(square(200, 150, 50), square(200, 150, 60)) == 1


def test_of_faces_of_one_size_the_central_is_meant() -> None:
    assert chosen(square(80, 150, 60), square(190, 150, 60), square(300, 150, 60)) == 1


def test_a_bystander_cut_by_the_edge_is_not_meant_though_larger() -> None:
    """Half of 120 x 120 is 7,200, less than 100 x 100, even before the distance counts."""
    assert chosen(square(400, 150, 120), square(200, 150, 100)) == 1
    assert prominence(square(400, 150, 120), SIZE) < 7200


def test_a_small_face_in_the_middle_does_not_win_over_the_portrait_beside_it() -> None:
    """As with the subject at a third of the width, where photographers put it."""
    assert chosen(square(200, 150, 30), square(133, 130, 120)) == 1


def test_prominence_is_the_area_in_the_middle_and_falls_to_the_corners() -> None:
    assert prominence(square(200, 150, 40), SIZE) == pytest.approx(1600)
    corner = prominence(square(0, 0, 40), SIZE)
    assert corner == pytest.approx(400 * math.exp(-CENTRAL))
    assert prominence((500.0, 100.0, 540.0, 140.0), SIZE) == 0


@pytest.mark.parametrize(("ratio", "doubtful"), [(CLOSE * 1.01, False), (CLOSE * 0.99, True)])
def test_another_face_nearly_as_prominent_is_told(ratio: float, doubtful: bool) -> None:
    side = 50 * math.sqrt(ratio)
    found = main_face([face(square(200, 150, side)), face(square(200, 150, 50))], SIZE)
    assert (found.number, found.doubtful) == (0, doubtful)
    doubt = ": check it, another is nearly as prominent" if doubtful else ""
    assert found.notes == (f"2 faces, the main one taken{doubt}",)


@given(
    st.lists(
        st.tuples(st.floats(0, 400), st.floats(0, 300), st.floats(1, 200)), min_size=1, max_size=5
    ),
    st.integers(2, 5),
)
def test_the_scale_of_the_photo_does_not_matter(
    places: list[tuple[float, float, float]], scale: int
) -> None:
    for x, y, side in places:
        large = square(scale * x, scale * y, scale * side)
        size = (scale * SIZE[0], scale * SIZE[1])
        expected = prominence(square(x, y, side), SIZE) * scale**2
        assert prominence(large, size) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_only_the_main_face_may_be_kept_and_the_photo_says_so() -> None:
    picture = embedded("x", embedding(0, 0), embedding(1, 0), embedding(2, 0))
    (kept,) = embed_pictures([picture], FakeEncoder(), main_only=True)
    assert isinstance(kept, EmbeddedPicture)
    assert kept.faces == (picture.faces[1],)
    assert kept.embeddings.tolist() == [embedding(1, 0).tolist()]
    assert kept.notes == ("3 faces, the main one taken",)
