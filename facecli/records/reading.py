"""Read the definitions of records."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict


@cache
def hints(definition: type) -> dict[str, Any]:
    """Return the type of each field, with the notes around it."""
    return get_type_hints(definition, include_extras=True)


def annotated(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type without the annotation around it, and the notes in that."""
    if get_origin(hint) is Annotated:
        bare, *notes = get_args(hint)
        return bare, tuple(notes)
    return hint, ()


def is_record(hint: Any) -> bool:
    """Tell whether a type is the definition of a record or of a part of one."""
    return is_typeddict(hint)


def options(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type: those of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
