"""Portraits to search for faces, and where a face is expected in an altered one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facecli.errors import MissingExtra
from facecli.faces.images import open_picture
from facecli.types import Detection

Points = npt.NDArray[np.float64]


def portrait(find: Callable[[], Path]) -> Image.Image:
    """Return a portrait, or skip where its package is absent."""
    try:
        return open_picture(find()).pixels
    except MissingExtra as error:
        pytest.skip(str(error))


def one(detections: list[Detection]) -> Detection:
    """Return the only detection."""
    (detection,) = detections
    return detection


def placed(detection: Detection, shift: tuple[float, float], scale: float = 1.0) -> Points:
    """Return the landmarks (5, 2) after scaling the picture and moving it, in its new pixels."""
    landmarks: Points = np.array(detection.landmarks)
    moved: Points = (landmarks + 0.5) * scale - 0.5 + np.array(shift)
    return moved


def off(detection: Detection, expected: Points) -> float:
    """Return the root mean square distance of the landmarks as a share of the eye distance."""
    found = np.array(detection.landmarks)
    eyes = float(np.linalg.norm(expected[1] - expected[0]))
    return float(np.sqrt(((found - expected) ** 2).sum(axis=1).mean())) / eyes
