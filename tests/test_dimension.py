"""A model of another dimension works with the commands; its card says how many numbers it gives."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.models import checkpoints
from facecli.models.dlib_format import resnet29_architecture
from facecli.models.encoders import load_encoder, read_card
from facecli.models.networks import build
from facecli.portraits import eileen_collins, grace_hopper
from facecli.stores.opening import gallery_at
from facecli.types import Detector, Encoder

pytestmark = pytest.mark.network

DIMENSION = 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of 64 numbers whose weights are random: it tells pictures apart, not people."""
    path = tmp_path_factory.mktemp("model") / "narrow.safetensors"
    architecture = resnet29_architecture({"5": 1}) | {"dimension": DIMENSION}
    torch.manual_seed(1)
    weights = {name: one.numpy() for name, one in build(architecture).state_dict().items()}
    card = dataclasses.replace(
        read_card("dlib-128"),
        name="narrow",
        architecture=architecture,
        dimension=DIMENSION,
        threshold=1e-6,
        thresholds={},
        impostors={},
    )
    checkpoints.save(path, weights, card)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    shutil.copy(grace_hopper(), folder / "grace.jpg")
    shutil.copy(eileen_collins(), folder / "eileen.png")
    return folder


def test_two_models_of_different_dimensions_share_a_gallery_and_a_library(
    model: Path, folder: Path, tmp_path: Path, real_detector: Detector, real_encoder: Encoder
) -> None:
    def run(encoder: Encoder, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
        typed = [*map(str, arguments), "--json", "--db", str(tmp_path / "gallery.db")]
        settings = Settings(detector=real_detector, encoder=encoder)
        outcome = CliRunner().invoke(cli, typed, obj=settings)
        assert outcome.exit_code == code, outcome.output
        return [json.loads(line) for line in outcome.stdout.splitlines()]

    for encoder in (load_encoder(str(model)), real_encoder):
        run(encoder, "enroll", "Grace", folder / "grace.jpg")
        run(encoder, "enroll", "Eileen", folder / "eileen.png")
        named = {Path(one["path"]).stem: one["person"] for one in run(encoder, "identify", folder)}
        assert named == {"grace": "Grace", "eileen": "Eileen"}
        assert run(encoder, "verify", folder / "grace.jpg", "person:Grace")[0]["same"]
        (line,) = run(encoder, "embed", folder / "grace.jpg")
        assert len(line["embedding"]) == encoder.card.dimension
        for _ in range(2):  # the second time from what the library remembers
            found = run(encoder, "cluster", folder, "--library", tmp_path / "photos.db")
            assert sum(one["kind"] == "clustered_face" for one in found) == 2
    with gallery_at(tmp_path / "gallery.db").open() as gallery:
        assert [one.dimension for one in gallery.models()] == [DIMENSION, 128]
        assert gallery.integrity_check() == []


def test_arrays_of_no_faces_have_the_models_dimension(
    model: Path, tmp_path: Path, real_detector: Detector
) -> None:
    Image.new("RGB", (200, 200), (90, 90, 90)).save(tmp_path / "grey.png")
    settings = Settings(detector=real_detector, encoder=load_encoder(str(model)))
    out = tmp_path / "faces.npz"
    outcome = CliRunner().invoke(
        cli, ["embed", str(tmp_path / "grey.png"), "--out", str(out)], obj=settings
    )
    assert outcome.exit_code == 1
    with np.load(out) as arrays:
        assert arrays["embeddings"].shape == (0, DIMENSION)
