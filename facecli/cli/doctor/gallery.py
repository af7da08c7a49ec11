"""`facecli doctor gallery`: compare the enrolled people with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from facecli.cli.options import Whole, options_for
from facecli.cli.output import bad, counted, emit, good, shown, strong, table
from facecli.cli.settings import Settings, pass_settings
from facecli.records import survey as records

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from facecli.calibration import Odds
    from facecli.calibration.operating import OperatingPoint
    from facecli.recognition.survey import Survey

SHOWN = 10
"""Rows shown of each table. JSON has all rows."""


@click.command()
@click.option(
    "--probes-per-day",
    type=Whole(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Number of strangers who are seen per day.",
)
@options_for("model", "threshold")
@pass_settings
@click.pass_context
def gallery(ctx: click.Context, settings: Settings, probes_per_day: int) -> None:
    """Check the gallery for look-alikes and for photos of the wrong person.

    Two people within the threshold can be confused, or are one person under two names. A photo may
    show another person if it is farther from the person's other photos than the threshold, or
    farther than from somebody else's photos. Exit codes: 0 if nothing was found, 1 otherwise.
    """
    from facecli.recognition.survey import survey

    card = settings.card()
    point = settings.operating_point(card)
    matrix = settings.gallery().matrix(card)
    found = survey(matrix, threshold=point.threshold)
    odds = point.odds(point.threshold, templates=len(matrix.template_ids))
    for one in records.findings(found):
        emit(one, "")
    record = records.gallery_survey(found, card, point, odds=odds, probes=probes_per_day)
    emit(record, "\n".join(_described(found, point, odds, probes_per_day)))
    ctx.exit(1 if found.look_alikes or found.strays else 0)


def _described(
    found: Survey, point: OperatingPoint, odds: Odds | None, probes: int
) -> Iterator[str]:
    people = counted(len(found.standings), "person", "people")
    templates = counted(sum(one.templates for one in found.standings), "template")
    yield f"{people}, {templates}, compared by squared L2 {point.limit}"
    for title, header, rows in _tables(found):
        if rows:
            more = f" (the first {SHOWN} of {len(rows)})" if len(rows) > SHOWN else ""
            yield f"\n{strong(title)}{more}"
            yield table(header, rows[:SHOWN])
    yield ""
    if found.second_photo:
        names = ", ".join(map(shown, found.second_photo[:SHOWN]))
        alone = counted(len(found.second_photo), "person has", "people have")
        yield f"{alone} one photo; a second one would help most: {names}"
    yield _false_accepts(odds, probes)
    doubts = len(found.look_alikes) + len(found.strays)
    yield bad(f"{counted(doubts, 'thing')} to look at") if doubts else good("Nothing to look at.")


def _tables(found: Survey) -> Iterator[tuple[str, Sequence[str], Sequence[Sequence[object]]]]:
    """Yield title, header and rows of each table."""
    yield (
        "Look-alikes, or one person under two names",
        ("person", "other", "squared L2"),
        [(one.person, one.other, _number(one.squared_l2)) for one in found.look_alikes],
    )
    yield (
        "Photos unlike the person's others, perhaps of somebody else",
        ("person", "template", "squared L2 to own", "nearest other", "squared L2"),
        [
            (
                one.person,
                one.template,
                _number(one.own_squared_l2),
                one.other or "",
                _number(one.squared_l2),
            )
            for one in found.strays
        ],
    )
    yield (
        "Nearest other person",
        ("person", "templates", "nearest", "squared L2", "own spread"),
        [
            (
                one.person,
                one.templates,
                one.nearest or "",
                _number(one.squared_l2),
                _number(one.spread),
            )
            for one in found.standings
        ],
    )


def _number(squared_l2: float | None) -> str:
    return "" if squared_l2 is None else f"{squared_l2:.3f}"


def _false_accepts(odds: Odds | None, probes: int) -> str:
    """Return how many strangers per day would be taken for an enrolled person."""
    if odds is None:
        return (
            "It is not known how often a stranger is taken for an enrolled person: "
            "run facecli calibrate."
        )
    low, high = (_count(share * probes) for share in (odds.low, odds.high))
    if odds.share is not None:
        number = f"about {_count(odds.share * probes)} (95 % interval {low} to {high})"
    else:
        number = f"fewer than {high}" if odds.high < 1 else f"more than {low}"
    return f"Of {counted(probes, 'stranger')} a day {number} would be taken for someone enrolled."


def _count(expected: float) -> str:
    """Return a number rounded to two digits: "250" for 247.3."""
    return f"{float(f'{expected:.2g}'):,g}"
