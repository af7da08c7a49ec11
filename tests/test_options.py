"""An option is obeyed or refused, in every mode of a command: never accepted and ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import FakeDetector, FakeEncoder, PaintedFace, paint

from facecli.cli import cli
from facecli.cli.settings import Settings

pytestmark = pytest.mark.base


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a photo in a folder of people, and a list of pairs."""
    monkeypatch.chdir(tmp_path)
    paint(tmp_path / "people" / "Ada" / "a.png", PaintedFace(0))
    (tmp_path / "pairs.csv").write_text("a,b,same\n")
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("people list --threshold 1", "No such option '--threshold'"),
        ("--threshold 1 people list", "--threshold has no effect with"),
        ("--model m library info", "--model has no effect with"),
        ("calibrate --threshold 1", "No such option '--threshold'"),
        ("calibrate --show --far 0.1", "--far has no effect with --show"),
        ("--model m calibrate --show", "--model has no effect with --show"),
        ("calibrate --clear --library l.db", "--library has no effect with --clear"),
        ("calibrate --workers 2", "--workers has no effect with --from gallery"),
        ("calibrate --yes", "--yes is for --clear"),
        ("doctor --threshold 1", "--threshold has no effect with doctor"),
        ("--device cuda doctor gallery", "--device has no effect with"),
        ("models info facecli-128 --model x", "Give NAME or --model, not both"),
        ("verify a.png b.png --verifier v --threshold 1", "--threshold has no effect with --verif"),
        ("--threshold 1 verify a.png b.png --verifier v", "--threshold has no effect with --verif"),
        ("evaluate clustering people --k 1 --threshold 1", "--threshold has no effect with --k"),
        ("evaluate lfw pairs.csv --pairs pairs.csv", "--pairs is for a folder"),
        ("evaluate folders people --groups pairs.csv", "--groups needs --by"),
        ("evaluate identification people --distractors people", "needs --gallery-size"),
        ("cluster people --copy", "--copy needs --export"),
        ("cluster people --xmp --dry-run --report r.html", "it excludes --annotate and --report"),
        ("cluster people --csv --json", "exclude each other"),
        ("people list --csv --json", "exclude each other"),
        ("identify people --cooldown 3", "--cooldown needs --source"),
        ("identify --source people --faces largest", "--source cannot be used with"),
        ("backup f.db --library l.db", "--library needs --of library"),
    ],
)
def test_what_would_be_ignored_is_refused(here: Path, typed: str, reason: str) -> None:
    refused(here, typed, reason)


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("train people --out m.safetensors --validation-chips", "needs --validation DATA"),
        ("train people --out m.safetensors --model x", "train does not use --model"),
    ],
)
def test_so_is_what_training_would_ignore(here: Path, typed: str, reason: str) -> None:
    pytest.importorskip("torch")
    refused(here, typed, reason)


def refused(here: Path, typed: str, reason: str) -> None:
    """Run a command and hold it to one refusal, before any photo is looked at or file written."""
    detector = FakeDetector()
    settings = Settings(detector=detector, encoder=FakeEncoder())
    before = sorted(here.rglob("*"))
    result = CliRunner().invoke(cli, typed.split(), obj=settings)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert result.stdout == ""
    assert (detector.seen, sorted(here.rglob("*"))) == (0, before)
