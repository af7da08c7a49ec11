"""Whether a JSON record is what its definition says: fields, order, types, ranges and choices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from definitions import fields, kind_of

from facecli.records import SCHEMA
from facecli.records.fields import Choices, Unit
from facecli.records.kinds import DEFINITIONS
from facecli.records.reading import annotated, is_record, options


def problems(record: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a record as it is sent, a line each."""
    kind, body = record.get("kind"), dict(record)
    if next(iter(record), "") != "schema" or body.pop("schema") != SCHEMA:
        return [f"{kind}: does not begin with the schema, which is {SCHEMA}"]
    forms = [one for one in DEFINITIONS if kind_of(one) == kind]
    found = [list(_in_record(body, form, str(kind))) for form in forms]
    return min(found, key=len, default=[f"no definition of kind {kind!r}"])


def fits(record: Mapping[str, Any], definition: type) -> bool:
    """Tell whether a record, as it is sent, is of this very form of its kind."""
    body = {name: value for name, value in record.items() if name != "schema"}
    return not list(_in_record(body, definition, ""))


def _in_record(value: Mapping[str, Any], definition: type, where: str) -> Iterator[str]:
    given = [one for one in fields(definition) if one.required or one.name in value]
    if list(value) != [one.name for one in given]:
        yield f"{where}: fields {list(value)}, not {[one.name for one in given]}"
        return
    for one in given:
        yield from _in_value(value[one.name], one.hint, f"{where}.{one.name}")


def _in_value(value: Any, hint: Any, where: str) -> Iterator[str]:
    bare, notes = annotated(hint)
    found = list(_in_bare(value, bare, where))
    yield from found
    for one in () if found or value is None else notes:
        if isinstance(one, Choices) and value not in one.texts:
            yield f"{where}: {value!r} is none of {one.texts}"
        if isinstance(one, Unit) and not _within(value, one):
            yield f"{where}: {value!r} is not within {one}"


def _within(value: Any, unit: Unit) -> bool:
    if isinstance(value, str | list):
        return True
    low, high = unit.low, unit.high
    return (low is None or value >= low) and (high is None or value <= high)


def _in_bare(value: Any, hint: Any, where: str) -> Iterator[str]:
    if len(options(hint)) > 1:
        yield from min((list(_in_value(value, one, where)) for one in options(hint)), key=len)
    elif is_record(hint):
        fits = isinstance(value, dict)
        yield from _in_record(value, hint, where) if fits else [f"{where}: {value!r} is no object"]
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            yield f"{where}: {value!r}"
    elif get_origin(hint) in (Sequence, tuple, Mapping):
        yield from _in_several(value, hint, where)
    elif hint is not Any and not _is(value, hint):
        yield f"{where}: {value!r} is no {hint.__name__}"


def _in_several(value: Any, hint: Any, where: str) -> Iterator[str]:
    named = get_origin(hint) is Mapping
    if not isinstance(value, dict if named else list):
        yield f"{where}: {value!r} is no {'object' if named else 'list'}"
        return
    types = get_args(hint)
    if get_origin(hint) is tuple and len(value) != len(types):
        yield f"{where}: {len(value)} values, not {len(types)}"
    for one in value.values() if isinstance(value, dict) else value:
        yield from _in_value(one, types[-1], f"{where}[]")


def _is(value: Any, wanted: type) -> bool:
    """Tell whether a value of JSON has a type; a whole number may stand for a float."""
    if wanted is float:
        return type(value) in (int, float)
    return type(value) is (NoneType if wanted is NoneType else wanted)
