"""The whole picture as what is looked at, for models of objects, which need no detector."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from facecli.errors import PictureError
from facecli.types import Box, ChipGeometry, Detection, Landmarks, Point

PLACES: Landmarks = ((0.35, 0.35), (0.65, 0.35), (0.5, 0.5), (0.35, 0.65), (0.65, 0.65))
"""Five points of a square, as shares of its side. They stand for the landmarks of a face, so that a
whole picture is aligned and stored as a face is."""


_SAME_EDGE = 0.01
"""Pixels by which rounding may move the edge of a box, and more."""


def picture_geometry(size: int) -> ChipGeometry:
    """Return the geometry of chips of `size` pixels a side that show the whole square.

    The middle of a chip is at `size` / 2 there, as `cut_chip` has it.
    """
    return ChipGeometry(size, _places_in((0.0, 0.0), float(size)))


class WholePicture:
    """A detector that finds one thing in every picture: the largest square around its centre.

    Its landmarks fit `picture_geometry`, whatever the size of the chip.
    """

    version = "whole-picture-1"

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Return the central square of each picture, with a confidence of 1.

        Raises PictureError for a picture that is one pixel high or wide.
        """
        for picture in pictures:
            if min(picture.size) < 2:
                width, height = picture.size
                raise PictureError(f"too small to look at: {width} by {height} pixels")
        return [[_central_square(picture.size)] for picture in pictures]


def is_whole(box: Box, size: tuple[int, int]) -> bool:
    """Return whether a box in a picture of this size is that of the whole picture, not a face's.

    No face fills the square to a hundredth of a pixel on all sides.
    """
    whole = _central_square(size).box
    return all(abs(one - other) < _SAME_EDGE for one, other in zip(box, whole, strict=True))


def _central_square(size: tuple[int, int]) -> Detection:
    width, height = size
    side = float(min(size))
    left, top = (width - side) / 2 - 0.5, (height - side) / 2 - 0.5  # edges of the first pixels
    return Detection(
        box=(left, top, left + side, top + side),
        landmarks=_places_in((left, top), side),
        confidence=1.0,
    )


def _places_in(corner: Point, side: float) -> Landmarks:
    one, two, three, four, five = ((corner[0] + x * side, corner[1] + y * side) for x, y in PLACES)
    return one, two, three, four, five
