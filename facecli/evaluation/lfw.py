"""Measure pairs by LFW's protocol: each of ten folds at the best threshold of the other nine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facecli.errors import FaceError
from facecli.evaluation.pairlists import PairList
from facecli.evaluation.rates import (
    Curve,
    Histogram,
    Rate,
    Val,
    curve_of,
    eer_bounds,
    histogram_of,
    val_at,
)
from facecli.evaluation.samples import count_unreadable
from facecli.faces.embedding import EmbeddedPicture
from facecli.metrics import (
    Comparisons,
    FoldAccuracy,
    FoldVal,
    Interval,
    accuracy_at,
    auc,
    best_accuracy_threshold,
    eer,
    exact_interval,
    ten_fold_accuracy,
    ten_fold_val,
)
from facecli.types import Failure, FloatArray
from facecli.vectors.distances import paired_squared_l2

FARS = (1e-1, 1e-2, 1e-3)

FOLD_FAR = 1e-3
"""The FAR at which others report VAL on View 2 (Schroff et al., CVPR 2015, section 4).

With 3,000 impostor pairs this is three false matches: enough to compare with others, but too few
for a claim.
"""

BASELINES = (
    ("FaceNet, 128 numbers (Schroff et al., CVPR 2015, section 5.6)", 0.9963),
    ("dlib's ResNet (its example dnn_face_recognition_ex.cpp)", 0.9938),
)
"""Accuracy of others on View 2, as they report it, with other detectors and alignments."""

ASSUMPTION = "a pair with a photo without a face never matches"


@dataclass(frozen=True, slots=True)
class LfwResult:
    """The results of a model on listed pairs.

    `folds`, and `fold_val`, which is VAL at FAR 1e-3, are None if the list has a single fold.
    `accuracy` is that at `threshold`, the one in use. `best_accuracy` is that at `best_threshold`,
    which was chosen on these pairs, so it is too good. `lost` pairs have a photo that failed; they
    count as not matching. `eer` is None if so many are lost that there is no EER. Intervals are
    exact ones, as if pairs were independent.
    """

    genuine: int
    impostor: int
    lost: int
    folds: FoldAccuracy | None
    fold_val: FoldVal | None
    threshold: float
    accuracy: float
    best_threshold: float
    best_accuracy: float
    false_matches: Rate
    false_non_matches: Rate
    eer: float | None
    eer_interval: Interval | None
    auc: float
    val: tuple[Val, ...]
    curve: Curve
    histogram: Histogram
    photos: int
    failures: tuple[Failure, ...]

    @property
    def unreadable(self) -> int:
        """Number of photos that could not be read."""
        return count_unreadable(self.failures)


def squared_l2_of_pairs(
    pairs: PairList, scanned: Iterable[EmbeddedPicture | Failure]
) -> tuple[FloatArray, tuple[Failure, ...]]:
    """Return the squared L2 of the main faces of each pair, and the failures.

    `scanned` is in the order of `pairs.photos`. Squared L2 is float32 (n,), infinite if a photo
    failed.
    """
    row: dict[Path, int] = {}
    vectors: list[FloatArray] = []
    failures: list[Failure] = []
    for path, result in zip(pairs.photos, scanned, strict=True):
        if isinstance(result, Failure):
            failures.append(result)
        elif not result.faces:
            failures.append(Failure.no_face(result.source))
        else:
            row[path] = len(vectors)
            vectors.append(result.embeddings[result.main.number])
    first = np.array([row.get(path, -1) for path in pairs.first])
    second = np.array([row.get(path, -1) for path in pairs.second])
    whole = (first >= 0) & (second >= 0)
    squared = np.full(len(first), np.inf, np.float32)
    if whole.any():
        table = np.stack(vectors)
        squared[whole] = paired_squared_l2(table[first[whole]], table[second[whole]])
    return squared, tuple(failures)


def measure_pairs(
    pairs: PairList, scanned: Iterable[EmbeddedPicture | Failure], *, threshold: float
) -> LfwResult:
    """Measure listed pairs; `scanned` is in the order of `pairs.photos`.

    `threshold` is the one in use. A pair with a photo that failed never matches. Raises FaceError
    if there are no genuine or no impostor pairs, or if all of these are lost.
    """
    squared, failures = squared_l2_of_pairs(pairs, scanned)
    genuine, impostor = Comparisons.of(squared[pairs.same]), Comparisons.of(squared[~pairs.same])
    if not genuine.counts[-1] or not impostor.counts[-1]:
        raise FaceError(
            f"{pairs.source}: needs genuine and impostor pairs with a face on each side"
        )
    best = best_accuracy_threshold(genuine, impostor)
    mated = int(genuine.matched(threshold))
    several = pairs.folds.any()
    equal = _eer(genuine, impostor)
    return LfwResult(
        genuine=genuine.size,
        impostor=impostor.size,
        lost=int(np.isinf(squared).sum()),
        folds=ten_fold_accuracy(squared, pairs.same, pairs.folds) if several else None,
        fold_val=ten_fold_val(squared, pairs.same, pairs.folds, FOLD_FAR) if several else None,
        threshold=threshold,
        accuracy=accuracy_at(genuine, impostor, threshold),
        best_threshold=best,
        best_accuracy=accuracy_at(genuine, impostor, best),
        false_matches=_rate(int(impostor.matched(threshold)), impostor.size),
        false_non_matches=_rate(genuine.size - mated, genuine.size),
        eer=equal,
        eer_interval=None if equal is None else eer_bounds(genuine, impostor, equal),
        auc=auc(genuine, impostor),
        val=tuple(val_at(genuine, impostor, far) for far in FARS),
        curve=curve_of(genuine, impostor),
        histogram=histogram_of(genuine, impostor),
        photos=len(pairs.photos),
        failures=failures,
    )


def _rate(errors: int, of: int) -> Rate:
    return Rate(errors, of, exact_interval(errors, of))


def _eer(genuine: Comparisons, impostor: Comparisons) -> float | None:
    try:
        return eer(genuine, impostor)
    except ValueError:  # so many pairs are lost that FMR and FNMR never meet
        return None
