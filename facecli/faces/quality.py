"""Measure how usable a face is, on its landmarks and its chip."""

from __future__ import annotations

import math

import numpy as np

from facecli.types import FloatArray, Landmarks, PixelArray, Quality

# The limits were measured on the development people of Labeled Faces in the Wild with the dlib-128
# model, at a squared L2 of 0.116: there 14 % of genuine pairs of unchanged photos are rejected. The
# smallest, most blurred and most turned of those 2,761 photos have 21 px, 3.2 %, and 0.73.

MIN_EYE_DISTANCE = 16.0
"""Pixels between the eyes. With one photo scaled to 16, 17 % of genuine pairs are rejected; to 12,
28 %; to 8, 66 %."""

MIN_SHARPNESS = 3.5
"""Smallest `Quality.sharpness`. One in a thousand photos is below. With a Gaussian blur of 3 chip
pixels, 34 % of genuine pairs are rejected, and two thirds of the photos are below."""

MIN_BRIGHTNESS = 30.0
"""Mean grey level, 0 to 255. With one photo darkened to 30, 17 % of genuine pairs are rejected; to
15, 28 %. The darkest photo has 51. The limit is much lower, so that dark skin is not refused."""

MAX_TURN = 0.6
"""Largest `Quality.turn`. Beyond 0.5 about 40 % of genuine pairs are rejected; 0.2 % of the photos
are above 0.6."""

_MIDDLE = 0.2
"""Share of the chip left out on each side: hair, background and the black outside the picture."""

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Luma weights of ITU-R BT.601, section 2.5.1."""


def measure_quality(landmarks: Landmarks, chip: PixelArray) -> Quality:
    """Measure one face; `landmarks` in pixels of the full picture, `chip` uint8 (n, n, 3)."""
    left, right, nose = (complex(*point) for point in landmarks[:3])
    eyes = right - left
    distance = abs(eyes)
    # Measured along the line through the eyes: a tilted head does not count as turned.
    aside = ((nose - (left + right) / 2) / eyes).real if distance else 0.0
    margin = round(len(chip) * _MIDDLE)
    grey = chip[margin : len(chip) - margin, margin : len(chip) - margin].astype(np.float32) @ _GREY
    return Quality(
        eye_distance=distance,
        sharpness=_sharpness(grey),
        brightness=float(grey.mean()),
        turn=abs(aside),
    )


def usable_for_enrollment(quality: Quality) -> list[str]:
    """Return why a face should not be enrolled, in words; the list is empty if it may be enrolled.

    Numbers are rounded away from the limit, so that a text never shows a value that would be good
    enough.
    """
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

    It is measured at half size, where noise and compression have less effect. It is relative to the
    variance, so that dark photos and dark skin do not count as blurred.
    """
    rows, columns = (side // 2 * 2 for side in grey.shape)
    half = grey[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    spread = float(half.var())
    if spread == 0:
        return 0.0
    inner = half[1:-1, 1:-1]
    laplacian = half[:-2, 1:-1] + half[2:, 1:-1] + half[1:-1, :-2] + half[1:-1, 2:] - 4 * inner
    return 100 * float(laplacian.var()) / spread
