"""A calibrated gallery is obeyed, said so, and refused where it is for another model."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, fake_card, new_template, paint

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import Calibration, FloatArray
from facecli.vectors.distances import normalize

pytestmark = pytest.mark.base

Run = Callable[..., Result]

PEOPLE = 80


def crowd() -> FloatArray:
    """Return a crowd whose squared L2 spread from near 0 to 1.5, far from painted faces."""
    rows = np.zeros((PEOPLE, 128))
    rows[:, 32:36] = np.random.default_rng(0).normal(size=(PEOPLE, 4)) + 1
    return normalize(rows)


@pytest.fixture
def database(tmp_path: Path, encoder: FakeEncoder) -> Path:
    """A gallery of a crowd, with nobody painted in it."""
    path = tmp_path / "gallery.db"
    templates = [new_template(f"Person {i}", row, f"p{i}") for i, row in enumerate(crowd())]
    with SqliteGallery(path) as gallery:
        gallery.add(templates, encoder.card)
    return path


@pytest.fixture
def run(database: Path, tmp_path: Path) -> Run:
    def invoke(*arguments: object, model: str = "fake-128") -> Result:
        settings = Settings(detector=FakeDetector(), encoder=FakeEncoder(fake_card(model)))
        texts = [*map(str, arguments), "--db", str(database)]
        return CliRunner().invoke(cli, texts, obj=settings)

    return invoke


def record(result: Result) -> dict[str, Any]:
    assert result.exit_code in (0, 1), result.output
    (line,) = result.stdout.splitlines()
    fields: dict[str, Any] = json.loads(line)
    return fields


def stored(database: Path) -> list[Calibration]:
    with SqliteGallery(database) as gallery:
        return gallery.calibrations()


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two photos 12 steps apart: 0.35 squared L2, one person by the fake model's own threshold."""
    return paint(tmp_path / "a.png", PaintedFace(0)), paint(tmp_path / "b.png", PaintedFace(0, 12))


def calibrated_to(database: Path, threshold: float, *, model: str = "fake-128") -> None:
    """Put a calibration into the gallery as if its data had given this threshold."""
    card = fake_card(model)
    with SqliteGallery(database) as gallery:
        gallery.set_calibration(
            Calibration(
                fingerprint=card.fingerprint,
                model=card.name,
                threshold=threshold,
                far=1e-4,
                far_low=5e-5,
                far_high=2e-4,
                people=10,
                impostor_pairs=300_000,
                genuine_pairs=0,
                fnmr=None,
                source="tests",
                created="2026-11-23T12:00:00+00:00",
                impostors={},
            )
        )


@pytest.mark.slow
def test_the_gallery_calibrates_itself(run: Run, database: Path) -> None:
    made = record(run("calibrate", "--far", "0.01", "--force", "--json"))
    (kept,) = stored(database)
    assert made["kind"] == "calibration"
    assert made["threshold"] == kept.threshold
    assert kept.source == "the gallery's 80 people"
    assert kept.impostor_pairs == 80 * 79 // 2
    assert (kept.people, kept.genuine_pairs, kept.fnmr) == (80, 0, None)


@pytest.mark.slow
def test_what_was_set_is_shown_in_words(run: Run) -> None:
    made = run("calibrate", "--far", "0.01", "--force")
    assert "fake-128: threshold 0." in made.stdout
    assert "squared L2, calibrated at FMR 1e-2 on " in made.stdout
    assert "3,160 pairs of strangers among 80 people" in made.stdout
    assert "FNMR not known: nobody has two photos" in made.stdout
    assert "a stranger matches one of the 80 templates enrolled at a rate of 0.55" in made.stdout
    assert made.stdout.startswith(run("calibrate", "--show").stdout.rstrip())


def test_a_rate_that_the_gallery_cannot_use_needs_force(run: Run, database: Path) -> None:
    """At FMR 1e-2, 55 % of strangers are like somebody among 80: that opens the door."""
    refused = run("calibrate", "--far", "0.01")
    assert (refused.exit_code, refused.stdout, stored(database)) == (2, "", [])
    (line,) = refused.stderr.splitlines()
    assert "at FMR 1e-2, 55% of strangers would be like somebody among the 80 templates" in line
    assert line.endswith("which needs FMR 1.3e-03 or less; --force stores it all the same")
    forced = run("calibrate", "--far", "0.01", "--force")
    assert forced.exit_code == 0
    assert "warning: at FMR 1e-2, 55% of strangers" in forced.stderr
    assert stored(database)


@pytest.mark.parametrize("option", [("--far", "0.01"), ("--from", "gallery"), ("--force",)])
@pytest.mark.parametrize("mode", ["--show", "--clear"])
def test_what_showing_and_clearing_ignore_is_refused(
    run: Run, option: tuple[str, ...], mode: str
) -> None:
    result = run("calibrate", mode, *option)
    assert result.exit_code == 2
    assert f"{option[0]} has no effect with {mode}" in result.stderr


def test_too_few_people_are_refused_and_what_was_set_stays(run: Run, database: Path) -> None:
    calibrated_to(database, 0.3)
    result = run("calibrate")
    assert result.exit_code == 2
    assert "FMR 1e-4 needs 300,000 pairs of strangers" in result.stderr
    assert "776 people with a photo each; there are 3,160 pairs" in result.stderr
    assert stored(database)[0].threshold == 0.3


@pytest.mark.slow
def test_a_folder_of_people_calibrates_too(run: Run, database: Path, tmp_path: Path) -> None:
    """Fourteen people of three photos: alike in themselves, and strangers are exactly 2 apart."""
    folder = tmp_path / "people"
    for plane in range(14):
        for angle in (0, 4, 8):
            paint(folder / f"p{plane}" / f"{angle}.png", PaintedFace(plane, angle))
    library = tmp_path / "photos.db"
    made = record(
        run(
            *("calibrate", "--from", folder, "--far", "0.04", "--force"),
            *("--json", "--library", library),
        )
    )
    assert (made["source"], made["impostor_pairs"]) == (str(folder), 42 * 39 // 2)
    assert (made["genuine_pairs"], made["fnmr"]) == (42, 0.0)
    assert made["threshold"] == pytest.approx(2.0)


@pytest.mark.parametrize("threshold", [0.3, 0.4])
def test_verify_obeys_and_says_so(
    run: Run, database: Path, pair: tuple[Path, Path], threshold: float
) -> None:
    assert run("verify", *pair).exit_code == 0
    calibrated_to(database, threshold)
    result = run("verify", *pair)
    assert result.exit_code == (0 if threshold > 0.35 else 1)
    assert f"(threshold {threshold}, calibrated at FMR 1e-4 on 2026-11-23)" in result.stdout
    fields = record(run("verify", *pair, "--json"))
    assert fields["threshold"] == threshold
    assert fields["calibrated"] == {"far": 1e-4, "created": "2026-11-23T12:00:00+00:00"}


def test_identify_and_enroll_obey(run: Run, database: Path, pair: tuple[Path, Path]) -> None:
    """At 0.3 the second photo is a stranger, at its own 0.5 somebody's look-alike."""
    assert run("enroll", "Ada", pair[0]).exit_code == 0
    assert run("identify", pair[1]).exit_code == 0
    assert run("enroll", "Eve", pair[1], "--dry-run").exit_code == 2
    calibrated_to(database, 0.3)
    unknown = run("identify", pair[1])
    assert unknown.exit_code == 1
    assert "(threshold 0.3, calibrated at FMR 1e-4 on 2026-11-23)" in unknown.stdout
    assert run("enroll", "Eve", pair[1], "--dry-run").exit_code == 0


def test_an_explicit_threshold_wins(run: Run, database: Path, pair: tuple[Path, Path]) -> None:
    calibrated_to(database, 0.3)
    result = run("verify", *pair, "--threshold", "0.5")
    assert result.exit_code == 0
    assert "(threshold 0.5)" in result.stdout


def test_cleared_after_a_yes_only(run: Run, database: Path, pair: tuple[Path, Path]) -> None:
    calibrated_to(database, 0.3)
    refused = run("calibrate", "--clear")
    assert (refused.exit_code, len(stored(database))) == (2, 1)
    assert "1 calibration cleared" in run("calibrate", "--clear", "--yes").stdout
    assert stored(database) == []
    assert run("verify", *pair).exit_code == 0
    assert "0 calibrations cleared" in run("calibrate", "--clear", "--yes").stdout
    assert "Nothing is calibrated" in run("calibrate", "--show").stdout


@pytest.mark.parametrize("command", ["verify", "identify"])
def test_a_calibration_for_another_model_is_refused(
    run: Run, database: Path, pair: tuple[Path, Path], command: str
) -> None:
    """Ignoring it silently would open a door wider than somebody decided."""
    calibrated_to(database, 0.3, model="other-128")
    photos = pair if command == "verify" else pair[:1]
    result = run(command, *photos)
    assert result.exit_code == 2
    assert (
        "the gallery is calibrated for other-128, not for fake-128: calibrate again, or give "
        "--threshold" in result.stderr
    )
    assert run(command, *photos, "--threshold", "0.5").exit_code in (0, 1)


def test_verify_without_a_gallery_makes_none(
    tmp_path: Path, pair: tuple[Path, Path], encoder: FakeEncoder
) -> None:
    settings = Settings(detector=FakeDetector(), encoder=encoder)
    nowhere = tmp_path / "none.db"
    result = CliRunner().invoke(
        cli, ["verify", *map(str, pair), "--db", str(nowhere)], obj=settings
    )
    assert result.exit_code == 0
    assert not nowhere.exists()


@pytest.mark.slow
def test_verify_and_identify_say_how_many_strangers_come_as_close(
    run: Run, database: Path, pair: tuple[Path, Path]
) -> None:
    """The gallery's own crowd tells; among N templates the chance is that of any of them."""
    assert "strangers" not in run("verify", *pair).stdout
    run("calibrate", "--far", "0.01", "--force")
    verified = record(run("verify", *pair, "--json"))["strangers"]
    assert verified["pairs"] == 3160
    assert verified["source"] == "the gallery's 80 people"
    text = run("verify", *pair).stdout.splitlines()[1]
    assert "strangers come" in text
    run("enroll", "Ada", pair[0], "--threshold", "0")
    (answer,) = [json.loads(run("identify", pair[1], "--json").stdout)]
    alone = verified["low"], verified["high"]
    for end, single in zip(("low", "high"), alone, strict=True):
        assert answer["strangers"][end] == pytest.approx(1 - (1 - single) ** 81)
    assert "to one of the 81 people enrolled" in run("identify", pair[1]).stdout


def test_without_a_gallery_a_folder_makes_one_and_the_gallery_none(
    tmp_path: Path, encoder: FakeEncoder
) -> None:
    """A refusal leaves no empty gallery behind, in which everyone would be unknown."""
    paint(tmp_path / "people" / "Ada" / "a.png", PaintedFace(0))
    nowhere = tmp_path / "none.db"
    for source in ("gallery", str(tmp_path / "people"), str(tmp_path / "nothing")):
        settings = Settings(detector=FakeDetector(), encoder=encoder)
        arguments = ["calibrate", "--from", source, "--db", str(nowhere)]
        arguments += ["--library", str(tmp_path / "photos.db")]
        assert CliRunner().invoke(cli, arguments, obj=settings).exit_code == 2
        assert not nowhere.exists()


def test_a_calibration_that_cannot_be_read_can_be_cleared(run: Run, database: Path) -> None:
    calibrated_to(database, 0.3)
    with sqlite3.connect(database) as damaged:
        damaged.execute("UPDATE calibration SET impostors = '{'")
    damaged.close()
    result = run("calibrate", "--show")
    assert result.exit_code == 2
    assert "its calibration is damaged: clear it and calibrate again" in result.stderr
    assert run("calibrate", "--clear", "--yes").exit_code == 0
    assert run("calibrate", "--show").exit_code == 0


def test_a_damaged_calibration_is_an_error_in_one_line(
    run: Run, database: Path, pair: tuple[Path, Path]
) -> None:
    calibrated_to(database, 0.3)
    (good,) = stored(database)
    with SqliteGallery(database) as gallery:
        gallery.set_calibration(dataclasses.replace(good, impostors={"pairs": "many"}))
    result = run("verify", *pair)
    assert result.exit_code == 2
    assert result.stderr == "facecli: fake-128: not a table of impostors: calibrate again\n"
