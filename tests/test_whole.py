"""The whole picture as one detection: where it is, what its chip shows, and how good it is."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import GOOD
from PIL import Image

from facecli.errors import PictureError
from facecli.faces.chips import cut_chip, geometry_at
from facecli.faces.quality import measure_quality, usable_for_enrollment
from facecli.faces.whole import WholePicture, is_whole, picture_geometry
from facecli.types import ChipGeometry, PixelArray, Quality, Subject

pytestmark = pytest.mark.base


def chip_of(picture: Image.Image, geometry: ChipGeometry) -> PixelArray:
    ((found,),) = WholePicture().detect([picture])
    return cut_chip(picture, found.landmarks, geometry)


def apart(chip: PixelArray, picture: Image.Image) -> int:
    """Return the largest difference of two levels; sampling rounds some of them down by one."""
    return int(np.abs(chip.astype(int) - np.asarray(picture).astype(int)).max())


def quality_of(picture: Image.Image, size: int = 112) -> Quality:
    ((found,),) = WholePicture().detect([picture])
    geometry = picture_geometry(size)
    return measure_quality(found.landmarks, chip_of(picture, geometry), geometry=geometry)


@pytest.mark.parametrize("size", [28, 112, 224])
def test_a_chip_of_its_own_size_is_the_picture(size: int) -> None:
    picture = Image.effect_noise((size, size), 50).convert("RGB")
    assert apart(chip_of(picture, picture_geometry(size)), picture) <= 1


@pytest.mark.parametrize(
    ("size", "box"), [((90, 60), (15, 0, 75, 60)), ((60, 90), (0, 15, 60, 75))]
)
def test_the_square_is_around_the_middle(
    size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    picture = Image.effect_noise(size, 50).convert("RGB")
    assert apart(chip_of(picture, picture_geometry(60)), picture.crop(box)) <= 1


def test_a_picture_of_one_row_cannot_be_looked_at() -> None:
    with pytest.raises(PictureError, match="too small to look at: 40 by 1 pixels"):
        WholePicture().detect([Image.new("RGB", (40, 1))])


def test_only_its_own_box_is_whole() -> None:
    size = (401, 300)
    ((found,),) = WholePicture().detect([Image.new("RGB", size)])
    assert is_whole(found.box, size)
    assert not is_whole(found.box, (300, 401))
    left, top, right, bottom = found.box
    for box in ((left + 1, top, right, bottom), (left, top, right, bottom - 0.02)):
        assert not is_whole(box, size)


@pytest.mark.parametrize("size", [28, 112, 224])
@pytest.mark.parametrize("side", [7, 111, 999, 4001])
def test_a_blank_picture_has_no_sharpness(size: int, side: int) -> None:
    """Also where the edge of its chip is mixed with the black outside it."""
    assert quality_of(Image.new("RGB", (side, side + 13), (201, 77, 30)), size).sharpness == 0


def test_the_middle_may_be_blank() -> None:
    picture = Image.new("RGB", (224, 224), "white")
    picture.paste("black", (20, 20, 40, 40))
    measured = quality_of(picture)
    assert measured.sharpness > 0
    assert (measured.eye_distance, measured.turn) == (0, 0)
    assert measured.brightness == pytest.approx(255 * (1 - 400 / 224**2), abs=2)


def test_limits_of_faces_are_not_those_of_pictures() -> None:
    poor = Quality(eye_distance=0.0, sharpness=0.01, brightness=3.0, turn=0.0)
    assert usable_for_enrollment(poor, Subject.PICTURE) == []
    assert len(usable_for_enrollment(poor, Subject.FACE)) == 3
    assert usable_for_enrollment(Quality(0.0, 0.0, 90.0, 0.0), Subject.PICTURE) == [
        "blank: all pixels are alike"
    ]
    assert usable_for_enrollment(GOOD) == []


def test_the_geometry_of_faces_is_another() -> None:
    assert picture_geometry(150) != geometry_at(150)
