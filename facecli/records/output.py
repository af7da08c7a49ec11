"""Records as JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

Record = Mapping[str, Any]

SCHEMA = 1
"""Version of the JSON records; it rises when a field changes its meaning or is removed."""


def as_line(record: Record) -> str:
    """Return a record as one line of plain ASCII JSON."""
    return to_json(stamped(record))


def to_json(value: object) -> str:
    """Return what records are made of as plain ASCII JSON."""
    return json.dumps(value, allow_nan=False, default=_jsonable)


def stamped(record: Record) -> dict[str, Any]:
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
