"""`facecli train`: train a network on a folder of people."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecli.cli.options import Option, Range, Whole, library_option, options_for
from facecli.cli.output import (
    QUIET_SECONDS,
    Progress,
    bad,
    emit,
    emit_json,
    good,
    note,
    shown,
    table,
    wants_json,
    wants_progress,
)
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError, check_extra
from facecli.records import models as records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from facecli.training.intake import TrainingRequest
    from facecli.training.loop import Step
    from facecli.training.session import FinishedRun
    from facecli.types import Acquisition, ChipGeometry, Failure

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


@click.command()
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=FILE, metavar="MODEL.safetensors", help="Where to write the model."
)
@click.option("--config", type=FILE, metavar="FILE.toml", help="The settings of the run.")
@configured
@click.option("--targets", type=FILE, metavar="FILE.npz", help="Teacher embeddings.")
@click.option(
    "--unlabelled", multiple=True, metavar="NAME", help="A folder of photos without names."
)
@click.option(
    "--outlines",
    type=FILE,
    metavar="FILE.csv",
    help="Which part of each chip is photo, and not padding.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="How many levels below DATA the folders of people are.",
)
@click.option("--chips", is_flag=True, help="The photos of DATA are already aligned chips.")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="People used only to measure the model.",
    show_default="some people of DATA",
    cls=Option,
)
@click.option(
    "--validation-chips", is_flag=True, help="The validation photos are already aligned chips."
)
@click.option(
    "--data-card",
    type=FILE,
    metavar="FILE.toml",
    help="Names and terms of the data, for the model's card.",
)
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
@click.option(
    "--time-budget",
    type=Range(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop training after this time.",
)
@click.option(
    "--promote", is_flag=True, help="Copy the model into your model folder if it is better."
)
@library_option
@options_for("model", "device", "detector")
@pass_settings
def train(settings: Settings, /, config: Path | None, **values: Any) -> None:
    """Train your own network on photos of people.

    DATA is a folder with a folder of photos for each person, or a table path,person,split. Some
    people are held back. On them, the new model is compared with the model it would replace. If
    they have enough photos, the threshold is set to 1.1 squared L2 at a false match rate of 1e-4.
    The folder MODEL.run beside MODEL.safetensors contains the state for --resume, the log, the
    split and the curves. With --steps 0 there is no training: the model is the mean of the trunks
    of --init and --average, with a head solved in closed form.

    --targets is a NumPy file with the arrays paths and targets (n, 128): unit vectors that a
    teacher network computed for the photos. With --promote, the model is copied into your model
    folder only if it is better beyond doubt. Exit codes: 2 if a photo could not be read, though the
    others are used, and on an error; then the last saved state is kept.
    """
    check_extra("torch", "train", "train")
    from facecli.training.config import read_config
    from facecli.training.intake import Listeners, TrainingRequest
    from facecli.training.session import Session

    names = values.keys() & _fields_of_config()
    overrides = {name: values.pop(name) for name in names}
    overrides = {name: value for name, value in overrides.items() if value not in (None, ())}
    values["time_budget"] = values["time_budget"] or math.inf
    request = TrainingRequest(device=settings.device, **values)
    if values["validation_chips"] and values["validation"] is None:
        raise FacecliError("--validation-chips needs --validation DATA")
    if "model" in settings.given:
        raise FacecliError("train does not use --model: give the model to start from with --init")
    unreadable: list[int] = []
    photos = Progress()
    session = Session(
        request,
        read_config(config, overrides),
        acquire=_acquire(settings),
        tell=Listeners(
            say=note, begin=photos.begin, on_photo=photos.step, unreadable=unreadable.append
        ),
    )
    for step in _watched(session.train(), session.plan.config.steps):
        if wants_json():
            emit_json(records.training_step(step))
    _show(session.finish(), request)
    if any(unreadable):
        click.get_current_context().exit(2)


def _fields_of_config() -> set[str]:
    from facecli.training.config import TrainingConfig

    return {item.name for item in dataclasses.fields(TrainingConfig)}


def _acquire(settings: Settings) -> Callable[..., Iterator[Acquisition | Failure]]:
    """Return what finds faces; the detector is loaded when photos are first searched."""

    def acquire(paths: Iterable[Path], geometry: ChipGeometry) -> Iterator[Acquisition | Failure]:
        from facecli.faces import acquisition

        return acquisition.acquire(paths, settings.detector(), geometry, memory=settings.memory())

    return acquire


def _watched(steps: Iterable[Step], total: int) -> Iterator[Step]:
    """Yield the steps and print progress: every second on a terminal, else every ten seconds."""
    live = sys.stderr.isatty() and not wants_json()
    spoke = -math.inf
    step = None
    if not wants_progress():
        yield from steps
        return
    for step in steps:
        yield step
        now = time.monotonic()
        if now - spoke >= (1.0 if live else QUIET_SECONDS):
            spoke = now
            click.echo(("\r" if live else "") + _line(step, total), err=True, nl=not live)
    if step is not None:
        click.echo(("\r" if live else "") + _line(step, total), err=True)


def _line(step: Step, total: int) -> str:
    return (
        f"step {step.step}/{total}: loss {step.loss:.4f}, semi-hard {step.semi_hard:.0%}, "
        f"squared L2 genuine {step.genuine:.3f} impostor {step.impostor:.3f}, "
        f"{step.rate:.0f} chips/s, {step.left:.0f} s left "
    )


def _show(outcome: FinishedRun, request: TrainingRequest) -> None:
    """Write the result of the run."""
    from facecli.metrics.support import rate_name

    card, verdict = outcome.card, outcome.verdict
    rows = [
        (
            rate_name(far),
            f"{outcome.before.val[far].estimate:.4f}",
            f"{after.estimate:.4f}",
            f"{after.low:.4f} to {after.high:.4f}",
        )
        for far, after in outcome.after.val.items()
    ]
    genuine, impostor = outcome.after.pairs
    lines = [
        f"{shown(request.out)}: {shown(card.name)}, fingerprint {card.fingerprint[:12]}",
        f"threshold {card.threshold:.4f} squared L2 ({shown(card.threshold_source)})",
        f"{outcome.after.people} people never trained on, {genuine:,} genuine and {impostor:,} "
        "impostor pairs:",
    ]
    if rows:
        lines.append(table(("VAL at FAR", "before", "after", "95 % interval"), rows))
    lines.append((good if verdict.better else bad)(shown(verdict.reason)))
    if outcome.promoted is not None:
        lines.append(f"promoted: {shown(outcome.promoted)}")
    elif request.promote:
        lines.append("not promoted, for that reason")
    emit(records.training(outcome, request.out, request.folder.path), "\n".join(lines))
