"""Records of verify and identify."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NotRequired, TypedDict

from facecli.records.fields import (
    AsClose,
    Box,
    Choices,
    Count,
    Fingerprint,
    InForce,
    ModelName,
    Probability,
    SquaredL2,
    Threshold,
    WrittenBy,
    calibrated,
    strangers,
)

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.calibration.operating import OperatingPoint
    from facecli.calibration.verifier import Judgement
    from facecli.recognition import identify
    from facecli.recognition.identify import Identification
    from facecli.recognition.verify import Side, Verdict
    from facecli.types import ModelCard


class ComparedSide(TypedDict):
    """One side of a verification. Of a photo, the main face is compared."""

    source: Annotated[str, "the photo, or the name of the person"]
    kind: Annotated[str, Choices(("photo", "person")), "what the side is"]
    box: Annotated[Box | None, "the compared face; null for a person"]
    faces: Annotated[Count | None, "faces in the photo; null for a person"]
    templates: Annotated[Count | None, "templates of the person; null for a photo"]
    notes: Annotated[Sequence[str], "what to know before you trust the answer"]


class VerifierAnswer(TypedDict):
    """What a verifier made by `facecli train-verifier` says of the two sides."""

    path: Annotated[str, "the file of the verifier"]
    probability: Annotated[Probability, "how likely it is that they are the same person"]
    needed: Annotated[Probability, "the smallest probability that counts as the same person"]
    prior: Annotated[Probability, "the share of pairs of the same person that this assumes"]


class VerificationRecord(TypedDict):
    """Whether two sides are the same person."""

    kind: Annotated[Literal["verification"], WrittenBy(("facecli verify", "POST /verify"))]
    same: Annotated[bool, "whether they count as the same person"]
    squared_l2: Annotated[SquaredL2, "between the two sides; for a person, the nearest template"]
    threshold: Threshold
    model: ModelName
    fingerprint: Fingerprint
    sides: Annotated[Sequence[ComparedSide], "the two sides, in the order given"]
    calibrated: InForce
    strangers: AsClose
    verifier: NotRequired[
        Annotated[
            VerifierAnswer | None,
            "only from the command: the verifier, which then decides; null without --verifier",
        ]
    ]


def verification(verdict: Verdict, card: ModelCard, point: OperatingPoint) -> VerificationRecord:
    """Return the record of two sides compared by the threshold."""
    return {
        "kind": "verification",
        "same": verdict.same,
        "squared_l2": verdict.squared_l2,
        "threshold": verdict.threshold,
        "model": card.name,
        "fingerprint": card.fingerprint,
        "sides": [_side(one) for one in verdict.sides],
        "calibrated": calibrated(point),
        "strangers": strangers(verdict.odds),
    }


def judged(
    record: VerificationRecord, judgement: Judgement | None, verifier: Path | None, *, prior: float
) -> VerificationRecord:
    """Return a verification with what the verifier says, which decides if there is one."""
    if judgement is None:
        return {**record, "verifier": None}
    answer: VerifierAnswer = {
        "path": str(verifier),
        "probability": judgement.probability,
        "needed": judgement.needed,
        "prior": prior,
    }
    return {**record, "same": judgement.same, "verifier": answer}


def _side(side: Side) -> ComparedSide:
    return {
        "source": side.source,
        "kind": side.kind,
        "box": side.box,
        "faces": side.faces,
        "templates": side.templates,
        "notes": side.notes,
    }


class Candidate(TypedDict):
    """An enrolled person whom a face may show."""

    person_id: Annotated[int, "number of the person in the gallery"]
    name: Annotated[str, "the person's name"]
    squared_l2: Annotated[SquaredL2, "from the face to the person's nearest template"]
    votes: Annotated[
        Count, "the person's templates within the threshold, among the five nearest templates"
    ]


class IdentificationRecord(TypedDict):
    """Who a face is, or why a photo gave no answer. A photo gives one record per face."""

    kind: Annotated[Literal["identification"], WrittenBy(("facecli identify", "POST /identify"))]
    path: Annotated[str, "the photo"]
    status: Annotated[
        str,
        Choices(("match", "unknown", "ambiguous", "no face", "error")),
        "the answer; ambiguous: two people are too close to tell apart",
    ]
    faces: Annotated[Count, "faces in the photo; 1 if only the main one was asked for"]
    reason: Annotated[str, "what decided"]
    face: Annotated[Count | None, "number of the face by size; 0 for the main one, if asked for"]
    box: Annotated[Box | None, "where the face is; null without a face"]
    confidence: Annotated[Probability | None, "how sure the detector is; null without a face"]
    person: Annotated[str | None, "the person's name; null unless the answer is a match"]
    squared_l2: Annotated[
        SquaredL2 | None, "from the face to the person; null unless the answer is a match"
    ]
    candidates: Annotated[
        Sequence[Candidate], "the nearest people, nearest first, within the threshold or not"
    ]
    notes: Annotated[Sequence[str], "what to know about the photo, such as that it was turned"]
    threshold: Threshold
    model: ModelName
    calibrated: InForce
    strangers: AsClose


def candidate(one: identify.Candidate) -> Candidate:
    """Return a person whom a face may show."""
    return {
        "person_id": one.person_id,
        "name": one.name,
        "squared_l2": one.squared_l2,
        "votes": one.votes,
    }


def identification(
    answer: Identification, card: ModelCard, point: OperatingPoint
) -> IdentificationRecord:
    """Return the record of one face, or of a photo without one."""
    return {
        "kind": "identification",
        "path": answer.source,
        "status": answer.status,
        "faces": answer.faces,
        "reason": answer.reason,
        "face": answer.face,
        "box": answer.box,
        "confidence": answer.confidence,
        "person": answer.person,
        "squared_l2": answer.squared_l2,
        "candidates": [candidate(one) for one in answer.candidates],
        "notes": answer.notes,
        "threshold": point.threshold,
        "model": card.name,
        "calibrated": calibrated(point),
        "strangers": strangers(answer.odds),
    }
