"""What the command line and the service say of one result, as JSON.

Every record names its `kind`. Light enough to be imported before any command.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecli.calibration.operating import OperatingPoint
    from facecli.gate.types import GateEvent
    from facecli.recognition.identify import Identification
    from facecli.recognition.screening import PhotoOutcome
    from facecli.recognition.verify import Verdict
    from facecli.types import ForgetReceipt, ModelCard, Person

Record = dict[str, Any]

SCHEMA = 1
"""Version of the JSON records; it rises when a field changes its meaning or goes."""


def as_line(record: Record) -> str:
    """Return a record as one line of plain ASCII JSON."""
    return to_json(stamped(record))


def to_json(value: object) -> str:
    """Return what records are made of as plain ASCII JSON."""
    return json.dumps(value, allow_nan=False, default=_jsonable)


def stamped(record: Record) -> Record:
    """Return a record with the version of its kind."""
    assert "kind" in record
    return {"schema": SCHEMA, **record}


def _jsonable(value: object) -> object:
    """Turn paths and NumPy's numbers and arrays into what JSON has."""
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a JSON record")


def verification(verdict: Verdict, card: ModelCard, point: OperatingPoint) -> Record:
    """Return what is said of two sides compared."""
    return {
        "kind": "verification",
        "same": verdict.same,
        "squared_l2": verdict.squared_l2,
        "threshold": verdict.threshold,
        "model": card.name,
        "fingerprint": card.fingerprint,
        "sides": [dataclasses.asdict(side) for side in verdict.sides],
        **point.record(verdict.odds),
    }


def identification(answer: Identification, card: ModelCard, point: OperatingPoint) -> Record:
    """Return what is said of one face, or of a photo without one."""
    record = dataclasses.asdict(answer)
    del record["odds"]
    return {
        "kind": "identification",
        "path": record.pop("source"),
        **record,
        "threshold": point.threshold,
        "model": card.name,
        **point.record(answer.odds),
    }


def gate_event(event: GateEvent, point: OperatingPoint) -> Record:
    """Return what is said of one decision of the gate."""
    record = dataclasses.asdict(event)
    del record["odds"]
    return {"kind": "gate_event", **record, **point.record(event.odds)}


def enrollment(outcome: PhotoOutcome, *, dry_run: bool) -> Record:
    """Return what is said of one photo of a person to be enrolled."""
    twin, template = outcome.look_alike, outcome.template
    return {
        "kind": "enrollment",
        "person": outcome.person,
        "path": outcome.source,
        "outcome": outcome.outcome,
        "refused": outcome.outcome.refused,
        "reasons": outcome.reasons,
        "warnings": outcome.warnings,
        "look_alike": twin
        and {"person": twin.person, "squared_l2": twin.squared_l2, "path": twin.source},
        "external_id": template and template.external_id,
        "sha256": template and template.image_sha256,
        "box": template and template.box,
        "dry_run": dry_run,
    }


def person(one: Person) -> Record:
    """Return what is said of an enrolled person."""
    return {"kind": "person", **dataclasses.asdict(one)}


def forgotten(receipt: ForgetReceipt) -> Record:
    """Return what is said of people erased."""
    return {"kind": "forgotten", **dataclasses.asdict(receipt)}
