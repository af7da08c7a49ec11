"""Records of what is stored: people, photos looked at, decisions and calibrations."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict, cast

from facecli.records.fields import Box, Fingerprint, Model, Path, Sha256, Threshold, Utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path as FilePath

    from facecli.stores.decisions import Decision, Verification
    from facecli.stores.library import LibraryStatistics, PhotosForgotten
    from facecli.types import Calibration, ForgetReceipt, Person, Template


class QualityRecord(TypedDict):
    """What makes a face usable."""

    eye_distance: Annotated[float, "pixels between the eyes"]
    sharpness: Annotated[float, "variance of the Laplacian in percent of the variance"]
    brightness: Annotated[float, "mean grey level, 0 to 255"]
    turn: Annotated[float, "0 for a frontal face, about 0.5 in profile"]


class TemplateRecord(TypedDict):
    """One stored template, without its vector."""

    id: int
    person_id: int
    fingerprint: Fingerprint
    image_sha256: Sha256
    box: Box
    quality: QualityRecord
    created: Utc


class PersonRecord(TypedDict):
    """An enrolled person."""

    kind: Literal["person"]
    id: Annotated[int, "the person's number in the gallery"]
    name: str
    external_id: Annotated[str | None, "the person's key in another system"]
    templates: Annotated[int | list[TemplateRecord], "how many; `people show` lists them"]
    created: Utc


RenamedRecord = TypedDict(
    "RenamedRecord",
    {
        "kind": Literal["renamed"],
        "id": Annotated[int, "the person's number in the gallery"],
        "from": Annotated[str, "the name as it was given"],
        "to": Annotated[str, "the name that is stored now"],
    },
)
MergedRecord = TypedDict(
    "MergedRecord",
    {
        "kind": Literal["merged"],
        "from": Annotated[str, "the person who was removed"],
        "into": Annotated[str, "the person who has the templates now"],
        "templates": Annotated[int, "how many templates that person has now"],
    },
)
RenamedRecord.__doc__ = "A person with another name."
MergedRecord.__doc__ = "Two people made one."


class ForgottenRecord(TypedDict):
    """The receipt for people who were erased."""

    kind: Literal["forgotten"]
    people: Annotated[list[str], "their names"]
    templates: Annotated[int, "how many templates were erased"]
    at: Utc
    scrubbed: Annotated[bool, "whether the write-ahead log was emptied too"]


class LibraryRecord(TypedDict):
    """What is remembered of photos."""

    kind: Literal["library"]
    path: Path
    size: Annotated[int, "bytes on the disk"]
    private: Annotated[bool, "whether only the owner can read the file"]
    files: Annotated[int, "files looked at"]
    photos: Annotated[int, "different pictures among them"]
    faces: int
    models: Annotated[dict[str, int], "faces embedded, by the model's name"]


class PhotosForgottenRecord(TypedDict):
    """The receipt for photos that were forgotten."""

    kind: Literal["photos_forgotten"]
    photos: int
    faces: int
    at: Utc
    scrubbed: Annotated[bool, "whether the write-ahead log was emptied too"]


class DecisionRecord(TypedDict):
    """One decision in the log."""

    kind: Literal["decision"]
    number: Annotated[int, "from 1, without gaps"]
    body: Annotated[dict[str, Any], "the gate_event as it was written"]
    sha256: Annotated[str, "hash of this decision and of all before it"]


class LogVerificationRecord(TypedDict):
    """What a check of the log found."""

    kind: Literal["log_verification"]
    path: Path
    first: Annotated[int, "number of the first decision"]
    last: Annotated[int, "number of the last sound decision"]
    head: Annotated[str, "hash of the last sound decision"]
    erased: Annotated[int, "decisions erased before the first"]
    broken: Annotated[int | None, "number of the first wrong or missing decision, if any"]
    reason: Annotated[str, "what is wrong with it; empty if the log is whole"]


class LogPrunedRecord(TypedDict):
    """Old decisions that were erased."""

    kind: Literal["log_pruned"]
    erased: int


class CalibrationRecord(TypedDict):
    """A threshold that was set from data."""

    kind: Literal["calibration"]
    fingerprint: Fingerprint
    model: Model
    threshold: Threshold
    far: Annotated[float, "false match rate that was asked for"]
    far_low: Annotated[float, "lower end of the 95 % interval of the rate"]
    far_high: Annotated[float, "upper end of the 95 % interval of the rate"]
    people: int
    impostor_pairs: int
    genuine_pairs: int
    fnmr: Annotated[float | None, "share of genuine pairs above the threshold; null without any"]
    source: Annotated[str, "whose photos"]
    created: Utc
    impostors: Annotated[dict[str, Any], "table of how near strangers come"]


class CalibrationClearedRecord(TypedDict):
    """Calibrations that were removed."""

    kind: Literal["calibration_cleared"]
    calibrations: Annotated[int, "how many"]


def person(one: Person) -> PersonRecord:
    """Return what is said of an enrolled person."""
    return cast("PersonRecord", {"kind": "person", **dataclasses.asdict(one)})


def person_with(one: Person, templates: Sequence[Template]) -> PersonRecord:
    """Return what is said of an enrolled person and each of their templates."""
    listed = [cast("TemplateRecord", dataclasses.asdict(template)) for template in templates]
    return {**person(one), "templates": listed}


def forgotten(receipt: ForgetReceipt) -> ForgottenRecord:
    """Return what is said of people erased."""
    return cast("ForgottenRecord", {"kind": "forgotten", **dataclasses.asdict(receipt)})


def library(found: LibraryStatistics) -> LibraryRecord:
    """Return what is said of a photo library."""
    return cast("LibraryRecord", {"kind": "library", **dataclasses.asdict(found)})


def photos_forgotten(receipt: PhotosForgotten) -> PhotosForgottenRecord:
    """Return what is said of photos forgotten."""
    return cast(
        "PhotosForgottenRecord", {"kind": "photos_forgotten", **dataclasses.asdict(receipt)}
    )


def decision(one: Decision) -> DecisionRecord:
    """Return what is said of one decision in the log."""
    return {"kind": "decision", "number": one.number, "body": one.body, "sha256": one.sha256}


def log_verification(path: FilePath, found: Verification) -> LogVerificationRecord:
    """Return what is said of a check of the log."""
    record = {"kind": "log_verification", "path": str(path), **dataclasses.asdict(found)}
    return cast("LogVerificationRecord", record)


def calibration(made: Calibration) -> CalibrationRecord:
    """Return what is said of a threshold set from data."""
    return cast("CalibrationRecord", {"kind": "calibration", **dataclasses.asdict(made)})
