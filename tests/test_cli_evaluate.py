"""evaluate lfw, folders and identification as commands: figures, JSON, exit codes, mistakes."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint, squared_l2_of

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.stores.library import Library

pytestmark = pytest.mark.base

HOSTILE = 'Zoë <b>O\'Neil</b>; "--"'


def run(*arguments: object, detector: FakeDetector | None = None) -> Result:
    detector = detector or FakeDetector()
    settings = Settings(detector=detector, encoder=FakeEncoder(), library=Library.memory())
    return CliRunner().invoke(cli, ["evaluate", *map(str, arguments)], obj=settings)


def records(result: Result, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert all(line["schema"] == 1 for line in lines)
    return [line for line in lines if line["kind"] == kind]


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Return three people of three photos, 0, 6 and 12 steps apart, each in a plane of their own.

    0 and 12 steps are 0.349 apart in squared L2; strangers are 2.
    """
    folder = tmp_path / "people"
    for plane, person in enumerate(["Ada", "Bob", HOSTILE]):
        for angle in (0, 6, 12):
            paint(folder / person / f"{angle:02}.png", PaintedFace(plane, angle))
    return folder


# folders


def test_folders_counts_all_pairs(people: Path) -> None:
    result = run("folders", people, "--json")
    assert result.exit_code == 0, result.output
    (rates,) = records(result, "error_rates")
    assert (rates["photos"], rates["people"], rates["model"]) == (9, 3, "fake-128")
    assert rates["fmr"] == rates_of(0, 27, high=0.1277)
    assert (rates["fnmr"]["errors"], rates["fnmr"]["of"]) == (0, 9)
    assert (rates["eer"], rates["auc"], rates["rank_one"]) == (0.0, 1.0, 1.0)
    assert rates["eer_interval"] == {"low": 0.0, "high": pytest.approx(0.3363, abs=1e-4)}
    assert rates["missed"] == rates_of(0, 6, high=0.4593)
    curve = rates["curve"]
    assert (curve["thresholds"][0], curve["fmr"][-1], curve["fnmr"][-1]) == (
        pytest.approx(squared_l2_of(6), abs=1e-6),
        1.0,
        0.0,
    )
    points = records(result, "val_at_far")
    assert [point["far"] for point in points] == [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    assert {point["val"] for point in points} == {None}
    assert points[0]["reason"] == "not supported by 9 genuine pairs"
    hardest = records(result, "hardest_pair")
    assert [pair["of"] for pair in hardest] == ["genuine"] * 9 + ["impostor"] * 20
    assert hardest[0]["squared_l2"] == pytest.approx(squared_l2_of(12), abs=1e-6)
    assert [Path(path).name for path in hardest[0]["paths"]] == ["00.png", "12.png"]


def test_folders_says_what_is_nearest_to_each_photo(people: Path) -> None:
    """All is found, so the intervals are those of 9 photos, and of 3 people, without an error."""
    paint(people / "Dan" / "00.png", PaintedFace(5))
    result = run("folders", people, "--json")
    (found,) = records(result, "retrieval")
    assert (found["photos"], found["queries"], found["people"]) == (10, 9, 3)
    assert [one["k"] for one in found["recall"]] == [1, 2, 4, 8]
    assert found["recall"][0] == {"k": 1, **mean_of_photos(low=0.6637)}
    assert found["map_at_r"] == found["r_precision"] == mean_of_photos(low=0.0)
    assert (found["nmi"], found["nmi_reason"]) == (pytest.approx(1.0), None)
    assert found["model"] == "fake-128"
    text = run("folders", people).stdout
    assert re.search(r"^Recall@8 +1\.0000 +0\.6637 to 1\.0000$", text, re.MULTILINE)
    assert re.search(r"^MAP@R +1\.0000 +0\.0000 to 1\.0000$", text, re.MULTILINE)
    assert re.search(r"^NMI +1\.0000 +-$", text, re.MULTILINE)
    assert "of 9 photos of 3 people with two or more, each among 9 others" in text


def mean_of_photos(*, low: float) -> dict[str, Any]:
    """Return the fields of a mean of 1."""
    return {"value": 1.0, "low": pytest.approx(low, abs=1e-4), "high": 1.0}


def test_folders_says_why_there_is_no_nmi(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facecli.evaluation.retrieval.LARGEST_CLUSTERING", 1)
    reason = "too many to cluster: 9 photos of 3 people"
    (found,) = records(run("folders", people, "--json"), "retrieval")
    assert (found["nmi"], found["nmi_reason"]) == (None, reason)
    assert reason in run("folders", people).stdout


def test_folders_obeys_the_threshold(people: Path) -> None:
    (rates,) = records(run("folders", people, "--json", "--threshold", "0.2"), "error_rates")
    assert (rates["threshold"], rates["fnmr"]["errors"]) == (0.2, 3)


def test_folders_says_it_in_words(people: Path) -> None:
    result = run("folders", people)
    assert "9 photos of 3 people, model fake-128, threshold 0.5 squared L2" in result.stdout
    assert (
        "FMR   at most 13 % (0 of 27 impostor pairs, 95 % interval 0.0000 to 0.1277)"
        in result.stdout
    )
    assert "EER   at most 34 % (not supported by 9 genuine pairs), AUC 1.0000" in result.stdout
    assert "at least 54 % (0 of 6 other photos not found first, 95 %" in result.stdout
    assert "not supported by 9 genuine pairs" in result.stdout
    assert "farthest photos of one person" in result.stdout
    assert HOSTILE in result.stdout


def test_a_photo_without_a_face_is_1_and_an_unreadable_one_2(people: Path) -> None:
    paint(people / "Ada" / "wall.png")
    result = run("folders", people, "--json")
    assert result.exit_code == 1
    assert "wall.png: no face found" in result.stderr
    (rates,) = records(result, "error_rates")
    assert (rates["failures"], rates["frr"]["errors"], rates["frr"]["of"]) == (1, 3, 12)
    (people / "Bob" / "broken.png").write_bytes(b"no picture")
    result = run("folders", people)
    assert result.exit_code == 2
    assert "broken.png" in result.stderr
    assert re.search(r"FRR   at most \d\d % \(6 of 15 genuine pairs", result.stdout)


def test_copies_are_left_out_and_told(people: Path) -> None:
    shutil.copy(people / "Ada" / "00.png", people / "Ada" / "again.png")
    assert "1 photo left out: copies" in run("identification", people).stderr
    result = run("folders", people, "--json")
    assert "1 photo left out: copies" in result.stderr
    assert records(result, "error_rates")[0]["photos"] == 9


def test_photos_of_nobody_named_are_in_no_pair(people: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    rows = [f"people/Ada/{name}.png,Ada" for name in ("00", "06")]
    rows += ["people/Bob/00.png,Bob", "people/Bob/06.png,"]
    manifest.write_text("\n".join(["path,person", *rows]))
    result = run("folders", manifest, "--json")
    (rates,) = records(result, "error_rates")
    assert (rates["unnamed"], rates["fmr"]["of"], rates["fnmr"]["of"]) == (1, 2, 1)
    assert "1 photo of nobody named" in run("folders", manifest).stdout


def test_groups_are_measured_and_compared(people: Path, tmp_path: Path) -> None:
    groups = tmp_path / "groups.csv"
    groups.write_text("person,age\nAda,young\nBob,young\nNobody,old\n")
    result = run("folders", people, "--json", "--groups", groups, "--by", "age")
    _, old, young = records(result, "error_rates")
    assert (old["group"], old["photos"]) == ("old", 0)
    assert "no genuine pairs" in old["reason"]
    assert (young["fnmr"]["rate"], young["fnmr"]["of"]) == (None, 6)
    assert young["fnmr"]["high"] == pytest.approx(0.4593, abs=1e-4)
    assert "Nobody: no such photo or person" in result.stderr
    assert "3 photos in no group of age" in result.stderr


@pytest.mark.slow
def test_quality_needs_no_file_and_its_groups_differ(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for plane in range(3):
        for angle in range(12):
            face = PaintedFace(plane, 3 * angle, side=60 + 20 * (angle // 4))
            paint(folder / f"p{plane}" / f"{angle:02}.png", face)
    result = run("folders", folder, "--by", "quality", "--json")
    assert result.exit_code == 0, result.output
    groups = records(result, "error_rates")[1:]
    assert len(groups) == 12
    assert {group["column"] for group in groups} == {
        "eye distance",
        "sharpness",
        "brightness",
        "turn",
    }
    assert "eye distance up to" in run("folders", folder, "--by", "quality").stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--groups", "FILE"], "--groups needs --by"),
        (["--by", "age"], "--by age needs --groups"),
        (["--groups", "FILE", "--by", "shoe"], "needs the columns path or person, and shoe"),
    ],
)
def test_mistakes_about_groups_are_said_before_any_photo_is_opened(
    people: Path, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    file = tmp_path / "groups.csv"
    file.write_text("person,age\n")
    filled = [str(file) if one == "FILE" else one for one in arguments]
    detector = FakeDetector()
    result = run("folders", people, *filled, detector=detector)
    assert (result.exit_code, detector.seen) == (2, 0)
    assert reason in result.stderr


def test_a_photo_beside_the_folders_is_of_its_name_as_for_enroll(people: Path) -> None:
    shutil.copy(people / "Ada" / "00.png", people / "Loose.png")
    result = run("folders", people, "--json")
    assert "10 photos of 4 people" in result.stderr
    assert records(result, "error_rates")[0]["photos"] == 10


def test_one_person_or_no_photos_are_errors_in_one_line(people: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(people / "Ada", alone / "Ada")
    result = run("folders", alone)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"facecli: {alone}: all faces are of one")
    (tmp_path / "empty").mkdir()
    result = run("folders", tmp_path / "empty")
    assert result.exit_code == 2
    assert "no photos in it" in result.stderr


# lfw


@pytest.fixture
def view_2(people: Path) -> Path:
    """Name the photos as LFW does and list two folds of one genuine and one impostor pair."""
    for place, person in enumerate(("Ada", "Bob")):
        for number, angle in enumerate((0, 6, 12), start=1):
            paint(people / person / f"{person}_{number:04d}.jpg", PaintedFace(place, angle))
    lines = ["2\t1", "Ada\t1\t2", "Ada\t1\tBob\t1", "Bob\t1\t3", "Ada\t2\tBob\t2"]
    (people.parent / "pairs.txt").write_text("\n".join(lines))
    return people


def test_lfw_finds_its_list_and_reports_folds_with_baselines(view_2: Path) -> None:
    result = run("lfw", view_2, "--json")
    assert result.exit_code == 0, result.output
    (found,) = records(result, "lfw")
    assert (found["folds"], found["accuracy"], found["standard_error"]) == (2, 1.0, 0.0)
    assert (found["fold_val"]["mean"], found["fold_val"]["standard_error"]) == (1.0, 0.0)
    assert (found["photos"], found["failures"], found["lost_pairs"]) == (5, 0, 0)
    assert (found["genuine_pairs"], found["impostor_pairs"]) == (2, 2)
    assert found["accuracy_at_threshold"] == 1.0
    assert all(0.99 < one["accuracy"] < 1 and one["name"] for one in found["baselines"])
    assert "never matches" in found["assumption"]
    assert [point["val"] for point in records(result, "val_at_far")] == [None] * 3
    text = run("lfw", view_2).stdout
    assert "accuracy 1.0000 ± 0.0000" in text
    assert "FaceNet" in text
    assert "VAL 1.0000 ± 0.0000 at FAR 1e-3, mean of the folds" in text
    assert "not supported by 2 genuine pairs" in text


def test_lfw_takes_a_csv_and_counts_lost_pairs(people: Path) -> None:
    paint(people / "wall.png")
    csv = people / "pairs.csv"
    csv.write_text(
        "a,b,same\nAda/00.png,Ada/06.png,1\nAda/00.png,Bob/00.png,0\nAda/00.png,wall.png,1\n"
    )
    result = run("lfw", csv, "--json")
    assert result.exit_code == 1
    (found,) = records(result, "lfw")
    assert (found["folds"], found["accuracy"], found["lost_pairs"]) == (None, None, 1)
    assert found["accuracy_at_threshold"] == pytest.approx(2 / 3)
    assert "1 photo without a face, in 1 pair" in run("lfw", csv).stdout


def test_lfw_without_its_photos_is_an_error(people: Path) -> None:
    (people / "pairs.txt").write_text("1\nAda\t1\t2\nAda\t1\tBob\t1\n")
    result = run("lfw", people)
    assert result.exit_code == 2
    assert "photos are missing" in result.stderr


# identification


def test_identification_finds_everyone_and_no_stranger(people: Path) -> None:
    result = run("identification", people, "--json")
    assert result.exit_code == 0, result.output
    (closed,), (opened,) = records(result, "closed_set"), records(result, "open_set")
    assert (closed["enrolled"], closed["probes"], closed["cmc"]) == (3, 6, [1.0] * 10)
    assert opened["enrolled"] + opened["strangers"] == 3
    assert (opened["fpir"]["errors"], opened["fnir"]["errors"]) == (0, 0)
    assert set(opened["curve"]) == {"thresholds", "fpir", "fnir"}
    assert [point["fnir"] for point in records(result, "fnir_at_fpir")] == [None] * 3
    assert closed["missed"] == [rates_of(0, 6, high=0.4593)] * 10
    text = run("identification", people).stdout
    assert re.search(r"rank-1 +at least 54 % +0\.5407 to 1\.0000 +0$", text, re.MULTILINE)


def rates_of(errors: int, of: int, *, high: float) -> dict[str, Any]:
    """Return the fields of a rate that too few errors support: there is a bound."""
    ends = {"low": 0.0, "high": pytest.approx(high, abs=1e-4)}
    return {"errors": errors, "of": of, "rate": None, **ends}


def test_what_few_errors_leave_open_has_a_bound_everywhere(people: Path, tmp_path: Path) -> None:
    """No table of an evaluation has a blank where the data say at least or at most."""
    pairs = people / "pairs.csv"
    pairs.write_text("a,b,same\nAda/00.png,Ada/06.png,1\nAda/00.png,Bob/00.png,0\n")
    groups = tmp_path / "groups.csv"
    groups.write_text("person,age\nAda,young\nBob,young\n", encoding="utf-8")
    for arguments in (
        ("folders", people, "--groups", groups, "--by", "age"),
        ("identification", people, "--gallery-size", "10", "--distractors", people),
        ("lfw", pairs),
    ):
        text = run(*arguments).stdout
        assert re.search(r"at (least|most) \d+ %", text), arguments
        assert "too few" not in text
        assert "(30 needed)" not in text


@pytest.mark.slow
def test_rates_that_thirty_errors_support_come_with_intervals(tmp_path: Path) -> None:
    """Twelve people in one plane, where most photos are nearer to somebody else's first."""
    for place in range(12):
        for photo, angle in enumerate((0, 13, 19, 22, 28, 31, 40)):
            face = PaintedFace(0, (5 * place + angle) % 64)
            paint(tmp_path / "many" / f"p{place:02}" / f"{photo}.png", face, size=(200, 200))
    arguments = [tmp_path / "many", "--threshold", "0.1"]
    result = run("identification", *arguments, "--json")
    (closed,), (opened,) = records(result, "closed_set"), records(result, "open_set")
    (folder,) = records(run("folders", *arguments, "--json"), "error_rates")
    assert closed["missed"][0] == folder["missed"]
    for rate in (closed["missed"][0], opened["fpir"], opened["fnir"]):
        assert rate["rate"] == rate["errors"] / rate["of"]
        assert rate["low"] <= rate["rate"] <= rate["high"]
    assert folder["eer_interval"]["low"] < folder["eer"] < folder["eer_interval"]["high"]
    assert 1 - closed["missed"][0]["rate"] == pytest.approx(folder["rank_one"])
    text = run("identification", *arguments).stdout
    assert re.search(r"rank-5 +0\.\d{4} +0\.\d{4} to 0\.\d{4} +\d\d$", text, re.MULTILINE)
    assert re.search(r"FPIR  0\.\d{4} \(.*, 95 % interval 0\.\d{4} to 0\.\d{4}\)", text)


@pytest.mark.slow
def test_galleries_grow_with_distractors_that_are_nobody_looked_for(
    people: Path, tmp_path: Path
) -> None:
    others = tmp_path / "others"
    for plane in range(4, 16):
        paint(others / f"{plane}.png", PaintedFace(plane))
    paint(others / "wall.png")
    shutil.copy(people / "Ada" / "00.png", others / "ada.png")
    arguments = ["identification", people, "--gallery-size", "1000", "--distractors", others]
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    sizes = records(result, "gallery_size")
    assert [(one["size"], one["measured"]) for one in sizes] == [
        (10, True),
        (14, True),
        (100, False),
        (1000, False),
    ]
    assert (sizes[1]["fpir"], sizes[1]["fnir"], sizes[1]["rank_one"]) == (None,) * 3
    assert sizes[2]["fpir"] is None
    assert "ada.png: left out: the same photo is used already" in result.stderr
    assert "wall.png: no face, not used" in result.stderr
    assert "not supported" in run(*arguments).stdout


def test_distractors_without_a_size_are_a_mistake(people: Path) -> None:
    result = run("identification", people, "--distractors", people)
    assert result.exit_code == 2
    assert "--gallery-size" in result.stderr
