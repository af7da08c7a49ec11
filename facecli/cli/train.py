"""`facecli train`: a network of one's own, from a folder of people."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecli.cli.options import Range, Settings, command_options, pass_settings
from facecli.cli.output import (
    QUIET_SECONDS,
    bad,
    emit,
    emit_json,
    good,
    note,
    progress,
    shown,
    table,
    wants_json,
)
from facecli.errors import FacecliError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from facecli.training.intake import TrainingRequest
    from facecli.training.loop import Step
    from facecli.training.session import FinishedRun
    from facecli.types import Acquisition, ChipGeometry, Failure

FILE = click.Path(dir_okay=False, path_type=Path)

CONFIGURED: tuple[Callable[[Any], Any], ...] = (
    click.option("--init", metavar="MODEL", help="The model to start from; else dlib-128."),
    click.option(
        "--average",
        multiple=True,
        metavar="MODEL",
        help="A model whose trunk is averaged with the start's.",
    ),
    click.option("--steps", type=click.IntRange(min=0), metavar="N", help="Batches to learn from."),
    click.option("--people", type=click.IntRange(min=0), metavar="P", help="People in a batch."),
    click.option("--photos", type=click.IntRange(min=2), metavar="K", help="Photos of each."),
    click.option("--margin", type=float, metavar="SQUARED_L2", help="Of the triplet loss."),
    click.option("--mining", type=click.Choice(["semi-hard", "hard", "all"]), help="Of triplets."),
    click.option("--learning-rate", type=float, metavar="RATE", help="At its highest."),
    click.option(
        "--freeze",
        "frozen",
        multiple=True,
        metavar="PREFIX",
        help="Parameters that stay as they are, by the start of their name, such as trunk.stem.",
    ),
    click.option("--seed", type=int, metavar="N", help="Two runs of one seed are equal."),
)
"""Options that override the config; not given, the config decides."""


def configured(function: Any) -> Any:
    """Add the options that override the config."""
    for option in reversed(CONFIGURED):
        function = option(function)
    return function


@click.command()
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=FILE, metavar="MODEL.safetensors", help="The model.")
@click.option("--config", type=FILE, metavar="FILE.toml", help="All settings of a run.")
@configured
@click.option("--targets", type=FILE, metavar="FILE.npz", help="Where another network puts photos.")
@click.option("--unlabelled", multiple=True, metavar="NAME", help="A folder of nobody named.")
@click.option("--chips", is_flag=True, help="The photos of DATA are aligned chips already.")
@click.option(
    "--validation",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="People to measure on, never trained on; else some of DATA are held back.",
)
@click.option("--validation-chips", is_flag=True, help="Those are aligned chips already.")
@click.option("--data-card", type=FILE, metavar="FILE.toml", help="Data and terms, for the card.")
@click.option("--resume", is_flag=True, help="Continue the run that stopped.")
@click.option(
    "--time-budget",
    type=Range(min=0, min_open=True),
    metavar="SECONDS",
    help="End the training after so long.",
)
@click.option("--promote", is_flag=True, help="Make it known by its name if it is better.")
@command_options
@pass_settings
def train(settings: Settings, /, config: Path | None, **values: Any) -> None:
    """Train a network of one's own on people's faces.

    DATA is a folder with a folder of photos for each person, or a table of path,person,split.
    Some people are held back; on them alone the model is measured against the one it would
    replace, and its threshold set to 1.1 squared L2 at a false match rate of 1e-4 if their photos
    are enough. Beside MODEL.safetensors appears MODEL.run, with the state that --resume continues
    from, the log, the split and the curves. With --steps 0 the model is the start itself: the
    mean of the trunks of --init and --average, with a head solved in closed form.

    --targets is a NumPy file of paths and targets (n, 128), unit vectors that another network
    gave the photos. With --promote the model is copied into your own model folder if it is better
    beyond doubt; if not, it says why. Exits with 2 on an error; the last saved state is kept.
    """
    from facecli.training.config import read_config
    from facecli.training.intake import Listeners, TrainingRequest
    from facecli.training.session import Session

    names = values.keys() & _fields_of_config()
    overrides = {name: values.pop(name) for name in names}
    overrides = {name: value for name, value in overrides.items() if value not in (None, ())}
    values["time_budget"] = values["time_budget"] or math.inf
    request = TrainingRequest(device=settings.device, **values)
    if settings.model is not None:
        raise FacecliError("--model says what to recognise with; a run starts from --init MODEL")
    session = Session(
        request,
        read_config(config, overrides),
        acquire=_acquire(settings),
        tell=Listeners(say=note),
    )
    for step in _watched(session.train(), session.config.steps):
        if wants_json():
            emit_json({"kind": "training_step", **dataclasses.asdict(step)})
    _show(session.finish(), request)


def _fields_of_config() -> set[str]:
    from facecli.training.config import TrainingConfig

    return {item.name for item in dataclasses.fields(TrainingConfig)}


def _acquire(settings: Settings) -> Callable[..., Iterator[Acquisition | Failure]]:
    """Return what finds faces; the detector is loaded when photos are first searched."""

    def acquire(paths: Iterable[Path], geometry: ChipGeometry) -> Iterator[Acquisition | Failure]:
        from facecli.faces import acquisition

        files = list(paths)
        found = acquisition.acquire(files, settings.detector(), geometry)
        return progress(found, len(files), "Searching for faces")

    return acquire


def _watched(steps: Iterable[Step], total: int) -> Iterator[Step]:
    """Yield the steps, saying on stderr how it goes: every second on a terminal, else every ten."""
    live = sys.stderr.isatty() and not wants_json()
    spoke = -math.inf
    step = None
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
    """Render what came of the run."""
    from facecli.metrics.support import rate_name

    card, verdict = outcome.card, outcome.verdict
    record = {
        "kind": "training",
        "path": request.out,
        "folder": request.folder.path,
        "better": verdict.better,
        "verdict": verdict.reason,
        "promoted": outcome.promoted,
        "card": dataclasses.asdict(card),
    }
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
    emit(record, "\n".join(lines))
