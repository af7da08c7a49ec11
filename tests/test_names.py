"""Names of people: what is accepted, and which spellings are one name."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from facecli.errors import GalleryError
from facecli.stores.names import MAX_NAME_LENGTH, clean_name, closest, name_key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \t ", "is empty"),
        ("\u200b\u200d", "is empty"),
        ("a\nb", "U\\+000A"),
        ("a\x1b[31mb", "U\\+001B"),
        ("a\x00b", "U\\+0000"),
        ("a\u2028b", "U\\+2028"),
        ("evil\u202egpj.exe", "U\\+202E"),
        ("caf\udce9", "U\\+DCE9"),
        ("x" * (MAX_NAME_LENGTH + 1), "201 characters"),
    ],
)
def test_a_name_that_cannot_be_shown_is_refused(text: str, reason: str) -> None:
    with pytest.raises(GalleryError, match=f"^name .*{reason}") as caught:
        clean_name(text)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 100


@given(st.text(max_size=30))
@example("ﬃ\u0345İß")
def test_an_accepted_name_is_stable(text: str) -> None:
    """Cleaning twice changes nothing, and every spelling tried has the same key."""
    try:
        name = clean_name(text)
    except GalleryError:
        return
    assert clean_name(name) == name
    assert unicodedata.is_normalized("NFC", name)
    key = name_key(name)
    assert key == name_key(key)
    for spelling in (text, f" {name} ", unicodedata.normalize("NFD", name), name.casefold()):
        assert name_key(spelling) == key


def test_the_closest_name_is_one_that_is_like_it() -> None:
    known = {name_key(name): name for name in ("Ada Lovelace", "Grace Hopper")}
    assert closest("ada lovelase", known) == "Ada Lovelace"
    assert closest("Zoë", known) is None
