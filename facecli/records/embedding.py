"""Records of embed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import (
    Box,
    Count,
    Fingerprint,
    ModelName,
    Probability,
    Sha256,
    WrittenBy,
)
from facecli.records.people import Quality, quality

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.faces.embedding import EmbeddedPicture
    from facecli.types import ModelCard


class EmbeddingRecord(TypedDict):
    """The embedding of one face."""

    kind: Annotated[Literal["embedding"], WrittenBy(("facecli embed", "POST /embed"))]
    path: Annotated[str, "the photo"]
    sha256: Annotated[Sha256, "hash of the photo's file"]
    face: Annotated[Count, "number of the face by size; 0 for the main one, if asked for"]
    box: Annotated[Box, "where the face is"]
    confidence: Annotated[Probability, "how sure the detector is"]
    quality: Annotated[Quality, "what was measured of the face"]
    model: ModelName
    fingerprint: Fingerprint
    embedding: Annotated[Sequence[float], "a unit vector; the default model's has 128 numbers"]


def embeddings(picture: EmbeddedPicture, card: ModelCard) -> list[EmbeddingRecord]:
    """Return a record for each face of a photo."""
    return [
        {
            "kind": "embedding",
            "path": picture.source,
            "sha256": picture.sha256,
            "face": place,
            "box": face.detection.box,
            "confidence": face.detection.confidence,
            "quality": quality(face.quality),
            "model": card.name,
            "fingerprint": card.fingerprint,
            "embedding": vector.tolist(),
        }
        for place, (face, vector) in enumerate(zip(picture.faces, picture.embeddings, strict=True))
    ]


class FailureRecord(TypedDict):
    """A photo that gave no embedding."""

    kind: Annotated[Literal["failure"], WrittenBy(("facecli embed",))]
    path: Annotated[str, "the photo"]
    reason: Annotated[str, "the reason, in one line"]


def failure(path: str, reason: str) -> FailureRecord:
    """Return the record of a photo that gave no embedding."""
    return {"kind": "failure", "path": path, "reason": reason}


class EmbeddingsFileRecord(TypedDict):
    """The file that embeddings were written to."""

    kind: Annotated[Literal["embeddings_file"], WrittenBy(("facecli embed --out",))]
    path: Annotated[str, "the file"]
    faces: Annotated[Count, "faces in the file"]
    photos: Annotated[Count, "photos that were given"]
    without_face: Annotated[Count, "of these, photos without a face"]
    failures: Annotated[Count, "of these, photos that could not be read"]
    model: ModelName


def embeddings_file(
    path: Path, card: ModelCard, *, faces: int, photos: tuple[int, int, int]
) -> EmbeddingsFileRecord:
    """Return the record of the file that embeddings were written to.

    `photos` counts all photos, those without a face, and those that could not be read.
    """
    given, without_face, failures = photos
    return {
        "kind": "embeddings_file",
        "path": str(path),
        "faces": faces,
        "photos": given,
        "without_face": without_face,
        "failures": failures,
        "model": card.name,
    }
