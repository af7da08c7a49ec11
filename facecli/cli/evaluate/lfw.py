"""`facecli evaluate lfw`: measure a model on a list of pairs, by the LFW protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.evaluate.figures import (
    VAL_HEADER,
    between,
    said,
    share,
    val_row,
)
from facecli.cli.options import command_options, library_options
from facecli.cli.output import counted, emit_all, progress, shown, table, warn
from facecli.cli.reports import facts_of, publish, report_option
from facecli.cli.settings import Settings, pass_settings
from facecli.records import lfw as records
from facecli.records.pairs import val_at_far

if TYPE_CHECKING:
    from facecli.evaluation.lfw import LfwResult
    from facecli.evaluation.pairlists import PairList
    from facecli.types import ModelCard


@click.command()
@click.argument("place", metavar="DIR|PAIRS.csv", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--pairs",
    "listed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The list of pairs, if it is not in DIR or beside it.",
)
@report_option
@library_options
@command_options
@pass_settings
@click.pass_context
def lfw(
    ctx: click.Context,
    settings: Settings,
    place: Path,
    listed: Path | None,
    report: Path | None,
) -> None:
    """Measure a model on a list of pairs, by the LFW protocol.

    The list is LFW's pairs.txt (ten folds; each fold is measured with the best threshold of the
    other nine), its pairsDevTest.txt, or a CSV file with the columns a, b and same. Paths in the
    CSV are relative to it. LFW's photos are in DIR/Name/Name_0001.jpg. A pair never matches if one
    of its photos shows no face. Exit codes: 1 if a photo has no face, 2 if a photo could not be
    read.
    """
    from facecli.albums.scanning import scan
    from facecli.evaluation.lfw import measure_pairs
    from facecli.evaluation.pairlists import read_pairs

    if listed is not None and place.is_file():
        raise click.UsageError(f"--pairs is for a folder; {place} is a list itself.")
    pairs = read_pairs(place, listed)
    encoder = settings.encoder()
    scanned = scan(
        pairs.photos,
        library=settings.library(),
        detector=settings.detector(),
        encoder=encoder,
        workers=settings.workers,
    )
    result = measure_pairs(
        pairs,
        progress(scanned, len(pairs.photos), "Looking at photos"),
        threshold=settings.threshold_for(encoder.card),
    )
    for failure in result.failures:
        warn(f"{failure.source}: {failure.reason}")
    _show(result, pairs, encoder.card)
    if report is not None:
        from facecli.report.verification import lfw_page

        publish(lfw_page(result, facts=facts_of(encoder.card, result.threshold)), report)
    ctx.exit(2 if result.unreadable else bool(result.failures))


def _show(result: LfwResult, pairs: PairList, card: ModelCard) -> None:
    from facecli.evaluation.lfw import ASSUMPTION, BASELINES

    record = records.lfw(result, pairs, card, assumption=ASSUMPTION, baselines=BASELINES)
    lines = [*_described(result, pairs, card), "", table(VAL_HEADER, map(val_row, result.val))]
    emit_all([record, *map(val_at_far, result.val)], "\n".join(lines))


def _equal_error(result: LfwResult) -> str:
    if result.eer is None:
        return "not known: too many pairs are lost"
    return f"{share(result.eer)} (95 % interval {between(result.eer_interval)})"


def _described(result: LfwResult, pairs: PairList, card: ModelCard) -> list[str]:
    from facecli.evaluation.lfw import ASSUMPTION, BASELINES, FOLD_FAR
    from facecli.metrics.support import rate_name

    lines = [
        f"{shown(pairs.source)}: {result.genuine:,} genuine and {result.impostor:,} impostor pairs "
        f"of {counted(result.photos, 'photo')}, model {shown(card.name)}"
    ]
    if result.failures:
        failed = f"{counted(len(result.failures), 'photo')} without a face"
        lines.append(f"  {failed}, in {counted(result.lost, 'pair')}: {ASSUMPTION}")
    if result.folds is not None:
        count = len(result.folds.accuracies)
        lines.append(
            f"  accuracy {result.folds.mean:.4f} ± {result.folds.standard_error:.4f} (standard "
            f"error) over {count} folds, each with the best threshold of the others"
        )
        lines += [f"    {value:.4f} {name}" for name, value in BASELINES]
    if result.fold_val is not None:
        lines.append(
            f"  VAL {result.fold_val.mean:.4f} ± {result.fold_val.standard_error:.4f} at FAR "
            f"{rate_name(FOLD_FAR)}, mean of the folds, for comparison with published results; FMR "
            f"reached: {result.fold_val.fmr:.1e}; false accepts that support it: "
            f"{FOLD_FAR * result.impostor:.0f}"
        )
    lines += [
        f"  accuracy {result.accuracy:.4f} at squared L2 {result.threshold:.4g}, the threshold in "
        "force",
        f"  accuracy {result.best_accuracy:.4f} at squared L2 {result.best_threshold:.4g}, the "
        "best on these same pairs, so it is optimistic",
        f"  FMR at the threshold in force: {said(result.false_matches, 'impostor pairs')}",
        f"  FNMR at the threshold in force: {said(result.false_non_matches, 'genuine pairs')}",
        f"  EER {_equal_error(result)}, AUC {result.auc:.4f}",
    ]
    return lines
