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

WHOLE_PIXELS = 480_000
"""Copies up to this size are searched for faces of all sizes; larger ones only for small faces."""

COARSE_PIXELS = 640 * 480
"""About the pixels of the copy of a large picture on which large faces are searched."""

ENLARGED_SIDE = 500
"""Pictures with a smaller longest side are enlarged to it.

On portraits of 250 pixels it made landmarks better: at a false match rate of 1e-5, 97.3 % of
genuine pairs were accepted, and 96.7 % without.
"""

FINE_SCALE = 0.6
"""Scale at which small faces are searched in large pictures.

Of 60 faces of 24 pixels 58 were found at this scale, 52 at a half, and 60 at 1, which takes almost
three times as long. Pixels are left out, not averaged, which is as good and takes a tenth of the
time.
"""

MOST_REDUCED = 12
"""Largest reduction beside the fine search alone; a larger one needs another in between."""

STEP = 6
"""Ratio of the reductions of a picture that needs several."""

TILE = 768
"""Side of the parts in which a large copy is searched, which bounds the memory."""

OVERLAP = 20
"""How far parts overlap, in pixels of the next coarser search: faces of this width are found there.
"""

LEAST_SIDE = 8
"""A picture with a shorter side holds no face that could be found."""

MIN_PROPOSAL = 0.2
"""Smallest score of a proposal.

Of 60 faces 14 pixels wide 55 have it, and 40 have the usual 0.6; O-Net sorts out the rest.
"""

FINE_PROPOSAL = 0.15
"""Smallest score of a proposal of the fine search: of 60 faces of 24 pixels one more is found."""

SAME_PROPOSAL = 0.3
"""Intersection over union from which two proposals are one, as in OpenCV."""

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
    found = []
    coarser = 0.0
    for scale in scales_of(*picture.size):
        overlap = math.ceil(OVERLAP / coarser) if coarser else 0
        coarser = scale
        if min(picture.size) * scale < LEAST_SIDE:
            continue
        parts = _parts(*picture.size, side=math.floor(TILE / scale), overlap=overlap)
        found += [_looked_at(picture, part, scale, yunet) for part in parts]
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
    while factors[-1] > MOST_REDUCED:
        factors.append(max(2, factors[-1] // STEP))
    return [*(1 / factor for factor in factors), FINE_SCALE]


def _parts(width: int, height: int, *, side: int, overlap: int) -> Iterator[PixelBox]:
    """Yield the parts that cover a picture, overlapping; without an overlap it is one part."""
    for top, bottom in _spans(height, side, overlap):
        for left, right in _spans(width, side, overlap):
            yield left, top, right, bottom


def _spans(length: int, most: int, overlap: int) -> list[tuple[int, int]]:
    """Return start and end of the parts of one side, in pixels of the picture."""
    if length <= most or not overlap:
        return [(0, length)]
    count = math.ceil((length - overlap) / (most - overlap))
    side = math.ceil((length + (count - 1) * overlap) / count)
    starts = [place * (length - side) // (count - 1) for place in range(count)]
    return [(start, start + side) for start in starts]


def _looked_at(picture: Image.Image, part: PixelBox, scale: float, yunet: Session) -> Proposals:
    copy = _copied(picture, part, scale)
    least = FINE_PROPOSAL if scale == FINE_SCALE else MIN_PROPOSAL
    found = read_maps(yunet.run({"pixels": _planes(copy)}), least)
    left, top, right, bottom = part
    pace = np.array([1 / scale, 1 / scale])
    # The last pixel of a reduced copy stands for fewer pixels; other copies cover all of the part.
    if scale >= FINE_SCALE:
        pace = np.array([(right - left) / copy.width, (bottom - top) / copy.height])
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


def read_maps(maps: dict[str, FloatArray], least: float) -> Proposals:
    """Return the proposals in YuNet's maps, in pixels of its picture, unordered.

    None has a score below `least`. A score is the root of the class's and the objectness's
    probabilities. The centre of a box is (column + dx, row + dy) · stride, its sides are exp(w) and
    exp(h) strides.
    """
    found = []
    for stride in STRIDES:
        cells = maps[f"stride_{stride}"][0].astype(np.float64)
        scores = 1 / np.sqrt((1 + np.exp(-cells[0])) * (1 + np.exp(-cells[5])))
        rows, columns = np.nonzero(scores >= least)
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
