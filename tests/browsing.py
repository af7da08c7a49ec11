"""Pages opened in a real browser, which must not complain and to which nothing may be fetched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from waiting import PATIENT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DESKTOP, PHONE = 1200, 360


@contextmanager
def opened(
    browser: Browser, url: str, *, width: int = DESKTOP, dark: bool = False
) -> Iterator[Page]:
    """Open a page; when done with, fail if it said anything or asked for anything elsewhere."""
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(1000 * PATIENT)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    try:
        yield page
    finally:
        context.close()
    assert said == [], said
    origin = url if url.startswith("file:") else "/".join(url.split("/")[:3])
    assert [one for one in asked if not one.startswith((origin, "data:"))] == []


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width
