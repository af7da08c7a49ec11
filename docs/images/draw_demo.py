"""Draw docs/images/demo.svg: what `facecli demo` finds, on its two public-domain portraits.

Grace Hopper by the United States Navy, 1984; Eileen Collins by NASA, 1990s.

Run it at the top of the repository after a change of the default model:

    python docs/images/draw_demo.py
"""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image, ImageOps

import facecli
from facecli.demo import SITTERS, TAKES, Sitter, Stage, set_the_stage

OUT = Path(__file__).with_name("demo.svg")
SIDE, GAP, TOP, LABEL = 104, 14, 34, 44
"""Pixels: a picture's side, between pictures, above the first row, below each row."""

PIXELS = 156
"""A picture's side in its own pixels, which screens of high resolution show."""

WIDTH = GAP + (1 + len(TAKES)) * (SIDE + GAP) + GAP
HEIGHT = TOP + 2 * (SIDE + LABEL) + 30
STYLE = (
    "text { font: 13px system-ui, sans-serif; fill: #333 } "
    ".head { font-weight: 600 } .match { fill: #0a7d33 } .different { fill: #b3261e }"
)


def picture(path: Path, head: tuple[int, int, int, int] | None) -> str:
    """Return a file, or the head in it, as a small square picture in a data URI."""
    with Image.open(path) as image:
        whole = image.convert("RGB").crop(head) if head else image.convert("RGB")
    data = io.BytesIO()
    ImageOps.fit(whole, (PIXELS, PIXELS)).save(data, "JPEG", quality=70)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"


def cell(column: int, top: int, href: str, lines: list[tuple[str, str, str]]) -> list[str]:
    """Draw a picture with lines below it, each a class, an id and a text."""
    left = GAP + column * (SIDE + GAP) + (GAP if column else 0)
    drawn = [f'<image x="{left}" y="{top}" width="{SIDE}" height="{SIDE}" href="{href}"/>']
    for place, (kind, name, text) in enumerate(lines, start=1):
        x, y = left + SIDE // 2, top + SIDE + 16 * place
        attributes = f'class="{kind}" text-anchor="middle"' + (f' id="{name}"' if name else "")
        drawn.append(f'<text x="{x}" y="{y}" {attributes}>{escape(text)}</text>')
    return drawn


def row(recognizer: facecli.Recognizer, stage: Stage, sitter: Sitter, top: int) -> list[str]:
    """Draw the portrait a person is enrolled from, and what the altered takes give."""
    portrait = picture(stage.portrait(sitter), sitter.head)
    drawn = cell(0, top, portrait, [("head", "", sitter.name), ("", "", "enrolled")])
    for column, name in enumerate(TAKES, start=1):
        path = stage.take(sitter, name)
        (answer,) = recognizer.identify(path)
        assert answer.person == sitter.name
        found = [("", "", name), ("match", path.stem, f"match {answer.squared_l2:.3f}")]
        drawn += cell(column, top, picture(path, None), found)
    return drawn


def draw(stage: Stage) -> str:
    """Enroll both people from one photo each, and draw what is found."""
    grace, eileen = SITTERS
    with facecli.open(stage.database) as recognizer:
        for sitter in SITTERS:
            recognizer.enroll(sitter.name, stage.portrait(sitter))
        rows = [
            part
            for place, sitter in enumerate(SITTERS)
            for part in row(recognizer, stage, sitter, TOP + place * (SIDE + LABEL))
        ]
        verdict = recognizer.verify(stage.portrait(grace), stage.portrait(eileen))
    assert not verdict.same
    limit = f"(threshold {verdict.threshold:g})"
    different = f"{grace.name} and {eileen.name}: different people, squared L2"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'width="{WIDTH}" height="{HEIGHT}">',
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#fff"/>',
            f'<text x="{GAP}" y="22">Each person is enrolled from one photo. The others are '
            "altered copies, with their squared L2 to it.</text>",
            *rows,
            f'<text x="{GAP}" y="{HEIGHT - 14}" class="different" id="different">'
            f"{escape(different)} {verdict.squared_l2:.3f} {limit}</text>",
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        OUT.write_text(draw(set_the_stage(Path(folder) / "demo")), encoding="utf-8")
