"""Measure how well a threshold separates genuine from impostor comparisons (ISO/IEC 19795-1).

A comparison matches if its squared L2 is at most the threshold. Equal values are always treated
alike, so every rate is a step function of the threshold. An infinite squared L2 means a failure to
acquire: it is counted and never matches.

Squared L2 are given as an array in any order, or as `Comparisons` if they are counted already or
used more than once. All rates are float64; counts are exact.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facecli.types import IntArray
from facecli.vectors.distances import MAXIMUM

RateArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Squared L2 of many comparisons: each finite value once, and how often it occurs.

    `values` are ascending floats, (k,). `counts` is the number of comparisons below each value, and
    at the end the number of finite ones, int64 (k + 1,). `size` includes the failures to acquire.
    """

    values: npt.NDArray[np.floating[Any]]
    counts: IntArray
    size: int

    @classmethod
    def of(cls, squared: npt.ArrayLike | Comparisons) -> Comparisons:
        """Sort an array of any shape; raise ValueError if it has a NaN or a negative number."""
        if isinstance(squared, Comparisons):
            return squared
        array = np.asarray(squared)
        if array.dtype != np.float32:
            array = array.astype(np.float64)
        if not (array >= 0).all():
            raise ValueError("a squared L2 is NaN or negative")
        values, times = np.unique(array[array < np.inf], return_counts=True)
        return cls(values, np.cumsum(np.append(0, times), dtype=np.int64), array.size)

    def matched(self, thresholds: npt.ArrayLike) -> IntArray:
        """Count the comparisons at or below each threshold, exactly: int64 of the same shape."""
        # Thresholds stay float64: rounded to float32, one could match a value just above it.
        wide = np.asarray(thresholds, dtype=np.float64)
        return self.counts[np.searchsorted(self.values, wide, side="right")]


SquaredL2 = npt.ArrayLike | Comparisons


def fmr(impostor: SquaredL2, threshold: float) -> float:
    """Return the false match rate: the share of impostor comparisons that match."""
    impostors = _some(impostor, "impostor")
    return int(impostors.matched(threshold)) / impostors.size


def fnmr(genuine: SquaredL2, threshold: float) -> float:
    """Return the false non-match rate: the share of genuine comparisons that do not match."""
    mates = _some(genuine, "genuine")
    return (mates.size - int(mates.matched(threshold))) / mates.size


def threshold_at_fmr(impostor: SquaredL2, target: float) -> float:
    """Return the largest threshold whose FMR is at most `target`, in [0, 1].

    This is the next number, in the precision of the input, below the first squared L2 that must be
    refused. Equal values are refused together, so the FMR can be below the target. If nothing must
    be refused, the threshold is 4. If even the smallest squared L2 must be refused, no impostor
    pair matches; if that value is 0, the threshold is negative and nothing matches.
    """
    if not 0 <= target <= 1:
        raise ValueError(f"a false match rate lies in [0, 1], not {target}")
    impostors = _some(impostor, "impostor")
    allowed = int(np.searchsorted(impostors.counts[1:] / impostors.size, target, side="right"))
    if allowed == len(impostors.values):
        return MAXIMUM
    refused = impostors.values[allowed]
    return float(np.nextafter(refused, refused.dtype.type(-np.inf)))


def val_at_far(genuine: SquaredL2, impostor: SquaredL2, far: float) -> float:
    """Return the share of genuine comparisons that match at `threshold_at_fmr(impostor, far)`.

    FaceNet (CVPR 2015, section 4) defines VAL and FAR over pairs: its FAR is the FMR.
    """
    mates = _some(genuine, "genuine")
    return int(mates.matched(threshold_at_fmr(impostor, far))) / mates.size


def auc(genuine: SquaredL2, impostor: SquaredL2) -> float:
    """Return the area under the ROC: how often a genuine pair is closer than an impostor pair.

    A tie counts half, also a tie of two failures to acquire (Hanley & McNeil, Radiology 143, 1982:
    the Mann-Whitney statistic). Everything is counted in whole numbers.
    """
    mates, impostors = _some(genuine, "genuine"), _some(impostor, "impostor")
    below = impostors.matched(np.nextafter(mates.values.astype(np.float64), -np.inf))
    farther_twice = 2 * impostors.size - below - impostors.matched(mates.values)
    failures = (mates.size - int(mates.counts[-1])) * (impostors.size - int(impostors.counts[-1]))
    won_twice = int(np.diff(mates.counts) @ farther_twice) + failures
    return won_twice / (2 * mates.size * impostors.size)


def eer(genuine: SquaredL2, impostor: SquaredL2) -> float:
    """Return the equal error rate: where the ROC, drawn with straight lines, has FMR = FNMR.

    Raises ValueError if there are so many failures to acquire that the two rates never meet.
    """
    mates, impostors = _some(genuine, "genuine"), _some(impostor, "impostor")

    def rates(threshold: float) -> tuple[float, float]:
        """Return FMR, and FMR minus FNMR, which never falls as the threshold grows."""
        matched = int(impostors.matched(threshold)) / impostors.size
        return matched, matched - (1 - int(mates.matched(threshold)) / mates.size)

    # A binary search, not a walk along the ROC: 10^8 pairs have 10^7 thresholds.
    below: list[float] = [-np.inf]
    above: list[float] = []
    for observed in (mates.values, impostors.values):
        place = bisect.bisect_left(observed, 0.0, key=lambda value: rates(value)[1])
        below.extend(float(value) for value in observed[:place][-1:])
        above.extend(float(value) for value in observed[place:][:1])
    if not above:
        raise ValueError("FMR stays below FNMR at every threshold: too many failures to acquire")
    (low, deficit), (high, excess) = rates(max(below)), rates(min(above))
    share = -deficit / (excess - deficit)
    return low + share * (high - low)


def accuracy_at(genuine: SquaredL2, impostor: SquaredL2, threshold: float) -> float:
    """Return the share of correct decisions; there may be no genuine or no impostor pairs."""
    mates, impostors = Comparisons.of(genuine), Comparisons.of(impostor)
    total = mates.size + impostors.size
    if not total:
        raise ValueError("no comparisons")
    wrong = impostors.matched(threshold) - mates.matched(threshold) + mates.size
    return (total - int(wrong)) / total


def best_accuracy_threshold(genuine: SquaredL2, impostor: SquaredL2) -> float:
    """Return the threshold with the highest accuracy, halfway to the next larger observed value.

    Of several thresholds the smallest is returned: it has the fewest false matches. If it is best
    that nothing matches, the threshold is just below the smallest value; if it is best that
    everything matches, it is the largest value. Raises ValueError if every comparison is a failure
    to acquire.
    """
    mates, impostors = _some(genuine, "genuine"), _some(impostor, "impostor")
    observed = np.union1d(mates.values, impostors.values).astype(np.float64)
    if not len(observed):
        raise ValueError("every comparison is a failure to acquire")
    thresholds = np.append(np.nextafter(observed[0], -np.inf), observed)
    best = int(np.argmax(mates.matched(thresholds) - impostors.matched(thresholds)))
    if best in (0, len(observed)):
        return float(thresholds[best])
    low, high = float(thresholds[best]), float(thresholds[best + 1])
    middle = low + (high - low) / 2
    # The middle of two neighbouring floats rounds to one of them, and `high` must not match.
    return middle if middle < high else low


@dataclass(frozen=True, slots=True)
class FoldAccuracy:
    """Accuracy over folds: mean, standard error of the mean, and the accuracy of each fold.

    `accuracies` and the `thresholds` used are float64 (folds,), in the order of the fold numbers.
    """

    mean: float
    standard_error: float
    accuracies: RateArray
    thresholds: RateArray


def ten_fold_accuracy(
    squared: npt.ArrayLike, same: npt.ArrayLike, folds: npt.ArrayLike
) -> FoldAccuracy:
    """Measure each fold with the threshold that is best on all others, as LFW's View 2 requires.

    All three are (n,): squared L2, whether the pair is genuine, and the number of its fold. There
    may be any number of folds from two on. The standard error is the sample standard deviation of
    the folds divided by √folds (Huang et al., "Labeled Faces in the Wild", UMass technical report
    07-49, 2007, section on reporting). Raises ValueError for a single fold, and if the other folds
    have no genuine or no impostor pairs.
    """
    results = []
    for inside, others in _folds(squared, same, folds):
        threshold = best_accuracy_threshold(*others)
        results.append((accuracy_at(*inside, threshold), threshold))
    accuracies, thresholds = np.array(results).T
    return FoldAccuracy(*_mean_and_error(accuracies), accuracies, thresholds)


@dataclass(frozen=True, slots=True)
class FoldVal:
    """VAL over folds: mean, standard error of the mean, and the mean FMR measured with it."""

    mean: float
    standard_error: float
    fmr: float


def ten_fold_val(
    squared: npt.ArrayLike, same: npt.ArrayLike, folds: npt.ArrayLike, far: float
) -> FoldVal:
    """Measure VAL of each fold at the threshold that has FMR `far` on all others.

    Arguments and errors are those of `ten_fold_accuracy`; each fold needs genuine and impostor
    pairs.
    """
    results = []
    for inside, others in _folds(squared, same, folds):
        threshold = threshold_at_fmr(others[1], far)
        results.append((1 - fnmr(inside[0], threshold), fmr(inside[1], threshold)))
    vals, rates = np.array(results).T
    return FoldVal(*_mean_and_error(vals), float(rates.mean()))


_Kinds = tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]


def _folds(
    squared: npt.ArrayLike, same: npt.ArrayLike, folds: npt.ArrayLike
) -> Iterator[tuple[_Kinds, _Kinds]]:
    """Yield genuine and impostor squared L2 of each fold, and those of all other folds.

    The folds are in the order of their numbers.
    """
    values, mated, fold = np.asarray(squared), np.asarray(same, dtype=bool), np.asarray(folds)
    if not values.shape == mated.shape == fold.shape:
        raise ValueError(f"shapes differ: {values.shape}, {mated.shape}, {fold.shape}")
    numbers = np.unique(fold)
    if len(numbers) < 2:
        raise ValueError(f"at least two folds are needed, not {len(numbers)}")
    for number in numbers:
        here, there = fold == number, fold != number
        inside = values[here & mated], values[here & ~mated]
        yield inside, (values[there & mated], values[there & ~mated])


def _mean_and_error(values: RateArray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5


def _some(squared: SquaredL2, kind: str) -> Comparisons:
    """Return the comparisons, sorted; raise ValueError if there are none."""
    comparisons = Comparisons.of(squared)
    if not comparisons.size:
        raise ValueError(f"no {kind} comparisons")
    return comparisons
