"""Measure how much a photo can be altered until it no longer verifies against the original.

FaceNet has a table of this kind for JPEG quality and size (Schroff et al., CVPR 2015, section 5.3).
Each altered photo goes through detection, alignment and embedding again.
"""

from __future__ import annotations

import cmath
import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from facecli.faces.acquisition import acquire, failure
from facecli.faces.prominence import main_face
from facecli.faces.upright import NEUTRAL_GREY
from facecli.types import Acquisition, Box, Detector, Encoder, Face, Failure, Picture, PixelArray
from facecli.vectors.distances import paired_squared_l2

Change = Callable[[Image.Image, Box], Image.Image]


def _jpeg(quality: float) -> Change:
    def alter(photo: Image.Image, _: Box) -> Image.Image:
        data = io.BytesIO()
        photo.save(data, "JPEG", quality=round(quality))
        return Image.open(data).convert("RGB")

    return alter


def _face_size(pixels: float) -> Change:
    def alter(photo: Image.Image, box: Box) -> Image.Image:
        """Shrink the photo so that its face is `pixels` wide; a smaller face stays as it is."""
        ratio = min(1.0, pixels / (box[2] - box[0]))
        size = (max(1, round(photo.width * ratio)), max(1, round(photo.height * ratio)))
        return photo.resize(size, Image.Resampling.LANCZOS)

    return alter


def _photo_size(pixels: float) -> Change:
    def alter(photo: Image.Image, _: Box) -> Image.Image:
        """Shrink the photo into a square of `pixels` a side, with its proportions."""
        small = photo.copy()
        small.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
        return small

    return alter


def _blur(percent: float) -> Change:
    def alter(photo: Image.Image, box: Box) -> Image.Image:
        return photo.filter(ImageFilter.GaussianBlur(percent / 100 * (box[2] - box[0])))

    return alter


def _light(percent: float) -> Change:
    return lambda photo, _: ImageEnhance.Brightness(photo).enhance(percent / 100)


def _tilt(degrees: float) -> Change:
    return lambda photo, _: photo.rotate(
        degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=NEUTRAL_GREY
    )


def _cover(percent: float) -> Change:
    def alter(photo: Image.Image, box: Box) -> Image.Image:
        """Cover the lower part of the face with grey, like a mask or a scarf."""
        left, top, right, bottom = map(round, box)
        covered = photo.copy()
        covered.paste(
            NEUTRAL_GREY, (left, round(bottom - (bottom - top) * percent / 100), right, bottom)
        )
        return covered

    return alter


def _grey(_: float) -> Change:
    return lambda photo, _: photo.convert("L").convert("RGB")


@dataclass(frozen=True, slots=True)
class Alteration:
    """One alteration of a photo: a `level` of a `series`, in the unit of the series."""

    series: str
    level: float
    name: str
    change: Change

    @property
    def tilt(self) -> float:
        """Degrees by which the photo is turned, counter-clockwise."""
        return self.level if self.series == "rotation" else 0.0


SERIES: tuple[tuple[str, str, Callable[[float], Change], tuple[float, ...]], ...] = (
    ("JPEG quality", "JPEG quality {:g}", _jpeg, (50, 20, 10, 5)),
    ("size of the photo", "photo of {:g} pixels", _photo_size, (160, 80, 40)),
    ("size of the face", "face of {:g} pixels", _face_size, (80, 40, 24, 16)),
    ("blur", "blur of {:g} % of the face", _blur, (2, 5, 10)),
    ("darkness", "{:g} % of the light", _light, (33, 10, 3)),
    ("rotation", "tilted by {:g} degrees", _tilt, (15, 30, 60, 180)),
    ("occlusion", "lower {:g} % covered", _cover, (15, 30, 45)),
    ("colour", "without colour", _grey, (0,)),
)
"""The alterations: series, name, and levels, mildest first.

The level of a blur is its standard deviation in percent of the width of the face's box. The covered
part is a share of the height of the box.
"""

ALTERATIONS = tuple(
    Alteration(series, level, name.format(level), make(level))
    for series, name, make, levels in SERIES
    for level in levels
)


@dataclass(frozen=True, slots=True)
class Robustness:
    """The result of one alteration.

    Of `photos` photos, no face was found in `missed` (failures to acquire), and `verified` were at
    or below the threshold from the original. `median` is the median squared L2 of those with a
    face, NaN if there are none.
    """

    series: str
    level: float
    alteration: str
    photos: int
    verified: int
    missed: int
    median: float

    @property
    def share(self) -> float:
        """Share of photos that still verify, 0 to 1; one without a face does not."""
        return self.verified / self.photos if self.photos else math.nan


def sweep(
    pictures: Iterable[Picture], *, detector: Detector, encoder: Encoder
) -> Iterator[list[float | None] | Failure]:
    """Yield for each picture the squared L2 of each alteration to the original, in table order.

    None means that no face was found in the altered picture. A picture without a face in the
    original is a Failure, and so is one that cannot be altered or searched.
    """
    for picture in pictures:
        try:
            row = _compared(picture, detector, encoder)
        except Exception as error:
            row = failure(picture.source, error)
        yield row


def _compared(
    picture: Picture, detector: Detector, encoder: Encoder
) -> list[float | None] | Failure:
    geometry = encoder.card.geometry
    original = next(acquire([picture], detector, geometry))
    if isinstance(original, Failure):
        return original
    if not original.faces:
        return Failure.no_face(picture.source)
    main = main_face(original.faces, original.size).number
    found = acquire(_altered(picture, original.faces[main]), detector, geometry)
    chips = [_same_face(original, main, *one) for one in zip(found, ALTERATIONS, strict=True)]
    there = [chip for chip in chips if chip is not None]
    vectors = encoder.embed(np.stack([original.chips[main], *there]))
    squared = iter(paired_squared_l2(vectors[1:], np.repeat(vectors[:1], len(there), axis=0)))
    return [None if chip is None else float(next(squared)) for chip in chips]


def _altered(picture: Picture, face: Face) -> Iterator[Picture]:
    for one in ALTERATIONS:
        changed = one.change(picture.pixels, face.detection.box)
        yield Picture(picture.source, changed, picture.sha256)


def _same_face(
    original: Acquisition, main: int, found: Acquisition | Failure, alteration: Alteration
) -> PixelArray | None:
    """Return the chip of the face at the place of the original's, which may not be the first."""
    if isinstance(found, Failure) or not found.faces:
        return None
    # A turned picture has larger borders and the same scale; the others may be scaled.
    scale = 1.0 if alteration.tilt else found.size[0] / original.size[0]
    # y points down, so Pillow's counter-clockwise angle is negative here.
    turn = cmath.exp(-1j * math.radians(alteration.tilt))
    place = _from_middle(original, original.faces[main]) * scale * turn
    away = [abs(_from_middle(found, face) - place) for face in found.faces]
    return found.chips[away.index(min(away))]


def _from_middle(found: Acquisition, face: Face) -> complex:
    """Return the middle of a face, measured from the middle of its picture, x + iy in pixels."""
    left, top, right, bottom = face.detection.box
    width, height = found.size
    return complex(left + right - width, top + bottom - height) / 2


def summarise(rows: list[list[float | None]], threshold: float) -> list[Robustness]:
    """Count over all pictures; return a record for each alteration, in table order."""
    summary = []
    for place, alteration in enumerate(ALTERATIONS):
        values = [row[place] for row in rows]
        there = [value for value in values if value is not None]
        summary.append(
            Robustness(
                series=alteration.series,
                level=alteration.level,
                alteration=alteration.name,
                photos=len(values),
                verified=sum(value <= threshold for value in there),
                missed=len(values) - len(there),
                median=float(np.median(there)) if there else math.nan,
            )
        )
    return summary
