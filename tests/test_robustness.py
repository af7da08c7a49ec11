"""Altered photos against themselves: the counting by hand, the sweep on two real portraits."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint
from PIL import Image

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.evaluation.robustness import ALTERATIONS, summarise, sweep
from facecli.faces.images import open_picture
from facecli.portraits import eileen_collins, grace_hopper
from facecli.types import Detector, Encoder, Failure, Picture

pytestmark = pytest.mark.slow


def test_a_lost_face_is_a_failure_and_the_threshold_itself_still_verifies() -> None:
    rows: list[list[float | None]] = [
        [0.1] * len(ALTERATIONS),
        [0.3] * len(ALTERATIONS),
        [None] * len(ALTERATIONS),
        [0.5] * len(ALTERATIONS),
    ]
    first = summarise(rows, threshold=0.3)[0]
    assert (first.photos, first.verified, first.missed) == (4, 2, 1)
    assert first.share == 0.5
    assert first.median == pytest.approx(0.3)


def test_a_face_lost_everywhere_has_no_median() -> None:
    first = summarise([[None] * len(ALTERATIONS)], threshold=1.1)[0]
    assert first.share == 0
    assert math.isnan(first.median)


@pytest.mark.network
def test_beside_another_face_about_as_large_the_same_face_is_compared(
    real_detector: Detector, real_encoder: Encoder
) -> None:
    """Whichever of the two comes out as the larger one after an alteration."""
    portraits = [open_picture(path).pixels for path in (grace_hopper(), eileen_collins())]
    both = Image.new("RGB", (600, 360))
    both.paste(portraits[0].crop((100, 0, 500, 480)).resize((300, 360)), (0, 0))
    both.paste(portraits[1].crop((110, 0, 340, 276)).resize((300, 360)), (300, 0))
    picture = Picture("both.png", both, "0" * 64)
    (row,) = sweep([picture], detector=real_detector, encoder=real_encoder)
    assert not isinstance(row, Failure)
    values = dict(zip((one.name for one in ALTERATIONS), row, strict=True))
    for name in (
        "JPEG quality 50",
        "face of 80 pixels",
        "tilted by 15 degrees",
        "tilted by 180 degrees",
        "lower 15 % covered",
        "without colour",
    ):
        squared = values[name]
        assert squared is not None
        assert squared < 0.5, name


@pytest.mark.network
def test_a_picture_without_a_face_is_named(real_detector: Detector, real_encoder: Encoder) -> None:
    blank = Picture("blank.png", Image.new("RGB", (64, 64), "white"), "0" * 64)
    (result,) = sweep([blank], detector=real_detector, encoder=real_encoder)
    assert result == Failure.no_face("blank.png")


@pytest.mark.network
def test_the_command_shows_what_two_portraits_survive_and_names_bad_files(
    tmp_path: Path, real_detector: Detector, real_encoder: Encoder
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    settings = Settings(detector=real_detector, encoder=real_encoder)
    photos = [str(grace_hopper()), str(eileen_collins()), str(broken)]
    result = CliRunner().invoke(cli, ["evaluate", "robustness", *photos, "--json"], obj=settings)
    assert result.exit_code == 2
    assert "broken.jpg" in result.stderr
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["alteration"] for record in records] == [one.name for one in ALTERATIONS]
    assert all(record["photos"] == 2 for record in records)
    shares = {record["alteration"]: record["share"] for record in records}
    survived = ("JPEG quality 20", "photo of 80 pixels", "face of 40 pixels", "without colour")
    assert all(shares[name] == 1 for name in survived)
    # More loss can only bring a photo farther from itself, but for what chance does to two photos.
    medians = {record["alteration"]: record["median"] for record in records}
    assert medians["JPEG quality 50"] < medians["JPEG quality 10"]
    assert medians["face of 80 pixels"] < medians["face of 24 pixels"]
    assert medians["blur of 2 % of the face"] < medians["blur of 5 % of the face"]
    assert medians["lower 15 % covered"] < medians["lower 45 % covered"]


def test_the_command_without_any_face_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["evaluate", "robustness", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr == f"facecli: {tmp_path}: no pictures in this folder\n"


def test_the_report_holds_every_alteration(
    tmp_path: Path, detector: FakeDetector, encoder: FakeEncoder
) -> None:
    photo = paint(tmp_path / "<b>.png", PaintedFace())
    report = tmp_path / "report.html"
    arguments = ["evaluate", "robustness", str(photo), "--report", str(report)]
    settings = Settings(detector=detector, encoder=encoder)
    result = CliRunner().invoke(cli, arguments, obj=settings)
    assert result.exit_code == 0
    assert f"report: {report}" in result.stderr
    html = report.read_text(encoding="utf-8")
    assert all(f">{one.name}</th>" in html for one in ALTERATIONS)


def test_a_report_that_cannot_be_written_stops_the_command_before_its_work(
    tmp_path: Path, detector: FakeDetector, encoder: FakeEncoder
) -> None:
    photo = paint(tmp_path / "ada.png", PaintedFace())
    arguments = ["evaluate", "robustness", str(photo), "--report", str(tmp_path / "no" / "x.html")]
    settings = Settings(detector=detector, encoder=encoder)
    result = CliRunner().invoke(cli, arguments, obj=settings)
    assert result.exit_code == 2
    assert "is not a folder" in result.stderr
    assert detector.seen == 0
