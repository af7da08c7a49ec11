"""`facecli evaluate folders`: measure a model on all pairs of photos of a folder of people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.evaluate.figures import (
    RETRIEVAL_HEADER,
    VAL_HEADER,
    between,
    retrieval_rows,
    said,
    said_found,
    share,
    share_or_bound,
    val_row,
    watched,
)
from facecli.cli.options import command_options, library_options
from facecli.cli.output import counted, emit_all, note, shown, table, warn
from facecli.cli.reports import facts_of, publish, report_option
from facecli.cli.samples import naming, read_samples
from facecli.cli.settings import Settings, pass_settings
from facecli.records import pairs as records
from facecli.records.retrieval import retrieval

if TYPE_CHECKING:
    from collections.abc import Callable

    from facecli.evaluation.folders import FolderResult
    from facecli.evaluation.retrieval import RetrievalResult
    from facecli.evaluation.samples import Samples
    from facecli.evaluation.subgroups import Group, Split, Subgroups
    from facecli.metrics import ListedPairs

LISTED = 5
"""Number of the hardest pairs of each kind in the text. JSON and the report have all of them."""


@click.command()
@click.argument("data", metavar="DIR|FILE.csv", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--groups",
    "groups_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    help="A table of groups: a column person or path, and columns with group names.",
)
@click.option(
    "--by",
    metavar="COLUMN",
    help="Also measure each group of this column. 'quality' needs no file.",
)
@report_option
@library_options
@command_options
@pass_settings
@click.pass_context
def folders(
    ctx: click.Context,
    settings: Settings,
    data: Path,
    groups_file: Path | None,
    by: str | None,
    report: Path | None,
) -> None:
    """Measure a model on all pairs of photos of a folder of people.

    Each person has a folder in DIR, or a CSV file lists path and person. All photos are compared
    with each other. Intervals come from resampling people. If too few errors support a rate, its
    bound is shown. Recall@K, MAP@R, R-precision and NMI say what is nearest to each photo. Exit
    codes: 1 if a photo has no face, 2 if a photo could not be read.
    """
    from facecli.evaluation.folders import measure_folder
    from facecli.evaluation.retrieval import measure_retrieval

    splits_of = _grouping(groups_file, by)
    card = settings.card()
    threshold = settings.threshold_for(card)
    samples = read_samples(settings, data)
    with naming(data):
        result = measure_folder(samples, threshold=threshold, watch=watched)
    nearest = measure_retrieval(samples, watch=watched)
    groups = [_measured(samples, split, threshold) for split in splits_of(samples)]
    found = [*records.of_folder(result, samples, card), retrieval(nearest, card)]
    found += [record for one in groups for record in records.of_groups(one, card)]
    texts = [_described(result, nearest, samples, card.name), *map(_groups_described, groups)]
    emit_all(found, "\n\n".join(texts))
    if report is not None:
        from facecli.report.verification import folders_page

        chips = settings.library().chips
        facts = facts_of(card, threshold)
        page = folders_page(
            result, samples, chips=chips, facts=facts, retrieval=nearest, subgroups=groups
        )
        publish(page, report)
    ctx.exit(2 if samples.unreadable else bool(samples.failures))


def _grouping(groups_file: Path | None, by: str | None) -> Callable[[Samples], list[Split]]:
    """Return a function that groups samples; raise UsageError before any photo is opened."""
    from facecli.evaluation.subgroups import QUALITY, read_answers, split_by, splits_by_quality

    if by is None:
        if groups_file is not None:
            raise click.UsageError("--groups needs --by COLUMN.")
        return lambda _: []
    if groups_file is not None:
        answers = read_answers(groups_file, by)
        return lambda samples: [split_by(answers, samples)]
    if by != QUALITY:
        raise click.UsageError(f"--by {by} needs --groups FILE.csv; only {QUALITY} does not.")
    return splits_by_quality


def _measured(samples: Samples, split: Split, threshold: float) -> Subgroups:
    from facecli.evaluation.subgroups import measure_groups

    for name in split.unmatched[:LISTED]:
        warn(f"{name}: no such photo or person with a face")
    if (more := len(split.unmatched) - LISTED) > 0:
        warn(f"and {more} others that fit no photo")
    if split.ungrouped:
        note(f"{counted(split.ungrouped, 'photo')} in no group of {split.column}")
    return measure_groups(samples, split, threshold=threshold, watch=watched)


def _described(result: FolderResult, nearest: RetrievalResult, samples: Samples, model: str) -> str:
    lines = [
        f"{counted(result.photos, 'photo')} of {counted(result.people, 'person', 'people')}, "
        f"model {shown(model)}, threshold {result.threshold:.4g} squared L2",
        f"  FMR   {said(result.fmr, 'impostor pairs')}",
        f"  FNMR  {said(result.fnmr, 'genuine pairs')}",
        f"  EER   {_equal_error(result)}, AUC {result.auc:.4f}",
        "  rank-1 with the first photo of each person enrolled: "
        + said_found(result.missed, "other photos not found first"),
        "",
        table(VAL_HEADER, map(val_row, result.val)),
        "",
        table(RETRIEVAL_HEADER, retrieval_rows(nearest)),
        f"of {counted(nearest.queries, 'photo')} of {counted(nearest.people, 'person', 'people')} "
        f"with two or more, each among {nearest.photos - 1:,} others",
        "",
        _pairs_table("nearest strangers", result.hardest_impostor, samples),
        "",
        _pairs_table("farthest photos of one person", result.hardest_genuine, samples),
    ]
    if result.failures:
        lost = f"{counted(result.failures, 'photo')} without a face, whose pairs are rejected"
        lines.insert(3, f"  FRR   {said(result.frr, 'genuine pairs')}, with {lost}")
    if result.unnamed:
        lines.insert(1, f"  {counted(result.unnamed, 'photo')} of nobody named, in no pair")
    return "\n".join(lines)


def _equal_error(result: FolderResult) -> str:
    limits = result.eer_interval
    if result.eer_reason:
        return f"{share_or_bound(None, limits, 'not known')} ({result.eer_reason})"
    return share(result.eer) + (f" (95 % interval {between(limits)})" if limits else "")


def _pairs_table(title: str, pairs: ListedPairs, samples: Samples) -> str:
    rows = zip(pairs.first[:LISTED], pairs.second[:LISTED], pairs.squared[:LISTED], strict=True)
    cells = [(samples.paths[one], samples.paths[two], f"{value:.3f}") for one, two, value in rows]
    return table((title, "", "squared L2"), cells)


def _groups_described(measured: Subgroups) -> str:
    """Return a table of the groups, and one of their differences from the largest group."""
    from facecli.evaluation.folders import FMR, FNMR, val_name
    from facecli.evaluation.subgroups import VAL_SHOWN

    rows = [(group.name, group.photos, *_group_cells(group)) for group in measured.groups]
    header = (measured.split.column, "photos", "FMR", "FNMR", f"VAL at FAR {VAL_SHOWN:g}")
    text = table(header, rows)
    shown_measures = {FMR, FNMR, val_name(VAL_SHOWN)}
    changes = [
        (
            one.group,
            one.measure,
            f"{one.interval.estimate:+.3g}",
            f"{one.interval.low:+.3g} to {one.interval.high:+.3g}",
            one.reference,
        )
        for one in measured.differences
        if one.measure in shown_measures
    ]
    if not changes:
        return text
    return f"{text}\n\n" + table(("group", "rate", "more by", "95 % interval", "than"), changes)


def _group_cells(group: Group) -> tuple[str, str, str]:
    """Return FMR, FNMR and one VAL of a group, or the reason why there are none."""
    from facecli.evaluation.subgroups import VAL_SHOWN

    if group.result is None:
        return group.reason, "", ""
    (point,) = [one for one in group.result.val if one.far == VAL_SHOWN]
    false_matches, false_non_matches = (
        share_or_bound(rate.value, rate.interval) for rate in (group.result.fmr, group.result.fnmr)
    )
    val = share_or_bound(point.val, point.interval, point.reason())
    return false_matches, false_non_matches, val
