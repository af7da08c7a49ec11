"""Records of enrolled people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Box, Choices, Count, Fingerprint, Sha256, Time, Unit, WrittenBy

if TYPE_CHECKING:
    from facecli import types
    from facecli.faces.people_folders import PeopleFolder


class Quality(TypedDict):
    """What was measured of a face when it was found."""

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
        "quality": quality(one.quality),
        "created": one.created,
    }


def quality(measured: types.Quality) -> Quality:
    """Return what was measured of a face."""
    return {
        "eye_distance": measured.eye_distance,
        "sharpness": measured.sharpness,
        "brightness": measured.brightness,
        "turn": measured.turn,
    }


RenamedRecord = TypedDict(
    "RenamedRecord",
    {
        "kind": Annotated[Literal["renamed"], WrittenBy(("facecli people rename", "POST /rename"))],
        "id": Annotated[int, "number of the person"],
        "from": Annotated[str, "the name before"],
        "to": Annotated[str, "the new name"],
    },
)
RenamedRecord.__doc__ = """A person has another name."""


def renamed(before: str, now: types.Person) -> RenamedRecord:
    """Return the record of a person who has another name."""
    return {"kind": "renamed", "id": now.id, "from": before, "to": now.name}


class PersonOfFolderRecord(TypedDict):
    """A person of a folder of people."""

    kind: Annotated[Literal["person_of_folder"], WrittenBy(("facecli people-folder",))]
    person: Annotated[str, "the person's name"]
    photos: Annotated[Sequence[str], "the photos, relative to the folder"]


class PassedOver(TypedDict):
    """An entry of a folder that was passed over."""

    path: Annotated[str, "the file or folder, relative to the folder of people"]
    why: Annotated[
        str,
        Choices(
            (
                "of the system",
                "hidden",
                "without a picture's ending",
                "found before, by a link",
            )
        ),
        "the reason",
    ]


class PeopleFolderRecord(TypedDict):
    """The sum of a folder of people, and what was passed over in it."""

    kind: Annotated[Literal["people_folder"], WrittenBy(("facecli people-folder",))]
    folder: Annotated[str, "the folder"]
    people: Annotated[Count, "people with a photo"]
    photos: Annotated[Count, "photos of all people"]
    empty: Annotated[Sequence[str], "folders of people without a picture"]
    divided: Annotated[
        Sequence[str],
        "people whose photos lie in several subfolders only; these may be people themselves",
    ]
    passed_over: Annotated[Sequence[PassedOver], "files and folders that are nobody's photos"]


def people_of_folder(found: PeopleFolder) -> list[PersonOfFolderRecord]:
    """Return the records of the people of a folder."""
    photos: dict[str, list[str]] = {name: [] for name in found.people}
    for photo, name in zip(found.photos, found.names, strict=True):
        photos[name].append(photo.relative_to(found.root).as_posix())
    return [
        {"kind": "person_of_folder", "person": name, "photos": theirs}
        for name, theirs in photos.items()
    ]


def people_folder(found: PeopleFolder) -> PeopleFolderRecord:
    """Return the record of a whole folder of people."""
    return {
        "kind": "people_folder",
        "folder": str(found.root),
        "people": len(found.people),
        "photos": len(found.photos),
        "empty": [one.name for one in found.empty],
        "divided": found.divided(),
        "passed_over": [
            {"path": one.path.relative_to(found.root).as_posix(), "why": one.why}
            for one in found.passed
        ],
    }


class ExternalIdRecord(TypedDict):
    """A person has another external id, or none."""

    kind: Annotated[Literal["external_id"], WrittenBy(("facecli people set-id",))]
    id: Annotated[int, "number of the person"]
    name: Annotated[str, "the person's name"]
    before: Annotated[str | None, "the external id before; null if there was none"]
    external_id: Annotated[str | None, "the external id now; null if it was removed"]


def external_id(now: types.Person, before: str | None) -> ExternalIdRecord:
    """Return the record of a person who has another external id."""
    return {
        "kind": "external_id",
        "id": now.id,
        "name": now.name,
        "before": before,
        "external_id": now.external_id,
    }


MergedRecord = TypedDict(
    "MergedRecord",
    {
        "kind": Annotated[Literal["merged"], WrittenBy(("facecli people merge", "POST /merge"))],
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
        "whether no copy is left in the gallery's files, its write-ahead log too",
    ]
    remains: Annotated[str | None, "if not, where a copy may be, and until when"]


def forgotten(receipt: types.ForgetReceipt) -> ForgottenRecord:
    """Return the receipt for people erased."""
    return {
        "kind": "forgotten",
        "people": receipt.people,
        "templates": receipt.templates,
        "at": receipt.at,
        "scrubbed": receipt.scrubbed,
        "remains": receipt.remains or None,
    }
