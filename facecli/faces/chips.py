"""Cut aligned chips by five landmarks, with a least-squares similarity transform."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from facecli.errors import FaceError
from facecli.faces.blocks import reduced
from facecli.types import ChipGeometry, Landmarks, PixelArray, Point

ALIGNMENT_VERSION = "similarity-5pt-1"
"""Part of every model's fingerprint. Must be changed if equal landmarks give other pixels."""

DLIB_GEOMETRY = ChipGeometry(
    size=150,
    landmarks=((47.57, 45.93), (102.31, 45.80), (74.55, 78.26), (50.91, 106.56), (98.87, 106.58)),
)
"""Mean places of MTCNN's points in chips like those that dlib's network was trained on.

Measured on the 5,754 faces of Labeled Faces in the Wild that are not in View 2.
"""


class Similarity(NamedTuple):
    """The map z → `turn`·z + `shift` of points as complex numbers x + iy.

    `turn` scales and rotates. Its absolute value is picture pixels per chip pixel.
    """

    turn: complex
    shift: complex

    def __call__(self, point: Point) -> Point:
        """Map one point."""
        image = self.turn * complex(*point) + self.shift
        return image.real, image.imag


def geometry_at(size: int) -> ChipGeometry:
    """Return the default geometry scaled to chips of `size` pixels a side."""
    ratio = size / DLIB_GEOMETRY.size
    points = [(x * ratio, y * ratio) for x, y in DLIB_GEOMETRY.landmarks]
    return ChipGeometry(
        size=size, landmarks=(points[0], points[1], points[2], points[3], points[4])
    )


def fit_similarity(source: Landmarks, target: Landmarks) -> Similarity:
    """Fit the scale, rotation and shift that bring `source` closest to `target`.

    It minimises the sum of squared distances, without mirroring: Umeyama (1991), "Least-squares
    estimation of transformation parameters between two point patterns". In the plane the solution
    is one complex quotient.
    """
    start = np.array([complex(*point) for point in source])
    goal = np.array([complex(*point) for point in target])
    centred = start - start.mean()
    turn = complex(np.vdot(centred, goal) / np.vdot(centred, centred).real)
    return Similarity(turn, complex(goal.mean() - turn * start.mean()))


def stack_chips(chips: Sequence[PixelArray] | PixelArray, size: int) -> PixelArray:
    """Return chips as one array, uint8 (n, size, size, 3); raise ValueError for other shapes."""
    batch = np.stack([np.asarray(chip) for chip in chips])
    if batch.shape[1:] != (size, size, 3) or batch.dtype != np.uint8:
        raise ValueError(f"chips must be uint8 (n, {size}, {size}, 3), not {batch.shape}")
    return batch


def cut_chip(picture: Image.Image, landmarks: Landmarks, geometry: ChipGeometry) -> PixelArray:
    """Cut the aligned chip of one face from an upright RGB picture: uint8 (size, size, 3).

    The area outside the picture is black, as in the chips that the default network was trained on.
    Raises FaceError if the landmarks do not span a face.
    """
    size = geometry.size
    fit = fit_similarity(geometry.landmarks, landmarks)
    # As in dlib, the outermost pixel centres of the chip are those of a square of `side` pixels;
    # both have the same centre.
    side = abs(fit.turn) * size
    if not 1 < side < math.inf:
        raise FaceError("the landmarks do not span a face")
    step = fit.turn / abs(fit.turn) * (side - 1) / (size - 1)
    centre = complex(*fit((size / 2, size / 2)))
    return _sample(picture, step, centre - step * complex(size - 1, size - 1) / 2, size)


def _sample(picture: Image.Image, step: complex, origin: complex, size: int) -> PixelArray:
    """Sample a turned square grid bilinearly; average pixels first if it would skip some.

    `origin` is the position in the picture of the chip's first pixel; `step` leads from there to
    its right neighbour. Like dlib, the picture is shrunk by powers of two until a step is below two
    pixels.
    """
    last = size - 1
    corners = [origin + step * complex(x, y) for x in (0, last) for y in (0, last)]
    shrink = 2 ** max(0, int(math.log2(max(1.0, abs(step)))))
    # The margin has the neighbours that bilinear sampling and averaging need.
    margin = 2 * shrink
    left = math.floor(min(corner.real for corner in corners)) - margin
    top = math.floor(min(corner.imag for corner in corners)) - margin
    right = math.ceil(max(corner.real for corner in corners)) + margin
    bottom = math.ceil(max(corner.imag for corner in corners)) + margin
    region = reduced(picture, (left, top, right, bottom), shrink)
    # Pillow measures from the outer edge of the first pixel, we from its centre.
    half = complex(0.5, 0.5)
    start = (origin - complex(left, top) + half) / shrink
    pace = step / shrink
    start -= pace * half
    matrix = (pace.real, -pace.imag, start.real, pace.imag, pace.real, start.imag)
    chip = region.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(chip, dtype=np.uint8)
