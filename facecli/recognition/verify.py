"""Decide whether two sides, each a photo or an enrolled person, are the same person."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from facecli.calibration import Odds
from facecli.calibration.operating import OperatingPoint
from facecli.errors import FaceError, GalleryError, PictureError
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.images import display_name
from facecli.faces.quality import usable_for_enrollment
from facecli.types import NO_FACE_FOUND, Box, Failure, FloatArray, Person, Subject, TemplateMatrix
from facecli.vectors.distances import paired_squared_l2


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An enrolled person, as one side of a verification."""

    name: str


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a verification: what it is and what was taken of it.

    `kind` is "photo" or "person". Of a photo the main face counts: `box` is that face, `faces` how
    many there are, and `notes` say what to know before trusting it. Of a person `templates`
    counts the templates compared.
    """

    source: str
    kind: str
    box: Box | None = None
    faces: int | None = None
    templates: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A side with its embeddings, float32 (n, d): one for a photo, all of a person's."""

    side: Side
    embeddings: FloatArray


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer: `same` if `squared_l2` is at or under `threshold`, both in [0, 4].

    `odds` say how many strangers come as close, where that is known.
    """

    same: bool
    squared_l2: float
    threshold: float
    sides: tuple[Side, Side]
    odds: Odds | None = None


def photo_sample(picture: EmbeddedPicture | Failure, subject: Subject = Subject.FACE) -> Sample:
    """Take the main face of a photo, or all of it if that is the model's `subject`.

    Raises PictureError for a photo that could not be read, FaceError for one without a face.
    """
    if isinstance(picture, Failure):
        raise PictureError(f"{display_name(picture.source)}: {picture.reason}")
    if not picture.faces:
        raise FaceError(f"{display_name(picture.source)}: {NO_FACE_FOUND}")
    main = picture.main
    face = picture.faces[main.number]
    side = Side(
        source=picture.source,
        kind="photo",
        box=face.detection.box,
        faces=len(picture.faces),
        notes=(*picture.notes, *main.notes, *usable_for_enrollment(face.quality, subject)),
    )
    return Sample(side, picture.embeddings[[main.number]])


def person_sample(person: Person, matrix: TemplateMatrix) -> Sample:
    """Take all templates of an enrolled person; raise GalleryError if this model has none."""
    rows = np.flatnonzero(matrix.person_ids == person.id)
    if not len(rows):
        raise GalleryError(f"{person.name!r} has no template of this model: enroll them with it")
    return Sample(Side(person.name, "person", templates=len(rows)), matrix.embeddings[rows])


def verify(a: Sample, b: Sample, *, threshold: float) -> Verdict:
    """Compare the two nearest embeddings of the sides."""
    left = np.repeat(a.embeddings, len(b.embeddings), axis=0)
    right = np.tile(b.embeddings, (len(a.embeddings), 1))
    squared = float(paired_squared_l2(left, right).min())
    return Verdict(squared <= threshold, squared, threshold, (a.side, b.side))


def compare(a: Sample, b: Sample, point: OperatingPoint) -> Verdict:
    """Compare two sides under the threshold in use, and add how many strangers come as close."""
    verdict = verify(a, b, threshold=point.threshold)
    pairs = len(a.embeddings) * len(b.embeddings)
    return replace(verdict, odds=point.odds(verdict.squared_l2, templates=pairs))
