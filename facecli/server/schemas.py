"""Schemas of the service's answers, made from the definitions of the records."""

from __future__ import annotations

from functools import cache
from types import GenericAlias
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, Field, create_model

from facecli.records import SCHEMA
from facecli.records.kinds import fields, is_record, options


def answer(record: type, description: str, *, many: bool = False) -> dict[str, Any]:
    """Return an OpenAPI response: one record, or with `many` a list of them."""
    model: Any = whole(record)
    return {"description": description, "model": list[model] if many else model}


@cache
def whole(record: type) -> type[BaseModel]:
    """Return the model of a record as it is sent, with the version of the records."""
    version = Field(alias="schema", description="version of the records", examples=[SCHEMA])
    base = schema(record)
    return create_model(
        record.__name__, __base__=base, __doc__=base.__doc__, version=(int, version)
    )


@cache
def schema(record: type) -> type[BaseModel]:
    """Return the pydantic model of a record's definition, with the meanings of its fields."""
    described: dict[str, Any] = {}
    for one in fields(record):
        about = Field(... if one.required else None, description=one.meaning or None)
        described[one.name] = (_modelled(one.type), about)
    return create_model(record.__name__, __doc__=record.__doc__, **described)


def _modelled(hint: Any) -> Any:
    """Return a type in which each record definition is replaced by its model."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if len(options(hint)) > 1:
        first, *others = map(_modelled, options(hint))
        for other in others:
            first = first | other
        return first
    if get_origin(hint) is list:
        return GenericAlias(list, (_modelled(get_args(hint)[0]),))
    return schema(hint) if is_record(hint) else hint
