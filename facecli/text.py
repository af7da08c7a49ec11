"""Make any text safe to show: names, paths and messages can contain any character."""

from __future__ import annotations

import unicodedata

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that can move the cursor, hide or reorder text, or cannot be encoded."""

JOINERS = "\u200c\u200d"
"""Invisible and harmless; names in Persian and Hindi need them."""


def shown(text: object) -> str:
    """Return text that is safe in one line of a terminal or page: hidden characters as escapes."""
    whole = str(text)
    # Most text is printable, and printable text has no hidden characters.
    return whole if whole.isprintable() else "".join(map(_visible, whole))


def _visible(character: str) -> str:
    if unicodedata.category(character) in HIDDEN and character not in JOINERS:
        return character.encode("unicode_escape").decode()
    return character
