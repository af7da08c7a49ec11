"""What the requests with JSON hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    AfterValidator,
    Base64Bytes,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    model_validator,
)


def _is_text(text: str) -> str:
    """Return a text; raise ValueError if it holds half a character, as JSON may spell it."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("not text: half of a surrogate pair")
    return text


Name = Annotated[str, AfterValidator(_is_text)]
"""A person's name."""


def _example(body: dict[str, JsonValue]) -> ConfigDict:
    """Return the settings of a body with an example of it for the description."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class Side(BaseModel):
    """A photo in base64, or the name of an enrolled person."""

    photo: Annotated[Base64Bytes | None, Field(description="the file of the photo, in base64")] = (
        None
    )
    person: Annotated[Name | None, Field(description="the name of an enrolled person")] = None

    @model_validator(mode="after")
    def _is_one(self) -> Side:
        if (self.photo is None) is (self.person is None):
            raise ValueError("give either photo or person")
        return self

    @property
    def given(self) -> bytes | str:
        """The photo as bytes, or the name of the person."""
        return self.person if self.photo is None else self.photo  # type: ignore[return-value]


class Pair(BaseModel):
    """Two sides to compare."""

    model_config = _example({"a": {"person": "Ada Lovelace"}, "b": {"person": "Grace Hopper"}})

    a: Annotated[Side, Field(description="one side")]
    b: Annotated[Side, Field(description="the other side")]


class Names(BaseModel):
    """People to forget."""

    model_config = _example({"names": ["Ada Lovelace"]})

    names: Annotated[list[Name], Field(min_length=1, description="their names")]


class Renaming(BaseModel):
    """A person's name and the new one, in the words of the answer."""

    model_config = _example({"from": "A. Lovelace", "to": "Ada Lovelace"})

    before: Annotated[Name, Field(alias="from", description="the name now")]
    now: Annotated[Name, Field(alias="to", description="the new name")]


class Merging(BaseModel):
    """Two people who are one, in the words of the answer."""

    model_config = _example({"from": "G. Hopper", "into": "Grace Hopper"})

    source: Annotated[Name, Field(alias="from", description="the person who will be gone")]
    target: Annotated[Name, Field(alias="into", description="the person who gets the templates")]
