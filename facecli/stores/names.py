"""Names of people: free text, but never two people whom a reader could not tell apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from facecli.errors import GalleryError

MAX_NAME_LENGTH = 200
"""Characters; at most 800 bytes, and far more than any name in use."""

FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, half characters of undecodable text, and line and paragraph separators."""

BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They reorder the text around them, so that a name could rewrite the line that shows it."""


def clean_name(text: str, what: str = "name") -> str:
    """Return a name stripped and in Unicode's NFC, or raise GalleryError saying what is wrong.

    Joiners inside a word stay: Persian and the Indic scripts need them.
    """
    name = unicodedata.normalize("NFC", text).strip()
    for character in name:
        if unicodedata.category(character) in FORBIDDEN_CATEGORIES or character in BIDI_CONTROLS:
            raise GalleryError(f"{what} {name!r} holds the character U+{ord(character):04X}")
    if len(name) > MAX_NAME_LENGTH:
        raise GalleryError(
            f"{what} {name[:20]!r}… has {len(name)} characters, more than {MAX_NAME_LENGTH}"
        )
    if not name_key(name):
        raise GalleryError(f"{what} {text!r} is empty")
    return name


def name_key(name: str) -> str:
    """Return what two spellings of one name share: case, width, invisible marks and spaces aside.

    Names of one key are one person. Two people told apart by a capital letter alone would be
    enrolled into one another by a slip, and share a folder where file names ignore case.
    """
    # Twice, because folding can undo the normal form (Unicode Standard, section 3.13, D146).
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
    return " ".join(visible.split())


def closest(name: str, names_by_key: Mapping[str, str]) -> str | None:
    """Return the name most like one that was not found, or None if none is."""
    # Only a mistake needs it.
    from difflib import get_close_matches

    matches = get_close_matches(name_key(name), names_by_key, n=1)
    return names_by_key[matches[0]] if matches else None
