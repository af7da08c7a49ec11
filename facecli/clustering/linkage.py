"""Average linkage on squared L2, without a matrix of all pairs.

The mean squared L2 between the members of two clusters of unit vectors is 2 - 2 m_a·m_b, where m
is the plain mean of a cluster's vectors, shorter than 1: the mean of dot products is the dot
product of means. So a cluster is its sum and its size, and the linkage is exact.

Average linkage is reducible: a merged cluster is no nearer to a third one than the nearer of its
parts was. Hence clusters that are each other's nearest may be merged in any order, many at a time,
and give the same tree as merging the nearest two again and again (Murtagh, "A survey of recent
advances in hierarchical clustering algorithms", The Computer Journal 26, 1983). It also follows
that a cluster whose nearest is beyond the threshold stays as it is for good and can be set aside,
which saves most of the time. Forbidding clusters that share a photo keeps all this true: their
distance is infinite, and remains so after any merge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.distances import MAXIMUM, squared_l2
from facecli.types import FloatArray, IntArray

BLOCK = 2**22
"""Comparisons held at a time: 16 MB of float32."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The merges of a linkage, lowest first; clusters go by their first row.

    Cluster `gone[i]` went into `kept[i]`, both int64 (m,), at a mean squared L2 between the two of
    `heights[i]`, float32 (m,).
    """

    faces: int
    kept: IntArray
    gone: IntArray
    heights: FloatArray

    def labels(self, merges: int | None = None) -> IntArray:
        """Return each row's cluster, int64 (n,), after the lowest `merges`, or after all."""
        parent = np.arange(self.faces)
        parent[self.gone[:merges]] = self.kept[:merges]
        while not np.array_equal(parent, grand := parent[parent]):
            parent = grand
        return parent

    def merges_to_groups(self, k: int) -> int | None:
        """Return the most merges after which `k` clusters hold two faces or more; None if never."""
        order = np.arange(len(self.kept))
        grown = np.full(self.faces, len(order))
        grown[self.kept[::-1]] = order[::-1]
        # Two single faces make a group, one joins a group, and two groups become one.
        change = 1 - (grown[self.kept] < order) - (grown[self.gone] < order)
        enough = np.flatnonzero(np.cumsum(change) >= k)
        return int(enough[-1]) + 1 if len(enough) else None


def average_linkage(
    embeddings: FloatArray,
    *,
    threshold: float = MAXIMUM,
    k: int = 1,
    photos: IntArray | None = None,
) -> Tree:
    """Merge the nearest clusters while they are within `threshold` and more than `k` are left.

    `embeddings` is (n, d) of unit rows. Faces with the same number in `photos`, int64 (n,), never
    meet in one cluster, which may leave more than k. Time grows with the clusters that have a
    neighbour within the threshold, n² at worst.
    """
    forest = _Forest(embeddings, conflicting_pairs(photos) if photos is not None else None)
    to_merge = len(embeddings) - k
    # NumPy rounds a plain float to the float32 it is compared with; np.float64 is kept as it is.
    limit = np.float64(min(threshold, MAXIMUM) if to_merge > 0 else -1.0)
    while forest.merge_mutual_neighbours(limit):
        # Merges come out of order. Once there are enough, only lower ones can still matter.
        if len(forest.heights) >= to_merge:
            limit = np.float64(np.partition(forest.heights, to_merge - 1)[to_merge - 1])
    return forest.tree(merges=max(0, to_merge))


def conflicting_pairs(photos: IntArray) -> IntArray:
    """Return every ordered pair of different faces with the same photo, int64 (2, p)."""
    order = np.argsort(photos, kind="stable")
    _, sizes = np.unique(photos, return_counts=True)
    groups = np.split(order, np.cumsum(sizes)[:-1])
    pairs = [np.stack(np.meshgrid(g, g)).reshape(2, -1) for g in groups if len(g) > 1]
    both = np.concatenate([np.empty((2, 0), np.int64), *pairs], axis=1)
    return both[:, both[0] != both[1]]


class _Forest:
    """Clusters on the way from single faces to a tree; each goes by its first row.

    `heights` holds the mean squared L2 of every merge so far, in the order they were found.
    """

    def __init__(self, embeddings: FloatArray, conflicts: IntArray | None) -> None:
        rows = np.arange(len(embeddings))
        self.heights = np.empty(0, np.float32)
        self._merges = np.empty((2, 0), np.int64)
        self._conflicts = conflicts
        self._cluster = rows.copy()
        self._sums = embeddings.astype(np.float64)
        self._sizes = np.ones(len(rows))
        self._means = np.array(embeddings, dtype=np.float32)
        self._height = np.zeros(len(rows), np.float32)
        self._nearest = rows.copy()
        self._squared = np.full(len(rows), np.inf, np.float32)
        self._active = rows
        self._stale = rows

    def merge_mutual_neighbours(self, limit: np.float64) -> bool:
        """Merge all clusters within `limit` that are each other's nearest; say if any were."""
        self._find_neighbours()
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
        return Tree(len(self._cluster), kept, gone, self.heights[lowest])

    def _find_neighbours(self) -> None:
        """Find the nearest active cluster of every stale one."""
        means = self._means[self._active]
        height = max(1, BLOCK // max(1, len(self._active)))
        for start in range(0, len(self._stale), height):
            rows = self._stale[start : start + height]
            squared = squared_l2(self._means[rows], means)
            self._forbid(squared, rows)
            column = np.argmin(squared, axis=1)
            self._nearest[rows] = self._active[column]
            self._squared[rows] = squared[np.arange(len(rows)), column]

    def _forbid(self, squared: FloatArray, rows: IntArray) -> None:
        """Put clusters infinitely far from themselves and from those they share a photo with."""
        column = np.full(len(self._cluster), -1)
        column[self._active] = np.arange(len(self._active))
        squared[np.arange(len(rows)), column[rows]] = np.inf
        if self._conflicts is not None:
            line = np.full(len(self._cluster), -1)
            line[rows] = np.arange(len(rows))
            first, second = self._cluster[self._conflicts]
            seen = (line[first] >= 0) & (column[second] >= 0)
            squared[line[first[seen]], column[second[seen]]] = np.inf

    def _merge(self, kept: IntArray, gone: IntArray, *, squared: FloatArray) -> None:
        """Merge cluster `gone[i]` into `kept[i]`, at a mean squared L2 of `squared[i]`."""
        self._sums[kept] += self._sums[gone]
        self._sizes[kept] += self._sizes[gone]
        self._means[kept] = self._sums[kept] / self._sizes[kept, None]
        # A merge is never lower than those it builds on, but for rounding.
        heights = np.maximum(squared, np.maximum(self._height[kept], self._height[gone]))
        self._height[kept] = heights
        self.heights = np.append(self.heights, heights)
        self._merges = np.append(self._merges, [kept, gone], axis=1)
        moved = np.arange(len(self._cluster))
        moved[gone] = kept
        self._cluster = moved[self._cluster]
        changed = np.zeros(len(moved), dtype=bool)
        changed[kept] = changed[gone] = True
        self._active = self._active[moved[self._active] == self._active]
        self._stale = self._active[changed[self._active] | changed[self._nearest[self._active]]]
