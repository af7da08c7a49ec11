"""Text of any origin: what is safe to show of it, and which spellings are one name."""

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
