"""Whether a JSON record is what its definition says: its fields, their order and their types."""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from facecli.records.kinds import KINDS, fields, is_record, kind_of, options

BY_KIND = {kind_of(record): record for record in KINDS}
FOR_TESTS = {"test"}
"""Kinds that tests of the output itself invent."""


def problems(record: dict[str, Any]) -> list[str]:
    """Return what is wrong with a record as it is sent, a line each."""
    kind = record.get("kind")
    if kind in FOR_TESTS:
        return []
    if kind not in BY_KIND:
        return [f"no definition of kind {kind!r}"]
    wrong = [] if record.get("schema") == 1 else [f"{kind}: no schema"]
    body = {name: value for name, value in record.items() if name != "schema"}
    return [*wrong, *_unlike(body, BY_KIND[kind], kind)]


def _unlike(value: Any, hint: Any, where: str) -> list[str]:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if hint is Any:
        return []
    choices = options(hint)
    if len(choices) > 1:
        found = [_unlike(value, one, where) for one in choices]
        return min(found, key=len)
    if is_record(hint):
        return _unlike_record(value, hint, where)
    if get_origin(hint) is Literal:
        return [] if value in get_args(hint) else [f"{where}: {value!r}"]
    if get_origin(hint) is list:
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        (item,) = get_args(hint)
        return [text for one in value[:50] for text in _unlike(one, item, f"{where}[]")]
    if get_origin(hint) is dict:
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        item = get_args(hint)[1]
        return [text for key, one in value.items() for text in _unlike(one, item, f"{where}.{key}")]
    fits = {
        float: isinstance(value, int | float) and not isinstance(value, bool),
        int: isinstance(value, int) and not isinstance(value, bool),
        str: isinstance(value, str),
        bool: isinstance(value, bool),
        NoneType: value is None,
    }
    return [] if fits[hint] else [f"{where}: {value!r} is no {hint.__name__}"]


def _unlike_record(value: Any, record: type, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no object"]
    known = fields(record)
    names = [one.name for one in known]
    wrong = [f"{where}: {name} is not in the definition" for name in value if name not in names]
    wrong += [
        f"{where}: {one.name} is missing" for one in known if one.required and one.name not in value
    ]
    given = [name for name in value if name in names]
    required = [one.name for one in known if one.required and one.name in value]
    if [name for name in given if name in required] != required:
        wrong.append(f"{where}: the fields are in another order")
    for one in known:
        if one.name in value:
            wrong += _unlike(value[one.name], one.type, f"{where}.{one.name}")
    return wrong
