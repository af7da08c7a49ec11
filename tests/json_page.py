"""Write docs/json.md from the definitions of the records: python tests/json_page.py.

The examples are in tests/json_examples.jsonl, a record a line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from definitions import Field, fields, kind_of, parts_of, places_of
from record_check import fits

from facecli.records.fields import Choices, Unit
from facecli.records.kinds import DEFINITIONS
from facecli.records.reading import annotated, is_record, options

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "json.md"
EXAMPLES = Path(__file__).with_name("json_examples.jsonl")

INTRODUCTION = """\
# JSON records

You want to read facecli's results in another program. This page lists every kind of record, with
its fields and an example. It is generated from the definitions in the program, and a test fails
when it is out of date.

With `--json`, a command writes JSON lines to stdout and nothing else. Notes, warnings and progress
go to stderr. The HTTP service answers with the same records; its `/openapi.json` has their schemas.

- Every line is one object, a *record*. It begins with `schema` and `kind`. `kind` names one of the
  sections below. `schema` is the version of the records, now 1. It rises when a field changes its
  meaning or is removed. New fields may be added at any time, so ignore the fields that you do not
  know.
- Every record has all fields of its table, in this order, unless the table says *optional*.
- `null` stands for a value that does not exist or is not known. The table says what it means.
- All distances are squared L2 between unit vectors: 0 for the same picture, at most 4, lower is
  more alike.
- Text is plain ASCII, with other characters as `\\u` escapes. NaN and Infinity do not occur.

The examples show the form; their numbers are no results. `…` marks where a long list is cut short.
"""

WIDTH = 88
SHOWN = 4
"""Values shown of a list that is longer."""

NAMES = {str: "text", int: "integer", float: "number", bool: "true or false", NoneType: "null"}
PLURALS = {"text": "texts", "integer": "integers", "number": "numbers", "object": "objects"}


def page() -> str:
    """Return the page as Markdown."""
    kinds = dict.fromkeys(map(kind_of, DEFINITIONS))
    parts = dict.fromkeys(part for one in DEFINITIONS for part in parts_of(one))
    shared = [part for part in parts if part not in DEFINITIONS]
    return "\n".join(
        [
            INTRODUCTION,
            *_table(("kind", "written by", "what it says"), map(_listed, kinds)),
            "",
            *(line for kind in kinds for line in _section(kind)),
            "## Parts of records",
            "",
            *(line for part in shared for line in _part(part)),
        ]
    )


def _forms(kind: str) -> list[type]:
    return [one for one in DEFINITIONS if kind_of(one) == kind]


def _listed(kind: str) -> tuple[str, str, str]:
    forms = _forms(kind)
    places = dict.fromkeys(place for form in forms for place in places_of(form))
    return f"[`{kind}`](#{kind})", ", ".join(map(_code, places)), _sentence(forms[0])


def _code(place: str) -> str:
    """Set a command or an address apart; leave words as they are."""
    return f"`{place}`" if place.startswith(("facecli", "GET", "POST")) else place


def _sentence(definition: type) -> str:
    """Return the first sentence of what a definition is."""
    return (definition.__doc__ or "").partition(". ")[0].strip().removesuffix(".")


def _section(kind: str) -> Iterator[str]:
    forms = _forms(kind)
    yield f"## `{kind}`\n"
    for form in forms:
        if len(forms) > 1:
            yield f"### {_sentence(form)}\n"
        written = f"Written by {_joined(list(map(_code, places_of(form))))}."
        yield f"{written}\n" if len(forms) > 1 else f"{_told(form)} {written}\n"
        yield from _fields(form)
        yield ""
        yield f"```json\n{_shown(_example(form))}\n```\n"


def _part(part: type) -> Iterator[str]:
    yield f"### {part.__name__}\n"
    yield f"{_told(part)}\n"
    yield from _fields(part)
    yield ""


def _told(definition: type) -> str:
    return " ".join((definition.__doc__ or "").split())


def _joined(words: Sequence[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def _fields(definition: type) -> Iterator[str]:
    rows = [_row(one) for one in fields(definition) if one.name != "kind" or one.meaning]
    yield from _table(("field", "type", "unit or range", "meaning"), rows)


def _row(field: Field) -> tuple[str, ...]:
    name = f"`{field.name}`" + ("" if field.required else " *(optional)*")
    return name, _type(field.type), _range(field.unit), field.meaning + _choices(field.choices)


def _choices(choices: Choices | None) -> str:
    if choices is None:
        return ""
    return ". One of " + ", ".join(f"`{text}`" for text in choices.texts)


def _type(hint: Any) -> str:
    bare, _ = annotated(hint)
    if len(options(bare)) > 1:
        return " or ".join(map(_type, options(bare)))
    if is_record(bare):
        return f"[{_title(bare)}](#{_title(bare).lower()})"
    origin, inner = get_origin(bare), get_args(bare)
    if origin is Literal:
        return " or ".join(f"`{one}`" for one in inner)
    if origin is tuple:
        return f"list of {len(inner)} {_plural(inner[0])}"
    if origin is Sequence:
        return f"list of {_plural(inner[0])}"
    if origin is Mapping and annotated(inner[1])[0] is not Any:
        return f"object of {_plural(inner[1])}"
    return NAMES.get(bare, "object")


def _plural(hint: Any) -> str:
    first, *rest = _type(hint).split(" ")
    return " ".join([PLURALS.get(first, first), *rest])


def _title(definition: type) -> str:
    return kind_of(definition) if definition in DEFINITIONS else definition.__name__


def _range(unit: Unit | None) -> str:
    if unit is None:
        return ""
    low, high = unit.low, unit.high
    if low is None:
        return unit.name
    limits = f"{low:g} or more" if high is None else f"{low:g} to {high:g}"
    return f"{unit.name}, {limits}" if unit.name else limits


def _table(header: Sequence[str], rows: Any) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


def examples() -> list[dict[str, Any]]:
    """Return the examples: records as they are sent."""
    lines = EXAMPLES.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _example(form: type) -> dict[str, Any]:
    (found,) = (one for one in examples() if fits(one, form))
    return found


def _shown(value: Any, indent: int = 0) -> str:
    """Return a value as JSON for people: on one line if it fits, and long lists cut short."""
    if isinstance(value, list) and len(value) > SHOWN and not isinstance(value[0], dict | list):
        return "[" + ", ".join([*map(json.dumps, value[: SHOWN - 1]), "…"]) + "]"
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    space = " " * (indent + 2)
    if isinstance(value, dict):
        inner = [f"{json.dumps(key)}: {_shown(one, indent + 2)}" for key, one in value.items()]
        ends = "{}"
    else:
        inner = [_shown(one, indent + 2) for one in value]
        ends = "[]"
    joined = f",\n{space}".join(inner)
    return f"{ends[0]}\n{space}{joined}\n{' ' * indent}{ends[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
