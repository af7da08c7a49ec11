"""Compute average linkage on squared L2, without a matrix of all pairs.

The mean squared L2 between the members of two clusters of unit vectors is 2 - 2 m_a·m_b, where m is
the mean of a cluster's vectors, not scaled to unit length: the mean of dot products is the dot
product of the means. So the sum and the size of each cluster are enough, and the linkage is exact.

Average linkage is reducible: a merged cluster is never nearer to a third one than the nearer of its
two parts was. So clusters that are each other's nearest can be merged in any order, many at a time,
and the tree is the same as if the nearest two were merged again and again (Murtagh, "A survey of
recent advances in hierarchical clustering algorithms", The Computer Journal 26, 1983). It also
follows that a cluster whose nearest cluster is beyond the threshold never changes again. It can be
set aside, which saves most of the time. Conflicts change none of this: the squared L2 of two
clusters in conflict is infinite, and stays infinite after any merge.

The memory is that of the embeddings. Each cluster remembers a few of its nearest, so the time is
that of comparing everything with everything two or three times. On one busy core, 100,000 faces of
25,688 people took 190 s and 0.55 GB; 50,000 faces, with 8,000 faces of each of five people, took
80 s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, MAXIMUM, squared_l2

FEW = 16
"""Nearest clusters that each cluster remembers, to avoid comparing all when one is merged."""

CHUNK = 32
"""Columns in a group whose minimum is used to find the few smallest of thousands."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The merges of a linkage, lowest first. A cluster is named by its first row.

    `start` is the cluster in which each row begins, int64 (n,). Merge i puts cluster `gone[i]` into
    `kept[i]`, both int64 (m,), at a mean squared L2 of `heights[i]`, float32 (m,).
    """

    start: IntArray
    kept: IntArray
    gone: IntArray
    heights: FloatArray

    def labels(self, merges: int | None = None) -> IntArray:
        """Return the cluster of each row, int64 (n,), after the lowest `merges`, or after all."""
        parent = self.start.copy()
        parent[self.gone[:merges]] = self.kept[:merges]
        while not np.array_equal(parent, grand := parent[parent]):
            parent = grand
        return parent

    def merges_to_groups(self, k: int) -> int | None:
        """Return the most merges with at least `k` clusters of two faces or more; None if never."""
        order = np.arange(len(self.kept))
        grown = np.full(len(self.start), len(order))
        grown[self.kept[::-1]] = order[::-1]
        groups = np.bincount(self.start, minlength=len(self.start)) > 1
        grown[groups] = -1
        # The count rises if two single faces merge, and falls if two groups merge.
        change = 1 - (grown[self.kept] < order) - (grown[self.gone] < order)
        counts = groups.sum() + np.cumsum(np.concatenate([[0], change]))
        enough = np.flatnonzero(counts >= k)
        return int(enough[-1]) if len(enough) else None


def average_linkage(
    embeddings: FloatArray,
    *,
    threshold: float = MAXIMUM,
    k: int = 1,
    start: IntArray | None = None,
    conflicts: IntArray | None = None,
) -> Tree:
    """Merge the nearest clusters while they are within `threshold` and more than `k` are left.

    `embeddings` are unit rows (n, d). `start` is the first row of the cluster in which each row
    begins, int64 (n,); without it each row is a cluster. `conflicts` are pairs of rows that are
    never in one cluster, each pair in both orders, int64 (2, p); they can leave more than k
    clusters. The time grows with the number of clusters that have a neighbour within the threshold,
    at worst with n².
    """
    first = np.arange(len(embeddings)) if start is None else start
    forest = _Forest(embeddings, first, conflicts)
    to_merge = len(np.unique(first)) - k
    # NumPy rounds a Python float to the float32 it is compared with, but not an np.float64.
    limit = np.float64(min(threshold, MAXIMUM) if to_merge > 0 else -1.0)
    while forest.merge_mutual_neighbours(limit):
        # Merges are not found in order. Once there are enough, only lower ones are needed.
        if len(forest.heights) >= to_merge:
            limit = np.float64(np.partition(forest.heights, to_merge - 1)[to_merge - 1])
    return forest.tree(merges=max(0, to_merge))


class _Forest:
    """The clusters while the tree is built; each is named by its first row.

    `heights` is the mean squared L2 of every merge so far, in the order in which they were found.
    """

    def __init__(self, embeddings: FloatArray, start: IntArray, conflicts: IntArray | None) -> None:
        rows = np.arange(len(embeddings))
        self.heights = np.empty(0, np.float32)
        self._merges = np.empty((2, 0), np.int64)
        self._conflicts = np.empty((2, 0), np.int64) if conflicts is None else conflicts
        self._start = start
        self._cluster = start
        self._sums = embeddings.astype(np.float64)
        moved = np.flatnonzero(start != rows)
        np.add.at(self._sums, start[moved], self._sums[moved])
        self._sizes = np.maximum(1.0, np.bincount(start, minlength=len(rows)))
        self._means = (self._sums / self._sizes[:, None]).astype(np.float32)
        self._height = np.zeros(len(rows), np.float32)
        self._nearest = rows.copy()
        self._squared = np.full(len(rows), np.inf, np.float32)
        self._few = np.repeat(rows[:, None], FEW, axis=1)
        self._reach = np.full(len(rows), -np.inf, np.float32)
        self._active = np.unique(start)
        self._stale = self._active

    def merge_mutual_neighbours(self, limit: np.float64) -> bool:
        """Merge all clusters within `limit` that are each other's nearest; tell if any were."""
        self._find_neighbours(limit)
        active = self._active = self._active[self._squared[self._active] <= limit]
        if not len(active):
            return False
        nearest = self._nearest[active]
        mutual = (self._nearest[nearest] == active) & (active < nearest)
        if not mutual.any():
            # By rounding, equal neighbours can form a ring; then merge the nearest two.
            mutual = active == active[np.argmin(self._squared[active])]
        pair = np.sort(np.stack([active[mutual], nearest[mutual]]), axis=0)
        self._merge(*pair, squared=self._squared[active[mutual]])
        return True

    def tree(self, *, merges: int) -> Tree:
        """Return the tree of the lowest merges, at most `merges`."""
        lowest = np.argsort(self.heights, kind="stable")[:merges]
        kept, gone = self._merges[:, lowest]
        return Tree(self._start, kept, gone, self.heights[lowest])

    def _find_neighbours(self, limit: np.float64) -> None:
        """Find the nearest active cluster of every stale one that may have one within `limit`."""
        means = self._means[self._active]
        place = np.full(len(self._start), -1)
        place[self._active] = np.arange(len(self._active))
        new = self._reach[self._stale] == -np.inf
        known = self._stale[~new]
        height = max(1, COMPARISONS_HELD // (FEW * means.shape[1]))
        starts = range(0, len(known), height)
        unsure = [self._recall(known[at : at + height], place, limit) for at in starts]
        rows = np.concatenate([self._stale[new], *unsure])
        height = max(1, COMPARISONS_HELD // max(1, len(means)))
        for at in range(0, len(rows), height):
            self._compare_with_all(rows[at : at + height], means, place)

    def _recall(self, rows: IntArray, place: IntArray, limit: np.float64) -> IntArray:
        """Find the nearest of `rows` among those remembered; return the rows still unsure.

        Every cluster that is not remembered is at or beyond the row's reach: it was when the row
        was compared with all clusters, and merges bring no cluster nearer. `place` int64 (n,) is -1
        for clusters that are not active.
        """
        few = self._cluster[self._few[rows]]
        squared = 2 - 2 * (self._means[few] @ self._means[rows][:, :, None])[..., 0]
        # By rounding, a cluster that was set aside can seem near enough.
        squared[(place[few] < 0) | (few == rows[:, None])] = np.inf
        line, foe = self._foes(rows)
        if len(line):
            lines = np.arange(len(rows))[:, None] * len(place)
            squared[np.isin(lines + few, line * len(place) + foe)] = np.inf
        column = np.argmin(squared, axis=1)[:, None]
        self._nearest[rows] = np.take_along_axis(few, column, axis=1)[:, 0]
        nearest = np.take_along_axis(squared, column, axis=1)[:, 0]
        self._squared[rows] = nearest
        return rows[(nearest > self._reach[rows]) & (self._reach[rows] <= limit)]

    def _compare_with_all(self, rows: IntArray, means: FloatArray, place: IntArray) -> None:
        """Find the nearest active clusters of `rows`, and remember a few of them.

        `means` (m, d) are the means of the active clusters; `place` int64 (n,) is the row in it of
        each cluster.
        """
        squared = squared_l2(self._means[rows], means)
        lines = np.arange(len(rows))
        squared[lines, place[rows]] = np.inf
        line, foe = self._foes(rows)
        seen = place[foe] >= 0
        squared[line[seen], place[foe[seen]]] = np.inf
        columns, self._reach[rows] = smallest(squared, FEW)
        few = self._active[columns]
        self._few[rows, : few.shape[1]] = few
        self._few[rows, few.shape[1] :] = rows[:, None]
        self._nearest[rows] = few[:, 0]
        self._squared[rows] = squared[lines, columns[:, 0]]

    def _foes(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Return the conflicts of `rows` as pairs: the place in `rows`, and the other cluster."""
        first, second = self._cluster[self._conflicts]
        line = np.full(len(self._start), -1)
        line[rows] = np.arange(len(rows))
        here = line[first] >= 0
        return line[first[here]], second[here]

    def _merge(self, kept: IntArray, gone: IntArray, *, squared: FloatArray) -> None:
        """Merge cluster `gone[i]` into `kept[i]`, at a mean squared L2 of `squared[i]`."""
        self._sums[kept] += self._sums[gone]
        self._sizes[kept] += self._sizes[gone]
        self._means[kept] = self._sums[kept] / self._sizes[kept, None]
        # Without rounding, a merge is never lower than the merges before it.
        heights = np.maximum(squared, np.maximum(self._height[kept], self._height[gone]))
        self._height[kept] = heights
        self._reach[kept] = -np.inf
        self.heights = np.append(self.heights, heights)
        self._merges = np.append(self._merges, [kept, gone], axis=1)
        moved = np.arange(len(self._cluster))
        moved[gone] = kept
        self._cluster = moved[self._cluster]
        changed = np.zeros(len(moved), dtype=bool)
        changed[kept] = changed[gone] = True
        self._active = self._active[moved[self._active] == self._active]
        self._stale = self._active[changed[self._active] | changed[self._nearest[self._active]]]


def smallest(squared: FloatArray, few: int) -> tuple[IntArray, FloatArray]:
    """Return the columns of the `few` smallest of each row, ascending, and a lower bound.

    All other values of the row are at or above the bound. Sorting, or NumPy's partition, would take
    longer than the comparisons. So the minimum of each chunk is taken first: the few-th smallest
    minimum is at least the few-th smallest value, and few other values are below it.
    """
    height, width = squared.shape
    few = min(few, width)
    least = np.minimum.reduceat(squared, np.arange(0, width, CHUNK), axis=1)
    bound = np.full((height, 1), np.inf, np.float32)
    if least.shape[1] > few:
        bound = np.partition(least, few - 1, axis=1)[:, few - 1 : few]
    lines, columns = np.divmod(np.flatnonzero(squared <= bound), width)
    order = np.lexsort((squared[lines, columns], lines))
    lines, columns = lines[order], columns[order]
    rank = np.arange(len(lines)) - np.searchsorted(lines, lines)
    found = columns[rank < few].reshape(height, few)
    last = squared[np.arange(height), found[:, -1]]
    return found, last if few < width else np.full(height, np.inf, np.float32)
