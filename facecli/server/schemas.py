"""Schemas of the service's answers, made from the definitions of the records.

They describe: an answer is written as it was built, without going through pydantic.
"""

from __future__ import annotations

from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, NotRequired, get_args, get_origin

from pydantic import Field
from typing_extensions import TypedDict  # pydantic refuses that of typing before Python 3.12

from facecli.records import SCHEMA
from facecli.records.fields import Choices, Unit
from facecli.records.reading import annotated, hints, is_record, options

make_typed_dict: Any = TypedDict
"""The same for names and fields that only a run knows, which mypy does not allow."""


def answer(record: type, description: str, *, many: bool = False) -> dict[str, Any]:
    """Return an OpenAPI response: one record, or with `many` a list of them."""
    model = _whole(record)
    return {"description": description, "model": list[model] if many else model}  # type: ignore[valid-type]


@cache
def _whole(record: type) -> Any:
    """Return the schema of a record as it is sent: with the version of the records in front."""
    version = Annotated[Literal[SCHEMA], Field(description="version of the records")]  # type: ignore[valid-type]
    return _typed_dict(record, {"schema": version})


@cache
def _part(definition: type) -> Any:
    """Return the schema of a part of a record, or of a record in another."""
    return _typed_dict(definition, {})


def _typed_dict(definition: type, first: dict[str, Any]) -> Any:
    described = {field: _described(hint) for field, hint in hints(definition).items()}
    made = make_typed_dict(definition.__name__, first | described)
    made.__doc__ = definition.__doc__
    return made


def _described(hint: Any) -> Any:
    """Return a type with pydantic's notes in the place of ours."""
    if get_origin(hint) is NotRequired:
        return NotRequired[_described(get_args(hint)[0])]
    bare, notes = annotated(hint)
    if notes:
        return Annotated[_bare(bare, notes), _field(notes)]
    return _bare(bare, ())


def _bare(hint: Any, notes: tuple[Any, ...]) -> Any:
    for one in notes:
        if isinstance(one, Choices):
            return Literal[one.texts]
    if is_record(hint):
        return _part(hint)
    if len(options(hint)) > 1:
        return reduce(or_, map(_described, options(hint)))
    if get_origin(hint) in (None, Literal):
        return hint
    return get_origin(hint)[tuple(map(_described, get_args(hint)))]


def _field(notes: tuple[Any, ...]) -> Any:
    """Return what a field means, with its unit and range."""
    units = [one for one in notes if isinstance(one, Unit)]
    meanings = [one for one in notes if isinstance(one, str)][-1:]
    named = [one.name for one in units if one.name]
    text = "; ".join([*meanings, *named]) or None
    unit = units[0] if units else Unit()
    return Field(description=text, ge=unit.low, le=unit.high)
