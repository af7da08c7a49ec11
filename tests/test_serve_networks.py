"""`facecli serve` with the real networks: other commands answer alike with it, and its page works.

One service for all, with both tokens and a camera that shows the two public-domain portraits.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import PHONE, overflow
from click.testing import CliRunner
from fake_service import ADMIN, ENTRY, TOKEN, real_service, relaying
from PIL import Image
from test_budget import tiny_webp
from test_serve import ask
from waiting import PATIENT

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.portraits import eileen_collins, grace_hopper
from facecli.server.described import PAGE
from facecli.types import Detector, Encoder

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.network

HOSTILE = "<img src=x onerror=alert(1)> &amp; ${7*7} Zoë"
FRAME = (320, 240)
"""Width and height of the camera's pictures: small, so that a busy machine looks often enough."""

LOOKS = 15
"""Looks at the gate after its first name, to see that no wrong one follows."""

LIGHTEST_CONTRAST = 4.5
"""Of text on its ground, WCAG 2.2 criterion 1.4.3."""


@dataclass(frozen=True)
class Service:
    """A running service: its process, port, gallery, and the folder of its sockets."""

    process: int
    port: int
    gallery: Path
    runtime: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def run(self, *arguments: object) -> tuple[int, bytes, bytes]:
        """Run a command in it."""
        done = subprocess.run(
            [sys.executable, "-P", "-c", ENTRY, *map(str, arguments)],
            capture_output=True,
            env=relaying(self.runtime),
            timeout=PATIENT,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("real")
    with real_service(folder) as (process, port):
        yield Service(process.pid, port, folder / "gallery.db", folder / "run")
        process.terminate()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(PATIENT) == 0


# memory


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="looks at /proc")
@pytest.mark.parametrize("size", [(65000, 1), (30000, 200)])
def test_extreme_shapes_take_little_memory_and_delay_nobody(
    service: Service, size: tuple[int, int]
) -> None:
    """Less than 600 MB for all its processes together, those that others could use included."""
    thin = io.BytesIO()
    Image.new("RGB", size).save(thin, "PNG")
    status, (found,), _ = ask(service.port, "/identify", thin.getvalue())
    assert (status, found["status"]) == (200, "no face")
    began = time.monotonic()
    assert ask(service.port, "/identify", grace_hopper().read_bytes())[0] == 200
    assert time.monotonic() - began < 2
    assert sum(map(memory_of, family_of(service.process))) < 600 * 2**20


def family_of(process: int) -> list[int]:
    """Return a process and those that descend from it."""
    started = [
        int(child)
        for thread in Path(f"/proc/{process}/task").iterdir()
        for child in (thread / "children").read_text().split()
    ]
    return [process, *(one for child in started for one in family_of(child))]


def memory_of(process: int) -> int:
    """Return the bytes in memory of a process; its share, where it shares them with others."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def test_a_picture_of_few_bytes_that_declares_gigabytes_is_refused(service: Service) -> None:
    status, said, _ = ask(service.port, "/identify", tiny_webp(16384, 8191))
    assert (status, said["kind"]) == (422, "error")
    assert said["reason"].startswith("photo: needs 2,048 MiB")


# commands


@pytest.fixture
def ordinarily(
    real_detector: Detector, real_encoder: Encoder
) -> Callable[..., tuple[int, bytes, bytes]]:
    """Run a command as without a service, but for networks that tests share."""

    def run(*arguments: object) -> tuple[int, bytes, bytes]:
        settings = Settings(detector=real_detector, encoder=real_encoder)
        done = CliRunner().invoke(cli, [*map(str, arguments)], prog_name="facecli", obj=settings)
        return done.exit_code, done.stdout_bytes, done.stderr_bytes

    return run


def test_commands_answer_alike_to_the_byte(
    service: Service, ordinarily: Callable[..., tuple[int, bytes, bytes]], tmp_path: Path
) -> None:
    """Verify, identify and enroll, in words and JSON, rightly and wrongly used, twice each."""
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(grace_hopper(), photos)
    shutil.copy(eileen_collins(), photos)
    (photos / "broken.png").write_bytes(b"not a picture")
    gallery = ("--db", tmp_path / "g.db")
    grace, eileen = grace_hopper(), eileen_collins()
    commands: list[tuple[object, ...]] = [
        ("enroll", "Grace", grace, eileen, *gallery),
        ("verify", grace, eileen),
        ("--json", "verify", grace, "person:grace", *gallery),
        ("identify", photos, "-k", "2", *gallery),
        ("identify", photos, "--json", *gallery),
        ("enroll", "Grace", grace, "--json", *gallery),
        ("verify", grace, photos / "missing.png", "--verbose"),
        ("verify", grace, "person:Nobody", *gallery),
        ("identify", grace, "--k", "0"),
    ]

    def twice(run: Callable[..., tuple[int, bytes, bytes]]) -> list[tuple[int, bytes, bytes]]:
        answers = [run(*one) for one in (*commands, *commands)]
        library = Path(os.environ["FACECLI_LIBRARY"])
        for file in (*tmp_path.glob("g.db*"), *library.parent.glob(f"{library.name}*")):
            file.unlink()
        return answers

    relayed, here = twice(service.run), twice(ordinarily)
    assert {code for code, _, _ in here} == {0, 1, 2}
    for one, ours, theirs in zip((*commands, *commands), relayed, here, strict=True):
        assert ours == theirs, one


def test_a_whole_process_answers_alike_with_and_without(service: Service, tmp_path: Path) -> None:
    """Also with more faces in a photo than are embedded on one thread."""
    alone = Service(service.process, service.port, service.gallery, tmp_path)
    crowd = Image.new("RGB", (1200, 900))
    with Image.open(grace_hopper()) as portrait:
        for place in range(12):
            crowd.paste(portrait.resize((300, 300)), (place % 4 * 300, place // 4 * 300))
    crowd.save(tmp_path / "crowd.png")
    shutil.copy(eileen_collins(), tmp_path / "eileen.png")
    gallery = ("--db", service.gallery)
    for words in (("identify", tmp_path, "--json", *gallery), ("identify", "--help")):
        code, out, err = service.run(*words)
        assert (code, out, err) == alone.run(*words)
        assert out.count(b"identification") in (0, 13)


def test_each_command_is_about_its_own_gallery(service: Service, tmp_path: Path) -> None:
    for name in ("first", "second"):
        assert service.run("enroll", name, grace_hopper(), "--db", tmp_path / name)[0] == 0
    for name in ("first", "second"):
        _, out, _ = service.run("identify", grace_hopper(), "--db", tmp_path / name)
        assert f": {name}, squared L2 0.000".encode() in out


def test_another_model_is_loaded_and_never_mixed_up(service: Service) -> None:
    _, out, _ = service.run("verify", grace_hopper(), eileen_collins(), "--model", "dlib-128")
    assert b"(threshold 0.116)" in out


# the page


def clip(path: Path) -> Path:
    """Write a camera's pictures: nobody, Grace Hopper, nobody, Eileen Collins."""
    frames = []
    for portrait in (None, grace_hopper(), None, eileen_collins()):
        for step in range(8):
            frame = Image.new("RGB", FRAME, (120, 120, 120))
            if portrait is not None:
                with Image.open(portrait) as opened:
                    face = opened.convert("RGB").resize((192, 220))
                frame.paste(face, (60 + step, 10))
            stream = io.BytesIO()
            frame.save(stream, "JPEG", quality=92)
            frames += [stream.getvalue()] * (11 if portrait else 4)
    path.write_bytes(b"".join(frames))
    return path


@pytest.fixture(scope="module")
def page(
    launch: Callable[..., Browser], service: Service, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """Return the page before a camera, having told it the token."""
    video = clip(tmp_path_factory.mktemp("camera") / "clip.mjpeg")
    browser = launch(*camera(video))
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(1000 * PATIENT)
    page = context.new_page()
    said: list[str] = []
    asked: set[str] = set()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda one: said.append(one.text))
    page.on("request", lambda one: asked.add(one.url.split("?")[0]))
    page.goto(service.address)
    page.get_by_label("Token", exact=True).fill(TOKEN)
    page.get_by_text("Use it until").click()
    yield page
    browser.close()
    # A browser reports refusals itself: without a token, and of the photos that tests have refused.
    assert [one for one in said if "status of 4" not in one] == []
    assert {one for one in asked if not one.startswith((service.address, "data:"))} == set()


def camera(video: Path) -> tuple[str, ...]:
    return (
        "use-fake-ui-for-media-stream",
        "use-fake-device-for-media-stream",
        f"use-file-for-fake-video-capture={video}",
    )


def enroll(page: Page, name: str, photo: Path, token: str = ADMIN) -> str:
    """Fill in the form and return what it says."""
    page.locator("#file").set_input_files(photo)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Administrator").fill(token)
    page.get_by_role("button", name="Enroll").click()
    page.wait_for_function("() => document.querySelector('#outcome').textContent")
    return page.locator("#outcome").inner_text()


def wait_for(page: Page, state: str, who: str) -> None:
    """Wait until the answer is as expected, in state, words and icon alike."""
    page.wait_for_function(
        """([state, who]) => document.body.dataset.state === state
            && document.querySelector('#who').textContent === who
            && document.querySelector('#answer use').href.baseVal === '#' + state""",
        arg=[state, who],
    )


def test_the_page_says_why_a_photo_is_refused(page: Page, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.new("RGB", (300, 300), (90, 90, 90)).save(blank)
    assert enroll(page, "Eve", blank) == "Refused: no face found"
    assert "token is needed" in enroll(page, "Eve", grace_hopper(), "wrong")


def test_who_is_enrolled_on_the_page_is_named_a_stranger_is_not_and_names_stay_text(
    page: Page, service: Service
) -> None:
    wait_for(page, "unknown", "Not known")
    assert enroll(page, HOSTILE, grace_hopper()) == f"{HOSTILE} is enrolled"
    wait_for(page, "match", HOSTILE)
    page.locator("#events .match").first.wait_for()
    assert page.locator("#events .match b").first.inner_text() == HOSTILE
    assert "squared L2 0." in page.locator("#events .match small").first.inner_text()
    wait_for(page, "idle", "Nobody in view")
    wait_for(page, "unknown", "Not known")
    assert page.locator("main img, aside #events img").count() == 0
    matched = page.locator("#events .match b").all_inner_texts()
    assert set(matched) == {HOSTILE}
    # Boxes were drawn where the face is.
    drawn = "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 900, 600)"
    page.wait_for_function(f"() => {drawn}.data].some(Boolean)")
    assert ask(service.port, "/forget", {"names": [HOSTILE]}, token=ADMIN)[0] == 200


def test_the_answer_is_for_screen_readers_and_eyes_three_metres_away(page: Page) -> None:
    status = page.locator("#who")
    assert status.get_attribute("role") == "status"
    assert status.get_attribute("aria-live") == "assertive"
    assert page.locator("canvas").get_attribute("aria-hidden") == "true"
    size = "parseFloat(getComputedStyle(document.querySelector('#who')).fontSize)"
    assert page.evaluate(size) >= 60
    ground = "getComputedStyle(document.querySelector('#answer')).backgroundColor"
    watching = "document.body.dataset.state"
    for state in ("match", "unknown", "ambiguous", "looking", "idle"):
        colour = page.evaluate(f"({watching} = {state!r}, {ground})")
        red, green, blue = (int(value) / 255 for value in re.findall(r"\d+", colour))
        assert 1.05 / (luminance(red, green, blue) + 0.05) >= LIGHTEST_CONTRAST, state


def luminance(*channels: float) -> float:
    """Return the relative luminance of an sRGB colour (WCAG 2.2)."""
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_page_fits_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": PHONE, "height": 780})
    assert overflow(page) == 0
    page.set_viewport_size({"width": 1280, "height": 800})


def test_the_page_is_small_and_holds_no_address_and_no_inline_code() -> None:
    files = [file.read_text(encoding="utf-8") for file in PAGE.iterdir()]
    assert sum(map(len, files)) < 100_000
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|\son\w+=|style=", "".join(files))


@pytest.mark.faces
def test_at_the_gate_one_man_is_named_and_nobody_is_taken_for_another(
    launch: Callable[..., Browser], service: Service, faces: Path, tmp_path: Path
) -> None:
    """Both men of the clip are enrolled from one portrait each; one is seen clearly."""
    cv2 = pytest.importorskip("cv2")
    photos = faces / "photos" / "hamilton"
    names = {"Lin-Manuel Miranda": "lin-manuel-miranda", "Alex Lacamoire": "alex-lacamoire"}
    for name, file in names.items():
        path = f"/enroll?name={name.replace(' ', '%20')}"
        assert ask(service.port, path, photos / f"{file}.png", token=ADMIN)[0] == 200
    reader = cv2.VideoCapture(str(photos / "short_hamilton_clip.mp4"))
    with (tmp_path / "clip.mjpeg").open("wb") as stream:
        while (read := reader.read())[0]:
            small = cv2.resize(read[1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
            stream.write(cv2.imencode(".jpg", small)[1].tobytes())
    browser = launch(*camera(tmp_path / "clip.mjpeg"))
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENT)
    page.add_init_script(f"sessionStorage.setItem('token', '{TOKEN}')")
    page.goto(service.address)
    page.locator("#events .match").first.wait_for()
    for _ in range(LOOKS):
        page.wait_for_event("response", lambda one: "/gate?" in one.url)
    named = page.locator("#events .match b").all_inner_texts()
    browser.close()
    assert "Lin-Manuel Miranda" in named
    assert set(named) <= set(names)
