"""facenet-pytorch's MTCNN behind the Detector protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from facecli import torchvision_standin
from facecli.types import Detection

LONGEST_SIDE = 1280
"""Pictures are searched on a copy whose longer side is at most this many pixels."""

MIN_FACE = 20
"""Shortest side of a face that is searched for, in pixels of the copy."""

MIN_SIDE = 40
"""Copies are padded to this: MTCNN fails on sides shorter than the smallest face."""

MIN_CONFIDENCE = 0.9
"""Detections below this are dropped: a wrong face would be a wrong enrollment."""

# Zhang et al. (2016), "Joint face detection and alignment using multi-task cascaded convolutional
# networks"; the values are those of the authors' code.
_STAGE_THRESHOLDS = (0.6, 0.7, 0.7)


class MTCNNDetector:
    """MTCNN on a reduced copy of each picture, with coordinates of the full picture.

    Pictures go through the network one by one: in a batch, rounding changes with the neighbours,
    and near ties then move landmarks by pixels. The same picture must give the same face.
    """

    def __init__(self, device: str = "cpu") -> None:
        torchvision_standin.install()
        from facenet_pytorch import MTCNN

        self._network: Any = MTCNN(
            keep_all=True,
            min_face_size=MIN_FACE,
            thresholds=list(_STAGE_THRESHOLDS),
            device=torch.device(device),
        )

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Return the detections of each upright RGB picture, in the order given, largest first."""
        return [self._detect_one(picture) for picture in pictures]

    def _detect_one(self, picture: Image.Image) -> list[Detection]:
        copy = _reduced(picture.convert("RGB"))
        scale = max(picture.size) / max(max(copy.size), 1) if copy.size != picture.size else 1.0
        scale = max(scale, 1.0)
        width, height = copy.size
        copy = ImageOps.expand(
            copy, (0, 0, max(0, MIN_SIDE - width), max(0, MIN_SIDE - height)), fill=(128, 128, 128)
        )
        boxes, confidences, points = self._network.detect([copy], landmarks=True)
        if boxes[0] is None:
            return []
        box_array = _full_size(np.asarray(boxes[0].tolist(), dtype=np.float64).reshape(-1, 2, 2), scale)
        point_array = _full_size(np.asarray(points[0].tolist(), dtype=np.float64).reshape(-1, 5, 2), scale)
        found = [
            _detection(box, landmarks, float(confidence))
            for box, landmarks, confidence in zip(
                box_array, point_array, confidences[0], strict=True
            )
            if confidence >= MIN_CONFIDENCE
        ]
        return sorted(found, key=lambda detection: -detection.area)


def _reduced(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest <= LONGEST_SIDE:
        return picture
    size = tuple(max(1, round(side * LONGEST_SIDE / longest)) for side in picture.size)
    return picture.resize((size[0], size[1]), Image.Resampling.BILINEAR, reducing_gap=3.0)


def _full_size(points: Any, scale: float) -> Any:
    # Pixel centres: the copy's pixel 0 covers the full picture's 0 to scale - 1.
    return (points + 0.5) * scale - 0.5


def _detection(box: Any, points: Any, confidence: float) -> Detection:
    eye, other_eye, nose, mouth, other_mouth = [(float(x), float(y)) for x, y in points]
    return Detection(
        box=(float(box[0, 0]), float(box[0, 1]), float(box[1, 0]), float(box[1, 1])),
        landmarks=(eye, other_eye, nose, mouth, other_mouth),
        confidence=confidence,
    )
