"""Rates with their counts and intervals; with too few errors, only the interval is known."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from facecli.metrics import (
    Comparisons,
    Interval,
    exact_interval,
    exact_limits,
    grouped_interval,
    interval,
    threshold_at_fmr,
)
from facecli.metrics.support import ERRORS_NEEDED, supported
from facecli.metrics.verification import RateArray
from facecli.types import IntArray
from facecli.vectors.distances import MAXIMUM

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""False accept rates at which VAL is measured."""

REPLICATES = 1000
"""Draws of people for an interval."""

BIN = 0.05
"""Width of a histogram's 80 bins, in squared L2."""

SMALLEST = 1e-9
"""No bound in words is smaller."""

CURVE_POINTS = 200
"""Points of a curve along each of its two axes: more are not visible on a page."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors among `of` comparisons, with the 95 % `limits` measured over people or pairs."""

    errors: int
    of: int
    limits: Interval | None = None

    @property
    def value(self) -> float | None:
        """The share of errors, 0 to 1; None if there are fewer errors than the rule of 30 needs."""
        return self.errors / self.of if self.errors >= ERRORS_NEEDED else None

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval: the limits; without them, the exact one if there is no `value`."""
        if self.limits is None and self.value is None:
            return exact_interval(self.errors, self.of)
        return self.limits

    @property
    def right(self) -> float | None:
        """The share without an error, 0 to 1; None if there is no `value`."""
        return None if self.value is None else (self.of - self.errors) / self.of

    @property
    def right_interval(self) -> Interval | None:
        """The interval of `right`."""
        return self.interval and self.interval.complement()

    def with_interval(self, draws: RateArray | None) -> Rate:
        """Add the interval of the values in the draws of people, (draws,)."""
        if draws is None:
            return self
        if self.value is None:
            return replace(self, limits=grouped_interval(self.errors, self.of, draws))
        return replace(self, limits=interval(self.value, draws))


@dataclass(frozen=True, slots=True)
class Val:
    """VAL at a FAR, and its threshold in squared L2; None if the pairs do not support it.

    The FAR is counted on `impostor_pairs`, VAL on `genuine_pairs`. `interval` may be known where
    VAL is not: then it is a bound; see `val_at`.
    """

    far: float
    genuine_pairs: int
    impostor_pairs: int
    threshold: float | None = None
    val: float | None = None
    interval: Interval | None = None

    def reason(self, *, genuine: str = "genuine pairs", impostor: str = "impostor pairs") -> str:
        """Say why there is no value; empty if there is one."""
        if self.val is not None:
            return ""
        if self.genuine_pairs < ERRORS_NEEDED:
            return f"not supported by {self.genuine_pairs} {genuine}"
        return f"not supported by {self.impostor_pairs:,} {impostor}"

    @property
    def missed(self) -> float | None:
        """The share of genuine pairs that are rejected: 1 - VAL."""
        return None if self.val is None else 1 - self.val

    @property
    def missed_interval(self) -> Interval | None:
        """The interval of `missed`."""
        return self.interval and self.interval.complement()

    def with_interval(self, draws: RateArray | None, mated: int) -> Val:
        """Add the interval of the values in the draws, (draws,).

        If no genuine pair was rejected, resampling gives no interval. Then it is that of the rule
        of three: with no case among n independent ones, the 95 % limit is about 3/n (Hanley &
        Lippman-Hand, JAMA 249, 1983). Here n is the number of people with genuine pairs, `mated`.
        """
        if draws is None or self.val is None:
            return self
        found = interval(self.val, draws)
        if self.val == 1:
            found = Interval(1.0, max(0.0, 1 - 3 / mated), 1.0)
        return replace(self, interval=found)


@dataclass(frozen=True, slots=True)
class Curve:
    """FMR and FNMR at some ascending thresholds, float64 (k,): points of a ROC or DET."""

    thresholds: RateArray
    fmr: RateArray
    fnmr: RateArray


@dataclass(frozen=True, slots=True)
class Histogram:
    """Comparisons in each bin, int64 (k,); `edges` are squared L2, float64 (k + 1,).

    A bin includes its upper edge; the first bin includes its lower edge too.
    """

    edges: RateArray
    genuine: IntArray
    impostor: IntArray


def val_at(genuine: Comparisons, impostor: Comparisons, far: float) -> Val:
    """Return VAL at a FAR, without a value if the pairs do not support it.

    By the rule of 30, at least 30 impostor pairs must match at the FAR, and there must be at least
    30 genuine pairs. Otherwise VAL has an interval, if anything is known of it.
    """
    point = Val(far, genuine.size, impostor.size)
    if not genuine.size or not impostor.size:
        return point
    if not supported(far, impostor.size):
        return replace(point, interval=_val_bounds(genuine, impostor, far))
    threshold = threshold_at_fmr(impostor, far)
    known = exact_interval(int(genuine.matched(threshold)), genuine.size)
    if genuine.size < ERRORS_NEEDED:
        return replace(point, threshold=threshold, interval=known)
    return replace(point, threshold=threshold, val=known.estimate)


def _val_bounds(genuine: Comparisons, impostor: Comparisons, far: float) -> Interval | None:
    """Return what is known of VAL at a FAR that the impostor pairs do not support.

    VAL rises with the FAR. So it is at most VAL at the smallest FAR that they support, and at least
    VAL at a threshold whose FMR is within the FAR, by the upper end of its exact interval.
    """

    def at(fmr: float) -> Interval:
        matched = int(genuine.matched(threshold_at_fmr(impostor, fmr)))
        return exact_interval(matched, genuine.size)

    allowed = np.arange(min(ERRORS_NEEDED, impostor.size), dtype=np.float64)
    _, ends = exact_limits(allowed, impostor.size)
    sure = int(np.searchsorted(ends, far, side="right")) - 1
    smallest = ERRORS_NEEDED / impostor.size
    low = at(sure / impostor.size).low if sure >= 0 else 0.0
    high = at(smallest).high if smallest <= 1 else 1.0
    known = low > 0 or high < 1
    return Interval(at(far).estimate, low, high) if known else None


def eer_bounds(genuine: Comparisons, impostor: Comparisons, equal: float) -> Interval:
    """Return the exact interval of an EER; it holds for any number of pairs.

    At every threshold the EER lies between FMR and FNMR, so the ends are those of these two, here
    at the threshold of the EER.
    """
    threshold = threshold_at_fmr(impostor, equal)
    matched = int(impostor.matched(threshold))
    missed = genuine.size - int(genuine.matched(threshold))
    rates = exact_interval(matched, impostor.size), exact_interval(missed, genuine.size)
    low, high = min(one.low for one in rates), max(one.high for one in rates)
    return Interval(equal, low, high)


def bound(interval: Interval | None) -> str:
    """Say the end of an interval that tells most, with two digits; empty if nothing is known.

    A rate above one half is "at least 98.4 %", a smaller one "at most 1.6 %". Ends are rounded
    outwards.
    """
    if interval is None or (interval.low <= 0 and interval.high >= 1):
        return ""
    upwards = interval.estimate > 1 / 2
    if (upwards and interval.low > 0) or interval.high >= 1:
        left, decimals = _two_digits(1 - interval.low)
        return f"at least {100 * (1 - left):.{decimals}f} %"
    left, decimals = _two_digits(interval.high)
    return f"at most {100 * left:.{decimals}f} %"


def _two_digits(share: float) -> tuple[float, int]:
    """Round a share up to two digits; return it, and how many decimals it needs in percent."""
    share = max(share, SMALLEST)
    decimals = max(0, 1 - math.floor(math.log10(100 * share)))
    step = 10.0**-decimals / 100
    return min(1.0, math.ceil(share / step * (1 - 1e-9)) * step), decimals


def curve_of(genuine: Comparisons, impostor: Comparisons) -> Curve:
    """Return points of the ROC at even steps of log FMR and of FNMR, including both ends.

    All genuine comparisons, or all impostor ones, may be failures to acquire.
    """
    lowest = np.log10(1 / impostor.size)
    places = np.logspace(lowest, 0, CURVE_POINTS) * impostor.counts[-1] - 1
    steps = np.linspace(0, 1, CURVE_POINTS) * (genuine.counts[-1] - 1)
    thresholds = np.unique(
        np.concatenate(
            [
                _nth(impostor, np.round(places).astype(np.int64)),
                _nth(genuine, np.round(steps).astype(np.int64)),
            ]
        )
    )
    return Curve(
        thresholds=thresholds,
        fmr=impostor.matched(thresholds) / impostor.size,
        fnmr=1 - genuine.matched(thresholds) / genuine.size,
    )


def _nth(comparisons: Comparisons, places: IntArray) -> RateArray:
    """Return the squared L2 at these places of the ascending order, from 0; none if all failed."""
    if not len(comparisons.values):
        return np.empty(0)
    found = np.searchsorted(comparisons.counts, places.clip(0), side="right") - 1
    return comparisons.values[found].astype(np.float64)


def histogram_of(genuine: Comparisons, impostor: Comparisons) -> Histogram:
    """Count comparisons in bins from 0 to 4."""
    edges = np.linspace(0, MAXIMUM, round(MAXIMUM / BIN) + 1)
    return Histogram(
        edges=edges,
        genuine=np.diff(genuine.matched(edges[1:]), prepend=0),
        impostor=np.diff(impostor.matched(edges[1:]), prepend=0),
    )
