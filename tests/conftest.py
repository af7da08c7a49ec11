"""Fixtures that tests share, named for what they are."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import hypothesis
import pytest
from detections import portrait
from fakes import FakeDetector, FakeEncoder, embedding, new_template
from record_check import problems
from waiting import PATIENT

if TYPE_CHECKING:
    from PIL import Image
    from playwright.sync_api import Browser

    from facecli.records.kinds import Record
    from facecli.stores.gallery.sqlite.store import SqliteGallery
    from facecli.types import Detector, Encoder

# Several of these processes share the cores, and PyTorch reads this when it is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes depends on the machine. In CI the examples are the same every time.
hypothesis.settings.register_profile(
    "facecli",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    print_blob=True,
)
hypothesis.settings.load_profile("facecli")

# Started in the background by a shell, the tests would ignore SIGINT, and so would all they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


HEAVY_FIXTURES = {
    "real_detector",
    "real_encoder",
    "chromium",
    "launch",
    "faces",
    "groceries",
    "thing_model",
}
HEAVY_MARKS = {"slow", "network", "faces"}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Pass over the files without tests for the base installation, where there is no PyTorch."""
    if find_spec("torch") is not None or not collection_path.match("test_*.py"):
        return None
    return "pytest.mark.base" not in collection_path.read_text("utf-8") or None


@pytest.hookimpl(tryfirst=True)  # before pytest selects by mark
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as fast what needs neither the real networks nor seconds: `pytest -m fast`."""
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        fixtures = set(getattr(item, "fixturenames", ()))
        if not marks & HEAVY_MARKS and not fixtures & HEAVY_FIXTURES:
            item.add_marker("fast")


@pytest.fixture(autouse=True)
def own_library(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep commands apart from the user's photo library and configuration, and from other tests."""
    path = tmp_path_factory.getbasetemp() / "libraries" / f"{uuid4()}.db"
    monkeypatch.setenv("FACECLI_LIBRARY", str(path))
    monkeypatch.setenv("FACECLI_CONFIG", os.devnull)


@pytest.fixture(autouse=True)
def checked_records(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold every record that a command makes in this process to its definition."""
    from facecli.cli import output
    from facecli.records import as_line

    tell = output.tell
    wrong: list[str] = []

    def checked(record: Record) -> None:
        wrong.extend(problems(json.loads(as_line(record))))
        tell(record)

    monkeypatch.setattr(output, "tell", checked)
    yield
    assert wrong == []


@pytest.fixture(autouse=True)
def own_databases() -> Iterator[None]:
    """Remove the galleries that a test made on a PostgreSQL server."""
    yield
    if (used := sys.modules.get("postgres_server")) is not None:
        used.take_back()


@pytest.fixture
def detector() -> FakeDetector:
    return FakeDetector()


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def empty_gallery() -> Iterator[SqliteGallery]:
    from facecli.stores.gallery.sqlite.store import SqliteGallery

    with SqliteGallery.memory() as gallery:
        yield gallery


@pytest.fixture
def gallery_of_two(empty_gallery: SqliteGallery, encoder: FakeEncoder) -> SqliteGallery:
    """Ada is plane 0, angle 0; Bob is plane 1, angle 0."""
    templates = [new_template("Ada", embedding(0, 0)), new_template("Bob", embedding(1, 0))]
    empty_gallery.add(templates, encoder.card)
    return empty_gallery


@pytest.fixture(scope="session")
def hopper() -> Image.Image:
    """Return the portrait of Grace Hopper."""
    from facecli import portraits

    return portrait(portraits.grace_hopper)


@pytest.fixture(scope="session")
def collins() -> Image.Image:
    """Return the portrait of Eileen Collins."""
    from facecli import portraits

    return portrait(portraits.eileen_collins)


@pytest.fixture(scope="session")
def real_detector() -> Detector:
    """Return the default detector."""
    from facecli.models.detectors import load_detector

    return load_detector()


@pytest.fixture(scope="session")
def real_encoder() -> Encoder:
    """Return the default model."""
    from facecli.models.encoders import DEFAULT_MODEL, load_encoder

    return load_encoder(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Browser]]:
    """Return what launches a browser of the machine's own, or skip where there is none.

    It takes switches without their dashes.
    """
    driver = pytest.importorskip("playwright.sync_api")
    program = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if program is None:
        pytest.skip("no Chromium on this machine")
    usual = (
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-sync",
        "disable-component-update",
        "no-first-run",
    )
    with driver.sync_playwright() as play:
        yield lambda *switches: play.chromium.launch(
            executable_path=program,
            args=[f"--{one}" for one in (*usual, *switches)],
            timeout=1000 * PATIENT,
        )


@pytest.fixture(scope="session")
def chromium(launch: Callable[..., Browser]) -> Iterator[Browser]:
    """Return a browser."""
    browser = launch()
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def groceries() -> Path:
    """Return the folder of the photos of groceries, or skip where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "objects" / "grocery"
    if not folder.is_dir():
        pytest.skip("the photos of groceries are not beside the checkout")
    return folder


@pytest.fixture(scope="session")
def thing_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint that looks at whole pictures: the network of dlib-128, untrained for it.

    Its threshold is such that only pictures that are nearly the same are called the same.
    """
    from facecli.faces.whole import picture_geometry
    from facecli.models import checkpoints
    from facecli.models.encoders import find_model

    weights, card = checkpoints.load(find_model("dlib-128"))
    path = tmp_path_factory.mktemp("models") / "things.safetensors"
    made = replace(
        card,
        name="things",
        architecture={**card.architecture, "subject": "picture"},
        geometry=picture_geometry(card.geometry.size),
        threshold=0.05,
        thresholds={},
        impostors={},
    )
    checkpoints.save(path, weights, made)
    return path


@pytest.fixture(scope="session")
def faces() -> Path:
    """Return the development photos' folder, or skip where it is absent."""
    folder = Path(__file__).resolve().parents[1].parent / "shared" / "faces"
    if not folder.is_dir():
        pytest.skip("the development photos are not beside the checkout")
    return folder
