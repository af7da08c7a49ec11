"""`facecli evaluate clustering`: measure how well clustering finds the people of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import cluster_count, command_options, library_options, refuse_with
from facecli.cli.output import counted, emit, shown, table
from facecli.cli.reports import facts_of, publish, report_option
from facecli.cli.samples import naming, read_samples
from facecli.cli.settings import Settings, pass_settings
from facecli.records import scores as records

if TYPE_CHECKING:
    from facecli.evaluation.clustering import ClusteringResult


@click.command()
@click.argument("data", metavar="DIR|FILE.csv", type=click.Path(exists=True, path_type=Path))
@cluster_count
@report_option
@library_options
@command_options
@pass_settings
@click.pass_context
def clustering(
    ctx: click.Context, settings: Settings, data: Path, k: int | None, report: Path | None
) -> None:
    """Measure how well clustering finds the people of a folder.

    Each person has a folder in DIR, or a CSV file lists path and person. One face per photo is
    clustered, as facecli cluster does. Pairwise scores are over pairs of photos, BCubed scores
    over photos. Exit codes: 1 if a photo has no face, 2 if a photo could not be read.
    """
    from facecli.evaluation.clustering import measure_clustering

    if k is not None:
        refuse_with(ctx, "--k, which says how many clusters there are", "threshold")
    samples = read_samples(settings, data)
    card = settings.card()
    threshold = settings.threshold_for(card)
    rates = card.thresholds if settings.threshold is None else None
    with naming(data):
        result = measure_clustering(
            samples, threshold=threshold, rates=rates, k=k, subject=card.subject
        )
    emit(records.clustering_score(result, card, k=k), _described(result, card.name))
    if report is not None:
        from facecli.report.clustering import clustering_page

        facts = facts_of(card, result.threshold)
        publish(clustering_page(result, lost=samples.failures, facts=facts), report)
    ctx.exit(2 if samples.unreadable else bool(samples.failures))


def _described(result: ClusteringResult, model: str) -> str:
    rows = [
        (name, *(f"{value:.4f}" for value in (score.precision, score.recall, score.f)))
        for name, score in (("pairwise", result.pairwise), ("BCubed", result.bcubed))
    ]
    lines = [
        f"{counted(result.photos, 'photo')}, model {shown(model)}, clustered within "
        f"{result.threshold:.4g} squared L2",
        f"  {counted(result.people, 'person', 'people')}, {result.found} found",
    ]
    if result.unnamed:
        lines.append(f"  {counted(result.unnamed, 'photo')} of nobody named, not scored")
    if result.failures:
        lines.append(f"  {counted(result.failures, 'photo')} without a face, not clustered")
    return "\n".join([*lines, "", table(("", "precision", "recall", "F"), rows)])
