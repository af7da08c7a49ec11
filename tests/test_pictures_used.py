"""A model that was trained on pictures of things is used at once, with every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from drawn import TWELVE, Shop, draw_shop, ended, facecli, refusal, train

from facecli.models import encoders

pytestmark = pytest.mark.slow

WORDS = ("--steps", 60, "--people", 8, "--loss", "arcface")
"""Enough for shapes and colours that were seen in training."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return draw_shop(tmp_path_factory.mktemp("shop"), pictures=6)


@pytest.fixture(scope="module")
def model(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "shop.safetensors"
    result = train(shop.pictures, out, *WORDS)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def words(model: Path, tmp_path: Path) -> tuple[object, ...]:
    return ("--model", model, "--db", tmp_path / "g.db", "--threshold", 0.9)


def records(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_products_are_enrolled_and_identified(
    shop: Shop, words: tuple[object, ...], model: Path
) -> None:
    plain = ("--model", model, *words[2:4])
    for number, product in enumerate(TWELVE):
        pictures = [shop.picture(number, turn) for turn in range(1, 4)]
        result = facecli("enroll", product.name, *pictures, *plain, "--allow-look-alike")
        assert result.exit_code == 0, result.output
    probes = [shop.picture(number, 5) for number in range(12)]
    found = records(facecli("identify", *probes, *words, "--json"))
    right = [one["person"] == product.name for one, product in zip(found, TWELVE, strict=True)]
    assert sum(right) >= 6, "by chance it would be one"
    itself = records(facecli("identify", shop.picture(3, 1), *words, "--json"))
    assert itself[0]["person"] == TWELVE[3].name


def test_two_pictures_are_verified(shop: Shop, model: Path) -> None:
    same = facecli("verify", shop.picture(4, 1), shop.picture(4, 1), "--model", model)
    assert same.exit_code == 0
    assert same.stdout.startswith("same: squared L2 0.000")
    other = facecli("verify", shop.picture(0, 1), shop.picture(11, 1), "--model", model)
    assert other.exit_code == 1
    assert "the whole picture" in other.stdout


def test_pictures_are_embedded_at_the_length_of_the_card(
    shop: Shop, model: Path, tmp_path: Path
) -> None:
    result = facecli("embed", shop.pictures, "--model", model, "--out", tmp_path / "e.npz")
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "e.npz") as arrays:
        assert arrays["embeddings"].shape == (72, 128)


def test_pictures_are_clustered(shop: Shop, words: tuple[object, ...]) -> None:
    result = facecli("cluster", shop.pictures, *words)
    assert result.exit_code == 0, result.output
    assert "72 pictures in 72 photos" in result.stdout


def test_the_card_says_what_it_looks_at(model: Path) -> None:
    shown = facecli("models", "info", model)
    assert "looks at       whole pictures" in shown.stdout
    assert "face" not in shown.stdout.replace("facecli", "")


def test_a_model_of_faces_does_not_look_at_things(shop: Shop) -> None:
    photos = (shop.picture(0), shop.picture(1))
    said = refusal(facecli("verify", *photos, "--detector", "none"))
    assert "facecli-128 looks at faces" in said


def test_a_verifier_learns_from_pairs_of_things(shop: Shop, model: Path, tmp_path: Path) -> None:
    """It decides as often right as not, and belongs to its model alone."""
    verifier = tmp_path / "v.json"
    words = ("--model", model, "--out", verifier, "--far", 0.1)
    result = facecli("train-verifier", shop.pictures, *words)
    assert result.exit_code == 0, result.output
    assert verifier.is_file()
    same = facecli(
        "verify", shop.picture(4, 1), shop.picture(4, 1), "--model", model, "--verifier", verifier
    )
    assert same.exit_code == 0, result.output
    assert "probability" in same.stdout
    other = train(shop.pictures, tmp_path / "other.safetensors")
    assert other.exit_code == 0
    refused = facecli(
        "verify", shop.picture(4, 1), shop.picture(4, 1),
        "--model", tmp_path / "other.safetensors", "--verifier", verifier,
    )  # fmt: skip
    assert "\n" not in refusal(refused)


def test_the_pretrained_trunk_trains_by_default(shop: Shop, tmp_path: Path) -> None:
    """Its frozen layers run once, and two pictures of a product are soon nearer than others."""
    out = tmp_path / "m.safetensors"
    words = ("--detector", "none", "--steps", 2, "--json")
    found = ended(facecli("train", shop.pictures, "--out", out, *words))
    card = encoders.read_card(str(out))
    assert card.architecture["network"] == "efficientnet-lite0"
    assert found["card"]["data"][0]["name"] == "ImageNet"
    assert (tmp_path / "m.run" / "features.npy").is_file()
    assert facecli("verify", shop.picture(0), shop.picture(0), "--model", out).exit_code == 0
