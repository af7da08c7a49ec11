"""The detector finds what is there, where it is, whatever the picture's size, mode or company."""

from __future__ import annotations

import cmath
import math
import pickle
import random

import numpy as np
import pytest
import torch
from detections import off, one, placed
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from facecli.faces.chips import DLIB_GEOMETRY
from facecli.models.mtcnn import (
    LONGEST_SIDE,
    MIN_CONFIDENCE,
    HalvingMaxPool,
    MTCNNDetector,
    is_plausible,
)
from facecli.types import Detection, Landmarks

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def mtcnn() -> MTCNNDetector:
    return MTCNNDetector()


def test_portraits_have_one_face_with_landmarks_in_their_places(
    mtcnn: MTCNNDetector, hopper: Image.Image, collins: Image.Image
) -> None:
    """The expected points were read off the pictures by eye."""
    seen = [
        (hopper, [(222, 191), (309, 187), (268, 238), (234, 279), (306, 275)]),
        (collins, [(205, 102), (246, 103), (224, 128), (203, 140), (245, 142)]),
    ]
    for picture, expected in seen:
        detection = one(mtcnn.detect([picture])[0])
        assert off(detection, np.array(expected, dtype=float)) < 0.08
        left, top, right, bottom = detection.box
        for x, y in detection.landmarks:
            assert left < x < right
            assert top < y < bottom
        assert MIN_CONFIDENCE <= detection.confidence <= 1


def test_same_picture_gives_the_same_answer_alone_and_in_company(
    mtcnn: MTCNNDetector, hopper: Image.Image, collins: Image.Image
) -> None:
    """Exactly the same numbers, whatever the neighbours and their sizes."""
    square = hopper.resize((512, 512))
    alone = [mtcnn.detect([picture])[0] for picture in (collins, square, hopper)]
    assert mtcnn.detect([collins, square, hopper]) == alone
    mixed = [hopper, collins, square, square]
    assert mtcnn.detect(mixed) == [alone[2], alone[0], alone[1], alone[1]]
    assert MTCNNDetector().detect([collins]) == alone[:1]


def test_nothing_in_nothing_out(mtcnn: MTCNNDetector) -> None:
    assert mtcnn.detect([]) == []


def test_threads_are_given_back(
    mtcnn: MTCNNDetector, collins: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch works in one thread while detecting, and in as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        during = []
        real = MTCNNDetector._detect_one

        def watched(self: MTCNNDetector, picture: Image.Image) -> list[Detection]:
            during.append(torch.get_num_threads())
            return real(self, picture)

        monkeypatch.setattr(MTCNNDetector, "_detect_one", watched)
        mtcnn.detect([collins, collins])
        with pytest.raises(AttributeError):
            mtcnn.detect([None])  # type: ignore[list-item]
        assert during == [1, 1]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("scale", [0.5, 2.0, 5.0, 9.0])
def test_coordinates_are_those_of_the_full_picture(
    mtcnn: MTCNNDetector, collins: Image.Image, scale: float
) -> None:
    """From 3.2 on the picture is searched on a reduced copy."""
    expected = placed(one(mtcnn.detect([collins])[0]), (0, 0), scale)
    large = collins.resize((round(512 * scale),) * 2, Image.Resampling.BICUBIC)
    assert (max(large.size) > LONGEST_SIDE) == (scale > 3)
    assert off(one(mtcnn.detect([large])[0]), expected) < 0.06


def test_uneven_reduction_does_not_shift_the_face(
    mtcnn: MTCNNDetector, collins: Image.Image
) -> None:
    """A face at the far end of a long picture shows any error of the scale at its largest."""
    wide = Image.new("RGB", (5003, 700), (90, 90, 90))
    wide.paste(collins.resize((700, 700)), (4303, 0))
    expected = placed(one(mtcnn.detect([collins])[0]), (4303, 0), 700 / 512)
    assert off(one(mtcnn.detect([wide])[0]), expected) < 0.06


def test_all_faces_of_a_crowd_are_found_largest_first(
    mtcnn: MTCNNDetector, collins: Image.Image
) -> None:
    """Forty faces 20 to 60 pixels wide in a photo of ordinary size."""
    random.seed(1)
    head = collins.crop((130, 20, 320, 210))
    crowd = Image.new("RGB", (1600, 1000), (90, 110, 90))
    places = []
    for row in range(5):
        for column in range(8):
            side = random.randint(46, 130)  # the face is 0.45 of it
            face = head.resize((side, side), Image.Resampling.LANCZOS)
            crowd.paste(face, (column * 200 + 30, row * 200 + 30))
            places.append((column * 200 + 30 + side / 2, row * 200 + 30 + side / 2))
    found = mtcnn.detect([crowd])[0]
    centres = [
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (face.box for face in found)
    ]
    hits = [min(math.dist(place, centre) for centre in centres) < 20 for place in places]
    assert sum(hits) >= 39
    assert len(found) == sum(hits)
    areas = [detection.area for detection in found]
    assert areas == sorted(areas, reverse=True)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 400), (400, 1), (10, 10), (19, 19), (23, 24), (24, 23), (30, 5000)]
)
def test_tiny_and_thin_pictures_are_searched_without_error(
    mtcnn: MTCNNDetector, size: tuple[int, int]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    assert mtcnn.detect([Image.fromarray(noise)]) == [[]]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_modes_are_searched_as_rgb(
    mtcnn: MTCNNDetector, collins: Image.Image, mode: str
) -> None:
    expected = np.array(one(mtcnn.detect([collins])[0]).landmarks)
    assert off(one(mtcnn.detect([collins.convert(mode)])[0]), expected) < 0.06


@pytest.mark.parametrize("kind", ["flat", "noise", "blobs", "stripes"])
def test_no_face_where_there_is_none(mtcnn: MTCNNDetector, kind: str) -> None:
    generator = np.random.default_rng(5)
    noise = generator.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    stripes = np.zeros_like(noise)
    stripes[::10] = 255
    pictures = {
        "flat": Image.new("RGB", (400, 300), (180, 140, 120)),
        "noise": Image.fromarray(noise),
        "blobs": Image.fromarray(noise).filter(ImageFilter.GaussianBlur(12)),
        "stripes": Image.fromarray(stripes),
    }
    assert mtcnn.detect([pictures[kind]]) == [[]]


def test_no_face_in_the_rest_of_a_portrait(mtcnn: MTCNNDetector, collins: Image.Image) -> None:
    """Suit, flag and model spacecraft, a hundred pieces of them at twice their size."""
    random.seed(2)
    pieces: list[Image.Image] = []
    while len(pieces) < 100:
        side = random.randint(90, 200)
        x, y = random.randrange(512 - side), random.randrange(512 - side)
        if y > 190 or x > 290 or x + side < 160:
            pieces.append(collins.crop((x, y, x + side, y + side)).resize((2 * side, 2 * side)))
    assert sum(map(bool, mtcnn.detect(pieces))) <= 1


def moved(degrees: float, scale: float = 1.0) -> Landmarks:
    turn = cmath.rect(scale, math.radians(degrees))
    a, b, c, d, e = [turn * complex(*point) for point in DLIB_GEOMETRY.landmarks]
    return (
        (a.real, a.imag),
        (b.real, b.imag),
        (c.real, c.imag),
        (d.real, d.imag),
        (e.real, e.imag),
    )


@given(degrees=st.floats(-55, 55), scale=st.floats(0.01, 100))
def test_a_face_of_any_size_leaning_a_little_is_plausible(degrees: float, scale: float) -> None:
    assert is_plausible(moved(degrees, scale))


@given(degrees=st.floats(65, 295))
def test_a_face_on_its_side_or_head_is_not_plausible(degrees: float) -> None:
    """MTCNN is not made for them: what it reports there is mostly something else."""
    assert not is_plausible(moved(degrees))


def test_landmarks_gone_astray_are_not_plausible() -> None:
    left, right, nose, left_mouth, right_mouth = DLIB_GEOMETRY.landmarks
    assert not is_plausible((left, left, left, left, left))
    assert not is_plausible((left, right, (400.0, 400.0), left_mouth, right_mouth))
    assert not is_plausible((left_mouth, right_mouth, nose, left, right))
    assert is_plausible((left, right, (nose[0] + 20, nose[1]), left_mouth, right_mouth))


@given(st.integers(2, 3), st.integers(3, 40), st.integers(3, 40), st.integers(0, 99))
def test_pooling_is_pytorchs_to_the_last_bit(size: int, height: int, width: int, seed: int) -> None:
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    expected = torch.nn.MaxPool2d(size, 2, ceil_mode=True)(maps)
    assert torch.equal(HalvingMaxPool(size)(maps), expected)


def test_every_pooling_on_a_cpu_is_the_fast_one(mtcnn: MTCNNDetector) -> None:
    parts = [type(part) for part in mtcnn._network.modules()]
    assert parts.count(HalvingMaxPool) == 6
    assert torch.nn.MaxPool2d not in parts


def test_a_copy_for_another_process_finds_the_same(
    mtcnn: MTCNNDetector, hopper: Image.Image
) -> None:
    copy = pickle.loads(pickle.dumps(mtcnn))
    assert copy.detect([hopper]) == mtcnn.detect([hopper])


# Faces at the border


def squeezed(self: MTCNNDetector, picture: Image.Image) -> list[Detection]:
    """Squeeze a face that reaches beyond the picture, as MTCNN does, unless there is grey."""
    rows, columns = np.nonzero(np.ptp(np.asarray(picture).astype(int), axis=2) > 60)
    left, right = float(columns.min()), float(columns.max() + 1)
    top, bottom = float(rows.min()), float(rows.max() + 1)
    if left >= 20:  # with room to its left, the whole face is made out
        left = right - 100
    a, b, c, d = (left, top), (right, top), (left, bottom), (right, bottom)
    return [Detection((*a, *d), (a, b, c, c, d), 1.0)]


def with_block(left: int, right: int) -> Image.Image:
    pixels = np.full((400, 400, 3), 100, dtype=np.uint8)
    pixels[100:200, max(left, 0) : right] = (255, 0, 0)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("hidden", [0, 10, 40])
def test_a_face_cut_by_the_border_is_looked_at_again_with_grey_beyond(
    mtcnn: MTCNNDetector, monkeypatch: pytest.MonkeyPatch, hidden: int
) -> None:
    """Its landmarks then lie outside the picture, where the hidden part would be."""
    monkeypatch.setattr(MTCNNDetector, "_detect_one", squeezed)
    face = one(mtcnn.detect([with_block(-hidden, 100 - hidden)])[0])
    assert list(face.box) == [-hidden, 100, 100 - hidden, 200]
    assert list(face.landmarks[0]) == [-hidden, 100]


def test_a_second_look_that_sees_another_face_or_none_is_not_believed(
    mtcnn: MTCNNDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Detection((0, 100, 100, 200), ((0, 0),) * 5, 1.0)
    other = Detection((250, 250, 299, 299), ((0, 0),) * 5, 1.0)
    for second in ([other], []):
        answers = iter([[first], second])
        monkeypatch.setattr(MTCNNDetector, "_detect_one", lambda *_, seen=answers: next(seen))
        assert mtcnn.detect([with_block(0, 100)]) == [[first]]
