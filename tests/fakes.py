"""A detector and an encoder whose every answer can be worked out by hand, and pictures for them.

A face is a textured block painted on grey. Its colour says whose it is: the red channel holds a
plane of the embedding space, the green one an angle in that plane. Two faces in one plane, `d`
steps apart, are `2 - 2 cos(0.05 d)` apart in squared L2; in different planes, exactly 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from facecli.faces.chips import DLIB_GEOMETRY
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.whole import picture_geometry
from facecli.models import DIMENSION
from facecli.recognition.networks import Networks
from facecli.recognition.recognizer import Recognizer
from facecli.stores.contract import GalleryPlace
from facecli.types import (
    Box,
    Detection,
    Detector,
    Encoder,
    Face,
    FloatArray,
    Landmarks,
    ModelCard,
    NewTemplate,
    PixelArray,
    Point,
    Quality,
)

STEP = 0.05
"""Radians per step of the angle, of which there are 64: just over half a turn."""

PLANES, ANGLES = 16, 64
BACKGROUND = (90, 90, 90)
THRESHOLD = 0.5
"""The fake model's: up to 14 steps apart (0.470) is the same person, 15 (0.537) is not."""


def squared_l2_of(steps: float) -> float:
    """Return the squared L2 of two faces of one plane that many steps apart."""
    return 2 - 2 * math.cos(STEP * steps)


@dataclass(frozen=True)
class PaintedFace:
    """One face to paint: who (`plane`, `angle` in steps), where, and how bad it looks.

    `side` is its height in pixels and the distance between its eyes is 0.36 of its width. `turn`
    is how far the nose is from the middle of the eyes, as a share of their distance: the block
    grows narrower by half of that.
    """

    plane: int = 0
    angle: int = 0
    left: int = 40
    top: int = 40
    side: int = 120
    blurred: bool = False
    dark: bool = False
    turn: float = 0.0


def paint(path: Path, *faces: PaintedFace, size: tuple[int, int] = (400, 240)) -> Path:
    """Write a PNG of these faces, left to right 400 by 240 pixels unless told, and return it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels_of(*faces, size=size)).save(path, format="PNG")
    return path


def pixels_of(*faces: PaintedFace, size: tuple[int, int] = (400, 240)) -> PixelArray:
    """Return the pixels of such a picture."""
    pixels = np.empty((size[1], size[0], 3), dtype=np.uint8)
    pixels[:] = BACKGROUND
    for face in faces:
        width = round(face.side * (1 - face.turn / 2))
        rows = slice(face.top, face.top + face.side)
        pixels[rows, face.left : face.left + width] = _block(face, width)
    return pixels


def _block(face: PaintedFace, width: int) -> PixelArray:
    """Return the pixels of one face; a checked blue channel is what makes it sharp."""
    cell = max(1, face.side // 25)
    y, x = np.indices((face.side, width)) // cell
    low, high = (80, 120) if face.dark else (0, 255)
    blue = np.where((x + y) % 2 == 0, low, high)
    block = np.empty((face.side, width, 3), dtype=np.uint8)
    block[..., 0] = face.plane + (0 if face.dark else 128)
    block[..., 1] = face.angle + (0 if face.dark else 128)
    block[..., 2] = low if face.blurred else blue
    return block


class FakeDetector:
    """Find painted faces: every connected patch that is not grey."""

    version = "fake-1"

    def __init__(self) -> None:
        self.seen = 0

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Return the detections of each picture, largest first."""
        self.seen += len(pictures)
        return [self._detect_one(np.asarray(picture)) for picture in pictures]

    def _detect_one(self, pixels: PixelArray) -> list[Detection]:
        colourful = np.ptp(pixels.astype(int), axis=2) > 0
        patches, _ = ndimage.label(colourful)
        found = [
            _detection(columns.start, rows.start, columns.stop, rows.stop)
            for rows, columns in ndimage.find_objects(patches)
        ]
        return sorted(found, key=lambda detection: -detection.area)


def _detection(left: int, top: int, right: int, bottom: int) -> Detection:
    """Place the landmarks so that the chip is the block itself."""
    width, height = right - left, bottom - top
    box: Box = (float(left), float(top), float(right), float(bottom))
    size = DLIB_GEOMETRY.size
    points: list[Point] = [
        (left + x / size * width - 0.5, top + y / size * height - 0.5)
        for x, y in DLIB_GEOMETRY.landmarks
    ]
    eye_distance = points[1][0] - points[0][0]
    nose = (points[2][0] + 2 * (1 - width / height) * eye_distance, points[2][1])
    landmarks: Landmarks = (points[0], points[1], nose, points[3], points[4])
    return Detection(box=box, landmarks=landmarks, confidence=1.0)


def fake_card(name: str = "fake-128", threshold: float = THRESHOLD) -> ModelCard:
    """Return a card whose fingerprint follows from its name."""
    return ModelCard(
        name=name,
        fingerprint=name.encode().hex().ljust(64, "0"),
        architecture={"kind": "fake"},
        geometry=DLIB_GEOMETRY,
        dimension=DIMENSION,
        threshold=threshold,
        threshold_source="chosen for tests",
        licence="none needed",
        description="Reads the colour of painted faces",
    )


def picture_card(name: str = "things-128", threshold: float = THRESHOLD) -> ModelCard:
    """Return the card of a fake model that looks at whole pictures."""
    return replace(
        fake_card(name, threshold),
        architecture={"kind": "fake", "subject": "picture"},
        geometry=picture_geometry(DLIB_GEOMETRY.size),
        description="Reads the colour in the middle of pictures",
    )


def paint_thing(path: Path, plane: int, angle: int = 0, side: int = 120) -> Path:
    """Write a square PNG that is nothing but such a thing, painted like a face, and return it."""
    thing = PaintedFace(plane, angle, left=0, top=0, side=side)
    return paint(path, thing, size=(side, side))


class FakeEncoder:
    """Read plane and angle off the middle of a chip."""

    def __init__(self, card: ModelCard | None = None) -> None:
        self._card = card or fake_card()
        self.batches: list[int] = []

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._card

    def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
        """Embed each chip by the colour it shows."""
        self.batches.append(len(chips))
        return np.stack([_vector_of_chip(chip) for chip in chips])


def recognizer_of(
    place: GalleryPlace, *, detector: Detector | None = None, encoder: Encoder | None = None
) -> Recognizer:
    """Return a recognizer of painted faces, or with these networks."""
    return Recognizer(networks_of(detector or FakeDetector(), encoder or FakeEncoder()), place)


def networks_of(detector: Detector, encoder: Encoder) -> Networks:
    """Return networks that are loaded already."""
    return Networks(card=lambda: encoder.card, detector=lambda: detector, encoder=lambda: encoder)


def _vector_of_chip(chip: PixelArray) -> FloatArray:
    assert chip.shape == (DLIB_GEOMETRY.size, DLIB_GEOMETRY.size, 3)
    middle = chip[65:85, 65:85].reshape(-1, 3)
    red, green = (int(value) for value in np.median(middle[:, :2], axis=0))
    return embedding(red % PLANES, green % ANGLES)


def embedding(plane: int, angle: float) -> FloatArray:
    """Return the unit vector of a plane and an angle in steps."""
    vector = np.zeros(DIMENSION, dtype=np.float32)
    vector[2 * plane] = math.cos(STEP * angle)
    vector[2 * plane + 1] = math.sin(STEP * angle)
    return vector


GOOD = Quality(eye_distance=80.0, sharpness=500.0, brightness=120.0, turn=0.0)


def new_template(person: str, vector: FloatArray, image: str = "") -> NewTemplate:
    """Return a template of good quality; `image` stands in for the picture's hash."""
    return NewTemplate(
        person=person,
        embedding=vector,
        image_sha256=(image or person).encode().hex().ljust(64, "0")[:64],
        box=(0.0, 0.0, 100.0, 100.0),
        quality=GOOD,
    )


def embedded(source: str, *vectors: FloatArray, quality: Quality = GOOD) -> EmbeddedPicture:
    """Return a picture whose faces are embedded as given, side by side from left to right."""
    faces = tuple(
        Face(detection=_detection(100 * place, 0, 100 * place + 80, 80), quality=quality)
        for place in range(len(vectors))
    )
    rows = np.stack(vectors) if vectors else np.empty((0, DIMENSION), np.float32)
    size = (100 * max(1, len(vectors)), 100)
    sha256 = source.encode().hex().ljust(64, "0")[:64]
    return EmbeddedPicture(source, sha256, size, faces, rows, ())
