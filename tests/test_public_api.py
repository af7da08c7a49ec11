"""What a program may import, with its signatures: a change here is a change of version."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from typing import Any

import pytest

import facecli
from facecli.recognition.identify import Candidate
from facecli.recognition.verify import Side
from facecli.stores.library.clusters import Correction

NAMES = [
    "Albums",
    "Cluster",
    "ClusteredFace",
    "Detection",
    "EmbeddedPicture",
    "Enrolled",
    "Face",
    "FacecliError",
    "FaceError",
    "Failure",
    "FailureKind",
    "FingerprintMismatch",
    "ForgetReceipt",
    "GalleryError",
    "Gate",
    "GateEvent",
    "GateSettings",
    "Grouping",
    "Identification",
    "LibraryError",
    "LookAlike",
    "MissingExtra",
    "ModelCard",
    "ModelError",
    "Odds",
    "Outcome",
    "Person",
    "PhotoOutcome",
    "PictureError",
    "Quality",
    "Recognizer",
    "Sighting",
    "Status",
    "TrackedFace",
    "Verdict",
    "__version__",
    "open",
]

SIGNATURES = {
    "open": (
        "(gallery: str | Path | None = None, *, model: str | None = None, "
        "threshold: float | None = None, device: str = 'cpu') -> Recognizer"
    ),
    "Recognizer.close": "() -> None",
    "Recognizer.point": "() -> OperatingPoint",
    "Recognizer.known": "() -> KnownPeople",
    "Recognizer.people": "() -> list[Person]",
    "Recognizer.forget": "(names: str | Iterable[str]) -> ForgetReceipt",
    "Recognizer.embed": (
        "(photos: Photo | Iterable[Photo], *, faces: Faces = 'all', "
        "follow: FollowPhotos = iter) -> Iterator[EmbeddedPicture | Failure]"
    ),
    "Recognizer.verify": "(a: Photo | Enrolled, b: Photo | Enrolled) -> Verdict",
    "Recognizer.identify": (
        "(photo: Photo, *, k: int = 3, gap: float | None = None, "
        "faces: Faces = 'all') -> list[Identification]"
    ),
    "Recognizer.identify_all": (
        "(photos: Photo | Iterable[Photo], *, k: int = 3, gap: float | None = None, "
        "faces: Faces = 'all', follow: FollowPhotos = iter) -> Iterator[Identification]"
    ),
    "Recognizer.enroll": (
        "(name: str, photos: Photo | Iterable[Photo], *, external_id: str | None = None, "
        "largest: bool = False, allow_look_alikes: bool = False, "
        "dry_run: bool = False) -> list[PhotoOutcome]"
    ),
    "Recognizer.enroll_all": (
        "(people: Mapping[str, Photo | Iterable[Photo]], *, external_ids: Mapping[str, "
        "str] | None = None, largest: bool = False, allow_look_alikes: bool = False, "
        "dry_run: bool = False) -> list[PhotoOutcome]"
    ),
    "Gate": (
        "(recognizer: Recognizer, settings: GateSettings = DEFAULTS, *, "
        "people: EnrolledPeople | None = None) -> None"
    ),
    "Gate.due": "(at: float) -> bool",
    "Gate.feed": "(frame: Image.Image | None, at: float, *, source: str = '') -> Sighting",
    "Gate.finish": "(at: float) -> tuple[GateEvent, ...]",
    "Albums": "(library: StrPath | None = None, recognizer: Recognizer | None = None) -> None",
    "Albums.close": "() -> None",
    "Albums.sort": (
        "(photos: StrPath | Iterable[StrPath], *, k: int | None = None, min_photos: int = 2, "
        "workers: int = 1) -> Grouping"
    ),
    "Albums.name": "(number: int, name: str) -> None",
    "Albums.merge": "(into: int, *others: int) -> None",
    "Albums.split": "(number: int, photos: StrPath | Iterable[StrPath]) -> int",
    "Albums.move": "(number: int, target: int, photos: StrPath | Iterable[StrPath]) -> None",
    "Albums.not_same": "(one: int, other: int) -> None",
    "Albums.undo": "() -> Correction",
}

FOR_THE_COMMANDS = {
    "admit",
    "answers",
    "examine",
    "open_to_store",
    "prepare",
    "samples",
    "snapshot",
}
"""Methods of a Recognizer that the commands and the service share. They are no part of the door."""

FIELDS = {
    "Candidate": "person_id name squared_l2 votes",
    "Cluster": "number name enrolled faces",
    "ClusteredFace": "source sha256 face box confidence cluster squared_l2 weak",
    "Correction": "id said created",
    "Detection": "box landmarks confidence",
    "EmbeddedPicture": "source sha256 size faces embeddings notes",
    "Enrolled": "name",
    "Face": "detection quality",
    "Failure": "source reason kind",
    "ForgetReceipt": "people templates at scrubbed remains",
    "GateEvent": (
        "time at source track status reason box looks usable person squared_l2 threshold model "
        "fingerprint candidates people odds"
    ),
    "GateSettings": "gap confirm cooldown candidates look_seconds",
    "Grouping": ("clusters without_face failures photos min_photos threshold overruled subject"),
    "Identification": (
        "source status faces reason face box confidence person squared_l2 candidates notes odds"
    ),
    "LookAlike": "person squared_l2 source",
    "ModelCard": (
        "name fingerprint architecture geometry dimension threshold threshold_source licence "
        "description source thresholds metrics data config history impostors"
    ),
    "Odds": "share low high pairs source",
    "Person": "id name external_id templates created",
    "PhotoOutcome": (
        "person source outcome reasons warnings look_alike template enrolled external_id"
    ),
    "Quality": "eye_distance sharpness brightness turn",
    "Side": "source kind box faces templates notes",
    "Sighting": "faces events",
    "TrackedFace": "track box state person squared_l2 notes",
    "Verdict": "same squared_l2 threshold sides odds",
}
"""What every record holds; Candidate, Correction and Side are reached through others."""

VALUES = {
    "FailureKind": ["unreadable", "no face"],
    "Outcome": [
        "accepted",
        "same picture twice",
        "no face",
        "several faces",
        "low quality",
        "look-alike",
        "no photo",
        "bad request",
        "unreadable",
    ],
    "Status": ["match", "unknown", "ambiguous", "no face", "error"],
}

BASES = {
    "FaceError": "FacecliError",
    "FacecliError": "Exception",
    "FingerprintMismatch": "GalleryError",
    "GalleryError": "FacecliError",
    "LibraryError": "FacecliError",
    "MissingExtra": "FacecliError",
    "ModelError": "FacecliError",
    "PictureError": "FacecliError",
}

CHANGED = "the public interface has changed: change the version, the changelog and this table"


def found(dotted: str) -> Any:
    value: Any = facecli
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def shown(value: Any) -> str:
    """Return a signature with its types as they are written, and without self."""
    signature = inspect.signature(value)
    parameters = [one for one in signature.parameters.values() if one.name != "self"]
    text = str(signature.replace(parameters=parameters))
    for default, name in {repr(facecli.GateSettings()): "DEFAULTS", repr(iter): "iter"}.items():
        text = text.replace(default, name)
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def test_the_names_are_these() -> None:
    assert sorted(facecli.__all__) == sorted(NAMES), CHANGED
    assert set(facecli.__all__) <= set(dir(facecli))


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_the_signatures_are_these(name: str) -> None:
    assert shown(found(name)) == SIGNATURES[name], CHANGED


@pytest.mark.parametrize("name", ["Recognizer", "Gate", "Albums"])
def test_every_public_method_has_a_pinned_signature(name: str) -> None:
    methods = {one for one, _ in inspect.getmembers(found(name), inspect.isfunction)}
    pinned = {dotted.split(".")[1] for dotted in SIGNATURES if dotted.startswith(f"{name}.")}
    here = FOR_THE_COMMANDS if name == "Recognizer" else set()
    assert {one for one in methods if not one.startswith("_")} == pinned | here, CHANGED


def test_the_records_hold_these_fields() -> None:
    records = {name: getattr(facecli, name) for name in NAMES}
    records |= {"Candidate": Candidate, "Correction": Correction, "Side": Side}
    holding = {
        name: " ".join(field.name for field in dataclasses.fields(record))
        for name, record in records.items()
        if dataclasses.is_dataclass(record)
    }
    assert holding == FIELDS, CHANGED


@pytest.mark.parametrize("name", sorted(VALUES))
def test_the_enums_have_these_values(name: str) -> None:
    assert [str(one) for one in found(name)] == VALUES[name], CHANGED


@pytest.mark.parametrize("name", sorted(BASES))
def test_the_errors_are_one_tree(name: str) -> None:
    assert found(name).__bases__[0].__name__ == BASES[name], CHANGED


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"__version__"}))
def test_every_name_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(facecli, name))


@pytest.mark.parametrize("name", ["Recognizer", "Gate", "Albums"])
def test_every_public_method_is_documented_and_typed(name: str) -> None:
    for method, function in inspect.getmembers(getattr(facecli, name), inspect.isfunction):
        if not method.startswith("_"):
            assert function.__doc__, method
            assert "return" in function.__annotations__, method


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'encode'"):
        facecli.encode  # noqa: B018 - the access is the test


def test_importing_is_light() -> None:
    code = "import sys, facecli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"numpy", "torch", "PIL", "scipy", "sqlite_utils", "click"}


def test_all_names_can_be_imported_without_torch() -> None:
    code = "from facecli import *; import sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
