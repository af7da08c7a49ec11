"""Text of any origin: made safe to show, names with one spelling, JSON read within bounds."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Any

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that can move the cursor, hide or reorder text, or cannot be encoded."""

JOINERS = "\u200c\u200d"
"""Invisible and harmless; names in Persian and Hindi need them."""

LARGEST_JSON = 16 * 2**20
"""Most bytes of a JSON text. The card of a model has some 20,000."""

DEEPEST_JSON = 64
"""Most levels of a JSON text. Python fails with RecursionError somewhere beyond a thousand."""

WHOLE_BITS = 63
"""Whole numbers in JSON are as large as SQLite takes them."""

_MARKS = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[\]{}]', re.DOTALL)
"""A text in quotes, whose brackets do not count, or a bracket."""


def shown(text: object) -> str:
    """Return text that is safe in one line of a terminal or page: hidden characters as escapes."""
    whole = str(text)
    # Most text is printable, and printable text has no hidden characters.
    return whole if whole.isprintable() else "".join(map(_visible, whole))


def _visible(character: str) -> str:
    if unicodedata.category(character) in HIDDEN and character not in JOINERS:
        return character.encode("unicode_escape").decode()
    return character


def name_key(name: str) -> str:
    """Return what all spellings of a name share: case, width, spacing and invisible marks are gone.

    Names with the same key are one person. If a capital letter alone told two people apart, one
    typing error would enroll a photo for the wrong person, and both would share a folder where file
    names ignore case.
    """
    # Twice, because folding can undo the normal form (Unicode Standard, section 3.13, D146).
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
    return " ".join(visible.split())


def read_json(data: str | bytes, *, most: int = LARGEST_JSON) -> Any:
    """Read JSON from elsewhere; raise ValueError, in one line, for anything out of bounds.

    All JSON is read here. The bounds are `most` bytes and `DEEPEST_JSON` levels; whole numbers have
    64 bits, other numbers are finite (JSON knows neither NaN nor Infinity), and no name is twice in
    one object.
    """
    if len(data) > most:
        raise ValueError(f"larger than {most:,} bytes")
    text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
    depth = 0
    for mark in _MARKS.findall(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark, 0)
        if depth > DEEPEST_JSON:
            raise ValueError(f"nested more than {DEEPEST_JSON} levels deep")
    return json.loads(
        text,
        parse_constant=_finite,
        parse_float=_finite,
        parse_int=_whole,
        object_pairs_hook=_object,
    )


def read_json_object(data: str | bytes, *, most: int = LARGEST_JSON) -> dict[str, Any]:
    """Read a JSON object as `read_json` does; raise ValueError for any other value too."""
    found = read_json(data, most=most)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"a number out of range: {text[:20]}")
    return number


def _whole(text: str) -> int:
    # Python itself refuses thousands of digits.
    if len(text) > WHOLE_BITS or not -(2**WHOLE_BITS) <= int(text) < 2**WHOLE_BITS:
        raise ValueError(f"a number out of range: {text[:20]}")
    return int(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name is twice in one object")
    return made
