"""YuNet proposes faces: the sizes at which a picture is searched, and what is read off the maps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from facecli.models.detector_graphs import STRIDES
from facecli.models.runtime import Session
from facecli.types import FloatArray

COARSE_PIXELS = 640 * 480
"""About the pixels of the copy of a large picture on which large faces are searched."""

WHOLE_PIXELS = 480_000
"""Copies up to this size are searched for faces of all sizes."""

ENLARGED_SIDE = 500
"""Pictures with a smaller longest side are enlarged to it."""

FINE_SCALE = 2 / 3
"""Scale at which small faces are searched in large pictures."""

LEVEL_RATIO = 8.0
"""Largest ratio of two neighbouring scales."""

TILE = 1152
OVERLAP = 160
"""Side of the parts in which a large copy is searched, and how far they overlap, in pixels."""

LEAST_SIDE = 8
"""A picture with a shorter side holds no face: its width would be below that of any found."""

MIN_PROPOSAL = 0.15
"""Smallest score of a proposal."""

SAME_PROPOSAL = 0.3
"""Intersection over union from which two proposals are one."""

_CELL = 32
"""YuNet takes sides that this divides."""

Boxes = npt.NDArray[np.float64]
PixelBox = tuple[int, int, int, int]


class Proposals(NamedTuple):
    """What may be faces: boxes (n, 4) as left, top, right, bottom, scores (n,), rolls (n,).

    A roll is the angle of the line through the eyes in radians, clockwise as seen.
    """

    boxes: Boxes
    scores: npt.NDArray[np.float64]
    rolls: npt.NDArray[np.float64]


def propose(picture: Image.Image, yunet: Session) -> Proposals:
    """Return the proposals for an RGB picture, best first, in its coordinates."""
    if min(picture.size) < LEAST_SIDE:
        return _joined([])
    found = [
        _looked_at(picture, part, scale, yunet)
        for scale in scales_of(*picture.size)
        for part in _parts(*picture.size, scale)
    ]
    every = _joined(found)
    keep = suppress(every.boxes, every.scores, SAME_PROPOSAL)
    return Proposals(*(values[keep] for values in every))


def scales_of(width: int, height: int) -> list[float]:
    """Return the scales at which a picture is searched, smallest first."""
    area, longest = width * height, max(width, height)
    if longest <= ENLARGED_SIDE:
        return [ENLARGED_SIDE / longest]
    if area <= WHOLE_PIXELS:
        return [1.0]
    if area * FINE_SCALE**2 <= WHOLE_PIXELS:
        return [FINE_SCALE]
    factors = [max(2, round(math.sqrt(area / COARSE_PIXELS)))]
    while factors[-1] > LEVEL_RATIO / FINE_SCALE:
        factors.append(max(2, round(factors[-1] / 6)))
    return [*(1 / factor for factor in factors), FINE_SCALE]


def _parts(width: int, height: int, scale: float) -> Iterator[PixelBox]:
    """Yield the parts that cover a picture, overlapping, for a search at a scale."""
    for top, bottom in _spans(height, scale):
        for left, right in _spans(width, scale):
            yield left, top, right, bottom


def _spans(length: int, scale: float) -> list[tuple[int, int]]:
    """Return start and end of the parts of one side, in pixels of the picture."""
    tile, overlap = TILE / scale, OVERLAP / scale
    if length <= tile:
        return [(0, length)]
    count = math.ceil((length - overlap) / (tile - overlap))
    side = math.ceil((length + (count - 1) * overlap) / count)
    starts = [place * (length - side) // (count - 1) for place in range(count)]
    return [(start, start + side) for start in starts]


def _looked_at(picture: Image.Image, part: PixelBox, scale: float, yunet: Session) -> Proposals:
    copy = _copied(picture, part, scale)
    found = read_maps(yunet.run({"pixels": _planes(copy)}))
    left, top, right, bottom = part
    # The last pixel of a reduced copy stands for fewer pixels.
    pace = (
        [1 / scale] * 2
        if scale < FINE_SCALE
        else [(right - left) / copy.width, (bottom - top) / copy.height]
    )
    boxes = found.boxes * np.tile(pace, 2) + np.tile([left, top], 2)
    return Proposals(boxes, found.scores, found.rolls)


def _copied(picture: Image.Image, part: PixelBox, scale: float) -> Image.Image:
    """Return a part at a scale of 1 / n, of FINE_SCALE, or of 1 and more."""
    if scale < FINE_SCALE:
        return picture.reduce(round(1 / scale), part)
    width, height = part[2] - part[0], part[3] - part[1]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == picture.size:
        return picture
    way = Image.Resampling.BILINEAR if scale > 1 else Image.Resampling.NEAREST
    return picture.resize(size, way, box=part)


def _planes(picture: Image.Image) -> FloatArray:
    """Return float32 (1, 3, h, w), filled with black to sides that YuNet takes."""
    columns, rows = (-(-side // _CELL) * _CELL for side in picture.size)
    planes = np.zeros((1, 3, rows, columns), np.float32)
    planes[0, :, : picture.height, : picture.width] = np.asarray(picture).transpose(2, 0, 1)
    return planes


def read_maps(maps: dict[str, FloatArray]) -> Proposals:
    """Return the proposals in YuNet's maps, in pixels of its picture, unordered.

    A score is the root of the class's and the objectness's probabilities. The centre of a box is
    (column + dx, row + dy) · stride, its sides are exp(w) and exp(h) strides.
    """
    found = []
    for stride in STRIDES:
        cells = maps[f"stride_{stride}"][0].astype(np.float64)
        scores = 1 / np.sqrt((1 + np.exp(-cells[0])) * (1 + np.exp(-cells[5])))
        rows, columns = np.nonzero(scores >= MIN_PROPOSAL)
        values = cells[:, rows, columns]
        corner = np.stack([columns, rows])
        centres = (values[1:3] + corner) * stride
        halves = np.exp(np.minimum(values[3:5], 8)) * stride / 2
        eyes = values[8:10] - values[6:8]
        found.append(
            Proposals(
                np.concatenate([centres - halves, centres + halves]).T,
                scores[rows, columns],
                np.arctan2(eyes[1], eyes[0]),
            )
        )
    return _joined(found)


def _joined(parts: list[Proposals]) -> Proposals:
    if not parts:
        return Proposals(np.empty((0, 4)), np.empty(0), np.empty(0))
    return Proposals(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def suppress(boxes: Boxes, scores: npt.NDArray[np.float64], most: float) -> list[int]:
    """Return which boxes to keep, best first: none overlaps a better one by more than `most`.

    Overlap is intersection over union. Of equal scores the earlier box is the better.
    """
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas = widths * heights
    left = np.argsort(-scores, kind="stable")
    keep = []
    while len(left):
        best, left = left[0], left[1:]
        keep.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        left = left[shared <= most * (areas[best] + areas[left] - shared)]
    return keep
