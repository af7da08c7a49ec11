"""Compute how much a mean over rows would change with other classes: intervals by resampling.

Classes (people, products) are drawn with replacement, each with all its rows, because rows of one
class succeed and fail together; see `metrics.searches` for the sources. What a row measured, such
as what it found among all others, stays as it was: only the mean is taken again. So an interval is
for other classes that search among the same pictures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facecli.metrics.resampling import Interval, interval, times_drawn
from facecli.metrics.verification import RateArray
from facecli.types import IntArray


def draw_classes(
    labels: npt.ArrayLike, *, replicates: int = 1000, seed: int = 0
) -> tuple[IntArray, IntArray]:
    """Return the number of each row's class, int64 (n,), and how often each class was drawn.

    The latter is int64 (replicates, classes). Classes are numbered in the order of the sorted
    labels (n,). Equal labels and seeds give equal draws. Raises ValueError for fewer than two
    classes: one says nothing about others.
    """
    names, number = np.unique(np.asarray(labels), return_inverse=True)
    if len(names) < 2:
        raise ValueError("resampling needs two classes")
    return number.astype(np.int64), times_drawn(len(names), replicates=replicates, seed=seed)


def resampled_means(values: npt.ArrayLike, number: IntArray, draws: IntArray) -> RateArray:
    """Return the mean over rows in each draw, float64 (draws, kinds).

    `values` is (n, kinds), numbers or bool; `number` is the column of each row in the draws, int64
    (n,). A class drawn w times counts w times. A draw without rows is NaN.
    """
    columns = np.asarray(values, np.float64).T
    classes = draws.shape[1]
    sums = np.stack([np.bincount(number, one, minlength=classes) for one in columns], axis=1)
    rows = draws @ np.bincount(number, minlength=classes)
    means: RateArray = np.full((len(draws), sums.shape[1]), np.nan)
    some = rows > 0
    means[some] = (draws @ sums)[some] / rows[some, None]
    return means


def paired_difference(
    one: npt.ArrayLike,
    other: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    replicates: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the mean of `other` minus the mean of `one`, with its 95 % interval over classes.

    Both hold a value for each of the same rows, numbers or bool (n,), such as what two models made
    of the same queries; `labels` (n,) are the classes. Both are measured on the same draws, so what
    is hard for both does not make the interval wider. If the interval contains 0, no difference is
    shown. Raises ValueError for shapes that differ and for fewer than two classes.
    """
    before, after = np.asarray(one, np.float64), np.asarray(other, np.float64)
    if before.ndim != 1 or not before.shape == after.shape == np.shape(labels):
        shapes = f"{before.shape}, {after.shape} and {np.shape(labels)}"
        raise ValueError(f"two values and a label for each row are needed, not {shapes}")
    number, draws = draw_classes(labels, replicates=replicates, seed=seed)
    moved = after - before
    return interval(float(moved.mean()), resampled_means(moved[:, None], number, draws)[:, 0])
