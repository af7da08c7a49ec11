"""Foreign text made fit to show: names, paths and messages may hold anything."""

from __future__ import annotations

import unicodedata

HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories that can move the cursor, hide or reorder text, or cannot be written."""

JOINERS = "\u200c\u200d"
"""Invisible, but needed to spell names in Persian and Hindi, and harmless."""


def shown(text: object) -> str:
    """Return text fit for one line of a terminal or page: control characters become escapes."""
    whole = str(text)
    # What Python calls printable holds nothing hidden, and most text is.
    return whole if whole.isprintable() else "".join(map(_visible, whole))


def _visible(character: str) -> str:
    if unicodedata.category(character) in HIDDEN and character not in JOINERS:
        return character.encode("unicode_escape").decode()
    return character
