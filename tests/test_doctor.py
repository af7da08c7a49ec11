"""`facecli doctor` says what is in order and what is not, and its exit code agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, embedding, new_template

from facecli import doctor
from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.errors import MissingExtra, ModelError
from facecli.stores.gallery.sqlite.store import SqliteGallery
from facecli.types import Detection, FloatArray

pytestmark = pytest.mark.base


@pytest.fixture(autouse=True)
def no_portraits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake detector finds no face in a real portrait."""

    def absent() -> Path:
        raise MissingExtra("not installed")

    monkeypatch.setattr("facecli.portraits.grace_hopper", absent)


@pytest.fixture
def database(tmp_path: Path, encoder: FakeEncoder) -> Path:
    path = tmp_path / "gallery.db"
    with SqliteGallery(path) as gallery:
        gallery.add([new_template("Ada", embedding(0, 0))], encoder.card)
    return path


class FixedEncoder(FakeEncoder):
    """Answer every chip with one vector."""

    def __init__(self, vector: FloatArray) -> None:
        super().__init__()
        self.vector = vector

    def embed(self, chips: Any) -> FloatArray:
        return np.stack([self.vector for _ in chips])


class EagerDetector(FakeDetector):
    """See a face in anything."""

    def detect(self, pictures: Any) -> list[list[Detection]]:
        point = (0.0, 0.0)
        return [[Detection((0, 0, 9, 9), (point,) * 5, 0.99)] for _ in pictures]


def examined(
    database: Path, *, detector: FakeDetector | None = None, encoder: FakeEncoder | None = None
) -> tuple[Result, dict[str, dict[str, Any]]]:
    settings = Settings(
        detector=detector or FakeDetector(), encoder=encoder or FixedEncoder(embedding(0, 0))
    )
    outcome = CliRunner().invoke(cli, ["doctor", "--json", "--db", str(database)], obj=settings)
    records = [json.loads(line) for line in outcome.stdout.splitlines()]
    return outcome, {record["topic"]: record for record in records if record["kind"] == "finding"}


def test_a_sound_installation_exits_with_0(database: Path) -> None:
    outcome, findings = examined(database)
    assert outcome.exit_code == 0
    assert all(finding["healthy"] for finding in findings.values())
    assert "1 people, 1 templates" in findings["database"]["text"]
    assert {"python", "torch", "numpy", "model", "database integrity"} <= set(findings)


def test_a_missing_database_is_no_problem_and_is_not_made(tmp_path: Path) -> None:
    outcome, findings = examined(tmp_path / "none.db")
    assert outcome.exit_code == 0
    assert "none yet" in findings["database"]["text"]
    assert not (tmp_path / "none.db").exists()


def test_a_database_that_others_may_read_is_a_problem(database: Path) -> None:
    database.chmod(0o644)
    outcome, findings = examined(database)
    assert outcome.exit_code == 1
    assert "chmod 600" in findings["database permissions"]["text"]


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "gallery.db"
    path.write_text("not SQLite " * 1000)
    outcome, findings = examined(path)
    assert outcome.exit_code == 1
    assert not findings["database"]["healthy"]


def test_a_damaged_template_is_a_problem(database: Path) -> None:
    """Flip a byte of the stored vector so that its length is no longer 1."""
    raw = database.read_bytes()
    vector = embedding(0, 0).astype("<f4").tobytes()
    assert raw.count(vector) == 1
    database.write_bytes(
        raw.replace(vector, embedding(0, 0).astype("<f4").tobytes()[:-4] + b"\0\0\x80\x3f")
    )
    outcome, findings = examined(database)
    assert outcome.exit_code == 1
    assert any(not finding["healthy"] for finding in findings.values())


def test_a_detector_that_sees_faces_in_nothing_is_a_problem(database: Path) -> None:
    outcome, findings = examined(database, detector=EagerDetector())
    assert outcome.exit_code == 1
    assert not findings["detector"]["healthy"]


@pytest.mark.parametrize("vector", [embedding(0, 0) * 2, embedding(0, 0) * np.float32(np.nan)])
def test_an_embedding_that_is_not_of_unit_length_is_a_problem(
    vector: FloatArray, database: Path
) -> None:
    outcome, findings = examined(database, encoder=FixedEncoder(vector))
    assert outcome.exit_code == 1
    assert not findings["model self-test"]["healthy"]


@pytest.mark.parametrize(("shift", "healthy"), [(0.0, True), (0.004, True), (0.006, False)])
def test_an_embedding_off_the_golden_one_is_a_problem(
    shift: float, healthy: bool, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = FixedEncoder(embedding(0, 0))
    golden = (1.0, 0.0, shift)
    monkeypatch.setitem(doctor.GOLDEN, encoder.card.fingerprint, golden)
    _, findings = examined(database, encoder=encoder)
    assert findings["model self-test"]["healthy"] is healthy


@pytest.mark.parametrize("error", [ModelError("x: no such model"), ImportError("libfoo.so.1")])
def test_a_model_that_does_not_load_does_not_hide_the_rest(
    error: Exception, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Settings) -> None:
        raise error

    monkeypatch.setattr(Settings, "encoder", fail)
    outcome, findings = examined(database)
    assert outcome.exit_code == 1
    assert str(error) in findings["model"]["text"]
    assert findings["database integrity"]["healthy"]


def test_the_self_test_chip_is_the_same_on_every_machine() -> None:
    """Its pixels are computed in integers; the corners can be worked out by hand."""
    chip = doctor.self_test_chip(150)
    assert chip.shape == (150, 150, 3)
    assert chip.dtype == np.uint8
    assert chip[0, 0].tolist() == [0, 0, 0]
    assert chip[149, 149].tolist() == [255, 255, 255]
    assert chip[0, 149].tolist() == [255 * 1 // 7, 255 * 3 // 7, 255 * 6 // 7]


@pytest.mark.network
def test_the_shipped_model_and_the_real_detector_are_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    outcome = CliRunner().invoke(cli, ["doctor", "--db", str(tmp_path / "none.db")])
    assert outcome.exit_code == 0, outcome.output
    assert "golden embedding" in outcome.stdout
    assert "1 face in a portrait" in outcome.stdout
