"""What the service's own description shows of its answers; a test holds it to real ones."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from facecli.recognition.verify import Side

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ODDS = {
    "calibrated": {"far": 1e-4, "created": "2026-11-20T08:00:00+00:00"},
    "strangers": {
        "share": 1e-5,
        "low": 7e-6,
        "high": 2e-5,
        "pairs": 3808011,
        "source": "LFW's development people",
    },
}
BOX = (171.2, 110.4, 353.9, 327.6)

VERIFICATION: dict[str, Any] = {
    "schema": 1,
    "kind": "verification",
    "same": True,
    "squared_l2": 0.412,
    "threshold": 1.1,
    "model": "facecli-128",
    "fingerprint": DIGEST,
    "sides": [
        asdict(Side("a", "photo", box=BOX, faces=1)),
        asdict(Side("Ada", "person", templates=2)),
    ],
    **ODDS,
}

IDENTIFICATION: dict[str, Any] = {
    "schema": 1,
    "kind": "identification",
    "path": "photo",
    "status": "match",
    "faces": 1,
    "reason": "one person is clearly the nearest",
    "face": 0,
    "box": BOX,
    "confidence": 0.999,
    "person": "Ada",
    "squared_l2": 0.412,
    "candidates": [{"person_id": 1, "name": "Ada", "squared_l2": 0.412, "votes": 2}],
    "notes": [],
    "threshold": 1.1,
    "model": "facecli-128",
    **ODDS,
}

ENROLLMENT: dict[str, Any] = {
    "schema": 1,
    "kind": "enrollment",
    "person": "Ada",
    "path": "photo",
    "outcome": "accepted",
    "refused": False,
    "reasons": [],
    "warnings": [],
    "look_alike": None,
    "external_id": None,
    "sha256": DIGEST,
    "box": BOX,
    "dry_run": False,
}

PERSON: dict[str, Any] = {
    "schema": 1,
    "kind": "person",
    "id": 1,
    "name": "Ada",
    "external_id": None,
    "templates": 2,
    "created": "2026-11-20T08:00:00+00:00",
}

FORGOTTEN: dict[str, Any] = {
    "schema": 1,
    "kind": "forgotten",
    "people": ["Ada"],
    "templates": 2,
    "at": "2026-11-20T08:00:00+00:00",
    "scrubbed": True,
}

HEALTH: dict[str, Any] = {"schema": 1, "kind": "health", "healthy": True, "version": "0.3.0"}

ERROR: dict[str, Any] = {
    "schema": 1,
    "kind": "error",
    "reason": "photo: not a picture in a known format",
}
