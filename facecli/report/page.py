"""Render a report as one HTML file that loads nothing, for a screen, a phone or paper."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jinja2
from markupsafe import Markup
from PIL import Image

from facecli.files import PRIVATE, replacing
from facecli.text import shown
from facecli.types import PixelArray

THUMBNAIL = 112
"""Side of a face on a page in pixels: sharp on a phone, 4 kB as a JPEG."""

JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Text:
    """Paragraphs under a heading."""

    heading: str
    paragraphs: tuple[str, ...]
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Number:
    """One important number: its name, its value, and a note about it."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The few most important numbers of a page."""

    heading: str
    numbers: tuple[Number, ...]
    kind: ClassVar[str] = "numbers"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header; the first cell of a row names it."""

    heading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing as SVG markup, with a text `alt` for people who cannot see it."""

    heading: str
    svg: str
    alt: str
    note: str = ""
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True, slots=True)
class FacePair:
    """Two compared chips, uint8 (size, size, 3) RGB, with their people and photos."""

    chips: tuple[PixelArray, PixelArray]
    people: tuple[str, str]
    photos: tuple[str, str]
    squared_l2: float


@dataclass(frozen=True, slots=True)
class FacePairs:
    """A contact sheet of pairs, in the order given."""

    heading: str
    pairs: tuple[FacePair, ...]
    note: str = ""
    kind: ClassVar[str] = "faces"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a row, uint8 (size, size, 3) RGB, with a title and a detail.

    `right` says whether it has the class of the row's first picture; None for that one itself.
    """

    chip: PixelArray
    title: str
    detail: str
    right: bool | None = None


@dataclass(frozen=True, slots=True)
class Shots:
    """Rows of pictures: the first of a row was asked about, the others are the answers."""

    heading: str
    rows: tuple[tuple[Shot, ...], ...]
    note: str = ""
    kind: ClassVar[str] = "shots"


Section = Text | Numbers | Table | Figure | FacePairs | Shots


@dataclass(frozen=True, slots=True)
class Page:
    """A title, the facts that hold for the whole page, and its sections in reading order."""

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: Sequence[Section]


def render(page: Page) -> str:
    """Return the page as HTML; all text is escaped."""
    return environment().get_template("page.html").render(page=page)


def write_html(html: str, path: Path) -> None:
    """Write a page whole or not at all. Only the owner can read it, since it may show faces.

    Raises OSError if it cannot be written.
    """
    with replacing(path, mode=PRIVATE) as stream:
        stream.write(html.encode())


def environment() -> jinja2.Environment:
    """Return the templates; they escape every value, and an unknown variable is an error."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("facecli.report"),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["picture"] = lambda chip: data_uri(thumbnail(chip, THUMBNAIL))
    templates.tests["number"] = _is_number
    return templates


def thumbnail(chip: PixelArray, side: int) -> bytes:
    """Return a chip as a JPEG of `side` pixels a side."""
    data = io.BytesIO()
    small = Image.fromarray(chip).resize((side, side), Image.Resampling.LANCZOS)
    small.save(data, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return data.getvalue()


def data_uri(jpeg: bytes) -> str:
    """Return a data URI that contains the picture."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _printable(value: object) -> object:
    """Make text safe to show; leave our own markup as it is."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _is_number(text: str) -> bool:
    """Tell if a cell is a number, to be aligned to the right."""
    return text.lstrip("-+−<")[:1].isdigit() or text in {"", "-", "–"}
