"""`facecli evaluate robustness`: measure how much damage photos can take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import PICTURES, command_options
from facecli.cli.output import counted, emit_all, progress, table, warn
from facecli.cli.reports import facts_of, publish, report_option
from facecli.cli.samples import pictures_in
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError, FaceError
from facecli.records import scores as records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from facecli.evaluation.robustness import Robustness
    from facecli.types import ModelCard, Picture


@click.command()
@click.argument("paths", metavar="PHOTO|DIR…", nargs=-1, required=True, type=PICTURES)
@report_option
@command_options
@pass_settings
@click.pass_context
def robustness(
    ctx: click.Context, settings: Settings, paths: tuple[Path, ...], report: Path | None
) -> None:
    """Measure how much damage photos can take and still verify.

    Each photo is compressed, shrunk, blurred, darkened, tilted, partly covered and made grey. Each
    damaged copy is compared with the original photo. A face that is no longer found counts as a
    failure. Exit codes: 1 if an original photo has no face, 2 if a photo could not be read.
    """
    from facecli.evaluation.robustness import summarise, sweep
    from facecli.types import Failure, FailureKind

    found = pictures_in(paths)
    if not found:
        raise FacecliError(f"{paths[0]}: no pictures in this folder")
    encoder = settings.encoder()
    threshold = settings.threshold_for(encoder.card)
    unreadable: list[str] = []
    faceless = 0
    rows = []
    watched = progress(_opened(found, unreadable), len(found), "Altering")
    for result in sweep(watched, detector=settings.detector(), encoder=encoder):
        if isinstance(result, Failure):
            warn(f"{result.source}: {result.reason}")
            if result.kind is FailureKind.UNREADABLE:
                unreadable.append(result.source)
            else:
                faceless += 1
        else:
            rows.append(result)
    if not rows:
        raise FaceError("no face in any of these photos")
    summary = summarise(rows, threshold)
    _show(summary, threshold, encoder.card)
    if report is not None:
        from facecli.report.robustness import robustness_page

        facts = facts_of(encoder.card, threshold)
        publish(robustness_page(summary, threshold=threshold, facts=facts), report)
    ctx.exit(2 if unreadable else bool(faceless))


def _opened(paths: Iterable[Path], unreadable: list[str]) -> Iterator[Picture]:
    """Open the pictures one by one. Report one that cannot be read, and go on."""
    from facecli.faces.images import open_picture

    for path in paths:
        try:
            yield open_picture(path)
        except FacecliError as error:
            warn(str(error))
            unreadable.append(str(path))


def _show(summary: list[Robustness], threshold: float, card: ModelCard) -> None:
    found = [records.robustness(line, card, threshold=threshold) for line in summary]
    rows = [
        (
            line.alteration,
            f"{line.share:.1%}",
            line.missed,
            "-" if line.missed == line.photos else f"{line.median:.3f}",
        )
        for line in summary
    ]
    header = (
        f"of {counted(summary[0].photos, 'photo')}",
        f"still verify (threshold {threshold:g})",
        "faces lost",
        "median squared L2",
    )
    emit_all(found, table(header, rows))
