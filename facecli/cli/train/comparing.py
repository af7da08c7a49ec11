"""`facecli train --compare`: show how a comparison of losses goes, and what came out of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facecli.cli.output import emit, shown, table, wants_progress
from facecli.cli.reports import publish
from facecli.records import comparison as records

if TYPE_CHECKING:
    from facecli.metrics import Interval
    from facecli.training.chipstore import Acquire
    from facecli.training.compared import ComparedLosses
    from facecli.training.comparison import Progress
    from facecli.training.intake import Listeners, TrainingRequest

HEADER = ("", "settings", "MAP@R, folds", "MAP@R, test", "95 % interval", "Recall@1", "VAL at 1e-2")


def compare_losses(
    request: TrainingRequest,
    settings: dict[str, Any],
    file: Path,
    *,
    folds: int,
    report: Path,
    acquire: Acquire,
    tell: Listeners,
) -> None:
    """Compare the losses of a file, and write their page and table."""
    from facecli.report.compared_losses import compared_page
    from facecli.training.comparison import Comparison
    from facecli.training.contest import read_contest

    contest = read_contest(file)
    comparison = Comparison(request, settings, contest, folds=folds, acquire=acquire, tell=tell)
    for progress in comparison.run():
        if wants_progress():
            click.echo(_line(progress), err=True)
    result = comparison.finish()
    publish(compared_page(result), report)
    emit(records.losses_compared(result, report), _described(result))


def _line(progress: Progress) -> str:
    left = "" if math.isnan(progress.left) else f", {progress.left:.0f} s left"
    return f"network {progress.done + 1} of {progress.total}: {shown(progress.name)}{left}"


def _described(result: ComparedLosses) -> str:
    """Return the table of the losses, the best on the folds first, and what it says."""
    rows = [
        (
            shown(one.name),
            shown(one.settings),
            "" if one.fold_map_at_r is None else f"{one.fold_map_at_r.estimate:.4f}",
            f"{one.map_at_r.estimate:.4f}",
            f"{one.map_at_r.low:.4f} to {one.map_at_r.high:.4f}",
            f"{one.recall_at_1.estimate:.4f}",
            _share(one.val),
        )
        for one in result.rows
    ]
    differences = [
        f"{shown(one.name)}: {one.verdict} than {shown(result.reference)}"
        if one.verdict != "no difference shown"
        else f"{shown(one.name)}: no difference from {shown(result.reference)} shown"
        for one in result.rows
        if one.difference is not None
    ]
    facts = [f"{name}: {shown(value)}" for name, value in result.facts]
    best = result.best
    settings = f" ({shown(best.settings)})" if best.settings else ""
    chosen = f"best on the folds: {shown(best.name)}{settings}"
    return "\n".join(["; ".join(facts), table(HEADER, rows), *differences, chosen])


def _share(val: Interval | None) -> str:
    if val is None:
        return "too few pairs"
    return f"{val.estimate:.4f} ({val.low:.4f} to {val.high:.4f})"
