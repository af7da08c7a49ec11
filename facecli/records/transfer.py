"""Records of people who go from one gallery to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Choices, Count, Fingerprint, ModelName, Position, WrittenBy

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.recognition.importing import PersonImport
    from facecli.recognition.moving import Copied
    from facecli.stores.address import Location
    from facecli.types import ModelCard


class PeopleExportedRecord(TypedDict):
    """People were written to a file."""

    kind: Annotated[Literal["people_exported"], WrittenBy(("facecli people export",))]
    file: Annotated[str, "the file"]
    people: Annotated[Count, "people in it"]
    templates: Annotated[Count, "templates in it"]
    model: ModelName
    fingerprint: Fingerprint


class PersonImportRecord(TypedDict):
    """What became of one person of a file."""

    kind: Annotated[Literal["person_import"], WrittenBy(("facecli people import",))]
    person: Annotated[str, "the person's name, or the line if it cannot be read"]
    line: Annotated[Position, "the line of the file"]
    outcome: Annotated[
        str,
        Choices(("imported", "there already", "conflict", "look-alike", "unusable")),
        'the result; "conflict": a name, external id or face is somebody else\'s, or the person is '
        "there with other faces",
    ]
    refused: Annotated[bool, "whether the gallery does not hold the person as the file does"]
    reason: Annotated[str | None, "why the person was refused; null if not"]
    warning: Annotated[str | None, "what does not keep the person out; null if there is nothing"]
    external_id: Annotated[str | None, "the person's key in another system; null if there is none"]
    templates: Annotated[Count, "the person's templates in the file"]
    dry_run: Annotated[bool, "whether nothing was stored"]


class PeopleImportRecord(TypedDict):
    """The sum of an import of people."""

    kind: Annotated[Literal["people_import"], WrittenBy(("facecli people import",))]
    people: Annotated[Count, "people in the file; the next three add up to them"]
    imported: Annotated[Count, "people who are new in the gallery"]
    present: Annotated[Count, "people who were there already"]
    refused: Annotated[Count, "people who were refused"]
    dry_run: Annotated[bool, "whether nothing was stored"]
    gallery: Annotated[str, "the gallery's file, or its URL without the password"]


class PeopleCopiedRecord(TypedDict):
    """A gallery was copied into another place, and the copy was compared with it."""

    kind: Annotated[Literal["people_copied"], WrittenBy(("facecli people copy",))]
    people: Annotated[Count, "people of the gallery"]
    templates: Annotated[Count, "their templates, of all models"]
    new: Annotated[Count, "those of them that were copied now; the others were there already"]
    calibrations: Annotated[Count, "thresholds set from data"]
    source: Annotated[str, "where the gallery is, without the password"]
    gallery: Annotated[str, "where the copy is, without the password"]


def people_exported(
    file: Path, people: int, templates: int, card: ModelCard
) -> PeopleExportedRecord:
    """Return the record of people written to a file."""
    return {
        "kind": "people_exported",
        "file": str(file),
        "people": people,
        "templates": templates,
        "model": card.name,
        "fingerprint": card.fingerprint,
    }


def person_import(one: PersonImport, *, dry_run: bool) -> PersonImportRecord:
    """Return the record of what became of one person of a file."""
    return {
        "kind": "person_import",
        "person": one.given.name,
        "line": one.given.line,
        "outcome": str(one.outcome),
        "refused": one.outcome.refused,
        "reason": one.reason or None,
        "warning": one.warning or None,
        "external_id": one.given.external_id,
        "templates": len(one.given.templates),
        "dry_run": dry_run,
    }


def people_import(
    judged: Sequence[PersonImport], *, dry_run: bool, gallery: Location
) -> PeopleImportRecord:
    """Return the record of the sum of an import."""
    outcomes = [str(one.outcome) for one in judged]
    imported, present = (outcomes.count(one) for one in ("imported", "there already"))
    return {
        "kind": "people_import",
        "people": len(judged),
        "imported": imported,
        "present": present,
        "refused": len(judged) - imported - present,
        "dry_run": dry_run,
        "gallery": str(gallery),
    }


def people_copied(copied: Copied, *, source: str, gallery: str) -> PeopleCopiedRecord:
    """Return the record of a gallery that was copied."""
    return {
        "kind": "people_copied",
        "people": copied.people,
        "templates": copied.templates,
        "new": copied.new,
        "calibrations": copied.calibrations,
        "source": source,
        "gallery": gallery,
    }
