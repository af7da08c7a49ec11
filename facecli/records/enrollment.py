"""Records of enroll."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Box, Choices, Count, Sha256, SquaredL2, WrittenBy
from facecli.text import name_key

if TYPE_CHECKING:
    from facecli.recognition import screening
    from facecli.recognition.screening import PhotoOutcome
    from facecli.stores.address import Location


class LookAlike(TypedDict):
    """Another person with a face within the threshold."""

    person: Annotated[str, "the other person's name"]
    squared_l2: Annotated[SquaredL2, "between the two faces"]
    path: Annotated[
        str | None, "the other person's photo if it is one of this run; null if enrolled before"
    ]


class EnrollmentRecord(TypedDict):
    """What became of one photo of a person to enroll."""

    kind: Annotated[Literal["enrollment"], WrittenBy(("facecli enroll", "POST /enroll"))]
    person: Annotated[str, "the person's name"]
    path: Annotated[str, "the photo, or the line of the table if it names none"]
    outcome: Annotated[
        str,
        Choices(
            (
                "accepted",
                "same picture twice",
                "no face",
                "several faces",
                "low quality",
                "look-alike",
                "no photo",
                "bad request",
                "unreadable",
            )
        ),
        'the result; "same picture twice": it is stored already, or is given twice; "no photo": a '
        "person's folder without a picture",
    ]
    refused: Annotated[bool, "whether the person cannot be recognised by this photo"]
    reasons: Annotated[Sequence[str], "why it was not accepted"]
    warnings: Annotated[Sequence[str], "what does not keep it from being accepted"]
    look_alike: Annotated[LookAlike | None, "the person it looks like; null if there is none"]
    external_id: Annotated[
        str | None, "the person's key in another system as given; null if refused"
    ]
    sha256: Annotated[Sha256 | None, "hash of the photo's file; null unless accepted"]
    box: Annotated[Box | None, "the face; null unless accepted"]
    dry_run: Annotated[bool, "whether nothing was stored because of --dry-run"]


def enrollment(outcome: PhotoOutcome, *, dry_run: bool) -> EnrollmentRecord:
    """Return the record of one photo of a person to enroll."""
    template = outcome.template
    return {
        "kind": "enrollment",
        "person": outcome.person,
        "path": outcome.source,
        "outcome": outcome.outcome,
        "refused": outcome.outcome.refused,
        "reasons": outcome.reasons,
        "warnings": outcome.warnings,
        "look_alike": _look_alike(outcome.look_alike),
        "external_id": None if outcome.outcome.refused else outcome.external_id,
        "sha256": None if template is None else template.image_sha256,
        "box": None if template is None else template.box,
        "dry_run": dry_run,
    }


def _look_alike(twin: screening.LookAlike | None) -> LookAlike | None:
    if twin is None:
        return None
    return {"person": twin.person, "squared_l2": twin.squared_l2, "path": twin.source}


class EnrollmentSummaryRecord(TypedDict):
    """The end of an enrollment: how many photos were accepted."""

    kind: Annotated[Literal["enrollment_summary"], WrittenBy(("facecli enroll",))]
    photos: Annotated[Count, "photos given, and rows and folders that name none"]
    accepted: Annotated[Count, "photos accepted"]
    enrolled_already: Annotated[Count, "photos that are stored already"]
    repeated: Annotated[Count, "photos that came before in this run"]
    refused: Annotated[
        Count,
        "photos refused, and rows and folders that name none; "
        "`accepted`, `enrolled_already`, `repeated` and this add up to `photos`",
    ]
    people: Annotated[Count, "people with an accepted photo"]
    dry_run: Annotated[bool, "whether nothing was stored because of --dry-run"]
    gallery: Annotated[str, "the gallery's file, or its URL without the password"]


def enrollment_summary(
    outcomes: Sequence[PhotoOutcome], *, dry_run: bool, gallery: Location
) -> EnrollmentSummaryRecord:
    """Return the record of all photos of a run together."""
    accepted = [one for one in outcomes if one.template]
    again = [one for one in outcomes if not one.template and not one.outcome.refused]
    known = sum(one.enrolled for one in again)
    return {
        "kind": "enrollment_summary",
        "photos": len(outcomes),
        "accepted": len(accepted),
        "enrolled_already": known,
        "repeated": len(again) - known,
        "refused": sum(one.outcome.refused for one in outcomes),
        "people": len({name_key(one.person) for one in accepted}),
        "dry_run": dry_run,
        "gallery": str(gallery),
    }
