"""Words and tables that several pages use."""

from __future__ import annotations

from collections.abc import Sequence

from facecli.evaluation.rates import Rate, bound
from facecli.metrics import Interval
from facecli.report.page import Section, Table
from facecli.types import Failure

Facts = tuple[tuple[str, str], ...]
"""Facts about a whole page: name and value of each."""

LISTED = 100
"""Most photos without a face that a page lists."""

SMALL = 0.001
"""Shares below this are written as 1.2e-4: in percent they would all be rounded to 0."""


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
    """Return a rate, or its bound if it has too few errors."""
    return share_or_bound(counted.value, counted.interval)


def found(counted: Rate) -> str:
    """Return the share without an error, or its bound if there are too few errors."""
    return share_or_bound(counted.right, counted.right_interval)


def share_or_bound(value: float | None, interval: Interval | None) -> str:
    """Return a share, or what is known of it from its interval, or a dash."""
    return share(value) if value is not None else bound(interval) or share(None)


def share(value: float | None, *, sign: str = "-") -> str:
    """Return a share in percent, a very small one as 1.2e-4, and None as a dash."""
    if value is None:
        return "–"
    if 0 < abs(value) < SMALL:
        return f"{value:{sign}.2e}".replace("e-0", "e-")
    return f"{value:{sign}.2%}"


def within(interval: Interval | None, where: str = "") -> str:
    """Return an interval, if there is one, with its name, and then `where`."""
    name = "" if interval is None else f"95 % interval {span(interval)}"
    return ", ".join(part for part in (name, where) if part)


def span(interval: Interval | None) -> str:
    """Return the ends of an interval; empty if there is none."""
    return "" if interval is None else f"{share(interval.low)} to {share(interval.high)}"
