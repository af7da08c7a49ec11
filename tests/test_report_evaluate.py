"""`evaluate … --report`: each protocol's page, from photos to a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsing import PHONE, opened, overflow
from click.testing import CliRunner
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.stores.library import Library

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

HOSTILE = '<img src=x onerror=alert(1)> "O\'Neil" Zoë'


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Return a folder of four people, three photos each, one of a hostile name, and a wall."""
    folder = tmp_path / "people"
    for plane, person in enumerate(["Ada", "Bob", "Cleo", HOSTILE]):
        for angle in (0, 6, 12):
            paint(folder / person / f"{angle}.png", PaintedFace(plane, angle))
    paint(folder / "Bob" / "wall.png")
    return folder


def reported(tmp_path: Path, *arguments: object) -> str:
    """Run a protocol with --report and return the page."""
    report = tmp_path / "report.html"
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder(), library=Library.memory())
    texts = ["evaluate", *map(str, arguments), "--report", str(report)]
    result = CliRunner().invoke(cli, texts, obj=settings)
    assert result.exit_code == 1, result.output  # the wall has no face
    assert "report.html" in result.stderr
    return report.read_text(encoding="utf-8")


def test_folders_shows_rates_plots_groups_and_the_hardest_pairs(
    tmp_path: Path, people: Path
) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("person,sex\nAda,f\nBob,m\nCleo,f\n", encoding="utf-8")
    html = reported(tmp_path, "folders", people, "--groups", groups, "--by", "sex")
    for heading in (
        "ROC",
        "DET",
        "What is nearest to each photo",
        "By sex",
        "Most similar pairs of different people",
        "1 photo without a face",
    ):
        assert f">{heading}</h2>" in html
    assert html.count("data:image/jpeg;base64,") == 2 * (12 + 20)  # all genuine, 20 impostor
    assert "not supported by 12 genuine pairs" in html
    assert "12 photos of 4 people with two or more ask, each among 11 others" in html
    for measure in ("Recall@1", "Recall@8", "MAP@R", "R-precision", "NMI"):
        assert f">{measure}</th>" in html
    assert "O&#39;Neil" in html
    assert "<img src=x" not in html


def test_identification_shows_ranks_strangers_and_growth(tmp_path: Path, people: Path) -> None:
    html = reported(tmp_path, "identification", people, "--gallery-size", "10000")
    for heading in (
        "CMC",
        "Found at each rank",
        "Strangers accepted, people missed",
        "As the gallery grows",
    ):
        assert f">{heading}</h2>" in html
    assert "at least 51 %" in html  # 1 of 9 missed
    assert "computed from the impostor distribution" in html


def test_lfw_shows_the_accuracy_at_both_thresholds(tmp_path: Path, people: Path) -> None:
    pairs = people / "pairs.csv"
    rows = [
        "a,b,same",
        "Ada/0.png,Ada/6.png,1",
        "Bob/0.png,Bob/wall.png,1",
        "Ada/0.png,Bob/0.png,0",
    ]
    pairs.write_text("\n".join(rows), encoding="utf-8")
    html = reported(tmp_path, "lfw", pairs)
    assert "66.67%" in html
    assert "chosen on these pairs" in html


def test_clustering_shows_its_scores(tmp_path: Path, people: Path) -> None:
    """Four people, whose photos are at most 12 steps apart."""
    html = reported(tmp_path, "clustering", people)
    assert "<strong>1.0000</strong> <span>BCubed F</span>" in html
    assert "there are 4" in html


@pytest.mark.parametrize("width", [1200, PHONE])
def test_the_page_of_a_folder_opens_without_complaint(
    chromium: Browser, tmp_path: Path, people: Path, width: int
) -> None:
    reported(tmp_path, "folders", people, "--by", "quality")
    with opened(chromium, (tmp_path / "report.html").as_uri(), width=width) as tab:
        assert overflow(tab) == 0
        assert tab.get_by_text(HOSTILE).count() > 0
        assert tab.evaluate("[...document.images].every(one => one.naturalWidth === 112)")
