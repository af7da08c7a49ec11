"""What the definitions of records say: the source of docs/json.md and of the check of records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, NotRequired, get_args, get_origin

from facecli.records.fields import Choices, Unit, WrittenBy
from facecli.records.reading import annotated, hints, is_record


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    `hint` is its type with the notes around it, `type` that without. `required` tells whether every
    record has the field.
    """

    name: str
    hint: Any
    type: Any
    meaning: str
    unit: Unit | None
    choices: Choices | None
    required: bool


@cache
def fields(definition: type) -> tuple[Field, ...]:
    """Return the fields of a record or of a part of one, in order."""
    return tuple(_field(name, hint) for name, hint in hints(definition).items())


def _field(name: str, hint: Any) -> Field:
    required = get_origin(hint) is not NotRequired
    hint = hint if required else get_args(hint)[0]
    bare, notes = annotated(hint)
    meanings = [one for one in notes if isinstance(one, str)]
    return Field(
        name=name,
        hint=hint,
        type=bare,
        meaning=meanings[-1] if meanings else "",
        unit=next((one for one in _inside(bare, notes) if isinstance(one, Unit)), None),
        choices=next((one for one in notes if isinstance(one, Choices)), None),
        required=required,
    )


def _inside(bare: Any, notes: tuple[Any, ...]) -> Iterator[Any]:
    """Yield notes, the last first, then those of the types in a union, a list or an object."""
    yield from reversed(notes)
    for one in get_args(bare):
        yield from _inside(*annotated(one))


def kind_of(record: type) -> str:
    """Return the kind that a record of this definition names."""
    (kind,) = get_args(annotated(hints(record)["kind"])[0])
    return str(kind)


def places_of(record: type) -> tuple[str, ...]:
    """Return the commands and addresses that write a record of this definition."""
    _, notes = annotated(hints(record)["kind"])
    (written,) = (one for one in notes if isinstance(one, WrittenBy))
    return written.places


def parts_of(definition: type) -> Iterator[type]:
    """Yield the definitions of the parts of a record, and of their parts."""
    for one in fields(definition):
        for part in _parts_in(one.type):
            yield part
            yield from parts_of(part)


def _parts_in(hint: Any) -> Iterator[type]:
    bare, _ = annotated(hint)
    if is_record(bare):
        yield bare
    else:
        for one in get_args(bare):
            yield from _parts_in(one)
