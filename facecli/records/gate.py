"""Records of what a gate sees and decides."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict, cast

from facecli.records.fields import (
    Box,
    Calibrated,
    Fingerprint,
    Model,
    Strangers,
    Threshold,
    Utc,
    operating,
)
from facecli.records.recognition import CandidateRecord

if TYPE_CHECKING:
    from facecli.calibration.operating import OperatingPoint
    from facecli.gate.types import GateEvent, Sighting


class GateEventRecord(TypedDict):
    """One decision of a gate about one appearance."""

    kind: Literal["gate_event"]
    time: Utc
    at: Annotated[float, "seconds on the source's own clock"]
    source: Annotated[str, "where the frame comes from"]
    track: Annotated[int, "number of the appearance"]
    status: Annotated[str, "match, unknown or ambiguous"]
    reason: Annotated[str, "what decided"]
    box: Annotated[Box, "where the face was in the last look"]
    looks: Annotated[int, "looks that saw the face"]
    usable: Annotated[int, "looks that counted"]
    person: Annotated[str | None, "name of the person; null unless it is a match"]
    squared_l2: Annotated[float | None, "the largest of the looks that agreed; null without match"]
    threshold: Threshold
    model: Model
    fingerprint: Fingerprint
    candidates: Annotated[list[CandidateRecord], "the nearest people in the last usable look"]
    people: Annotated[int, "people enrolled at that moment"]
    calibrated: Annotated[Calibrated | None, "null if the threshold was given, or is the model's"]
    strangers: Annotated[Strangers | None, "how many strangers come as close; null if unknown"]


class TrackedFaceRecord(TypedDict):
    """A face in view of a gate."""

    track: Annotated[int, "number of the appearance"]
    box: Box
    state: Annotated[str, "match, unknown, ambiguous or looking"]
    person: Annotated[str | None, "name of the person, if the last look shows it"]
    squared_l2: Annotated[float | None, "squared L2 of the last look to the person"]
    notes: Annotated[list[str], "why the last look did not count"]


class SightingRecord(TypedDict):
    """What one frame of a camera brought."""

    kind: Literal["sighting"]
    size: Annotated[list[int], "width and height of the frame in pixels"]
    faces: Annotated[list[TrackedFaceRecord], "every face in view"]
    events: Annotated[list[GateEventRecord], "the decisions that fell with this frame"]


def gate_event(event: GateEvent, point: OperatingPoint) -> GateEventRecord:
    """Return what is said of one decision of the gate."""
    fields = dataclasses.asdict(event)
    del fields["odds"]
    record = {"kind": "gate_event", **fields, **operating(point, event.odds)}
    return cast("GateEventRecord", record)


def sighting(
    seen: Sighting, size: tuple[int, int], events: list[GateEventRecord]
) -> SightingRecord:
    """Return what one frame of this width and height brought."""
    return {
        "kind": "sighting",
        "size": list(size),
        "faces": [cast("TrackedFaceRecord", dataclasses.asdict(one)) for one in seen.faces],
        "events": events,
    }
