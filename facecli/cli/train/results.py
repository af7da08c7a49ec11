"""What `facecli train` shows: how the run goes, and what came out of it."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli import __version__
from facecli.cli.output import (
    QUIET_SECONDS,
    bad,
    emit,
    good,
    note,
    shown,
    table,
    wants_json,
    wants_progress,
)
from facecli.cli.reports import publish
from facecli.errors import FacecliError
from facecli.records import models as records
from facecli.types import Subject

if TYPE_CHECKING:
    from facecli.training.intake import TrainingRequest
    from facecli.training.outcome import FinishedModel, FinishedRun
    from facecli.training.steps import Step


def watched(steps: Iterable[Step], total: int) -> Iterator[Step]:
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


def publish_story(outcome: FinishedRun, request: TrainingRequest) -> Path | None:
    """Write the page of the run, and return where; None if it has none.

    A page that cannot be written is a note: the models are there, and the run succeeded.
    """
    if outcome.story is None:
        return None
    from facecli.report.training import training_page

    made = ("made", f"{datetime.now(UTC):%Y-%m-%d} with facecli {__version__}")
    story = dataclasses.replace(outcome.story, facts=(*outcome.story.facts, made))
    path = request.folder.report
    try:
        publish(training_page(story), path)
    except FacecliError as error:
        note(f"no report: {error}")
        return None
    return path


def show(outcome: FinishedRun, request: TrainingRequest, *, report: Path | None) -> None:
    """Write the result of the run, whose page is at `report` if it has one."""
    lines = [line for one in (outcome.model, *outcome.slices) for line in _described(one)]
    if outcome.promoted is not None:
        lines.append(f"promoted: {shown(outcome.promoted)}")
    elif request.promote:
        lines.append("not promoted, for that reason")
    record = records.training(outcome, request.out, request.folder.path, report=report)
    emit(record, "\n".join(lines))


def _described(made: FinishedModel) -> Iterator[str]:
    """Yield the lines about one model."""
    from facecli.metrics.support import rate_name

    card, verdict = made.card, made.verdict
    genuine, impostor = made.after.pairs
    kind = "people" if card.subject is Subject.FACE else "classes"
    yield f"{shown(made.path)}: {shown(card.name)}, fingerprint {card.fingerprint[:12]}"
    yield f"threshold {card.threshold:.4f} squared L2 ({shown(card.threshold_source)})"
    yield (
        f"{made.after.people} {kind} never trained on, {genuine:,} genuine and {impostor:,} "
        "impostor pairs:"
    )
    rows = [
        (
            f"VAL at FAR {rate_name(far)}",
            f"{made.before.val[far].estimate:.4f}",
            f"{after.estimate:.4f}",
            f"{after.low:.4f} to {after.high:.4f}",
        )
        for far, after in made.after.val.items()
    ]
    retrieval = card.metrics.get("retrieval", {})
    for name, value in retrieval.get("after", {}).items():
        rows.append((name, f"{retrieval['before'][name]:.4f}", f"{value:.4f}", ""))
    if rows:
        yield table(("", "before", "after", "95 % interval"), rows)
    for name, values in retrieval.items():
        if name.startswith("of all"):
            yield f"{name}: " + ", ".join(f"{key} {one:.4f}" for key, one in values.items())
    yield (good if verdict.better else bad)(shown(verdict.reason))
