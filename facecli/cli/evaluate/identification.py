"""`facecli evaluate identification`: measure searches with one enrolled photo per person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.evaluate.figures import (
    between,
    point_cells,
    said,
    share_or_bound,
)
from facecli.cli.options import command_options, library_options
from facecli.cli.output import counted, emit_all, progress, shown, table, warn
from facecli.cli.reports import facts_of, publish, report_option
from facecli.cli.samples import naming, pictures_in, read_samples
from facecli.cli.settings import Settings, pass_settings
from facecli.records import searches as records

if TYPE_CHECKING:
    from facecli.evaluation.growth import GallerySize
    from facecli.evaluation.identification import ClosedSet, OpenSet
    from facecli.evaluation.samples import Samples
    from facecli.metrics import Interval
    from facecli.types import FloatArray

LARGEST = 10**7

SHOWN = (1, 2, 3, 5, 10)
"""The ranks in the text. JSON and the report have all ranks."""


@click.command()
@click.argument("data", metavar="DIR|FILE.csv", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--gallery-size",
    type=click.IntRange(10, LARGEST),
    metavar="N",
    help="Also show the results for larger galleries, up to N people.",
)
@click.option(
    "--distractors",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Photos of other people, one each, to fill the galleries.",
)
@report_option
@library_options
@command_options
@pass_settings
@click.pass_context
def identification(
    ctx: click.Context,
    settings: Settings,
    data: Path,
    gallery_size: int | None,
    distractors: Path | None,
    report: Path | None,
) -> None:
    """Measure identification with one enrolled photo per person.

    Enrolls each person's first photo, in the order of file names, and searches for the other
    photos (rank-1 to rank-10). Then it leaves out half of the people, who must not be found
    (FPIR, FNIR). Intervals come from resampling the people who are searched for. If too few
    errors support a rate, its bound is shown. Results for galleries larger than the number of
    people are computed, not measured. Exit codes: 1 if a photo has no face, 2 if a photo could
    not be read.
    """
    from facecli.evaluation.growth import gallery_sizes
    from facecli.evaluation.identification import closed_set, open_set

    if distractors is not None and gallery_size is None:
        raise click.UsageError("--distractors needs --gallery-size N.")
    card = settings.card()
    threshold = settings.threshold_for(card)
    samples = read_samples(settings, data)
    with naming(data):
        closed = closed_set(samples)
        opened = open_set(samples, threshold=threshold)
    sizes: list[GallerySize] = []
    if gallery_size is not None:
        others = _distractors(settings, distractors, samples)
        sizes = gallery_sizes(samples, others, threshold=threshold, largest=gallery_size)
    found = records.of_searches(closed, opened, sizes, card)
    head = f"model {shown(card.name)}, threshold {threshold:.4g} squared L2"
    texts = [head, _closed_text(closed), _open_text(opened)]
    if sizes:
        texts.append(_sizes_text(sizes))
    emit_all(found, "\n\n".join(texts))
    if report is not None:
        from facecli.report.identification import identification_page

        facts = facts_of(card, threshold)
        page = identification_page(closed, opened, sizes, lost=samples.failures, facts=facts)
        publish(page, report)
    ctx.exit(2 if samples.unreadable else bool(samples.failures))


def _distractors(settings: Settings, folder: Path | None, samples: Samples) -> FloatArray:
    """Return one face of each photo in a folder, (n, d). Its people must not be in samples."""
    import numpy as np

    from facecli.albums.scanning import scan
    from facecli.types import Failure

    paths = [] if folder is None else pictures_in([folder])
    scanned = scan(
        paths,
        library=settings.library(),
        detector=settings.detector(),
        encoder=settings.encoder(),
        workers=settings.workers,
    )
    rows = [np.empty((0, settings.card().dimension), np.float32)]
    known = set(samples.sha256s)
    for result in progress(scanned, len(paths), "Looking at distractors"):
        if isinstance(result, Failure) or not result.faces:
            warn(f"{result.source}: no face, not used")
        elif result.sha256 in known:
            warn(f"{result.source}: left out: the same photo is used already")
        else:
            known.add(result.sha256)
            rows.append(result.embeddings[[result.main.number]])
    return np.concatenate(rows)


def _closed_text(closed: ClosedSet) -> str:
    head = (
        f"{counted(closed.enrolled, 'person', 'people')} enrolled, one photo each, "
        f"{counted(closed.probes, 'photo')} of them looked for, {closed.lost} without a face"
    )
    missed = [(rank, closed.missed[rank - 1]) for rank in SHOWN]
    rows = [
        (
            f"rank-{rank}",
            share_or_bound(one.right, one.right_interval),
            between(one.right_interval),
            f"{one.errors:,}",
        )
        for rank, one in missed
    ]
    return f"{head}\n{table(('', 'found', '95 % interval', 'missed'), rows)}"


def _open_text(opened: OpenSet) -> str:
    lines = [
        f"{counted(opened.enrolled, 'person', 'people')} enrolled, "
        f"{opened.strangers:,} left out as strangers",
        f"  FPIR  {said(opened.fpir, 'searches by strangers returned somebody')}",
        f"  FNIR  {said(opened.fnir, 'searches by people enrolled did not return them first')}",
        "",
    ]
    rows = [
        (
            f"{point.far:g}",
            *point_cells(point, point.missed, point.missed_interval, records.search_reason(point)),
        )
        for point in opened.at
    ]
    fnir = f"FNIR (N = {opened.enrolled})"
    header = ("at FPIR", fnir, "95 % interval", "threshold (squared L2)")
    return "\n".join([*lines, table(header, rows)])


def _sizes_text(sizes: list[GallerySize]) -> str:
    rows = [
        (
            f"{one.size:,}",
            *(share_or_bound(*rate, "not supported") for rate in _rates(one)),
            "measured" if one.measured else "computed",
        )
        for one in sizes
    ]
    note = "computed: from the impostor distribution, as if strangers were independent"
    return table(("people enrolled", "FPIR", "FNIR", "rank-1", ""), rows) + f"\n{note}"


def _rates(size: GallerySize) -> tuple[tuple[float | None, Interval | None], ...]:
    return (
        (size.fpir, size.fpir_interval),
        (size.fnir, size.fnir_interval),
        (size.rank_one, size.rank_one_interval),
    )
