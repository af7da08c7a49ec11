"""The contact sheet and its review in a real browser: what is said there stays said."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browsing import PHONE, opened, overflow
from click.testing import CliRunner
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint
from PIL import Image
from waiting import PATIENT

from facecli.cli import cli
from facecli.cli.settings import Settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror=alert(1)> "O\'Neil" Zoë \u202e.png'
TESTS = Path(__file__).parent


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return photos of Ada (three), of Bob twice as two people who look alike, and of a stranger.

    One file has a hostile name, one shows no face and one is no picture. Two have dates.
    """
    folder = tmp_path / "photos"
    for angle in (0, 2):
        paint(folder / f"ada{angle}.png", PaintedFace(0, angle))
    paint(folder / HOSTILE, PaintedFace(0, 4))
    for angle in (0, 1, 15, 16):
        paint(folder / f"bob{angle}.png", PaintedFace(1, angle))
    paint(folder / "stranger.png", PaintedFace(5))
    paint(folder / "wall.png")
    (folder / "broken.png").write_bytes(b"no picture")
    for name, day in (("ada0.png", "2019:05:03"), ("ada2.png", "2021:08:12")):
        _date(folder / name, day)
    return folder


def _date(path: Path, day: str) -> None:
    """Replace a photo by a WebP, without loss, that says when it was taken."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = f"{day} 10:00:00"
    with Image.open(path) as image:
        image.save(path.with_suffix(".webp"), lossless=True, exif=exif)
    path.unlink()


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return tmp_path / "library" / "photos.db"


def run(library: Path, *arguments: object) -> list[dict[str, Any]]:
    """Run `facecli cluster` and return its records."""
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder())
    texts = ["cluster", *map(str, arguments), "--library", str(library), "--json"]
    result = CliRunner().invoke(cli, [*texts, "--db", str(library.parent / "no.db")], obj=settings)
    return [json.loads(line) for line in result.stdout.splitlines()]


def clusters(library: Path, photos: Path) -> dict[tuple[int, str | None], set[str]]:
    """Return what the command line says: number and name of each cluster, and its files."""
    found: dict[tuple[int, str | None], set[str]] = {}
    for record in run(library, photos):
        if record["kind"] == "clustered_face":
            members = found.setdefault((record["cluster"], record["name"]), set())
            members.add(Path(record["path"]).name)
    return found


@contextmanager
def reviewing(photos: Path, library: Path) -> Iterator[str]:
    """Run `facecli cluster review`, give its address, and end it as a person would."""
    command = [sys.executable, str(TESTS / "serving.py"), "cluster", "review", str(photos)]
    command += ["--library", str(library), "--db", str(library.parent / "no.db")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(timeout=PATIENT) == 0
            finally:
                process.kill()


def cards(tab: Page) -> dict[str, int]:
    """Return the people of the page, with how many faces each has."""
    return {
        card.locator("h3").inner_text(): card.locator(".faces > li").count()
        for card in tab.locator(".person").all()
    }


def report(photos: Path, library: Path, tmp_path: Path) -> Path:
    path = tmp_path / "sheet.html"
    assert run(library, photos, "--report", path)
    return path


def test_the_sheet_shows_everybody_and_holds_all_it_shows(
    photos: Path, library: Path, tmp_path: Path
) -> None:
    path = report(photos, library, tmp_path)
    html = path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    assert html.count("data:image/jpeg;base64,") == 3 + 2 + 2 + 1 + 3 + 2  # all, cards, one doubt
    assert "3 people in 10 photos" in html
    assert "<time>2019-05-03</time> to <time>2021-08-12</time>" in html
    assert "wall.png: no face found" in html
    assert re.search(r"broken\.png: [^<]+", html)
    assert "<img src=x" not in html
    assert "data-review" not in html
    assert not re.search(r"https?://(?!www\.w3\.org/)", html)


@pytest.mark.parametrize("width", [1200, PHONE])
def test_the_sheet_can_be_searched_and_walked_by_keyboard(
    chromium: Browser, photos: Path, library: Path, tmp_path: Path, width: int
) -> None:
    path = report(photos, library, tmp_path)
    with opened(chromium, path.as_uri(), width=width) as tab:
        assert overflow(tab) == 0
        assert tab.evaluate("document.querySelector('script + *') === null")
        tab.keyboard.press("j")
        assert tab.evaluate("document.activeElement.className") == "person"
        tab.keyboard.press("o")
        assert tab.get_by_title(HOSTILE.removesuffix("\u202e.png"), exact=False).first.is_visible()
        tab.keyboard.press("/")
        tab.keyboard.type("o'neil")
        assert tab.locator(".person:visible").count() == 1
        assert "1 of 4 shown" in tab.locator("#count").inner_text()
        tab.keyboard.press("Escape")
        assert tab.locator(".person:visible").count() == 3
        dot = tab.locator("#map circle").last
        dot.scroll_into_view_if_needed()
        dot.hover()
        assert tab.locator("#tip").is_visible()
        assert tab.evaluate("document.querySelector('#tip img').naturalWidth") == 96


def test_what_is_said_in_the_browser_stays_said(
    chromium: Browser, photos: Path, library: Path
) -> None:
    """Name, merge, split, undo, come back: it is all there, for the command line as well."""
    name = 'Ada <b>"Countess"</b>'
    with reviewing(photos, library) as address:
        with opened(chromium, address) as tab:
            assert cards(tab) == {"Person 1": 3, "Person 2": 2, "Person 3": 2}
            tab.get_by_label("Name of Person 1").fill(name)
            tab.keyboard.press("Enter")
            tab.locator("h3", has_text=name).wait_for()
            tab.get_by_role("button", name="One person").first.click()
            tab.locator(".last", has_text="merge 2 3").wait_for()
            assert cards(tab) == {name: 3, "Person 2": 4}
            tab.locator("#d2 summary").click()
            tab.get_by_label("bob16.png").check()
            tab.get_by_role("button", name="Split off").click()
            tab.locator(".last", has_text="split 2").wait_for()
            assert cards(tab) == {name: 3, "Person 2": 3}
            assert tab.locator("#d2").get_attribute("open") is not None
            tab.keyboard.press("u")
            tab.locator(".last", has_text="merge 2 3").wait_for()
            assert cards(tab) == {name: 3, "Person 2": 4}
            assert run(library, "name", 2, "Bob")
            tab.reload()
            assert cards(tab) == {name: 3, "Bob": 4}
        with opened(chromium, address) as other:
            assert cards(other) == {name: 3, "Bob": 4}
    with reviewing(photos, library) as address, opened(chromium, address) as tab:
        assert cards(tab) == {name: 3, "Bob": 4}
    assert clusters(library, photos) == {
        (1, name): {"ada0.webp", "ada2.webp", HOSTILE},
        (2, "Bob"): {"bob0.png", "bob1.png", "bob15.png", "bob16.png"},
        (4, None): {"stranger.png"},
    }


def test_what_cannot_be_is_said_and_changes_nothing(
    chromium: Browser, photos: Path, library: Path
) -> None:
    """Two people of one photo cannot be one; a face moves to whom it is given."""
    paint(photos / "both.png", PaintedFace(0, 1), PaintedFace(1, 0, left=220, side=100))
    with reviewing(photos, library) as address, opened(chromium, address) as tab:
        before = cards(tab)
        assert before == {"Person 1": 4, "Person 2": 3, "Person 3": 2}
        for number in (1, 2):
            tab.locator(f"#p{number} .pick").check()
        tab.locator(".tray").get_by_role("button", name="One person").click()
        said = tab.get_by_role("alert")
        said.wait_for()
        assert "nobody is in a photo twice" in said.inner_text()
        tab.reload()
        assert cards(tab) == before
        tab.locator("#d2 summary").click()
        tab.get_by_label("bob1.png", exact=True).check()
        tab.locator("#p3 .pick").check()
        tab.locator(".tray").get_by_role("button", name="Move").click()
        tab.locator(".last", has_text="move").wait_for()
        assert cards(tab) == {"Person 1": 4, "Person 2": 2, "Person 3": 3}
