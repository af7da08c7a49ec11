"""A few drawn glasses in folders, and how `facecli train` is run on them in a second."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from PIL import Image

from facecli.cli import cli
from facecli.training.glasses import PRODUCTS, draw_product

TWELVE = PRODUCTS[::5]
"""Products of all shapes and all lens colours."""

WORDS = ("--detector", "none", "--trunk", "small-conv", "--steps", "3", "--people", "4")
"""A run of three steps from random weights."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A folder of products, and the tables of their lens colours and frame shapes."""

    pictures: Path
    colour: Path
    shape: Path

    def picture(self, product: int, number: int = 0) -> Path:
        """Return the path of a picture of a product."""
        return self.pictures / TWELVE[product].name / f"{number}.png"


def draw_shop(folder: Path, *, products: int = 12, pictures: int = 4) -> Shop:
    """Draw a few pictures of each product; the first shows it without a face."""
    shop = Shop(folder / "pictures", folder / "colour.csv", folder / "shape.csv")
    for number, product in enumerate(TWELVE[:products]):
        (shop.pictures / product.name).mkdir(parents=True)
        for turn in range(pictures):
            random = np.random.default_rng((number, turn))
            pixels = draw_product(product, random, worn=turn > 0)
            Image.fromarray(pixels).save(shop.picture(number, turn))
    for table, part in ((shop.colour, "lens"), (shop.shape, "shape")):
        rows = [f"{one.name},{getattr(one, part)}" for one in TWELVE[:products]]
        table.write_text("\n".join(["person,label", *rows, ""]))
    return shop


def facecli(*words: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, [str(word) for word in words])


def train(data: Path, out: Path, *more: object) -> Result:
    """Train three steps on whole pictures."""
    return facecli("train", data, "--out", out, *WORDS, *more)


def ended(result: Result) -> dict[str, Any]:
    """Return the record of the end of a run with --json."""
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    assert found["kind"] == "training"
    return found


def refusal(result: Result) -> str:
    """Return the last line of a command that failed as it should: in one line, with exit code 2."""
    assert result.exit_code == 2, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("facecli: "), result.stderr
    return line
