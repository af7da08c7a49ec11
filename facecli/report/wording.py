"""Words and tables that pages of different protocols have in common."""

from __future__ import annotations

from collections.abc import Sequence

from facecli.evaluation.rates import Rate
from facecli.metrics import Interval
from facecli.report.page import Section, Table
from facecli.types import Failure

Facts = tuple[tuple[str, str], ...]
"""What holds for a whole page, each with what it is called."""

LISTED = 100
"""Photos without a face that a page names."""

SMALL = 0.001
"""Shares below this are told by their power of ten: rounded percents would all be 0."""


def failures(lost: Sequence[Failure]) -> list[Section]:
    """Return the table of photos that gave no face, if there are any."""
    if not lost:
        return []
    rows = tuple((one.source, one.reason) for one in lost[:LISTED])
    left = len(lost) - len(rows)
    note = "Failures to acquire." + (f" {left:,} more are not listed." if left else "")
    photos = "photo" if len(lost) == 1 else "photos"
    return [Table(f"{len(lost):,} {photos} without a face", ("photo", "why"), rows, note=note)]


def rate(counted: Rate) -> str:
    """Return a rate, or the counts where they are too few for one."""
    if counted.value is None:
        return f"{counted.errors:,} of {counted.of:,}"
    return share(counted.value)


def found(counted: Rate) -> str:
    """Return the share that are no errors, or how many are where they are too few for one."""
    return f"{rate(counted)} missed" if counted.right is None else share(counted.right)


def share(value: float | None, *, sign: str = "-") -> str:
    """Return a share in percent, a very small one as 1.2e-4, none as a dash."""
    if value is None:
        return "–"
    if 0 < abs(value) < SMALL:
        return f"{value:{sign}.2e}".replace("e-0", "e-")
    return f"{value:{sign}.2%}"


def within(interval: Interval | None, where: str = "") -> str:
    """Return an interval with its name, if there is one, and what else to know."""
    name = "" if interval is None else f"95 % interval {span(interval)}"
    return ", ".join(part for part in (name, where) if part)


def span(interval: Interval | None) -> str:
    """Return the ends of an interval, or nothing."""
    return "" if interval is None else f"{share(interval.low)} to {share(interval.high)}"
