"""Boxes and labels on pictures."""

from __future__ import annotations

import colorsys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from facecli.text import shown
from facecli.types import Box

Colour = tuple[int, int, int]

GREEN: Colour = (0, 110, 50)
RED: Colour = (180, 0, 30)
AMBER: Colour = (150, 85, 0)
BLUE: Colour = (20, 80, 170)
WHITE: Colour = (255, 255, 255)
"""White text on each of the others has a contrast of at least 5:1 (WCAG 2.2 asks for 4.5:1)."""

TEXT_SHARE = 40
"""The shorter side of a picture is about this many lines of text high."""

SMALLEST_TEXT, LARGEST_TEXT = 12, 72
"""Height of a line in pixels: readable on a small picture, and no wall on a large one."""

LONGEST_LINE = 40
"""Characters; the rest of a longer line is cut off, so that it hides no other face."""

GOLDEN = 0.618034
"""Steps of this share around the circle of colours keep neighbouring numbers apart."""

PLAIN = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ı": "i", "ß": "ss", "æ": "ae"}
    | {"Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th"}
)
"""Letters of Europe that Unicode does not take apart into a plain one and its marks."""

NO_GLYPH = "\uffff"
"""Not a character: a font draws for it what it draws for all that it lacks."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is drawn of a face: its box in pixels of the upright picture, lines of text, a colour.

    Without a box, the text stands in the corner of the picture.
    """

    lines: tuple[str, ...]
    colour: Colour
    box: Box | None = None


def draw(picture: Image.Image, marks: Sequence[Mark]) -> None:
    """Draw marks on an RGB picture. Boxes come first, so that none of them hides a text."""
    pen = ImageDraw.Draw(picture)
    height = min(max(min(picture.size) // TEXT_SHARE, SMALLEST_TEXT), LARGEST_TEXT)
    width = max(1, height // 6)
    for mark in marks:
        if mark.box is not None:
            _outline(pen, picture.size, mark.box, mark.colour, width)
    for mark in marks:
        _write(pen, picture.size, mark, height)


def colour_of(number: int) -> Colour:
    """Return a dark colour for a number, always the same one."""
    red, green, blue = colorsys.hls_to_rgb(number * GOLDEN % 1, 0.3, 0.8)
    return round(255 * red), round(255 * green), round(255 * blue)


def spelled(text: str) -> str:
    """Return text in letters that Pillow's own font has: without accents, or as an escape."""
    return "".join(map(_spelled, shown(unicodedata.normalize("NFC", text))))


@cache
def _spelled(letter: str) -> str:
    if _has(letter):
        return letter
    plain = unicodedata.normalize("NFKD", letter.translate(PLAIN))
    plain = "".join(one for one in plain if not unicodedata.combining(one))
    if plain and all(map(_has, plain)):
        return plain
    return letter.encode("ascii", "backslashreplace").decode()


def _has(letter: str) -> bool:
    font = _font(SMALLEST_TEXT)
    return letter == " " or bytes(font.getmask(letter)) != bytes(font.getmask(NO_GLYPH))


@cache
def _font(height: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's own font."""
    font = ImageFont.load_default(height)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _outline(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], box: Box, colour: Colour, width: int
) -> None:
    """Draw a box, or as much of it as lies in the picture."""
    left, top = (max(0, round(value)) for value in box[:2])
    right, bottom = (min(edge - 1, round(value)) for edge, value in zip(size, box[2:], strict=True))
    if left <= right and top <= bottom:
        pen.rectangle((left, top, right, bottom), outline=colour, width=width)


def _write(pen: ImageDraw.ImageDraw, size: tuple[int, int], mark: Mark, height: int) -> None:
    """Write the lines above the box, or below it, or in it, wherever there is room."""
    font = _font(height)
    lines = [_fitting(pen, line, font, size[0]) for line in mark.lines]
    wide = round(max((pen.textlength(line, font) for line in lines), default=0)) + height // 2
    high = round(len(lines) * 1.25 * height) + height // 4
    left, top, _, bottom = mark.box or (0.0, 0.0, 0.0, 0.0)
    x = max(0, min(round(left), size[0] - wide))
    y = round(top) - high
    if y < 0:
        y = round(bottom) if mark.box and round(bottom) + high <= size[1] else max(0, round(top))
    y = max(0, min(y, size[1] - high))
    pen.rectangle((x, y, x + wide, y + high), fill=mark.colour)
    for number, line in enumerate(lines):
        at = (x + height // 4, y + height // 8 + round(number * 1.25 * height))
        pen.text(at, line, fill=WHITE, font=font)


def _fitting(pen: ImageDraw.ImageDraw, line: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return a line cut so that it fits the picture, as far as that is possible."""
    text = spelled(line)
    cut = text[:LONGEST_LINE]
    while len(cut) > 1 and pen.textlength(_ended(cut, text), font) > width:
        cut = cut[:-1]
    return _ended(cut, text)


def _ended(cut: str, text: str) -> str:
    return cut if cut == text else f"{cut.rstrip()}…"
