"""Write rates as text: with their counts, and without a rate if there are too few errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facecli.cli.output import progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from facecli.evaluation.rates import Rate, Val
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


def said(rate: Rate, of: str) -> str:
    """Return an error rate with its counts, or only the counts if they are too few for a rate."""
    return _with_counts(rate.value, rate, of, rate.interval)


def said_found(rate: Rate, of: str) -> str:
    """Return the share without errors, in the same form as `said`."""
    return _with_counts(rate.right, rate, of, rate.right_interval)


def _with_counts(value: float | None, rate: Rate, of: str, interval: Interval | None) -> str:
    counts = f"{rate.errors:,} of {rate.of:,} {of}"
    if value is None:
        return f"{counts}; too few for a rate (30 needed)"
    limits = f", 95 % interval {between(interval)}" if interval else ""
    return f"{share(value)} ({counts}{limits})"


VAL_HEADER = ("at FAR", "VAL", "95 % interval", "threshold (squared L2)")


def val_row(point: Val) -> tuple[str, ...]:
    """Return the cells under VAL_HEADER."""
    from facecli.metrics.support import rate_name

    if point.val is None or point.threshold is None:
        return rate_name(point.far), point.reason(), "", ""
    limits = between(point.interval)
    return rate_name(point.far), share(point.val), limits, f"{point.threshold:.4f}"
