"""`facecli demo`: run the real commands on two public-domain portraits, or draw glasses."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from facecli.cli.options import NETWORKS, options_for
from facecli.cli.output import Progress, answer, emit, shown, strong, warn
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError
from facecli.records import health as records

if TYPE_CHECKING:
    from facecli.demo import Stage
    from facecli.training.glasses import Collection

Heard = Mapping[str, Any]
"""A record of a command that was run."""


@dataclass(frozen=True, slots=True)
class Step:
    """A command to show: what it does, its exit code, and a check of its results."""

    says: str
    command: tuple[str, ...]
    exit_code: int = 0
    right: Callable[[Sequence[Heard]], bool] = lambda _: True


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="facecli-demo",
    show_default=True,
    metavar="DIR",
    help="Folder for the portraits, the changed copies and the gallery.",
)
@click.option(
    "--glasses",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Draw glasses to train on into this folder, and do nothing else.",
)
@options_for("threshold", *NETWORKS)
@pass_settings
@click.pass_context
def demo(ctx: click.Context, settings: Settings, folder: Path, glasses: Path | None) -> None:
    """Try all of facecli on two public-domain portraits, offline.

    Enrolls Grace Hopper and Eileen Collins from one photo each, recognises them in changed copies
    of the photos, and shows the commands. Exit codes: 0 if every answer was right, 1 otherwise.

    With --glasses it draws 20 pictures of each of 60 pairs of glasses, with tables of their lens
    colours and frame shapes, and prints the commands that train a network on them and use it.
    """
    from facecli.demo import set_the_stage

    if glasses is not None:
        if ctx.get_parameter_source("folder") is ParameterSource.COMMANDLINE:
            raise FacecliError("--glasses DIR names the folder: leave out --dir")
        _draw(glasses)
        return
    stage = set_the_stage(folder)
    shared = _shared_options(settings, stage)
    wrong = [step for step in _steps(stage) if not _show(settings, step, shared)]
    for step in wrong:
        warn(f"came out wrong: {shlex.join(step.command)}")
    record = records.demo(folder, stage.database, right=not wrong)
    emit(record, _farewell(stage, wrong=bool(wrong)))
    ctx.exit(1 if wrong else 0)


def _shared_options(settings: Settings, stage: Stage) -> list[str]:
    """Return the options that every shown command gets after its own arguments."""
    options = ["--db", str(stage.database)]
    if settings.model is not None:
        options += ["--model", settings.model]
    if settings.threshold is not None:
        options += ["--threshold", str(settings.threshold)]
    return options


def _show(settings: Settings, step: Step, shared: list[str]) -> bool:
    """Run one command through the real command line; return whether its results are right."""
    from facecli.cli import INTERRUPTED, cli

    arguments = [*step.command, *shared]
    typed = shlex.join(["facecli", *arguments])
    if not settings.json:
        answer(f"\n{shown(step.says)}\n{strong(shown(f'$ {typed}'))}")
    heard: list[Heard] = []
    inner = settings.for_another_command(hear=heard.append)
    code = cli.main(arguments, standalone_mode=False, obj=inner)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    right = code == step.exit_code and step.right(heard)
    emit(records.demo_step(typed, code, right=right), "")
    return right


def _farewell(stage: Stage, *, wrong: bool) -> str:
    if wrong:
        return "\nSomething came out wrong; the warnings say which command."
    ask = shlex.join(["facecli", "identify", "PHOTO", "--db", str(stage.database)])
    return (
        f"\nAll of it came out right. The gallery is {shown(stage.database)}; "
        f"ask it about a photo of your own:\n{strong(shown(f'$ {ask}'))}"
    )


def _draw(folder: Path) -> None:
    """Draw glasses, and say how to go on with them."""
    from facecli.training.glasses import PICTURES, PRODUCTS, draw_collection

    drawn = Progress()
    drawn.begin(len(PRODUCTS) * PICTURES, "pictures")
    made = draw_collection(folder, on_picture=drawn.step)
    train, *use = map(shlex.join, _commands(made))
    lines = [
        f"{shown(made.pictures)}: {PICTURES} pictures of each of {len(PRODUCTS)} products",
        f"{shown(made.colour)}: the lens colour of each product",
        f"{shown(made.shape)}: the frame shape of each product",
        "\nTrain a network on them:",
        strong(shown(f"$ {train}")),
        "\nThen enroll a product from one picture, and ask about another picture:",
        *(strong(shown(f"$ {one}")) for one in use),
    ]
    record = records.glasses(
        made, products=len(PRODUCTS), pictures=len(PRODUCTS) * PICTURES, commands=[train, *use]
    )
    emit(record, "\n".join(lines))


def _commands(made: Collection) -> Sequence[Sequence[str]]:
    """Return the commands that train on drawn glasses, enroll a product and identify it."""
    from facecli.training.glasses import PRODUCTS

    product = PRODUCTS[0]
    model = "glasses.safetensors"
    # A gallery of its own, since the user's holds embeddings of another model.
    shared = ["--model", model, "--db", "glasses.db"]
    tasks = [f"colour={made.colour}:0-127", f"shape={made.shape}:128-255"]
    return [
        [
            *("facecli", "train", str(made.pictures), "--detector", "none"),
            *("--trunk", "small-conv", "--loss", "arcface"),
            *(part for task in tasks for part in ("--task", task)),
            *("--out", model),
        ],
        ["facecli", "enroll", product.name, str(made.picture(product, 0)), *shared],
        ["facecli", "identify", str(made.picture(product, 1)), *shared],
    ]


def _lists_both(heard: Sequence[Heard]) -> bool:
    """Tell whether the two sitters, and nobody else, are enrolled."""
    from facecli.demo import SITTERS

    return {record["name"] for record in heard} == {sitter.name for sitter in SITTERS}


def _named_right(stage: Stage, heard: Sequence[Heard]) -> bool:
    """Tell whether every take was given its sitter's name."""
    named = {str(record["path"]): record["person"] for record in heard}
    return named == stage.sitters_by_take()


def _sorted_right(stage: Stage, heard: Sequence[Heard]) -> bool:
    """Tell whether the takes fell into one group a sitter."""
    faces = [record for record in heard if record["kind"] == "clustered_face"]
    expected = stage.sitters_by_take()
    pairs = {(expected.get(str(face["path"])), face["cluster"]) for face in faces}
    sitters, clusters = {sitter for sitter, _ in pairs}, {cluster for _, cluster in pairs}
    return len(faces) == len(expected) and len(pairs) == len(sitters) == len(clusters)


def _steps(stage: Stage) -> list[Step]:
    """Return the commands in the order in which a new user needs them."""
    from facecli.demo import SITTERS

    grace, eileen = SITTERS
    tilted = str(stage.take(grace, "tilted"))
    return [
        *(
            Step(
                f"Remember {sitter.name} from one photo.",
                ("enroll", sitter.name, str(stage.portrait(sitter))),
            )
            for sitter in SITTERS
        ),
        Step("See who is remembered.", ("people", "list"), right=_lists_both),
        Step(
            "Who is in these mirrored, darkened, compressed, tiny and tilted takes?",
            ("identify", str(stage.takes)),
            right=partial(_named_right, stage),
        ),
        Step(
            "Are a portrait and a tilted take the same person?",
            ("verify", str(stage.portrait(grace)), tilted),
        ),
        Step(
            "Is the tilted take the person enrolled?",
            ("verify", tilted, f"person:{grace.name}"),
        ),
        Step(
            "Are the two portraits the same person? (Exit code 1: no.)",
            ("verify", str(stage.portrait(grace)), str(stage.portrait(eileen))),
            exit_code=1,
        ),
        Step(
            "Sort the takes into people, without knowing anyone.",
            ("cluster", str(stage.takes)),
            right=partial(_sorted_right, stage),
        ),
    ]
