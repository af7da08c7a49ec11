"""Make the page of identification among many people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from facecli.evaluation.growth import GallerySize
from facecli.evaluation.identification import ClosedSet, OpenSet
from facecli.report import plots
from facecli.report.page import Number, Numbers, Page, Section, Table
from facecli.report.wording import Facts, failures, found, rate, share_or_bound, span, within
from facecli.types import Failure


def identification_page(
    closed: ClosedSet,
    opened: OpenSet,
    sizes: Sequence[GallerySize],
    *,
    lost: Sequence[Failure],
    facts: Facts,
) -> Page:
    """Return the page: how well people are found among many, with one photo enrolled of each."""
    sections: list[Section] = [
        Numbers(
            "In short",
            (
                Number(
                    f"rank-1: found first among {closed.enrolled:,} people",
                    found(closed.missed[0]),
                    within(closed.missed[0].right_interval, f"{closed.probes:,} photos searched"),
                ),
                *_open_numbers(opened),
            ),
        ),
        plots.cmc(closed.cmc.tolist()),
        _rank_table(closed),
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
        Number(name, rate(counted), within(counted.interval, where))
        for name, counted in (
            ("FPIR: strangers accepted", opened.fpir),
            ("FNIR: people missed", opened.fnir),
        )
    ]


def _rank_table(closed: ClosedSet) -> Table:
    rows = tuple(
        (f"{rank}", f"{one.errors:,}", found(one), span(one.right_interval))
        for rank, one in enumerate(closed.missed, start=1)
    )
    return Table(
        "Found at each rank",
        ("rank", "missed", "found", "95 % interval"),
        rows,
        note=f"Of {closed.probes:,} photos. A rate with fewer than 30 misses is shown as a bound.",
    )


def _size_table(sizes: Iterable[GallerySize]) -> Table:
    return Table(
        "As the gallery grows, in numbers",
        ("people enrolled", "FPIR", "FNIR", "rank-1", "how"),
        tuple(
            (
                f"{one.size:,}",
                share_or_bound(one.fpir, one.fpir_interval),
                share_or_bound(one.fnir, one.fnir_interval),
                share_or_bound(one.rank_one, one.rank_one_interval),
                "measured" if one.measured else "computed from the impostor distribution",
            )
            for one in sizes
        ),
    )
