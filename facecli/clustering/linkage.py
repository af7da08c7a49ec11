"""Average linkage on squared L2, without a matrix of all pairs.

The mean squared L2 between the members of two clusters of unit vectors is 2 - 2 m_a·m_b, where m
is the plain mean of a cluster's vectors, shorter than 1: the mean of dot products is the dot
product of means. So a cluster is its sum and its size, and the linkage is exact.

Average linkage is reducible: a merged cluster is no nearer to a third one than the nearer of its
parts was. Hence clusters that are each other's nearest may be merged in any order, many at a time,
and give the same tree as merging the nearest two again and again (Murtagh, "A survey of recent
advances in hierarchical clustering algorithms", The Computer Journal 26, 1983). It also follows
that a cluster whose nearest is beyond the threshold stays as it is for good and can be set aside,
which saves most of the time. Forbidding clusters to meet, because they share a photo or someone
said so, keeps all this true: their distance is infinite, and remains so after any merge.

Memory stays that of the embeddings, and the time is that of two or three comparisons of everything
with everything, as each cluster remembers a few of its nearest: on one busy core 100,000 faces of
25,688 people took 190 s and 0.55 GB, 50,000 faces of which five people have 8,000 each 80 s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, MAXIMUM, squared_l2

FEW = 16
"""Nearest clusters that are remembered of each, so that not all need comparing when one is gone."""

CHUNK = 32
"""Columns whose least is looked at first where a few of thousands are sought."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The merges of a linkage, lowest first; clusters go by their first row.

    `start` int64 (n,) is where each row began. Cluster `gone[i]` went into `kept[i]`, both int64
    (m,), at a mean squared L2 between the two of `heights[i]`, float32 (m,).
    """

    start: IntArray
    kept: IntArray
    gone: IntArray
    heights: FloatArray

    def labels(self, merges: int | None = None) -> IntArray:
        """Return each row's cluster, int64 (n,), after the lowest `merges`, or after all."""
        parent = self.start.copy()
        parent[self.gone[:merges]] = self.kept[:merges]
        while not np.array_equal(parent, grand := parent[parent]):
            parent = grand
        return parent

    def merges_to_groups(self, k: int) -> int | None:
        """Return the most merges after which `k` clusters hold two faces or more; None if never."""
        order = np.arange(len(self.kept))
        grown = np.full(len(self.start), len(order))
        grown[self.kept[::-1]] = order[::-1]
        groups = np.bincount(self.start, minlength=len(self.start)) > 1
        grown[groups] = -1
        # Two single faces make a group, one joins a group, and two groups become one.
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

    `embeddings` is (n, d) of unit rows. `start` int64 (n,) gives the first row of the cluster that
    each begins in; else each is its own. The pairs of rows in `conflicts`, int64 (2, p), both ways
    round, never meet in one cluster, which may leave more than k. Time grows with the clusters that
    have a neighbour within the threshold, n² at worst.
    """
    first = np.arange(len(embeddings)) if start is None else start
    forest = _Forest(embeddings, first, conflicts)
    to_merge = len(np.unique(first)) - k
    # NumPy rounds a plain float to the float32 it is compared with; np.float64 is kept as it is.
    limit = np.float64(min(threshold, MAXIMUM) if to_merge > 0 else -1.0)
    while forest.merge_mutual_neighbours(limit):
        # Merges come out of order. Once there are enough, only lower ones can still matter.
        if len(forest.heights) >= to_merge:
            limit = np.float64(np.partition(forest.heights, to_merge - 1)[to_merge - 1])
    return forest.tree(merges=max(0, to_merge))


class _Forest:
    """Clusters on the way from single faces to a tree; each goes by its first row.

    `heights` holds the mean squared L2 of every merge so far, in the order they were found.
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
        """Merge all clusters within `limit` that are each other's nearest; say if any were."""
        self._find_neighbours(limit)
        active = self._active = self._active[self._squared[self._active] <= limit]
        if not len(active):
            return False
        nearest = self._nearest[active]
        mutual = (self._nearest[nearest] == active) & (active < nearest)
        if not mutual.any():
            # Rounding can close a ring of equal neighbours; the nearest two are then as good.
            mutual = active == active[np.argmin(self._squared[active])]
        pair = np.sort(np.stack([active[mutual], nearest[mutual]]), axis=0)
        self._merge(*pair, squared=self._squared[active[mutual]])
        return True

    def tree(self, *, merges: int) -> Tree:
        """Return the lowest merges, at most as many as asked for."""
        lowest = np.argsort(self.heights, kind="stable")[:merges]
        kept, gone = self._merges[:, lowest]
        return Tree(self._start, kept, gone, self.heights[lowest])

    def _find_neighbours(self, limit: np.float64) -> None:
        """Find the nearest active cluster of every stale one, where one may be within `limit`."""
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
        """Take the nearest of `rows` from the few remembered; return those this does not settle.

        Whatever is not remembered is at or beyond reach: it was so when they were compared with
        all, and merges bring no cluster nearer. `place` int64 (n,) is -1 for what is not active.
        """
        few = self._cluster[self._few[rows]]
        squared = 2 - 2 * (self._means[few] @ self._means[rows][:, :, None])[..., 0]
        # By rounding, a cluster set aside may look near enough from here.
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

        `means` (m, d) are those of the active clusters, `place` int64 (n,) says which is whose.
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
        """Return conflicts as pairs: a place in `rows`, and a cluster that one may not meet."""
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
        # A merge is never lower than those it builds on, but for rounding.
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
    """Return the columns of the `few` least of each row, ascending, and what no other is under.

    Sorting, or NumPy's partition, would take longer than the comparisons did. The few-th least of
    the chunks' least values is no less than the few-th least of all, and little else is under it.
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
