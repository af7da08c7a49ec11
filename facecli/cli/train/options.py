"""The options of `facecli train` that override its config file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from facecli.cli.options import Option, Whole

FILE = click.Path(dir_okay=False, path_type=Path)

CONFIGURED: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--init",
        metavar="MODEL",
        help="The model to start from.",
        show_default="dlib-128",
        cls=Option,
    ),
    click.option(
        "--average",
        multiple=True,
        metavar="MODEL",
        help="Another model; its trunk is averaged with the start model's.",
    ),
    click.option(
        "--steps",
        type=Whole(min=0),
        metavar="N",
        help="Number of training steps (batches).",
    ),
    click.option(
        "--loss",
        metavar="NAME",
        help="What it learns by: triplet, arcface, symm-npair and 14 more; see docs/training.md.",
        show_default="triplet",
        cls=Option,
    ),
    click.option("--people", type=Whole(min=0), metavar="P", help="People per batch."),
    click.option("--photos", type=Whole(min=2), metavar="K", help="Photos per person in a batch."),
    click.option(
        "--margin",
        type=float,
        metavar="SQUARED_L2",
        help="Margin of the triplet loss, in squared L2.",
    ),
    click.option(
        "--mining", type=click.Choice(["semi-hard", "hard", "all"]), help="How triplets are chosen."
    ),
    click.option("--learning-rate", type=float, metavar="RATE", help="The highest learning rate."),
    click.option(
        "--freeze",
        "frozen",
        multiple=True,
        metavar="PREFIX",
        help="Do not train parameters whose names start with this, such as trunk.stem.",
    ),
    click.option(
        "--seed",
        type=int,
        metavar="N",
        help="Random seed. Two runs with the same seed give the same model.",
    ),
)
"""Options that override the config file if they are given."""


def configured(function: Any) -> Any:
    """Add the options that override the config."""
    for option in reversed(CONFIGURED):
        function = option(function)
    return function
