"""Records of comparing, identifying, enrolling and embedding faces."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal, NotRequired, TypedDict, cast

from facecli.records.fields import (
    Box,
    Calibrated,
    Fingerprint,
    Model,
    Path,
    Sha256,
    SquaredL2,
    Strangers,
    Threshold,
    operating,
)

if TYPE_CHECKING:
    from pathlib import Path as FilePath

    from facecli.calibration.operating import OperatingPoint
    from facecli.calibration.verifier import Judgement
    from facecli.faces.embedding import EmbeddedPicture
    from facecli.recognition.identify import Identification
    from facecli.recognition.screening import PhotoOutcome
    from facecli.recognition.verify import Verdict
    from facecli.types import ModelCard


class SideRecord(TypedDict):
    """One side of a comparison."""

    source: Annotated[str, "the photo's path, or the person's name"]
    kind: Annotated[str, "photo or person"]
    box: Annotated[Box | None, "the face that was compared; null for a person"]
    faces: Annotated[int | None, "faces in the photo; null for a person"]
    templates: Annotated[int | None, "templates of the person; null for a photo"]
    notes: Annotated[list[str], "what to know before you trust the comparison"]


class VerifierAnswer(TypedDict):
    """What a trained verifier says."""

    path: Path
    probability: Annotated[float, "that both sides are one person, 0 to 1"]
    needed: Annotated[float, "probability from which the answer is the same person"]
    prior: Annotated[float, "share of pairs of one person that the probability assumes"]


class VerificationRecord(TypedDict):
    """Two sides compared."""

    kind: Literal["verification"]
    same: Annotated[bool, "whether both sides are the same person"]
    squared_l2: SquaredL2
    threshold: Threshold
    model: Model
    fingerprint: Fingerprint
    sides: Annotated[list[SideRecord], "both sides, in the order given"]
    calibrated: Annotated[Calibrated | None, "null if the threshold was given, or is the model's"]
    strangers: Annotated[Strangers | None, "how many strangers come as close; null if unknown"]
    verifier: NotRequired[
        Annotated[VerifierAnswer | None, "null without --verifier; not over HTTP"]
    ]


class CandidateRecord(TypedDict):
    """A person whom a face may show, by the nearest of their templates."""

    person_id: Annotated[int, "the person's number in the gallery"]
    name: str
    squared_l2: SquaredL2
    votes: Annotated[int, "templates among the nearest five within the threshold"]


class IdentificationRecord(TypedDict):
    """The answer for one face, or for a photo without a usable face."""

    kind: Literal["identification"]
    path: Path
    status: Annotated[str, "match, unknown, ambiguous, no face or error"]
    faces: Annotated[int, "faces in the photo"]
    reason: Annotated[str, "what decided"]
    face: Annotated[int | None, "number of the face, 0 for the largest; null without a face"]
    box: Annotated[Box | None, "where the face is; null without a face"]
    confidence: Annotated[float | None, "the detector's, 0 to 1; null without a face"]
    person: Annotated[str | None, "name of the person; null unless it is a match"]
    squared_l2: Annotated[float | None, "squared L2 to the person; null unless it is a match"]
    candidates: Annotated[list[CandidateRecord], "the nearest people, nearest first"]
    notes: Annotated[list[str], "how the face was found, if that was not simple"]
    threshold: Threshold
    model: Model
    calibrated: Annotated[Calibrated | None, "null if the threshold was given, or is the model's"]
    strangers: Annotated[Strangers | None, "how many strangers come as close; null if unknown"]


class LookAlikeRecord(TypedDict):
    """Another person with a face within the threshold."""

    person: str
    squared_l2: SquaredL2
    path: Annotated[str | None, "their photo, if it is one of this batch"]


class EnrollmentRecord(TypedDict):
    """What became of one photo of a person to be enrolled."""

    kind: Literal["enrollment"]
    person: Annotated[str, "name of the person; empty if the photo's row names nobody"]
    path: Path
    outcome: Annotated[
        str,
        "accepted, same picture twice, no face, several faces, low quality, look-alike, "
        "bad request or unreadable",
    ]
    refused: Annotated[bool, "whether the person is not remembered by this photo"]
    reasons: Annotated[list[str], "why it was refused"]
    warnings: Annotated[list[str], "what to know although it was accepted"]
    look_alike: Annotated[LookAlikeRecord | None, "the person it looks like, if any"]
    external_id: Annotated[str | None, "the person's key in another system"]
    sha256: Annotated[str | None, "SHA-256 of the file; null unless accepted"]
    box: Annotated[Box | None, "where the face is; null unless accepted"]
    dry_run: Annotated[bool, "whether nothing was stored"]


class EnrollmentSummaryRecord(TypedDict):
    """All photos of one enrollment."""

    kind: Literal["enrollment_summary"]
    photos: Annotated[int, "number of photos"]
    accepted: Annotated[int, "photos that are stored now"]
    refused: Annotated[int, "photos that were refused"]
    people: Annotated[int, "people of the accepted photos"]
    dry_run: Annotated[bool, "whether nothing was stored"]
    gallery: Annotated[str, "path of the gallery"]


class EmbeddingRecord(TypedDict):
    """One face with its embedding."""

    kind: Literal["embedding"]
    path: Path
    sha256: Sha256
    face: Annotated[int, "number of the face in the photo, 0 for the largest"]
    box: Box
    confidence: Annotated[float, "the detector's, 0 to 1"]
    model: Model
    fingerprint: Fingerprint
    embedding: Annotated[list[float], "unit vector"]


class EmbeddingsFileRecord(TypedDict):
    """A file of embeddings that was written."""

    kind: Literal["embeddings_file"]
    path: Path
    faces: Annotated[int, "number of faces"]
    model: Model


class FailureRecord(TypedDict):
    """A photo that gave no embedding."""

    kind: Literal["failure"]
    path: Path
    reason: Annotated[str, "why, in one line"]


def verification(
    verdict: Verdict, card: ModelCard, point: OperatingPoint, *, judged: Judgement | None = None
) -> VerificationRecord:
    """Return what is said of two sides compared; a verifier's answer decides if there is one."""
    where = operating(point, verdict.odds)
    return {
        "kind": "verification",
        "same": verdict.same if judged is None else judged.same,
        "squared_l2": verdict.squared_l2,
        "threshold": verdict.threshold,
        "model": card.name,
        "fingerprint": card.fingerprint,
        "sides": [cast("SideRecord", dataclasses.asdict(side)) for side in verdict.sides],
        "calibrated": where["calibrated"],
        "strangers": where["strangers"],
    }


def verifier_answer(judged: Judgement, path: FilePath, prior: float) -> VerifierAnswer:
    """Return what a verifier says of the likeliest pair."""
    return {
        "path": str(path),
        "probability": judged.probability,
        "needed": judged.needed,
        "prior": prior,
    }


def identification(
    answer: Identification, card: ModelCard, point: OperatingPoint
) -> IdentificationRecord:
    """Return what is said of one face, or of a photo without one."""
    fields = dataclasses.asdict(answer)
    del fields["odds"]
    record = {
        "kind": "identification",
        "path": fields.pop("source"),
        **fields,
        "threshold": point.threshold,
        "model": card.name,
        **operating(point, answer.odds),
    }
    return cast("IdentificationRecord", record)


def enrollment(outcome: PhotoOutcome, *, dry_run: bool) -> EnrollmentRecord:
    """Return what is said of one photo of a person to be enrolled."""
    twin, template = outcome.look_alike, outcome.template
    look_alike: LookAlikeRecord | None = None
    if twin is not None:
        look_alike = {"person": twin.person, "squared_l2": twin.squared_l2, "path": twin.source}
    return {
        "kind": "enrollment",
        "person": outcome.person,
        "path": outcome.source,
        "outcome": outcome.outcome,
        "refused": outcome.outcome.refused,
        "reasons": list(outcome.reasons),
        "warnings": list(outcome.warnings),
        "look_alike": look_alike,
        "external_id": None if template is None else template.external_id,
        "sha256": None if template is None else template.image_sha256,
        "box": None if template is None else list(template.box),
        "dry_run": dry_run,
    }


def embeddings(picture: EmbeddedPicture, card: ModelCard) -> list[EmbeddingRecord]:
    """Return what is said of each face of a picture."""
    return [
        {
            "kind": "embedding",
            "path": picture.source,
            "sha256": picture.sha256,
            "face": place,
            "box": list(face.detection.box),
            "confidence": face.detection.confidence,
            "model": card.name,
            "fingerprint": card.fingerprint,
            "embedding": vector.tolist(),
        }
        for place, (face, vector) in enumerate(zip(picture.faces, picture.embeddings, strict=True))
    ]
