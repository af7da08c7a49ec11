"""Records as JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facecli.records.kinds import Record

SCHEMA = 1
"""Version of the JSON records; it rises when a field changes its meaning or is removed."""


def as_line(record: Record) -> str:
    """Return a record as one line of plain ASCII JSON."""
    return to_json(stamped(record))


def to_json(value: Mapping[str, Any] | list[Mapping[str, Any]]) -> str:
    """Return one record, or several, as plain ASCII JSON."""
    return json.dumps(value, allow_nan=False)


def stamped(record: Record) -> Mapping[str, Any]:
    """Return a record with the version of the records in front."""
    return {"schema": SCHEMA, **record}
