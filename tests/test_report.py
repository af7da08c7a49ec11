"""Pages: text stays text, nothing is fetched, figures are what they say, and browsers agree."""

from __future__ import annotations

import base64
import io
import re
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsing import PHONE, opened, overflow
from hypothesis import given, settings
from hypothesis import strategies as st
from markup import Structure
from PIL import Image

from facecli.errors import MissingExtra
from facecli.evaluation.growth import GallerySize
from facecli.evaluation.rates import Curve, curve_of, histogram_of
from facecli.evaluation.robustness import ALTERATIONS, Robustness
from facecli.metrics import Comparisons
from facecli.report import (
    FacePair,
    FacePairs,
    Figure,
    Number,
    Numbers,
    Page,
    Table,
    Text,
    plots,
    render,
    write_html,
)
from facecli.report.page import THUMBNAIL, data_uri, thumbnail
from facecli.report.robustness import robustness_page
from facecli.text import shown

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = (
    "</title></style><script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    " {{ 7*7 }} Zoë \u202e\x1b"
)
GENERATOR = np.random.default_rng(5)
GENUINE = Comparisons.of(GENERATOR.normal(0.7, 0.3, 400).clip(0, 4))
IMPOSTOR = Comparisons.of(GENERATOR.normal(1.95, 0.25, 4000).clip(0, 4))
CHIP = np.full((150, 150, 3), (200, 30, 90), np.uint8)


def page_of(text: str) -> Page:
    """Return a page that shows one text in every place it has."""
    pair = FacePair((CHIP, CHIP), (text, text), (text, text), 0.5)
    return Page(
        title=text,
        facts=((text, text),),
        sections=[
            Text(text, (text, text)),
            Numbers(text, (Number(text, text, text),)),
            Table(text, (text, text), ((text, text), (text, text)), note=text),
            Figure(text, "<svg></svg>", alt=text, note=text),
            FacePairs(text, (pair,), note=text),
        ],
    )


def full_page(name: str = "all") -> Page:
    """Return a page with every plot."""
    curves = {name: curve_of(GENUINE, IMPOSTOR), "half": curve_of(GENUINE, IMPOSTOR)}
    drawn = [
        plots.roc(curves, threshold=1.1),
        plots.det(curves, threshold=1.1),
        plots.histograms(histogram_of(GENUINE, IMPOSTOR), threshold=1.1),
        plots.cmc([0.9, 0.95, 0.97]),
        plots.sweep(summary()),
    ]
    page = page_of("Ada")
    return Page(page.title, page.facts, [*drawn, *page.sections])


def summary() -> list[Robustness]:
    return [Robustness(one.series, one.level, one.name, 10, 7, 2, 0.5) for one in ALTERATIONS]


@pytest.mark.slow
@settings(max_examples=30)
@given(st.text(st.characters(codec=None), min_size=1, max_size=30))
def test_no_text_changes_the_structure_of_a_page_or_the_writing_of_it(text: str) -> None:
    html = render(page_of(f"x{text}"))
    assert Structure(html).tags == Structure(render(page_of("x"))).tags
    html.encode()


def test_hostile_text_is_shown_as_it_is_but_for_what_cannot_be_seen() -> None:
    found = Structure(render(page_of(HOSTILE)))
    assert sum(shown(HOSTILE) in text for text in found.texts) == 27
    assert not {"script"} & {tag for tag, _ in found.tags}
    assert "\u202e" not in "".join(found.texts)


@pytest.mark.slow
def test_a_page_names_no_other_address_and_forbids_every_fetch() -> None:
    html = render(full_page())
    assert "default-src 'none'" in html
    addresses = set(
        re.findall(r"(?:https?:)?//[\w.-]+[\w/.-]*", re.sub(r"base64,[\w+/=]+", "", html))
    )
    assert addresses <= {"http://www.w3.org/2000/svg"}


@pytest.mark.slow
def test_the_same_page_gives_the_same_bytes_and_no_identifier_twice() -> None:
    html = render(full_page())
    assert html == render(full_page())
    identifiers = Counter(re.findall(r'\sid="([^"]+)"', html))
    assert identifiers
    assert max(identifiers.values()) == 1
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', html)) <= set(identifiers)


def test_a_page_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")
    write_html(render(page_of(HOSTILE)), path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_thumbnail_is_the_chip_made_small() -> None:
    kind, data = data_uri(thumbnail(CHIP, THUMBNAIL)).split(",")
    assert kind == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.size == (THUMBNAIL, THUMBNAIL)
    assert np.abs(np.asarray(image).astype(int) - CHIP[0, 0]).max() < 12


def test_plots_tell_their_numbers_in_words() -> None:
    """By hand: of 4 genuine pairs 3, of 100 impostor pairs 1 is at most the threshold of 1.1."""
    genuine, impostor = Comparisons.of([0.5, 0.6, 0.7, 1.5]), Comparisons.of([1.1, *[2.0] * 99])
    curves = {"all": curve_of(genuine, impostor)}
    for figure in (plots.roc(curves, threshold=1.1), plots.det(curves, threshold=1.1)):
        assert "all 75.00% at FAR 1%" in figure.alt
        assert "squared L2" in figure.alt
    refused = plots.roc(curves, threshold=0.1)
    assert "all 0.00% at FAR 0%" in refused.alt
    assert "90.00% at rank 1, 95.00% at rank 2" in plots.cmc([0.9, 0.95]).alt
    assert "JPEG quality 20 70%" in plots.sweep(summary()).alt
    alt = plots.histograms(histogram_of(genuine, impostor), threshold=1.1).alt
    assert "4 genuine pairs" in alt
    assert "100 impostor pairs, most at 1.95" in alt


def test_plots_of_identification_tell_their_numbers_in_words() -> None:
    """Of 4 searches by people enrolled 3, of 100 by strangers 1 find somebody within 1.1."""
    curve = curve_of(Comparisons.of([0.5, 0.6, 0.7, 1.5]), Comparisons.of([1.1, *[2.0] * 99]))
    figure = plots.open_set(curve, threshold=1.1, enrolled=855)
    assert "FPIR is 1.00% and FNIR 25.00%" in figure.alt
    assert "855 people" in "".join(Structure(figure.svg).texts)
    sizes = [GallerySize(10, True, 0.01, 0.2, 0.9), GallerySize(10**6, False, 0.5, None, None)]
    figure = plots.growth(sizes)
    assert "FPIR 1.00% among 10, FPIR 50.00% among 1,000,000" in figure.alt
    assert "not first 10.00% among 10." in figure.alt


def test_the_ring_stands_where_the_threshold_is_on_the_curve() -> None:
    curve = Curve(np.array([0.5, 1.0, 1.5]), np.array([0.0, 0.1, 0.4]), np.array([0.6, 0.2, 0.1]))
    for threshold, place in (
        (0.4, (0.0, 1.0)),
        (1.0, (0.1, 0.2)),
        (1.4, (0.1, 0.2)),
        (4, (0.4, 0.1)),
    ):
        assert plots._ringed({"x": curve}, threshold) == [place]


@pytest.mark.parametrize("name", ["_private", "$x^{2$ <b> & \x00", "Zoë 李"])
def test_names_of_groups_stay_text_in_legends(name: str) -> None:
    curve = curve_of(GENUINE, IMPOSTOR)
    for figure in (plots.roc({name: curve}, threshold=1), plots.det({name: curve}, threshold=1)):
        assert shown(name) in "".join(Structure(figure.svg).texts)


def test_more_groups_than_colours_are_all_drawn() -> None:
    curve = curve_of(GENUINE, IMPOSTOR)
    figure = plots.roc({f"group {one}": curve for one in range(9)}, threshold=1.0)
    assert all(f"group {one}" in figure.svg for one in range(9))


def test_plots_are_small_and_take_their_colours_from_the_page() -> None:
    for section in full_page().sections:
        if isinstance(section, Figure) and section.svg != "<svg></svg>":
            assert len(section.svg) < 50_000, section.heading
            assert "var(--ink" in section.svg or "var(--soft" in section.svg
            assert "#0a0a" not in section.svg
            assert "DejaVu" not in section.svg


def test_without_matplotlib_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"facecli\[report\]"):
        plots.cmc([1.0])


@pytest.mark.parametrize("width", [1200, PHONE])
def test_a_browser_shows_a_page_without_complaint_or_scrolling_sideways(
    chromium: Browser, tmp_path: Path, width: int
) -> None:
    page = full_page(HOSTILE)
    long = page_of(HOSTILE.replace(" ", "_") * 3)
    write_html(
        render(Page(HOSTILE, long.facts, [*page.sections, *long.sections])), tmp_path / "page.html"
    )
    with opened(chromium, (tmp_path / "page.html").as_uri(), width=width) as tab:
        assert tab.title() == " ".join(shown(HOSTILE).split())
        assert overflow(tab) == 0
        broken = "[...document.images].filter(one => !one.naturalWidth).length"
        assert tab.evaluate(broken) == 0
        assert tab.get_by_role("img", name="Receiver operating").count() == 1
        tab.keyboard.press("Tab")
        assert tab.evaluate("document.activeElement.className") == "scroll"


def test_a_page_follows_a_dark_scheme_and_prints_on_white(
    chromium: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    write_html(render(robustness_page(summary(), threshold=1.1, facts=())), path)
    colour = "getComputedStyle(document.body).backgroundColor"
    ink = "getComputedStyle(document.querySelector('svg text')).fill"
    with opened(chromium, path.as_uri()) as tab:
        light, dark_ink = tab.evaluate(colour), tab.evaluate(ink)
    with opened(chromium, path.as_uri(), dark=True) as tab:
        assert tab.evaluate(colour) != light
        assert tab.evaluate(ink) != dark_ink
        tab.emulate_media(media="print")
        assert tab.evaluate(colour) == "rgb(255, 255, 255)"
        assert tab.pdf().startswith(b"%PDF")
