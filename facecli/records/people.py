"""Records of enrolled people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Box, Count, Fingerprint, Sha256, Time, Unit, WrittenBy

if TYPE_CHECKING:
    from facecli import types


class Quality(TypedDict):
    """What was measured of a face when it was enrolled."""

    eye_distance: Annotated[
        float, Unit("pixels", 0), "between the eyes, in the photo at its full size"
    ]
    sharpness: Annotated[
        float, Unit("percent", 0), "variance of the Laplacian, of the variance of the grey face"
    ]
    brightness: Annotated[float, Unit("grey level", 0, 255), "mean of the middle of the face"]
    turn: Annotated[
        float,
        Unit("share of the eye distance", 0),
        "from the nose to the middle of the eyes; 0 for a frontal face, about 0.5 in profile",
    ]


class Template(TypedDict):
    """A stored template, without its embedding."""

    id: Annotated[int, "number of the template"]
    person_id: Annotated[int, "number of the person"]
    fingerprint: Fingerprint
    image_sha256: Annotated[Sha256, "hash of the photo's file"]
    box: Annotated[Box, "the face in the photo"]
    quality: Annotated[Quality, "what was measured of the face"]
    created: Annotated[Time, "when it was enrolled"]


class PersonRecord(TypedDict):
    """An enrolled person."""

    kind: Annotated[Literal["person"], WrittenBy(("facecli people list", "GET /people"))]
    id: Annotated[int, "number of the person"]
    name: Annotated[str, "the person's name"]
    external_id: Annotated[str | None, "the person's key in another system"]
    templates: Annotated[Count, "templates of all models"]
    created: Annotated[Time, "when the person was first enrolled"]


class PersonInFullRecord(TypedDict):
    """An enrolled person with the templates."""

    kind: Annotated[Literal["person"], WrittenBy(("facecli people show",))]
    id: Annotated[int, "number of the person"]
    name: Annotated[str, "the person's name"]
    external_id: Annotated[str | None, "the person's key in another system"]
    templates: Annotated[Sequence[Template], "templates of all models, oldest first"]
    created: Annotated[Time, "when the person was first enrolled"]


def person(one: types.Person) -> PersonRecord:
    """Return the record of an enrolled person."""
    return {
        "kind": "person",
        "id": one.id,
        "name": one.name,
        "external_id": one.external_id,
        "templates": one.templates,
        "created": one.created,
    }


def person_in_full(one: types.Person, templates: Sequence[types.Template]) -> PersonInFullRecord:
    """Return the record of an enrolled person with the templates."""
    return {**person(one), "templates": [_template(each) for each in templates]}


def _template(one: types.Template) -> Template:
    return {
        "id": one.id,
        "person_id": one.person_id,
        "fingerprint": one.fingerprint,
        "image_sha256": one.image_sha256,
        "box": one.box,
        "quality": {
            "eye_distance": one.quality.eye_distance,
            "sharpness": one.quality.sharpness,
            "brightness": one.quality.brightness,
            "turn": one.quality.turn,
        },
        "created": one.created,
    }


RenamedRecord = TypedDict(
    "RenamedRecord",
    {
        "kind": Annotated[Literal["renamed"], WrittenBy(("facecli people rename",))],
        "id": Annotated[int, "number of the person"],
        "from": Annotated[str, "the name before"],
        "to": Annotated[str, "the new name"],
    },
)
RenamedRecord.__doc__ = """A person has another name."""


def renamed(before: str, now: types.Person) -> RenamedRecord:
    """Return the record of a person who has another name."""
    return {"kind": "renamed", "id": now.id, "from": before, "to": now.name}


MergedRecord = TypedDict(
    "MergedRecord",
    {
        "kind": Annotated[Literal["merged"], WrittenBy(("facecli people merge",))],
        "from": Annotated[str, "the person who is gone"],
        "into": Annotated[str, "the person who has the templates now"],
        "templates": Annotated[Count, "templates that this person has now"],
    },
)
MergedRecord.__doc__ = """The templates of one person now belong to another."""


def merged(source: str, target: types.Person) -> MergedRecord:
    """Return the record of templates that now belong to another person."""
    return {
        "kind": "merged",
        "from": source,
        "into": target.name,
        "templates": target.templates,
    }


class ForgottenRecord(TypedDict):
    """The receipt for people erased."""

    kind: Annotated[Literal["forgotten"], WrittenBy(("facecli people forget", "POST /forget"))]
    people: Annotated[Sequence[str], "their names"]
    templates: Annotated[Count, "templates erased"]
    at: Annotated[Time, "when"]
    scrubbed: Annotated[
        bool,
        "whether no copy is left in the gallery's files; "
        "if not, the next write or close removes it",
    ]


def forgotten(receipt: types.ForgetReceipt) -> ForgottenRecord:
    """Return the receipt for people erased."""
    return {
        "kind": "forgotten",
        "people": receipt.people,
        "templates": receipt.templates,
        "at": receipt.at,
        "scrubbed": receipt.scrubbed,
    }
