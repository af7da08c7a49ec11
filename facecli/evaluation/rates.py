"""Rates with what they rest on: counts, intervals, and a refusal where there are too few errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from facecli.metrics import Comparisons, Interval, interval, threshold_at_fmr
from facecli.metrics.support import ERRORS_NEEDED, supported
from facecli.metrics.verification import RateArray
from facecli.types import IntArray
from facecli.vectors.distances import MAXIMUM

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""False accept rates that VAL is looked for at."""

REPLICATES = 1000
"""Draws of people that an interval is made of."""

BIN = 0.05
"""Width of a histogram's bins in squared L2: 80 of them."""

CURVE_POINTS = 200
"""Points of a curve along each of its two axes; more could not be told apart on a page."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors among so many comparisons; `interval` is that of resampled people, if there is one."""

    errors: int
    of: int
    interval: Interval | None = None

    @property
    def value(self) -> float | None:
        """The share, 0 to 1, or None with fewer errors than the rule of 30 asks for."""
        return self.errors / self.of if self.errors >= ERRORS_NEEDED else None

    @property
    def right(self) -> float | None:
        """The share that are no errors, 0 to 1, or None where there is no `value`."""
        return None if self.value is None else (self.of - self.errors) / self.of

    @property
    def right_interval(self) -> Interval | None:
        """The interval of `right`."""
        return self.interval and self.interval.complement()

    def with_interval(self, draws: RateArray | None) -> Rate:
        """Return the rate with the interval of its values (draws,); of no value there is none."""
        if draws is None or self.value is None:
            return self
        return replace(self, interval=interval(self.value, draws))


@dataclass(frozen=True, slots=True)
class Val:
    """VAL at a FAR with its threshold in squared L2; all None where the pairs do not support it.

    The FAR was counted on `impostor_pairs`, VAL on `genuine_pairs`.
    """

    far: float
    genuine_pairs: int
    impostor_pairs: int
    threshold: float | None = None
    val: float | None = None
    interval: Interval | None = None

    def reason(self, *, genuine: str = "genuine pairs", impostor: str = "impostor pairs") -> str:
        """Say why there is no number; empty where there is one."""
        if self.val is not None:
            return ""
        if self.genuine_pairs < ERRORS_NEEDED:
            return f"not supported by {self.genuine_pairs} {genuine}"
        return f"not supported by {self.impostor_pairs:,} {impostor}"

    @property
    def missed(self) -> float | None:
        """The share of genuine pairs that VAL leaves."""
        return None if self.val is None else 1 - self.val

    @property
    def missed_interval(self) -> Interval | None:
        """The interval of `missed`."""
        return self.interval and self.interval.complement()

    def with_interval(self, draws: RateArray | None, mated: int) -> Val:
        """Add the interval of values (draws,); without any rejection, that of the rule of three.

        Resampling cannot tell how rare what never happened is; with no case among n independent
        ones the 95 % limit is about 3/n (Hanley & Lippman-Hand, JAMA 249, 1983). The `mated`
        people, those with genuine pairs, are the independent ones here.
        """
        if draws is None or self.val is None:
            return self
        found = interval(self.val, draws)
        if self.val == 1:
            found = Interval(1.0, max(0.0, 1 - 3 / mated), 1.0)
        return replace(self, interval=found)


@dataclass(frozen=True, slots=True)
class Curve:
    """FMR and FNMR at some thresholds, float64 (k,), ascending: a thinned ROC or DET."""

    thresholds: RateArray
    fmr: RateArray
    fnmr: RateArray


@dataclass(frozen=True, slots=True)
class Histogram:
    """Comparisons a bin, int64 (k,); `edges` float64 (k + 1,) in squared L2.

    A bin holds its upper edge, the first one also its lower.
    """

    edges: RateArray
    genuine: IntArray
    impostor: IntArray


def val_at(genuine: Comparisons, impostor: Comparisons, far: float) -> Val:
    """Return VAL at a FAR, or none where the pairs do not support it.

    By the rule of 30 the FAR must let in 30 impostor pairs; of fewer than 30 genuine pairs a share
    says little either.
    """
    point = Val(far, genuine.size, impostor.size)
    if genuine.size < ERRORS_NEEDED or not supported(far, impostor.size):
        return point
    threshold = threshold_at_fmr(impostor, far)
    share = int(genuine.matched(threshold)) / genuine.size
    return replace(point, threshold=threshold, val=share)


def curve_of(genuine: Comparisons, impostor: Comparisons) -> Curve:
    """Thin the ROC: points at even steps of log FMR and of FNMR, both ends included.

    Of the two kinds of comparisons one may be lost altogether.
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
    """Return the squared L2 at these places, from 0, in ascending order; none if all are lost."""
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
