"""The types that all rooms share: frozen records, and Protocols for networks and indexes.

Coordinates are pixels of the upright picture (after EXIF orientation), x to the right and y down,
with (0, 0) the centre of the first pixel. "Left" in a landmark's name is the picture's left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
PixelArray = npt.NDArray[np.uint8]

Point = tuple[float, float]
Box = tuple[float, float, float, float]
Landmarks = tuple[Point, Point, Point, Point, Point]


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture: its name in messages, upright RGB pixels, and the SHA-256 of its file."""

    source: str
    pixels: Image.Image
    sha256: str


@dataclass(frozen=True, slots=True)
class Detection:
    """One face in a picture.

    `box` is left, top, right, bottom and may reach outside the picture; `landmarks` are left eye,
    right eye, nose tip, left and right mouth corner; `confidence` is the detector's, 0 to 1.
    """

    box: Box
    landmarks: Landmarks
    confidence: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        left, top, right, bottom = self.box
        return max(0.0, right - left) * max(0.0, bottom - top)


@dataclass(frozen=True, slots=True)
class ChipGeometry:
    """Where alignment puts the five landmarks in a square chip of `size` pixels a side."""

    size: int
    landmarks: Landmarks


@dataclass(frozen=True, slots=True)
class Quality:
    """How usable a face is, measured on its landmarks and its chip.

    `eye_distance`: pixels between the eyes in the full picture. `sharpness`: variance of the
    Laplacian as a percentage of the variance of the grey levels, both in the middle of the face,
    27 pixels between the eyes; 0 or more. `brightness`: mean grey level there, 0 to 255.
    `turn`: distance of the nose from the middle of the eyes as a share of the eye distance; 0 for
    a frontal face, about 0.5 in profile. A whole picture has neither eyes nor a turn, which are 0,
    and is measured to its edges; it is blank if its sharpness is 0.
    """

    eye_distance: float
    sharpness: float
    brightness: float
    turn: float


@dataclass(frozen=True, slots=True)
class Face:
    """A detection and its quality."""

    detection: Detection
    quality: Quality


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What was found in one picture.

    `notes` say what was done to find it, such as a turn by 90 degrees. `size` is width and height
    of the upright picture. `faces` are ordered by box area, largest first, and may be empty;
    `chips` are their aligned chips, uint8 (size, size, 3) RGB.
    """

    source: str
    sha256: str
    size: tuple[int, int]
    faces: tuple[Face, ...]
    chips: tuple[PixelArray, ...]
    notes: tuple[str, ...] = ()


class FailureKind(StrEnum):
    """Why a source gave no face: it could not be read, or it shows none."""

    UNREADABLE = "unreadable"
    NO_FACE = "no face"


@dataclass(frozen=True, slots=True)
class Failure:
    """A source that could not be used; `reason` is one line that does not repeat the source."""

    source: str
    reason: str
    kind: FailureKind = FailureKind.UNREADABLE

    @classmethod
    def no_face(cls, source: str) -> Failure:
        """Return the failure of a picture that could be read but shows no face."""
        return cls(source, NO_FACE_FOUND, FailureKind.NO_FACE)


NO_FACE_FOUND = "no face found"
"""How every command says that a picture shows no face."""


class Subject(StrEnum):
    """What a model looks at."""

    FACE = "face"
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Everything that is known about one model, as stored in its checkpoint.

    `fingerprint` is a SHA-256 of weights, architecture, chip geometry and alignment. Only vectors
    of one fingerprint can be compared. `threshold` is the largest squared L2 that counts as the
    same person; `thresholds` maps a false match rate such as "1e-4" to its squared L2, and
    `threshold_source` names the data of both. `dimension` is the length of an embedding. `history`
    says how the model was made. `impostors` is a table for `calibration`; {} if unknown.
    """

    name: str
    fingerprint: str
    architecture: dict[str, Any]
    geometry: ChipGeometry
    dimension: int
    threshold: float
    threshold_source: str
    licence: str
    description: str
    source: str = ""
    thresholds: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: tuple[dict[str, str], ...] = ()
    config: dict[str, Any] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] = ()
    impostors: dict[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> Subject:
        """What the model looks at: a face, which a detector finds, or the whole picture."""
        return Subject(self.architecture.get("subject", Subject.FACE))


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold that was set from data; a gallery keeps it for one model.

    `threshold` is a squared L2. Its false match rate is at most `far` among the `impostor_pairs`
    pairs of `people` people. For other people the rate lies between `far_low` and `far_high`
    (95 %). `fnmr` is the share of the `genuine_pairs` above the threshold, None if there are none.
    `source` names the data; `impostors` is the table of its impostor pairs, as in a ModelCard.
    `created` is UTC ISO 8601.
    """

    fingerprint: str
    model: str
    threshold: float
    far: float
    far_low: float
    far_high: float
    people: int
    impostor_pairs: int
    genuine_pairs: int
    fnmr: float | None
    source: str
    created: str
    impostors: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """A template to be stored: whose it is, the vector, and where it came from.

    `created` is when it was enrolled, UTC ISO 8601, if it comes from another gallery; None is now.
    """

    person: str
    embedding: FloatArray
    image_sha256: str
    box: Box
    quality: Quality
    external_id: str | None = None
    created: str | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """An enrolled person. `templates` counts those of all models; `created` is UTC ISO 8601."""

    id: int
    name: str
    external_id: str | None
    templates: int
    created: str


@dataclass(frozen=True, slots=True)
class Template:
    """One stored template without its vector."""

    id: int
    person_id: int
    fingerprint: str
    image_sha256: str
    box: Box
    quality: Quality
    created: str


@dataclass(frozen=True, slots=True)
class TemplateMatrix:
    """All templates of one fingerprint, row by row.

    `template_ids` and `person_ids` are int64 (n,). `embeddings` is float32 (n, d) of unit rows,
    where d is the model's dimension. `names` maps each person id to its name.
    """

    template_ids: IntArray
    person_ids: IntArray
    embeddings: FloatArray
    names: dict[int, str]


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model that has or had templates in a gallery, and how many it has now."""

    name: str
    fingerprint: str
    dimension: int
    templates: int
    created: str


@dataclass(frozen=True, slots=True)
class ForgetReceipt:
    """What was erased, and when (`at`, UTC ISO 8601).

    `scrubbed` is true if no copy is left in the files of the database, its write-ahead log too. If
    it is false, `remains` says where a copy may be, and until when. In a SQLite file that happens
    if another program was reading; a PostgreSQL server always keeps its log for a while.
    """

    people: tuple[str, ...]
    templates: int
    at: str
    scrubbed: bool
    remains: str = ""


class Detector(Protocol):
    """Finds faces; `version` changes whenever a picture would give other detections."""

    version: str

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Return the detections of each upright RGB picture, in the order given, largest first."""


class Encoder(Protocol):
    """Turns chips into embeddings."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
        """Embed uint8 (n, size, size, 3) RGB chips as float32 (n, d) unit vectors."""
        ...


class Index(Protocol):
    """Nearest neighbours over a template matrix."""

    def search(self, probes: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Return rows int64 (m, k') and squared L2 float32 (m, k'), nearest first.

        k' is the smaller of `k` and the number of templates; equal distances keep row order.
        """
        ...
