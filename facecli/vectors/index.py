"""Find exact nearest neighbours in NumPy: every template is compared."""

from __future__ import annotations

import numpy as np

from facecli.types import FloatArray, IntArray

GALLERY_BLOCK = 65_536
"""Templates scored at once: they take 32 MB, and their scores for 64 probes 16 MB."""

PROBE_BLOCK = 64
"""Probes scored at once. With `GALLERY_BLOCK` this limits the memory for any sizes."""

FEW_PROBES = 8
"""Up to this many probes are scored by one dot product for each template, on one thread.

A matrix product uses the threads of the linear algebra library. For one probe and 10,000 templates,
waiting for them took 4 to 8 ms on a busy machine; one thread took 0.1 ms.
"""

PAIR_BLOCK = 16_384
"""Pairs whose squared L2 is computed at once, in float64: 16 MB."""

GROUPS = 64
"""Groups of columns: their maxima are used to find a bound for the k largest scores."""

SCORE_ERROR = 1.6e-7
"""Largest rounding error of a score, divided by the dimension d. In float32, a sum of d products is
wrong by at most d · 2⁻²⁴ = 0.6e-7 d (Higham, Accuracy and Stability of Numerical Algorithms,
section 3.1), and half a squared norm half of that."""


class ExactIndex:
    """Compares probes with every row of a float32 (n, d) matrix of unit vectors.

    The matrix is not copied, so it must not change.
    """

    def __init__(self, embeddings: FloatArray) -> None:
        if embeddings.ndim != 2 or embeddings.dtype != np.float32:
            raise ValueError(f"expected float32 (n, d), not {embeddings.dtype} {embeddings.shape}")
        self._embeddings = embeddings
        # |a - b|² = |a|² - 2 (a·b - |b|²/2): with the score in brackets, the order is right even if
        # lengths are not exactly 1.
        self._half_squares: FloatArray = np.vecdot(embeddings, embeddings) * np.float32(0.5)
        self._score_error = SCORE_ERROR * embeddings.shape[1]

    def search(self, probes: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Return rows int64 (m, k') and squared L2 float32 (m, k'), nearest first.

        `probes` is float32 (m, d). k' is the smaller of `k` and the number of templates; templates
        at equal squared L2 stay in row order. Raises ValueError for other shapes, a k below 1, NaN
        and infinity.
        """
        if probes.ndim != 2 or probes.shape[1] != self._embeddings.shape[1]:
            width = self._embeddings.shape[1]
            raise ValueError(f"expected probes of shape (m, {width}), not {probes.shape}")
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if not np.isfinite(probes).all():
            raise ValueError("a probe holds NaN or infinity")
        k = min(k, len(self._embeddings))
        rows = np.empty((len(probes), k), np.int64)
        squared = np.empty((len(probes), k), np.float32)
        if k:
            for start in range(0, len(probes), PROBE_BLOCK):
                some = slice(start, start + PROBE_BLOCK)
                rows[some], squared[some] = self._search_block(probes[some], k)
        return rows, squared

    def _search_block(self, probes: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Search for a block of probes: choose candidates by score, sort them by squared L2."""
        probe, row = self._candidates(probes, k)
        squared = self._squared_l2(probes, probe, row)
        # A stable sort: rows are ascending, and equal values stay in that order. After it, the
        # candidates of each probe, at least k, are together, nearest first.
        order = np.lexsort((squared, probe))
        first = np.searchsorted(probe[order], np.arange(len(probes)))
        nearest = order[first[:, None] + np.arange(k)]
        return row[nearest], np.clip(squared[nearest], 0.0, 4.0).astype(np.float32)

    def _candidates(self, probes: FloatArray, k: int) -> tuple[IntArray, IntArray]:
        """Return pairs of probe and row that include the k nearest of each probe, with ties."""
        floor = np.full(len(probes), -np.inf, np.float32)
        kept: list[tuple[IntArray, IntArray, FloatArray]] = []
        for start in range(0, len(self._embeddings), GALLERY_BLOCK):
            scores = self._scores(probes, slice(start, start + GALLERY_BLOCK))
            floor = np.maximum(floor, _kth_largest(scores, k) - np.float32(2 * self._score_error))
            # One long array is twice as fast as rows.
            found = np.flatnonzero(scores >= floor[:, None])
            probe, row = np.divmod(found, scores.shape[1])
            kept.append((probe, row + start, scores.ravel()[found]))
        probe, row, score = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        # Candidates of the first blocks may be below the floor of a later block.
        chosen = score >= floor[probe]
        return probe[chosen], row[chosen]

    def _scores(self, probes: FloatArray, some: slice) -> FloatArray:
        """Return scores (m, rows), higher is nearer, correct within the score error."""
        block = self._embeddings[some]
        if len(probes) <= FEW_PROBES:
            scores: FloatArray = np.vecdot(probes[:, None, :], block)
        else:
            scores = probes @ block.T
        scores -= self._half_squares[some]
        return scores

    def _squared_l2(self, probes: FloatArray, probe: IntArray, row: IntArray) -> np.ndarray:
        """Return the squared L2 of each pair, float64, from the difference: exact near 0 too."""
        squared = np.empty(len(probe), np.float64)
        for start in range(0, len(probe), PAIR_BLOCK):
            some = slice(start, start + PAIR_BLOCK)
            difference = probes[probe[some]].astype(np.float64) - self._embeddings[row[some]]
            squared[some] = np.vecdot(difference, difference)
        return squared


def _kth_largest(scores: FloatArray, k: int) -> FloatArray:
    """Return values (m,) that at least k scores of each row (m, n) reach; -inf if n < k.

    The k-th largest of the maxima of disjoint groups is such a value, because each maximum is a
    score. It is much faster to find than the k-th largest score.
    """
    m, n = scores.shape
    if n < k:
        return np.full(m, -np.inf, np.float32)
    width = n // GROUPS
    if width >= k:
        scores = scores[:, : GROUPS * width].reshape(m, GROUPS, width).max(axis=1)
    place = scores.shape[1] - k
    kth: FloatArray = np.partition(scores, place, axis=1)[:, place]
    return kth
