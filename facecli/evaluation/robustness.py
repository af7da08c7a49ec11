"""How far a photo may suffer before it no longer verifies against itself.

FaceNet's own table of this kind is section 5.3 of Schroff et al. (2015): JPEG quality and size.
Each altered photo goes the whole way again, detection and alignment included.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from facecli.distances import paired_squared_l2
from facecli.recognition.acquisition import acquire
from facecli.types import Acquisition, Box, Detector, Encoder, Face, Failure, Picture

Alteration = Callable[[Image.Image, Box], Image.Image]


def _jpeg(quality: int) -> Alteration:
    def alter(photo: Image.Image, _: Box) -> Image.Image:
        data = io.BytesIO()
        photo.save(data, "JPEG", quality=quality)
        return Image.open(data).convert("RGB")

    return alter


def _face_size(pixels: int) -> Alteration:
    def alter(photo: Image.Image, box: Box) -> Image.Image:
        """Shrink the photo until its face is `pixels` wide; a smaller face stays as it is."""
        ratio = min(1.0, pixels / (box[2] - box[0]))
        size = (max(1, round(photo.width * ratio)), max(1, round(photo.height * ratio)))
        return photo.resize(size, Image.Resampling.LANCZOS)

    return alter


def _photo_size(pixels: int) -> Alteration:
    def alter(photo: Image.Image, _: Box) -> Image.Image:
        """Squeeze the whole photo into a square of `pixels` a side, keeping its shape."""
        small = photo.copy()
        small.thumbnail((pixels, pixels), Image.Resampling.LANCZOS)
        return small

    return alter


def _blur(share: float) -> Alteration:
    def alter(photo: Image.Image, box: Box) -> Image.Image:
        return photo.filter(ImageFilter.GaussianBlur(share * (box[2] - box[0])))

    return alter


def _darker(light: float) -> Alteration:
    return lambda photo, _: ImageEnhance.Brightness(photo).enhance(light)


def _tilt(degrees: float) -> Alteration:
    return lambda photo, _: photo.rotate(
        degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(128, 128, 128)
    )


def _grey(photo: Image.Image, _: Box) -> Image.Image:
    return photo.convert("L").convert("RGB")


ALTERATIONS: dict[str, Alteration] = {
    "JPEG quality 50": _jpeg(50),
    "JPEG quality 20": _jpeg(20),
    "JPEG quality 10": _jpeg(10),
    "photo of 80 pixels": _photo_size(80),
    "face of 80 pixels": _face_size(80),
    "face of 40 pixels": _face_size(40),
    "face of 24 pixels": _face_size(24),
    "blur of 2 % of the face": _blur(0.02),
    "blur of 5 % of the face": _blur(0.05),
    "a third of the light": _darker(1 / 3),
    "tilted by 15 degrees": _tilt(15),
    "without colour": _grey,
}
"""What is done to a photo, by the name it is reported under; a blur is its standard deviation."""


@dataclass(frozen=True, slots=True)
class Robustness:
    """How one alteration went.

    Of `photos`, `missed` lost their face (failures to acquire) and `verified` were still at most
    the threshold from the original; `median` is the median squared L2 of those with a face, NaN
    if there is none.
    """

    alteration: str
    photos: int
    verified: int
    missed: int
    median: float

    @property
    def share(self) -> float:
        """Share of photos that still verify, 0 to 1; a lost face is a failure."""
        return self.verified / self.photos if self.photos else math.nan


def sweep(
    pictures: Iterable[Picture], *, detector: Detector, encoder: Encoder
) -> Iterator[list[float | None] | Failure]:
    """Yield for each picture the squared L2 of each alteration to the original, in table order.

    None stands for an alteration in which no face was found. A picture in which none was found
    at the start is a Failure.
    """
    geometry = encoder.card.geometry
    for picture in pictures:
        original = next(acquire([picture], detector, geometry))
        if isinstance(original, Failure) or not original.faces:
            reason = original.reason if isinstance(original, Failure) else "no face"
            yield Failure(picture.source, reason)
            continue
        face = original.faces[0]
        altered = [
            Picture(picture.source, change(picture.pixels, face.detection.box), picture.sha256)
            for change in ALTERATIONS.values()
        ]
        place = _place(original, face)
        found = [_face_at(place, item) for item in acquire(altered, detector, geometry)]
        chips = [there.chip for there in found if there is not None]
        vectors = encoder.embed(np.stack([face.chip, *chips]))
        squared = iter(paired_squared_l2(vectors[1:], np.repeat(vectors[:1], len(chips), axis=0)))
        yield [None if there is None else float(next(squared)) for there in found]


def _place(found: Acquisition, face: Face) -> complex:
    """Return where a face is in its picture, x + iy, each from 0 to 1."""
    left, top, right, bottom = face.detection.box
    width, height = found.size
    return complex((left + right) / 2 / width, (top + bottom) / 2 / height)


def _face_at(place: complex, found: Acquisition | Failure) -> Face | None:
    """Return the face nearest to a place: of two about as large, either may come out first."""
    if isinstance(found, Failure) or not found.faces:
        return None
    return min(found.faces, key=lambda face: abs(_place(found, face) - place))


def summarise(rows: list[list[float | None]], threshold: float) -> list[Robustness]:
    """Count over all pictures, one record an alteration, in table order."""
    summary = []
    for place, name in enumerate(ALTERATIONS):
        values = [row[place] for row in rows]
        there = [value for value in values if value is not None]
        summary.append(
            Robustness(
                alteration=name,
                photos=len(values),
                verified=sum(value <= threshold for value in there),
                missed=len(values) - len(there),
                median=float(np.median(there)) if there else math.nan,
            )
        )
    return summary
