"""Exact nearest neighbours in NumPy: every template is looked at, none is missed."""

from __future__ import annotations

import numpy as np

from facecli.types import FloatArray, IntArray

GALLERY_BLOCK = 65_536
"""Templates scored at once: 32 MB of them, whose scores for 64 probes take 16 MB."""

PROBE_BLOCK = 64
"""Probes scored at once; with `GALLERY_BLOCK` it bounds the memory whatever the sizes."""

FEW_PROBES = 8
"""Up to here probes are scored by one dot product a template, which stays on one thread.

A matrix product wakes the threads of the linear algebra library; on a busy machine waiting for
them took 4 to 8 ms for one probe among 10,000 templates, one thread 0.1 ms.
"""

PAIR_BLOCK = 16_384
"""Pairs whose squared L2 is computed at once in float64: 16 MB."""

GROUPS = 64
"""Columns of scores are reduced to this many times fewer maxima before the k-th is looked for."""

SCORE_ERROR = 1.6e-7
"""Bound on the rounding of a score, for each number of an embedding: a sum of d products in float32
is off by d · 2⁻²⁴ = 0.6e-7 d at worst (Higham, Accuracy and Stability of Numerical Algorithms,
section 3.1), and its half norm by half of that."""


class ExactIndex:
    """Compares probes with every row of a float32 (n, d) matrix of unit vectors.

    The matrix is not copied and must not change.
    """

    def __init__(self, embeddings: FloatArray) -> None:
        if embeddings.ndim != 2 or embeddings.dtype != np.float32:
            raise ValueError(f"expected float32 (n, d), not {embeddings.dtype} {embeddings.shape}")
        self._embeddings = embeddings
        # |a - b|² = |a|² - 2 (a·b - |b|²/2): by this score the order is right even for lengths
        # that are only nearly 1.
        self._half_squares: FloatArray = np.vecdot(embeddings, embeddings) * np.float32(0.5)
        self._score_error = SCORE_ERROR * embeddings.shape[1]

    def search(self, probes: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
        """Return rows int64 (m, k') and squared L2 float32 (m, k'), nearest first.

        `probes` is float32 (m, d). k' is the smaller of `k` and the number of templates; equal
        distances keep row order. Raises ValueError for other shapes, a k below 1, and NaN.
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
        """Search for a few probes: choose candidates by score, order them by squared L2."""
        probe, row = self._candidates(probes, k)
        squared = self._squared_l2(probes, probe, row)
        # A stable sort: rows come in ascending, so equal distances keep that order. After it the
        # candidates of a probe lie together, nearest first, and are at least k.
        order = np.lexsort((squared, probe))
        first = np.searchsorted(probe[order], np.arange(len(probes)))
        nearest = order[first[:, None] + np.arange(k)]
        return row[nearest], np.clip(squared[nearest], 0.0, 4.0).astype(np.float32)

    def _candidates(self, probes: FloatArray, k: int) -> tuple[IntArray, IntArray]:
        """Return pairs of probe and row, among them the k nearest of each probe, ties included."""
        floor = np.full(len(probes), -np.inf, np.float32)
        kept: list[tuple[IntArray, IntArray, FloatArray]] = []
        for start in range(0, len(self._embeddings), GALLERY_BLOCK):
            scores = self._scores(probes, slice(start, start + GALLERY_BLOCK))
            floor = np.maximum(floor, _kth_largest(scores, k) - np.float32(2 * self._score_error))
            # Twice as fast over one long line as over rows.
            found = np.flatnonzero(scores >= floor[:, None])
            probe, row = np.divmod(found, scores.shape[1])
            kept.append((probe, row + start, scores.ravel()[found]))
        probe, row, score = (np.concatenate(parts) for parts in zip(*kept, strict=True))
        # What the first blocks let through, a later block's floor may rule out.
        chosen = score >= floor[probe]
        return probe[chosen], row[chosen]

    def _scores(self, probes: FloatArray, some: slice) -> FloatArray:
        """Return (m, rows) scores, higher is nearer, within the score error."""
        block = self._embeddings[some]
        if len(probes) <= FEW_PROBES:
            scores: FloatArray = np.vecdot(probes[:, None, :], block)
        else:
            scores = probes @ block.T
        scores -= self._half_squares[some]
        return scores

    def _squared_l2(self, probes: FloatArray, probe: IntArray, row: IntArray) -> np.ndarray:
        """Return squared L2 float64 of each pair, from the difference, so exact near 0 too."""
        squared = np.empty(len(probe), np.float64)
        for start in range(0, len(probe), PAIR_BLOCK):
            some = slice(start, start + PAIR_BLOCK)
            difference = probes[probe[some]].astype(np.float64) - self._embeddings[row[some]]
            squared[some] = np.vecdot(difference, difference)
        return squared


def _kth_largest(scores: FloatArray, k: int) -> FloatArray:
    """Return a value (m,) that at least k scores of each row (m, n) reach; -inf if n < k.

    The k-th largest of the maxima of disjoint groups is such a value, since each of those k
    maxima is a score, and far cheaper to find than the k-th largest score itself.
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
