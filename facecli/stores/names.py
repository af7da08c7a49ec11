"""Names of people: free text, but two people never have names that a reader cannot tell apart."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from facecli.errors import GalleryError
from facecli.text import name_key as name_key

MAX_NAME_LENGTH = 200
"""Characters: 800 bytes at most, and far more than any name in use."""

FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, half characters of text that could not be decoded, and line separators."""

BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They change the order of the text around them: a name could rewrite the line that shows it."""


def clean_name(text: str, what: str = "name") -> str:
    """Return a name without outer spaces, in Unicode's NFC.

    `what` is how an error calls it. Joiners inside a word stay: Persian and the Indic scripts need
    them. Raises GalleryError for an empty name, one that is too long, and one with a character that
    cannot be shown.
    """
    name = unicodedata.normalize("NFC", text).strip()
    for character in name:
        if unicodedata.category(character) in FORBIDDEN_CATEGORIES or character in BIDI_CONTROLS:
            raise GalleryError(f"{what} {name!r} contains the character U+{ord(character):04X}")
    if len(name) > MAX_NAME_LENGTH:
        raise GalleryError(
            f"{what} {name[:20]!r}… has {len(name)} characters, more than {MAX_NAME_LENGTH}"
        )
    if not name_key(name):
        raise GalleryError(f"{what} {text!r} is empty")
    return name


def closest(name: str, names_by_key: Mapping[str, str]) -> str | None:
    """Return the known name that is most like `name`, or None if none is like it."""
    # Imported here, as only a mistake needs it.
    from difflib import get_close_matches

    matches = get_close_matches(name_key(name), names_by_key, n=1)
    return names_by_key[matches[0]] if matches else None
