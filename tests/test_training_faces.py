"""A run of a minute on real chips makes a network that knows people it never saw better."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facecli.cli import cli
from facecli.models.encoders import load_encoder

RECIPE = """
taps = {5 = 2}
steps = 75
people = 8
photos = 4
others = 8
triplet_weight = 0.5
learning_rate = 1e-4
warm_up = 10
ema = 0.9
validate_every = 75
frozen = ["trunk.stem", "trunk.stages.0"]
"""


def cosine_to_targets(root: Path, paths: list[str], model: Path) -> float:
    """Mean cosine between the embeddings of chips and their targets."""
    with np.load(root / "targets.npz") as file:
        place = {path: row for row, path in enumerate(file["paths"])}
        targets = file["targets"][[place[path] for path in paths]].astype(np.float32)
    chips = [
        np.asarray(Image.open(root / path).convert("RGB").resize((150, 150))) for path in paths
    ]
    return float((load_encoder(str(model)).embed(chips) * targets).sum(axis=1).mean())


@pytest.mark.faces
def test_a_minute_of_training_helps_on_people_never_seen(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line, at the strictest FAR that the held-out people support.

    First the closed-form start alone is made a model, then it is trained further.
    """
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    root = faces / "train"
    folders = sorted((root / "celeba").iterdir())
    many = [folder for folder in folders if len(list(folder.iterdir())) >= 4][:200]
    rows = [
        f"{photo},{folder.name},{'validation' if place < 60 else 'train'}"
        for place, folder in enumerate(many)
        for photo in sorted(folder.iterdir())[:4]
    ]
    # Relative names, as the targets have them, for a table that lies elsewhere.
    (tmp_path / "celeba").symlink_to(root / "celeba")
    table = tmp_path / "people.csv"
    lines = [row.replace(f"{root}/", "") for row in rows]
    table.write_text("\n".join(["path,person,split", *lines]))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    words = ["train", table, "--chips", "--targets", root / "targets.npz", "--json"]
    words += ["--config", tmp_path / "recipe.toml"]

    def train(*more: object) -> str:
        result = CliRunner().invoke(cli, [str(word) for word in (*words, *more)])
        assert result.exit_code == 0, result.output
        return result.stdout

    start, out = tmp_path / "start.safetensors", tmp_path / "m.safetensors"
    train("--out", start, "--steps", 1, "--learning-rate", 1e-30)
    told = train("--out", out, "--init", start)
    *steps, final = [json.loads(line) for line in told.splitlines()]
    assert steps[-1]["target"] < steps[0]["target"]
    assert load_encoder(str(out)).card.history[-1]["photos"] == 560  # 140 people
    # VAL of 60 people moves by a few pairs either way; nearness to their targets is steadier.
    held_out = [row.split(",")[0] for row in lines if row.endswith("validation")]
    before, after = (cosine_to_targets(root, held_out, model) for model in (start, out))
    assert after > before + 0.001
    rates = final["card"]["metrics"]["VAL at FAR 1e-2"]
    assert rates["after"] > rates["before"] - 0.05
