"""What a program may import, with its signatures: a change here is a change of version."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

import facecli

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
    "open": "(gallery=None, *, model=None, threshold=None, device='cpu')",
    "Recognizer.identify": "(photo, *, k=3, gap=None, faces='all')",
    "Recognizer.identify_all": "(photos, *, k=3, gap=None, faces='all', follow=iter)",
    "Recognizer.embed": "(photos, *, faces='all', follow=iter)",
    "Recognizer.verify": "(a, b)",
    "Recognizer.enroll": (
        "(name, photos, *, external_id=None, largest=False, allow_look_alikes=False, dry_run=False)"
    ),
    "Recognizer.people": "()",
    "Recognizer.forget": "(names)",
    "Recognizer.known": "()",
    "Recognizer.point": "()",
    "Recognizer.close": "()",
    "Gate": "(recognizer, settings=DEFAULTS, *, people=None)",
    "Gate.due": "(at)",
    "Gate.feed": "(frame, at, *, source='')",
    "Gate.finish": "(at)",
    "GateSettings": "(gap=None, confirm=3, cooldown=10.0, candidates=3, look_seconds=0.19)",
    "Albums": "(library=None, recognizer=None)",
    "Albums.sort": "(photos, *, k=None, min_photos=2, workers=1)",
    "Albums.name": "(number, name)",
    "Albums.merge": "(into, *others)",
    "Albums.split": "(number, photos)",
    "Albums.move": "(number, target, photos)",
    "Albums.not_same": "(one, other)",
    "Albums.undo": "()",
    "Albums.close": "()",
    "Enrolled": "(name)",
    "Verdict": "(same, squared_l2, threshold, sides, odds=None)",
    "Failure": "(source, reason, kind=UNREADABLE)",
}

CHANGED = "the public interface has changed: change the version, the changelog and this table"


def found(dotted: str) -> Any:
    value: Any = facecli
    for part in dotted.split("."):
        value = getattr(value, part)
    return value


def shown(value: Any) -> str:
    """Return a signature without types, self and what it returns."""
    parts: list[str] = []
    star = False
    for one in inspect.signature(value).parameters.values():
        if one.name == "self":
            continue
        if one.kind is one.KEYWORD_ONLY and not star:
            star = True
            if not any(part.startswith("*") for part in parts):
                parts.append("*")
        name = f"*{one.name}" if one.kind is one.VAR_POSITIONAL else one.name
        parts.append(name if one.default is one.empty else f"{name}={_default(one.default)}")
    return f"({', '.join(parts)})"


def _default(value: Any) -> str:
    if value is iter:
        return "iter"
    if value is facecli.FailureKind.UNREADABLE:
        return "UNREADABLE"
    return "DEFAULTS" if isinstance(value, facecli.GateSettings) else repr(value)


def test_the_names_are_these() -> None:
    assert sorted(facecli.__all__) == sorted(NAMES), CHANGED
    assert set(facecli.__all__) <= set(dir(facecli))


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_the_signatures_are_these(name: str) -> None:
    assert shown(found(name)) == SIGNATURES[name], CHANGED


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
