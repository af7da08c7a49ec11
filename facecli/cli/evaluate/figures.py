"""Write rates as text: with their counts, and with a bound if there are too few errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facecli.cli.output import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from facecli.evaluation.rates import Rate, Val
    from facecli.evaluation.retrieval import RetrievalResult
    from facecli.metrics import Interval


def watched(steps: Sequence[Any], label: str) -> Iterable[Any]:
    """Yield the steps of a long calculation and show progress."""
    return progress(steps, len(steps), label)


def share(value: float) -> str:
    """Return a share, 0 to 1, as text. Small ones keep three digits."""
    return f"{value:.4f}" if value == 0 or value >= 0.001 else f"{value:.3g}"


def between(interval: Interval | None) -> str:
    """Return the limits of a 95 % interval as text."""
    return f"{share(interval.low)} to {share(interval.high)}" if interval else "-"


def share_or_bound(value: float | None, interval: Interval | None, unknown: str = "-") -> str:
    """Return a share, or what is known of it from its interval, or that it is unknown."""
    from facecli.evaluation.rates import bound

    return share(value) if value is not None else bound(interval) or unknown


def said(rate: Rate, of: str) -> str:
    """Return an error rate with its counts and interval; a bound if it has too few errors."""
    return _with_counts(rate.value, rate, of, rate.interval)


def said_found(rate: Rate, of: str) -> str:
    """Return the share without errors, in the same form as `said`."""
    return _with_counts(rate.right, rate, of, rate.right_interval)


def _with_counts(value: float | None, rate: Rate, of: str, interval: Interval | None) -> str:
    counts = f"{rate.errors:,} of {rate.of:,} {of}"
    limits = f", 95 % interval {between(interval)}" if interval else ""
    return f"{share_or_bound(value, interval)} ({counts}{limits})"


VAL_HEADER = ("at FAR", "VAL", "95 % interval", "threshold (squared L2)")


def val_row(point: Val) -> tuple[str, ...]:
    """Return the cells under VAL_HEADER."""
    from facecli.metrics.support import rate_name

    return rate_name(point.far), *point_cells(point, point.val, point.interval, point.reason())


def point_cells(
    point: Val, value: float | None, interval: Interval | None, reason: str
) -> tuple[str, str, str]:
    """Return the rate of a point, its interval and its threshold, or why there is no rate."""
    known = share_or_bound(value, interval, reason)
    if reason and known != reason:
        known = f"{known} ({reason})"
    limits = "" if reason and interval is None else between(interval)
    return known, limits, "" if point.threshold is None else f"{point.threshold:.4f}"


RETRIEVAL_HEADER = ("nearest photos", "mean", "95 % interval")


def retrieval_rows(found: RetrievalResult) -> list[tuple[str, ...]]:
    """Return the cells under RETRIEVAL_HEADER: Recall@K, MAP@R, R-precision and NMI."""
    rows = [(name, share(one.value), between(one.interval)) for name, one in found.named().items()]
    nmi = found.nmi_reason if found.nmi is None else share(found.nmi)
    return [*rows, ("NMI", nmi, "-")]
