"""Face verification, identification, enrollment and clustering.

The names in `__all__` are what a program may import; everything else may change at any time.
Importing facecli loads neither NumPy nor a network: a name is imported when it is first used.

    import facecli

    with facecli.open("gallery.db") as recognizer:
        recognizer.enroll("Ada Lovelace", "ada.jpg")
        print(recognizer.identify("gate.jpg")[0].person)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecli.albums.albums import Albums
    from facecli.albums.grouping import Cluster, ClusteredFace, Grouping
    from facecli.calibration.odds import Odds
    from facecli.errors import (
        FacecliError,
        FaceError,
        FingerprintMismatch,
        GalleryError,
        LibraryError,
        MissingExtra,
        ModelError,
        PictureError,
    )
    from facecli.faces.embedding import EmbeddedPicture
    from facecli.gate.engine import Gate
    from facecli.gate.types import GateEvent, GateSettings, Sighting, TrackedFace
    from facecli.recognition.decisions import Status
    from facecli.recognition.identify import Identification
    from facecli.recognition.opening import open_recognizer as open  # noqa: A004 - it opens a gallery
    from facecli.recognition.recognizer import Recognizer
    from facecli.recognition.screening import LookAlike, Outcome, PhotoOutcome
    from facecli.recognition.verify import Enrolled, Verdict
    from facecli.types import (
        Detection,
        Face,
        Failure,
        FailureKind,
        ForgetReceipt,
        ModelCard,
        Person,
        Quality,
    )

__version__ = "0.4.0"

__all__ = [
    "Albums",
    "Cluster",
    "ClusteredFace",
    "Detection",
    "EmbeddedPicture",
    "Enrolled",
    "Face",
    "FaceError",
    "FacecliError",
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

_HOMES = {
    "Albums": "facecli.albums.albums",
    "Cluster": "facecli.albums.grouping",
    "ClusteredFace": "facecli.albums.grouping",
    "Detection": "facecli.types",
    "EmbeddedPicture": "facecli.faces.embedding",
    "Enrolled": "facecli.recognition.verify",
    "Face": "facecli.types",
    "FaceError": "facecli.errors",
    "FacecliError": "facecli.errors",
    "Failure": "facecli.types",
    "FailureKind": "facecli.types",
    "FingerprintMismatch": "facecli.errors",
    "ForgetReceipt": "facecli.types",
    "GalleryError": "facecli.errors",
    "Gate": "facecli.gate.engine",
    "GateEvent": "facecli.gate.types",
    "GateSettings": "facecli.gate.types",
    "Grouping": "facecli.albums.grouping",
    "Identification": "facecli.recognition.identify",
    "LibraryError": "facecli.errors",
    "LookAlike": "facecli.recognition.screening",
    "MissingExtra": "facecli.errors",
    "ModelCard": "facecli.types",
    "ModelError": "facecli.errors",
    "Odds": "facecli.calibration.odds",
    "Outcome": "facecli.recognition.screening",
    "Person": "facecli.types",
    "PhotoOutcome": "facecli.recognition.screening",
    "PictureError": "facecli.errors",
    "Quality": "facecli.types",
    "Recognizer": "facecli.recognition.recognizer",
    "Sighting": "facecli.gate.types",
    "Status": "facecli.recognition.decisions",
    "TrackedFace": "facecli.gate.types",
    "Verdict": "facecli.recognition.verify",
}
"""The module that each public name is in."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    if name == "open":
        value = importlib.import_module("facecli.recognition.opening").open_recognizer
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'facecli' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
