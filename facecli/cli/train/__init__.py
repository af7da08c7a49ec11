"""`facecli train`: train a network on a folder of people."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecli.cli.options import (
    Option,
    Range,
    Whole,
    library_option,
    options_for,
    training_detector_option,
)
from facecli.cli.output import Progress, emit_json, note, wants_json
from facecli.cli.settings import Settings, pass_settings
from facecli.cli.train.comparing import compare_losses
from facecli.cli.train.options import FILE, configured
from facecli.cli.train.results import publish_story, show, watched
from facecli.errors import FacecliError, check_extra
from facecli.models import NO_DETECTOR, TRUNKS
from facecli.records import models as records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from facecli.training.chipstore import Acquire
    from facecli.training.intake import Listeners, TrainingRequest
    from facecli.types import Acquisition, ChipGeometry, Failure


@click.command()
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.option("--out", type=FILE, metavar="MODEL.safetensors", help="Where to write the model.")
@click.option("--config", type=FILE, metavar="FILE.toml", help="The settings of the run.")
@configured
@click.option(
    "--trunk",
    type=click.Choice(TRUNKS),
    help="A bare trunk to start from instead of a model, for whole pictures.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="NAME=FILE.csv:FIRST-LAST",
    help="Train these numbers of the embedding on other labels: colour=colour.csv:0-127.",
)
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
@click.option(
    "--compare",
    type=FILE,
    metavar="FILE.toml",
    help="Compare the losses of this file instead of training a model.",
)
@click.option(
    "--folds",
    type=Whole(min=2),
    default=4,
    metavar="N",
    show_default=True,
    help="Folds of the classes on which --compare chooses settings.",
)
@click.option(
    "--report", type=FILE, metavar="FILE.html", help="Where to write the page of --compare."
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
@options_for("model", "device")
@training_detector_option
@pass_settings
def train(
    settings: Settings,
    /,
    config: Path | None,
    compare: Path | None,
    folds: int,
    report: Path | None,
    **values: Any,
) -> None:
    """Train your own network on photos of people, or of anything.

    DATA is a folder with a folder of photos for each person, or a table path,person,split. Some
    people are held back. On them, the new model is compared with the model it would replace. If
    they have enough photos, the threshold is set to 1.1 squared L2 at a false match rate of 1e-4.
    The folder MODEL.run beside MODEL.safetensors contains the state for --resume, the log, the
    split and the curves, and report.html, a page on the run, except for faces with the usual
    loss alone. With --steps 0 there is no training: the model is the mean of the trunks
    of --init and --average, with a head solved in closed form.

    With --detector none the model looks at whole pictures, each folder is a class of things, and
    the model starts from a --trunk. Each --task gives a model of its own beside MODEL; its table
    has the columns person, that is the class, or path, and label.

    --targets is a NumPy file with the arrays paths and targets (n, 128): unit vectors that a
    teacher network computed for the photos. With --compare no model is written: the losses of a
    file are compared on classes that none was trained on, and the page --report shows how they did.
    The same command continues a comparison that was interrupted. With --promote, the model is
    copied into your model folder only if it is better beyond doubt. Exit codes: 2 if a photo could
    not be read, though the others are used, and on an error; then the last saved state is kept.
    """
    check_extra("torch", "train", "train")
    from facecli.training.config import read_toml
    from facecli.training.intake import Listeners

    if "model" in settings.given:
        raise FacecliError("train does not use --model: give the model to start from with --init")
    overrides = _overrides(values)
    if compare is not None:
        values["out"] = _place_of_comparison(values["out"], report)
        if values["tasks"]:
            raise FacecliError("--compare has no tasks: leave out --task")
    elif values["out"] is None:
        raise click.UsageError("Missing option '--out'.")
    request = _request(settings, values)
    unreadable: list[int] = []
    photos = Progress()
    tell = Listeners(
        say=note, begin=photos.begin, on_photo=photos.step, unreadable=unreadable.append
    )
    acquire = _acquire(settings)
    if compare is not None and report is not None:
        chosen = (read_toml(config) if config else {}) | overrides
        compare_losses(
            request, chosen, compare, folds=folds, report=report, acquire=acquire, tell=tell
        )
    else:
        _train(request, config, overrides, acquire=acquire, tell=tell)
    if any(unreadable):
        click.get_current_context().exit(2)


def _train(
    request: TrainingRequest,
    config: Path | None,
    overrides: dict[str, Any],
    *,
    acquire: Acquire,
    tell: Listeners,
) -> None:
    """Train one model, and show how it goes and what came out of it."""
    from facecli.training.config import read_config
    from facecli.training.session import Session

    chosen = read_config(config, overrides, whole=request.whole, tasks=bool(request.tasks))
    session = Session(request, chosen, acquire=acquire, tell=tell)
    for step in watched(session.train(), session.plan.config.steps):
        if wants_json():
            emit_json(records.training_step(step))
    outcome = session.finish()
    show(outcome, request, report=publish_story(outcome, request))


def _overrides(values: dict[str, Any]) -> dict[str, Any]:
    """Take the settings of the config that were given out of the values of all options."""
    names = values.keys() & _fields_of_config()
    given = {name: values.pop(name) for name in names}
    given = {name: value for name, value in given.items() if value not in (None, ())}
    if (trunk := values.pop("trunk")) is not None:
        if "init" in given:
            raise FacecliError("--trunk and --init both name the start: give one of them")
        given["init"] = trunk
    return given


def _place_of_comparison(out: Path | None, report: Path | None) -> Path:
    """Return the path whose folder .run a comparison uses, beside its page."""
    if out is not None:
        raise FacecliError("--compare makes no model: leave out --out")
    if report is None:
        raise FacecliError("--compare needs --report FILE.html; what is done so far lies beside it")
    return report.with_suffix(".safetensors")


def _request(settings: Settings, values: dict[str, Any]) -> TrainingRequest:
    """Return the data of a run and what shall become of them."""
    from facecli.training.intake import TrainingRequest
    from facecli.training.tasks import parse_task

    tasks = tuple(map(parse_task, values.pop("tasks")))
    budget = values.pop("time_budget") or math.inf
    whole = settings.detector_name == NO_DETECTOR
    if values["validation"] is not None and tasks:
        raise FacecliError("--task needs validation classes of DATA: leave out --validation")
    if values["validation_chips"] and values["validation"] is None:
        raise FacecliError("--validation-chips needs --validation DATA")
    return TrainingRequest(
        device=settings.device, whole=whole, tasks=tasks, time_budget=budget, **values
    )


def _fields_of_config() -> set[str]:
    from facecli.training.config import TrainingConfig

    return {item.name for item in dataclasses.fields(TrainingConfig)}


def _acquire(settings: Settings) -> Callable[..., Iterator[Acquisition | Failure]]:
    """Return what finds faces; the detector is loaded when photos are first searched."""

    def acquire(paths: Iterable[Path], geometry: ChipGeometry) -> Iterator[Acquisition | Failure]:
        from facecli.faces import acquisition

        detector = settings.named_detector()
        # Whole pictures are not searched, so there is nothing to remember of them.
        memory = None if settings.detector_name == NO_DETECTOR else settings.memory()
        return acquisition.acquire(paths, detector, geometry, memory=memory)

    return acquire
