"""The page that describes the HTTP interface: complete, of one piece, and its lines work."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from browsing import PHONE, opened, overflow
from fake_service import ADMIN, TOKEN, running
from fakes import PaintedFace, paint
from markup import Structure
from test_serve import ask
from waiting import PATIENT

from facecli.server.access import Access
from facecli.server.described import secured

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

PEOPLE = ("Ada Lovelace", "Grace Hopper", "A. Lovelace", "G. Hopper")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("described")
    paint(folder / "photo.jpg", PaintedFace(0))
    (folder / "token").write_text(TOKEN)
    (folder / "admin.token").write_text(ADMIN)
    return folder


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with running(folder / "gallery.db") as (_, port):
        for plane, name in enumerate(PEOPLE):
            photo = folder / "photo.jpg" if not plane else folder / f"{plane}.png"
            if plane:
                paint(photo, PaintedFace(plane))
            assert ask(port, f"/enroll?name={quote(name)}", photo, token=ADMIN)[0] == 200
        yield port


@pytest.fixture(scope="module")
def page(port: int) -> str:
    """Return the page as a browser gets it, which has no token."""
    status, text, headers = ask(port, "/api", token=None)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert isinstance(text, str)
    return text


def test_every_path_parameter_answer_and_field_is_on_the_page(port: int, page: str) -> None:
    described = ask(port, "/openapi.json")[1]
    texts = " ".join(" ".join(Structure(page).texts).split())
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            section = page.partition(f'<section id="{method.upper()}{path}">')[2]
            section = section.partition("</section>")[0]
            shown = " ".join("".join(Structure(section).texts).split())
            assert " ".join(operation["description"].split()) in shown
            for one in operation.get("parameters", ()):
                assert f"<code>{one['name']}</code>" in section
                assert one["schema"].get("description", "") in shown
            for status, reply in operation["responses"].items():
                assert f"<strong>{status}</strong> {html.escape(reply['description'])}" in section
    for name, schema in described["components"]["schemas"].items():
        assert f'<section id="{name}">' in page
        for field, one in schema["properties"].items():
            assert f"<code>{field}</code>" in page
            assert one.get("description", "") in texts


def test_the_page_says_which_token_each_path_needs(port: int, page: str) -> None:
    security = {
        path: one["security"]
        for path, methods in ask(port, "/openapi.json")[1]["paths"].items()
        for one in methods.values()
    }
    assert security["/health"] == []
    assert security["/identify"] == [{"token": []}]
    assert security["/embed"] == security["/merge"] == [{"administrator": []}]
    assert page.count("Access: the administrator's token.".replace("'", "&#39;")) == 5
    assert page.count("Access: no token.") == 1


def test_a_service_without_a_token_asks_for_none() -> None:
    paths: dict[str, Any] = {"/people": {"get": {}}, "/embed": {"post": {}}}
    described: dict[str, Any] = {"components": {}, "paths": paths}
    secured(described, Access(token=None, admin=None, loopback=True))
    assert described["paths"] == {
        "/people": {"get": {"security": []}},
        "/embed": {"post": {"security": [{"administrator": []}]}},
    }


def test_the_page_is_of_one_piece_and_its_links_lead_somewhere(page: str) -> None:
    tags = {tag for tag, _ in Structure(page).tags}
    assert not tags & {"script", "img", "iframe", "form"}
    places = set(re.findall(r'id="([^"]+)"', page))
    links = re.findall(r'href="([^"]+)"', page)
    assert {one.removeprefix("#") for one in links} - places == {"data:,"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_line_with_curl_works(port: int, folder: Path, page: str) -> None:
    """In the order of the page, since some change who is enrolled."""
    lines = [html.unescape(one) for one in re.findall(r"<pre><code>(.*?)</code></pre>", page)]
    assert len(lines) == 11
    for line in lines:
        assert f"http://127.0.0.1:{port}/" in line
        command = f"{line} -sS --noproxy '*' -w '\\n%{{http_code}}'"
        done = subprocess.run(
            ["sh", "-c", command], cwd=folder, capture_output=True, text=True, timeout=PATIENT
        )
        answer, _, status = done.stdout.rpartition("\n")
        assert (status, done.stderr) == ("200", ""), (line, answer)
        assert "/metrics" in line or json.loads(answer)


def test_a_name_of_the_service_is_text_to_browsers_and_shells() -> None:
    """The lines hold the Host header, which is whatever a client sends."""
    from facecli.server.described import page

    operation = {"description": "", "security": [], "responses": {}}
    described = {
        "info": {"version": "1", "description": ""},
        "components": {"schemas": {}},
        "paths": {"/health": {"get": operation}},
    }
    said = page(described, "http://<b>'; rm -rf ~; '")
    assert "<b>" not in said
    (line,) = re.findall(r"<pre><code>(.*?)</code></pre>", said)
    words = subprocess.run(
        ["sh", "-c", html.unescape(line).replace("curl", "printf %s", 1)],
        capture_output=True,
        text=True,
    )
    assert words.stdout == "http://<b>'; rm -rf ~; '/health"


def test_a_browser_shows_the_page_with_its_style(port: int, chromium: Browser) -> None:
    """Also on a phone; the policy of the service lets the style inside the page pass."""
    for width in (1200, PHONE):
        with opened(chromium, f"http://127.0.0.1:{port}/api", width=width) as shown:
            assert overflow(shown) <= 0
            shown.get_by_role("link", name="POST /embed").click()
            assert shown.locator('[id="POST/embed"] h2').is_visible()
            margin = shown.evaluate("getComputedStyle(document.body).padding")
            assert margin == "20px"


def test_the_camera_page_leads_to_it(port: int) -> None:
    assert 'href="api"' in ask(port, "/", token=None)[1]
