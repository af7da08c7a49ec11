"""The gate's page shows an answer on the picture it was given for, or not at all.

The camera shows red for two seconds and blue for two. The service is a stand-in that answers as
late as a test says, always with a match of Ada for the picture it was sent.
"""

from __future__ import annotations

import functools
import http.server
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from waiting import PATIENT

from facecli.server.described import PAGE

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

SIZE = (320, 240)
FRAMES = 60
"""Pictures of one colour: two seconds at Chromium's 30 a second."""

LATE = 1.2
"""Seconds after which the stand-in answers: the camera often shows the other colour by then."""

MIDDLE = """() => {
  const overlay = document.querySelector("canvas");
  const video = document.querySelector("video");
  const live = document.createElement("canvas");
  live.width = live.height = 1;
  live.getContext("2d").drawImage(video, 0, 0, 1, 1);
  const middle = (canvas) => Array.from(canvas.width ? canvas.getContext("2d").getImageData(
    canvas.width / 2, canvas.height / 2, 1, 1).data : []);
  return [middle(overlay), middle(live), document.body.dataset.state];
}"""
"""The colours in the middle of the canvas and of the live video, and the state of the answer."""


class Gate(http.server.SimpleHTTPRequestHandler):
    """Serve the page, and answer every frame after `late` seconds."""

    late = LATE
    seen: list[str] = []  # noqa: RUF012 - one list for all requests

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with Image.open(io.BytesIO(body)) as frame:
            size = frame.size
            self.seen.append(colour(frame.convert("RGB").getpixel((size[0] // 2, size[1] // 2))))
        time.sleep(type(self).late)
        face = {"state": "match", "box": [20, 60, 100, 160], "person": "Ada", "squared_l2": 0.1}
        answer = json.dumps({"faces": [{**face, "notes": []}], "size": size, "events": []}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        with suppress(BrokenPipeError):  # the page does not wait for ever
            self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def colour(pixel: Any) -> str:
    """Return which of the two colours a pixel has; empty for none and for a transparent one."""
    if not len(pixel) or pixel[3:] == [0]:
        return ""
    return "red" if pixel[0] > pixel[2] else "blue"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    handler = functools.partial(Gate, directory=str(PAGE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def page(launch: Callable[..., Browser], address: str, tmp_path: Path) -> Iterator[Page]:
    frames = []
    for fill in ((220, 30, 30), (30, 30, 220)):
        stream = io.BytesIO()
        Image.new("RGB", SIZE, fill).save(stream, "JPEG", quality=92)
        frames += [stream.getvalue()] * FRAMES
    (tmp_path / "clip.mjpeg").write_bytes(b"".join(frames))
    browser = launch(
        "use-fake-ui-for-media-stream",
        "use-fake-device-for-media-stream",
        f"use-file-for-fake-video-capture={tmp_path / 'clip.mjpeg'}",
    )
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENT)
    page.goto(address)
    yield page
    browser.close()
    Gate.late = LATE


def test_a_late_answer_is_drawn_on_its_own_picture_and_not_on_the_live_one(page: Page) -> None:
    """When the answer for the red picture is drawn, the live one is often blue already."""
    Gate.seen.clear()
    moved_on = 0
    deadline = time.monotonic() + PATIENT
    while moved_on < 3 and time.monotonic() < deadline:
        page.wait_for_timeout(100)
        asked = list(Gate.seen)
        overlay, live, state = page.evaluate(MIDDLE)
        if state != "match":
            assert colour(overlay) == ""
            continue
        assert overlay[3] == 255, "the live picture shows through"
        # The answer in view is for the frame in flight or the one before it.
        assert colour(overlay) in asked[-2:]
        moved_on += colour(overlay) != colour(live)
    assert moved_on == 3


def test_an_answer_does_not_stay_when_the_next_one_does_not_come(page: Page) -> None:
    """Three seconds after its picture was taken, name and picture are gone."""
    page.wait_for_function("() => document.body.dataset.state === 'match'")
    Gate.late = 2 * LATE
    page.wait_for_function("() => document.querySelector('#who').textContent === 'One moment'")
    overlay, _, state = page.evaluate(MIDDLE)
    assert (overlay, state) == ([], "idle")
    page.wait_for_function("() => document.querySelector('#who').textContent === 'Ada'")
    Gate.late = PATIENT
    page.wait_for_function("() => document.querySelector('#who').textContent === 'Not watching'")
    overlay, _, state = page.evaluate(MIDDLE)
    assert (overlay, state) == ([], "idle")
