"""Identification among many people as a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from facecli.evaluation.growth import GallerySize
from facecli.evaluation.identification import ClosedSet, OpenSet
from facecli.report import plots
from facecli.report.page import Number, Numbers, Page, Section, Table
from facecli.report.wording import Facts, failures, rate, share
from facecli.types import Failure


def identification_page(
    closed: ClosedSet,
    opened: OpenSet,
    sizes: Sequence[GallerySize],
    *,
    lost: Sequence[Failure],
    facts: Facts,
) -> Page:
    """Return how well people are found among many from one photo each."""
    sections: list[Section] = [
        Numbers(
            "In short",
            (
                Number(
                    "rank-1",
                    f"{closed.cmc[0]:.2%}",
                    f"{closed.probes:,} photos looked for among {closed.enrolled:,} people",
                ),
                *_open_numbers(opened),
            ),
        ),
        plots.cmc(closed.cmc.tolist()),
        plots.open_set(opened.curve, threshold=opened.threshold, enrolled=opened.enrolled),
    ]
    if sizes:
        sections += [plots.growth(sizes), _size_table(sizes)]
    return Page(
        title="How well people are found among many",
        facts=facts,
        sections=[*sections, *failures(lost)],
    )


def _open_numbers(opened: OpenSet) -> list[Number]:
    where = f"at threshold {opened.threshold:.4g}, {opened.enrolled:,} people enrolled"
    return [
        Number("FPIR: strangers let in", rate(opened.fpir), where),
        Number("FNIR: people missed", rate(opened.fnir), where),
    ]


def _size_table(sizes: Iterable[GallerySize]) -> Table:
    return Table(
        "As the gallery grows, in numbers",
        ("people enrolled", "FPIR", "FNIR", "rank-1", "how"),
        tuple(
            (
                f"{one.size:,}",
                *(share(value) for value in (one.fpir, one.fnir, one.rank_one)),
                "measured" if one.measured else "computed from the impostor distribution",
            )
            for one in sizes
        ),
    )
