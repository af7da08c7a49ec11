"""The HTTP interface described for people: one page, made from the OpenAPI description."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2

from facecli.server.access import Access

PAGE = Path(__file__).parent / "page"
STYLE = (PAGE / "api.css").read_text(encoding="utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""Of the style inside the page, so that browsers obey it and no other; see `limits.SAFE`."""

PHOTO = "@photo.jpg"
TOKEN_HEADERS = {
    "token": "Authorization: Bearer $(cat token)",
    "administrator": "Authorization: Bearer $(cat admin.token)",
}
"""By what `Access.needed` says: what curl sends, with the token from a file."""

ACCESS = {
    None: "no token",
    "token": "the token, or the administrator's",
    "administrator": "the administrator's token",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of a request or a field of a record."""

    name: str
    type: str
    optional: bool
    meaning: str
    record: str | None
    """The name of the record that it holds, if any."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: its status, what it says, and the record or type that it holds."""

    status: str
    meaning: str
    type: str
    record: str | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One path with its method."""

    method: str
    path: str
    meaning: str
    access: str
    parameters: tuple[Field, ...]
    body: Reply | None
    replies: tuple[Reply, ...]
    curl: str


def secured(description: dict[str, Any], access: Access) -> None:
    """Say in an OpenAPI description which paths of this service need which token."""
    schemes = {
        name: {"type": "http", "scheme": "bearer", "description": ACCESS[name]}
        for name in TOKEN_HEADERS
    }
    description["components"]["securitySchemes"] = schemes
    for path, methods in description["paths"].items():
        needed = access.needed(path)
        for operation in methods.values():
            operation["security"] = [] if needed is None else [{needed: []}]


def page(description: dict[str, Any], address: str) -> str:
    """Return the page; `address` is where the service was asked, for the lines with curl."""
    records = {
        name: (schema.get("description", ""), tuple(_fields(schema)))
        for name, schema in description["components"]["schemas"].items()
    }
    return _template().render(
        info=description["info"],
        operations=list(_operations(description, address.rstrip("/"))),
        records=records,
        style=STYLE,
    )


@cache
def _template() -> jinja2.Template:
    """Return the template, which escapes every value."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("api.html")


def _operations(description: dict[str, Any], address: str) -> Iterator[Operation]:
    schemas = description["components"]["schemas"]
    for path, methods in description["paths"].items():
        for method, found in methods.items():
            needed = next((name for one in found["security"] for name in one), None)
            replies = sorted(found["responses"].items())
            yield Operation(
                method.upper(),
                path,
                " ".join(found["description"].split()),
                ACCESS[needed],
                tuple(map(_parameter, found.get("parameters", ()))),
                _reply("", found["requestBody"]) if "requestBody" in found else None,
                tuple(_reply(status, reply) for status, reply in replies),
                _curl(address + path, found, needed, schemas),
            )


def _curl(address: str, operation: dict[str, Any], needed: str | None, schemas: Any) -> str:
    """Return a line for a shell that asks this; names and photos are the reader's to replace."""
    words = ["curl"]
    if needed:
        words.append(f'-H "{TOKEN_HEADERS[needed]}"')
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        if kind == "application/json":
            (example,) = schemas[_record(content["schema"])]["examples"]
            words += ["-H 'Content-Type: application/json'", "-d", shlex.quote(json.dumps(example))]
        else:
            words += ["--data-binary", PHOTO]
    needs = [one for one in operation.get("parameters", ()) if one["required"]]
    query = urlencode({one["name"]: one["schema"]["examples"][0] for one in needs})
    words.append(shlex.quote(f"{address}?{query}" if query else address))
    return " ".join(words)


def _parameter(one: dict[str, Any]) -> Field:
    return _field(one["name"], one["schema"], optional=not one["required"])


def _fields(schema: dict[str, Any]) -> Iterator[Field]:
    needed = schema.get("required", ())
    for name, one in schema["properties"].items():
        yield _field(name, one, optional=name not in needed)


def _field(name: str, schema: dict[str, Any], *, optional: bool) -> Field:
    meaning = schema.get("description", "")
    if schema.get("default") is not None:
        meaning += f" (default: {json.dumps(schema['default'])})"
    return Field(name, _type(schema), optional, meaning.strip(), _record(schema))


def _reply(status: str, reply: dict[str, Any]) -> Reply:
    for kind, content in reply.get("content", {}).items():
        schema = content.get("schema", {})
        record = _record(schema)
        holds = _type(schema) if record else kind
        return Reply(status, reply.get("description", ""), holds, record)
    return Reply(status, reply.get("description", ""), "", None)


def _record(schema: dict[str, Any]) -> str | None:
    """Return the name of the record in a schema, alone, in a list or beside null."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    inner = [*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())]
    return next((name for one in inner if (name := _record(one))), None)


def _type(schema: dict[str, Any]) -> str:
    """Return a type in words, with its range or its values."""
    if "$ref" in schema:
        return _record(schema) or ""
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " or ".join(map(json.dumps, schema["enum"]))
    if "prefixItems" in schema:
        return f"list of {len(schema['prefixItems'])} × {_type(schema['prefixItems'][0])}"
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    words = [str(schema.get("format") or schema.get("type", "anything"))]
    words += [f"from {schema['minimum']:g}"] if "minimum" in schema else []
    words += [f"to {schema['maximum']:g}"] if "maximum" in schema else []
    words += [f"like {schema['pattern']}"] if "pattern" in schema else []
    return " ".join(words)
