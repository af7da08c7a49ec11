"""The whole picture as what is looked at, for models of objects, which need no detector."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from facecli.types import ChipGeometry, Detection, Landmarks, Point

PLACES: Landmarks = ((0.35, 0.35), (0.65, 0.35), (0.5, 0.5), (0.35, 0.65), (0.65, 0.65))
"""Five points of a square, as shares of its side. They stand for the landmarks of a face, so that a
whole picture is aligned and stored as a face is."""


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
        """Return the central square of each picture, with a confidence of 1."""
        return [[_central_square(picture.size)] for picture in pictures]


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
