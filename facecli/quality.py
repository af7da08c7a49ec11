"""How usable a face is, measured on its landmarks and its chip."""

from __future__ import annotations

import numpy as np

from facecli.types import Landmarks, PixelArray, Quality

MIN_EYE_DISTANCE = 14.0
MIN_SHARPNESS = 12.0
MIN_BRIGHTNESS = 30.0
MAX_TURN = 0.75

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Luma weights of ITU-R BT.601, section 2.5.1."""


def measure_quality(landmarks: Landmarks, chip: PixelArray) -> Quality:
    """Measure one face; `landmarks` in pixels of the full picture, `chip` uint8 (n, n, 3)."""
    left, right, nose = (complex(*point) for point in landmarks[:3])
    eyes = right - left
    distance = abs(eyes)
    # Along the line through the eyes, so that a tilted head does not count as turned.
    aside = ((nose - (left + right) / 2) * eyes.conjugate()).real / distance if distance else 0.0
    grey = chip.astype(np.float32) @ _GREY
    return Quality(
        eye_distance=distance,
        sharpness=_sharpness(grey),
        brightness=float(grey.mean()),
        turn=abs(aside) / distance if distance else 0.0,
    )


def usable_for_enrollment(quality: Quality) -> list[str]:
    """Return why a face should not be enrolled, in words; an empty list means it may be."""
    reasons = []
    if quality.eye_distance < MIN_EYE_DISTANCE:
        reasons.append(
            f"too small: {quality.eye_distance:.0f} px between the eyes,"
            f" {MIN_EYE_DISTANCE:.0f} needed"
        )
    if quality.sharpness < MIN_SHARPNESS:
        reasons.append(f"blurred: sharpness {quality.sharpness:.0f}, {MIN_SHARPNESS:.0f} needed")
    if quality.brightness < MIN_BRIGHTNESS:
        reasons.append(f"dark: mean grey {quality.brightness:.0f}, {MIN_BRIGHTNESS:.0f} needed")
    if quality.turn > MAX_TURN:
        reasons.append(
            f"turned away: nose {quality.turn:.2f} eye distances off, {MAX_TURN} at most"
        )
    return reasons


def _sharpness(grey: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    """Return the variance of the 4-neighbour Laplacian: Pech-Pacheco et al. (2000)."""
    inner = grey[1:-1, 1:-1]
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * inner
    return float(laplacian.var())
