"""Records of the gate, of the camera page and of the log of decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

from facecli.records.fields import (
    AsClose,
    Box,
    Choices,
    Count,
    Fingerprint,
    InForce,
    ModelName,
    Position,
    Seconds,
    Sha256,
    SquaredL2,
    Threshold,
    Time,
    Unit,
    WrittenBy,
    calibrated,
    strangers,
)
from facecli.records.recognition import Candidate, candidate

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.calibration.operating import OperatingPoint
    from facecli.gate.types import GateEvent, Sighting, TrackedFace
    from facecli.stores.decisions import Decision, Verification


class GateEventRecord(TypedDict):
    """One decision about one appearance of a face before a camera."""

    kind: Annotated[Literal["gate_event"], WrittenBy(("facecli identify --source", "POST /gate"))]
    time: Annotated[Time, "when it was decided, to the millisecond"]
    at: Annotated[Seconds, "the same on the source's own clock"]
    source: Annotated[str, "the camera, the stream, the file or the page"]
    track: Annotated[Position, "number of the face that was followed from frame to frame"]
    status: Annotated[str, Choices(("match", "unknown", "ambiguous")), "the decision"]
    reason: Annotated[str, "what decided"]
    box: Annotated[Box, "where the face was in the last look"]
    looks: Annotated[Count, "frames in which the face was looked at"]
    usable: Annotated[Count, "looks that counted"]
    person: Annotated[str | None, "the person's name; null unless the decision is a match"]
    squared_l2: Annotated[
        SquaredL2 | None,
        "the largest of the looks that agreed; null unless the decision is a match",
    ]
    threshold: Threshold
    model: ModelName
    fingerprint: Fingerprint
    candidates: Annotated[
        Sequence[Candidate], "the nearest people in the last usable look, nearest first"
    ]
    people: Annotated[Count, "people enrolled at that moment"]
    calibrated: InForce
    strangers: AsClose


def gate_event(event: GateEvent, point: OperatingPoint) -> GateEventRecord:
    """Return the record of one decision of the gate."""
    return {
        "kind": "gate_event",
        "time": event.time,
        "at": event.at,
        "source": event.source,
        "track": event.track,
        "status": event.status,
        "reason": event.reason,
        "box": event.box,
        "looks": event.looks,
        "usable": event.usable,
        "person": event.person,
        "squared_l2": event.squared_l2,
        "threshold": event.threshold,
        "model": event.model,
        "fingerprint": event.fingerprint,
        "candidates": [candidate(one) for one in event.candidates],
        "people": event.people,
        "calibrated": calibrated(point),
        "strangers": strangers(event.odds),
    }


class FaceInView(TypedDict):
    """A face in a frame of the camera page."""

    track: Annotated[Position, "number of the face that is followed from frame to frame"]
    box: Annotated[Box, "where it is"]
    state: Annotated[
        str,
        Choices(("match", "unknown", "ambiguous", "looking")),
        "the decision; looking: there is none yet",
    ]
    person: Annotated[str | None, "the person's name; null unless the state is match"]
    squared_l2: Annotated[SquaredL2 | None, "in the last look; null unless the state is match"]
    notes: Annotated[Sequence[str], "why the last look did not count"]


class SightingRecord(TypedDict):
    """What one frame of the camera page shows."""

    kind: Annotated[Literal["sighting"], WrittenBy(("POST /gate",))]
    size: Annotated[tuple[int, int], Unit("pixels: width, height"), "of the frame"]
    faces: Annotated[Sequence[FaceInView], "every face in view"]
    events: Annotated[
        Sequence[GateEventRecord], "the decisions made at this frame, without `schema`"
    ]


def sighting(
    seen: Sighting, size: tuple[int, int], events: Sequence[GateEventRecord]
) -> SightingRecord:
    """Return the record of one frame of the camera page."""
    return {
        "kind": "sighting",
        "size": size,
        "faces": [_face(one) for one in seen.faces],
        "events": events,
    }


def _face(face: TrackedFace) -> FaceInView:
    return {
        "track": face.track,
        "box": face.box,
        "state": face.state,
        "person": face.person,
        "squared_l2": face.squared_l2,
        "notes": face.notes,
    }


class DecisionRecord(TypedDict):
    """One decision in the log."""

    kind: Annotated[Literal["decision"], WrittenBy(("facecli log show", "facecli log export"))]
    number: Annotated[Position, "number in the log"]
    body: Annotated[Mapping[str, Any], "the `gate_event` with its fields in alphabetical order"]
    sha256: Annotated[Sha256, "hash over this decision and the hash before it"]


def decision(one: Decision) -> DecisionRecord:
    """Return the record of one decision in the log."""
    return {"kind": "decision", "number": one.number, "body": one.body, "sha256": one.sha256}


class LogVerificationRecord(TypedDict):
    """What a check of the log found."""

    kind: Annotated[Literal["log_verification"], WrittenBy(("facecli log verify",))]
    path: Annotated[str, "the log's file"]
    first: Annotated[Position, "number of the first decision that is still there"]
    last: Annotated[Count, "number of the last decision that is sound"]
    head: Annotated[Sha256, "hash of that decision; 64 zeros for an empty log"]
    erased: Annotated[Count, "old decisions that `facecli log prune` erased"]
    broken: Annotated[
        Position | None, "number of the first decision that is wrong or missing; null if none is"
    ]
    reason: Annotated[str, "what is wrong with it; empty if nothing is"]


def log_verification(path: Path, found: Verification) -> LogVerificationRecord:
    """Return the record of a check of the log."""
    return {
        "kind": "log_verification",
        "path": str(path),
        "first": found.first,
        "last": found.last,
        "head": found.head,
        "erased": found.erased,
        "broken": found.broken,
        "reason": found.reason,
    }


class LogPrunedRecord(TypedDict):
    """The result of erasing old decisions."""

    kind: Annotated[Literal["log_pruned"], WrittenBy(("facecli log prune",))]
    erased: Annotated[Count, "decisions erased by this command"]


def log_pruned(erased: int) -> LogPrunedRecord:
    """Return the record of old decisions erased."""
    return {"kind": "log_pruned", "erased": erased}
