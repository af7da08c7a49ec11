"""Measure how usable a face or a whole picture is, on its landmarks and its chip."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from facecli.faces.chips import DLIB_GEOMETRY, fit_similarity
from facecli.faces.whole import picture_geometry
from facecli.types import ChipGeometry, FloatArray, Landmarks, PixelArray, Quality, Subject

# The limits were measured on the development people of Labeled Faces in the Wild with the start
# weights of facecli-128 and the detector yunet-onet-1, at a squared L2 of 1.1: there 2.7 % of
# genuine pairs of 700 unchanged photos with all others are rejected. The smallest, most blurred and
# most turned of all 2,761 photos have 22 px, 2.8, and 0.86. None of the changes below lets more
# strangers match than unchanged photos do.

MIN_EYE_DISTANCE = 16.0
"""Pixels between the eyes. With one photo scaled to 16, 3.7 % of genuine pairs are rejected; to 12,
5.5 %; to 8, 16 %."""

MIN_SHARPNESS = 3.0
"""Smallest `Quality.sharpness`. One photo is below. With a Gaussian blur of 2 pixels of a chip of
112, 6.7 % of genuine pairs are rejected, and six of ten photos are below; with 2.5 pixels 13 % are
rejected, and 96 of a hundred photos are below; with 3 pixels 26 %, and nearly all."""

MIN_BRIGHTNESS = 30.0
"""Mean grey level, 0 to 255. With one photo darkened to 30, 4.5 % of genuine pairs are rejected; to
15, 9.8 %. The darkest photo has 51. The limit is much lower, so that dark skin is not refused."""

MAX_TURN = 0.6
"""Largest `Quality.turn`. 0.2 % of the photos are above. Of the 25 genuine pairs with a photo above
0.5 none is rejected; they are too few to allow more."""

BLANK = "blank: all pixels are alike"

_MARGIN = 0.2
"""Share of a chip of DLIB_GEOMETRY left out on each side: hair, background and the black outside
the picture. In other chips the same part of the face is measured."""

_EDGE = 3
"""Pixels left out on each side of a chip of a whole picture: some show the black outside it."""

_SIDE = 45
"""The part measured is brought to so many pixels a side, with 27 between the eyes."""

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Luma weights of ITU-R BT.601, section 2.5.1."""


def measure_quality(landmarks: Landmarks, chip: PixelArray, *, geometry: ChipGeometry) -> Quality:
    """Measure one face; `landmarks` in pixels of the full picture, `chip` uint8 (n, n, 3).

    The same part of the face is measured at the same size whatever the chip's `geometry`, so that
    one limit serves all models. A whole picture is measured to its edges, since the thing may be
    anywhere; it has no eyes and no turn, which are 0.
    """
    if geometry == picture_geometry(geometry.size):
        seen = _inside(chip)
        return Quality(0.0, _sharpness(seen), float(seen.mean()), 0.0)
    left, right, nose = (complex(*point) for point in landmarks[:3])
    eyes = right - left
    distance = abs(eyes)
    # Measured along the line through the eyes: a tilted head does not count as turned.
    aside = ((nose - (left + right) / 2) / eyes).real if distance else 0.0
    grey = _middle(chip, geometry)
    return Quality(
        eye_distance=distance,
        sharpness=_sharpness(grey),
        brightness=float(grey.mean()),
        turn=abs(aside),
    )


def _middle(chip: PixelArray, geometry: ChipGeometry) -> FloatArray:
    """Return the grey levels of the middle of the face, float32 (_SIDE, _SIDE).

    Averaged to this size, noise and compression have less effect. Of the filters tried, this one
    gives the most equal sharpness in chips of 112 and of 150 pixels of one face: 1.01 times as
    much in the median, 1.04 times for the most blurred; with a box they were 1.13 and 1.33.
    """
    fit = fit_similarity(DLIB_GEOMETRY.landmarks, geometry.landmarks)
    x, y = fit((DLIB_GEOMETRY.size / 2, DLIB_GEOMETRY.size / 2))
    half = abs(fit.turn) * DLIB_GEOMETRY.size * (0.5 - _MARGIN)
    edges = [min(max(edge, 0.0), len(chip)) for edge in (x - half, y - half, x + half, y + half)]
    grey = Image.fromarray(chip.astype(np.float32) @ _GREY)
    box = (edges[0], edges[1], edges[2], edges[3])
    return np.asarray(grey.resize((_SIDE, _SIDE), Image.Resampling.HAMMING, box=box))


def _inside(chip: PixelArray) -> FloatArray:
    """Return the grey levels of the chip of a whole picture, without its edges, float32."""
    edge = _EDGE if len(chip) > 3 * _EDGE else 0
    return chip[edge : len(chip) - edge, edge : len(chip) - edge].astype(np.float32) @ _GREY


def usable_for_enrollment(quality: Quality, subject: Subject = Subject.FACE) -> list[str]:
    """Return why a face should not be enrolled, in words; the list is empty if it may be enrolled.

    Numbers are rounded away from the limit, so that a text never shows a value that would be good
    enough. The limits were measured on faces. A whole picture is refused only if it shows nothing.
    """
    if subject is Subject.PICTURE:
        return [BLANK] if quality.sharpness == 0 else []
    reasons = []
    if quality.eye_distance < MIN_EYE_DISTANCE:
        pixels = math.floor(quality.eye_distance)
        reasons.append(f"too small: {pixels} px between the eyes, {MIN_EYE_DISTANCE:.0f} needed")
    if quality.sharpness < MIN_SHARPNESS:
        percent = math.floor(10 * quality.sharpness) / 10
        reasons.append(f"blurred: sharpness {percent}, {MIN_SHARPNESS} needed")
    if quality.brightness < MIN_BRIGHTNESS:
        grey = math.floor(quality.brightness)
        reasons.append(f"dark: mean grey {grey}, {MIN_BRIGHTNESS:.0f} needed")
    if quality.turn > MAX_TURN:
        share = math.ceil(100 * quality.turn) / 100
        reasons.append(f"turned away: nose {share} eye distances off, {MAX_TURN} at most")
    return reasons


def _sharpness(grey: FloatArray) -> float:
    """Return the variance of the Laplacian (Pech-Pacheco et al. 2000) in percent of the variance.

    It is relative to the variance, so that dark photos and dark skin do not count as blurred.
    """
    spread = float(grey.var())
    if spread == 0:
        return 0.0
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return 100 * float(laplacian.var()) / spread
