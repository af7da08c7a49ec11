"""Draw with matplotlib as small SVG that uses the colours and font of the page."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from facecli.errors import MissingExtra
from facecli.report.page import Figure
from facecli.text import shown

INK, SOFT, RULE = "#0a0a01", "#0a0a02", "#0a0a03"
FIRST, SECOND, THIRD, FOURTH = "#0a0a04", "#0a0a05", "#0a0a06", "#0a0a07"
SERIES = (FIRST, SECOND, THIRD, FOURTH)
"""Placeholders that no drawing uses otherwise: each is replaced by a colour of the page."""

PAGE_COLOURS = {
    INK: "var(--ink, #1d2326)",
    SOFT: "var(--soft, #5b666c)",
    RULE: "var(--rule, #dfe3e4)",
    FIRST: "var(--first, #0072b2)",
    SECOND: "var(--second, #d55e00)",
    THIRD: "var(--third, #009e73)",
    FOURTH: "var(--fourth, #cc79a7)",
}
"""Blue, vermilion, green and purple: they differ for any colour vision (Okabe & Ito 2008)."""

DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (5, 2, 1.5, 2)))
"""One for each series, so that they differ on paper without colours too."""

LABEL = 28
"""Longest name in a legend, in characters: half the width of a plot."""

WIDTH, HEIGHT = 4.6, 3.3
"""Inches: with 72 units per inch, a phone of 360 pixels shows letters of 9 points as 9 pixels."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "facecli",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": RULE,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.minor.visible": False,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
"""Text stays text, a dollar sign has no meaning, and equal figures give equal bytes."""

SVG = "http://www.w3.org/2000/svg"
LINK = "{http://www.w3.org/1999/xlink}href"


@contextmanager
def drawing(height: float = HEIGHT) -> Iterator[Any]:
    """Open a matplotlib figure in the page's style; raise MissingExtra without matplotlib."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise MissingExtra("plots need matplotlib: pip install 'facecli[report]'") from error
    with rc_context(STYLE), warnings.catch_warnings():
        # matplotlib measures with its own font, which has fewer letters than the page's.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        yield Canvas(figsize=(WIDTH, height), layout="constrained")


def finished(canvas: Any, *, heading: str, alt: str, note: str = "") -> Figure:
    """Turn a figure of `drawing` into a section of a page; call it inside the `with` block."""
    data = io.BytesIO()
    canvas.savefig(data, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Figure(heading=heading, svg=_adapted(data.getvalue(), heading), alt=alt, note=note)


def shortened(name: str) -> str:
    """Return a group's name for a legend, which leaves out names that start with _."""
    text = shown(name)
    short = text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"
    return f" {short}" if short.startswith("_") else short


def style_of(place: int) -> dict[str, Any]:
    """Return colour and dashes of a series, from 0; the first sixteen are all different."""
    return {
        "color": SERIES[place % len(SERIES)],
        "linestyle": DASHES[(place + place // len(SERIES)) % len(DASHES)],
    }


def percent(value: float, _: object = None) -> str:
    """Write a share in percent, as on an axis."""
    return f"{100 * value:.4g} %"


def _adapted(data: bytes, name: str) -> str:
    """Remove from matplotlib's SVG what must not be in a page with several drawings.

    A stylesheet would change all drawings, identifiers would occur twice, and a size is fixed.
    """
    ElementTree.register_namespace("", SVG)
    # matplotlib has just written it, so it has no entities from elsewhere.
    root = ElementTree.fromstring(data)  # noqa: S314
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}:
                parent.remove(child)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    _rename(root, re.sub(r"\W+", "-", name.lower()))
    text = ElementTree.tostring(root, encoding="unicode")
    for stand_in, colour in PAGE_COLOURS.items():
        text = text.replace(stand_in, colour)
    return text


def _rename(root: ElementTree.Element, prefix: str) -> None:
    """Remove identifiers that are not referred to, and put a prefix before the others."""
    values = [value for element in root.iter() for value in element.attrib.values()]
    used = set(re.findall(r"#([\w-]+)", "\n".join(values)))
    for element in root.iter():
        if (identifier := element.attrib.pop("id", None)) in used:
            element.set("id", f"{prefix}-{identifier}")
        if target := element.attrib.pop(LINK, None):
            element.set("href", f"#{prefix}-{target[1:]}")
        if clip := element.get("clip-path"):
            element.set("clip-path", clip.replace("#", f"#{prefix}-"))
        if style := element.get("style"):
            style = re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", style)
            element.set("style", re.sub(r"font-family: [^;]*; ", "", style))
