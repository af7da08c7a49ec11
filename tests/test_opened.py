"""A JPEG is decoded no larger than needed, and nobody sees it: places are those of the picture."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import pytest
from fakes import FakeDetector
from PIL import Image

from facecli.errors import PictureError
from facecli.faces import images
from facecli.faces.acquisition import acquire
from facecli.faces.chips import DLIB_GEOMETRY
from facecli.faces.images import EncodedPicture, decode, read_picture
from facecli.faces.opened import opened, search_side
from facecli.types import Acquisition, Detection, Failure, Picture, Point

pytestmark = pytest.mark.base

ORIENTATION = 0x0112


class RedDetector:
    """Find the only red square of a picture, and remember the sizes of the pictures seen."""

    version = "red-1"

    def __init__(self, search_side: float = 1600) -> None:
        self.search_side = search_side
        self.sizes: list[tuple[int, int]] = []

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Return the square of each picture with the landmarks of a frontal face."""
        self.sizes += [picture.size for picture in pictures]
        return [self._square(np.asarray(picture)) for picture in pictures]

    def _square(self, pixels: np.ndarray) -> list[Detection]:
        rows, columns = np.nonzero((pixels[..., 0] > 160) & (pixels[..., 1] < 100))
        left, top = columns.min() - 0.5, rows.min() - 0.5
        side = columns.max() + 0.5 - left
        places: list[Point] = [
            (float(left + x / 150 * side), float(top + y / 150 * side))
            for x, y in DLIB_GEOMETRY.landmarks
        ]
        landmarks = (places[0], places[1], places[2], places[3], places[4])
        box = (float(left), float(top), float(left + side), float(top + side))
        return [Detection(box, landmarks, 1.0)]


def jpeg(size: tuple[int, int], *, side: int, orientation: int = 1) -> bytes:
    """Return a grey JPEG with a red square of `side` pixels at a third of its size."""
    picture = Image.new("RGB", size, (120, 120, 120))
    picture.paste(
        (255, 0, 0), (size[0] // 3, size[1] // 3, size[0] // 3 + side, size[1] // 3 + side)
    )
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=95, subsampling=0, exif=exif)
    return buffer.getvalue()


def looked_at(source: EncodedPicture | Picture, detector: RedDetector) -> Acquisition:
    (found,) = acquire([source], detector, DLIB_GEOMETRY)
    assert isinstance(found, Acquisition), found
    return found


@pytest.mark.parametrize(
    ("size", "least", "scale"),
    [
        ((3200, 1000), 1600, 2),
        ((1000, 3200), 1600, 2),
        ((3199, 1000), 1600, 1),
        ((6401, 1001), 1600, 4),
        ((1600, 1000), 200, 8),
        ((1600, 1000), 1, 8),
        ((1600, 1000), math.inf, 1),
        ((1600, 3), 200, 2),
    ],
)
def test_a_jpeg_is_decoded_at_the_smallest_size_that_is_enough(
    size: tuple[int, int], least: float, scale: int
) -> None:
    found = decode(jpeg(size, side=1), "test", least=least)
    assert (found.size, found.scale) == (size, scale)
    assert found.pixels.size == tuple(-(-side // scale) for side in size)


def test_other_formats_are_decoded_whole() -> None:
    buffer = BytesIO()
    Image.new("RGB", (3200, 100)).save(buffer, "PNG")
    found = decode(buffer.getvalue(), "test", least=100)
    assert (found.pixels.size, found.size, found.scale) == ((3200, 100), (3200, 100), 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(4000, 3008), (3999, 3005)])
def test_places_and_sizes_are_those_of_the_full_upright_picture(
    size: tuple[int, int], orientation: int
) -> None:
    data = jpeg(size, side=900, orientation=orientation)
    seeing, whole = RedDetector(), RedDetector()
    found = looked_at(EncodedPicture(data, "test"), seeing)
    right = looked_at(read_picture(data, "test"), whole)
    assert (found.size, found.sha256) == (right.size, right.sha256)
    assert found.size == (size if orientation < 5 else size[::-1])
    (face,), (wanted,) = found.faces, right.faces
    np.testing.assert_allclose(face.detection.box, wanted.detection.box, atol=2.01)
    np.testing.assert_allclose(face.detection.landmarks, wanted.detection.landmarks, atol=2.01)
    assert face.quality.eye_distance == pytest.approx(wanted.quality.eye_distance, abs=2)
    reduced = orientation == 1 or size[0] % 2 == 0
    assert max(seeing.sizes[0]) == (2000 if reduced else max(size))
    assert max(whole.sizes[0]) == max(size)
    assert np.abs(found.chips[0].astype(int) - right.chips[0])[8:-8, 8:-8].max() <= 2


@pytest.mark.parametrize(("side", "larger"), [(320, False), (280, True)])
def test_small_faces_are_cut_from_a_larger_decode(
    side: int, larger: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chips have 150 pixels, and the search sees half of the picture's."""
    scales = []

    def watched(data: bytes, source: str, *, least: float = math.inf) -> images.Decode:
        found = decode(data, source, least=least)
        scales.append(found.scale)
        return found

    monkeypatch.setattr("facecli.faces.opened.decode", watched)
    data = jpeg((4000, 3000), side=side)
    looked_at(EncodedPicture(data, "test"), RedDetector())
    assert scales == ([2, 1] if larger else [2])


@pytest.mark.parametrize(("side", "seen"), [(1600, 2000), (2001, 4000), (math.inf, 4000)])
def test_a_detector_sees_as_much_as_it_asks_for(side: float, seen: int) -> None:
    detector = RedDetector(side)
    looked_at(EncodedPicture(jpeg((4000, 100), side=60), "test"), detector)
    assert detector.sizes[0][0] == seen


def test_a_detector_that_does_not_say_sees_everything() -> None:
    assert search_side(FakeDetector()) == math.inf


def test_a_larger_decode_replaces_the_smaller_one() -> None:
    picture = opened(EncodedPicture(jpeg((6400, 100), side=50), "test"))
    first = picture.at_least(1600)
    assert (first.scale, picture.at_least(100)) == (4, first)
    gone = weakref.ref(first.pixels)
    del first
    assert picture.at_least(1601).scale == 2
    assert gone() is None
    assert picture.at_least().pixels.size == picture.size == (6400, 100)


def test_a_jpeg_cut_short_is_a_failure_in_one_line() -> None:
    data = jpeg((4000, 3000), side=900)
    (found,) = acquire([EncodedPicture(data[:9000], "cut")], RedDetector(), DLIB_GEOMETRY)
    assert isinstance(found, Failure)
    assert found.reason.startswith("damaged: ")
    assert "\n" not in found.reason


def test_the_limit_of_pixels_is_that_of_the_full_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 3200 * 100 - 1)
    with pytest.raises(PictureError, match="million pixels"):
        opened(EncodedPicture(jpeg((3200, 100), side=50), "test"))
