"""What must share a cluster and what must not, turned into units that clustering can move about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.clustering.kmeans import mean_directions
from facecli.clustering.linkage import average_linkage
from facecli.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Units:
    """Faces bound together, each a unit of its own where nothing binds it.

    `unit` int64 (n,) numbers each face's unit from 0, `start` int64 (n,) is that unit's first face,
    `photo` int64 (n,) numbers each face's photo from 0. `conflicts` int64 (2, p) are the pairs of
    faces, both ways round, whose units may not meet. `plain` is true where the photos say it all.
    """

    unit: IntArray
    start: IntArray
    photo: IntArray
    conflicts: IntArray
    plain: bool

    @classmethod
    def of(
        cls,
        faces: int,
        *,
        photos: npt.ArrayLike | None,
        together: npt.ArrayLike | None,
        apart: npt.ArrayLike | None,
    ) -> Units:
        """Bind faces with the same entry in `together`, and part photos and pairs (p, 2)."""
        alone = np.arange(faces)
        photo = alone if photos is None else _numbered(photos, faces, "photos")
        bound = alone if together is None else _numbered(together, faces, "groups")
        conflicts = conflicting_pairs(photo)
        if apart is not None:
            pairs = np.asarray(apart, dtype=np.int64).reshape(-1, 2).T
            conflicts = np.concatenate([conflicts, pairs, pairs[::-1]], axis=1)
        units = cls._bound(bound, photo, conflicts, plain=together is None and apart is None)
        if np.any(units.unit[conflicts[0]] == units.unit[conflicts[1]]):
            raise ValueError("faces are to be kept both together and apart")
        return units

    @classmethod
    def _bound(cls, group: IntArray, photo: IntArray, conflicts: IntArray, *, plain: bool) -> Units:
        _, first, unit = np.unique(group, return_index=True, return_inverse=True)
        return cls(unit, first[unit], photo, conflicts, plain)

    def subset(self, rows: IntArray) -> Units:
        """Return the units of these faces alone, which are given in ascending order."""
        place = np.full(len(self.photo), -1)
        place[rows] = np.arange(len(rows))
        conflicts = place[self.conflicts]
        kept = conflicts[:, (conflicts >= 0).all(axis=0)]
        photo = np.unique(self.photo[rows], return_inverse=True)[1]
        return self._bound(self.unit[rows], photo, kept, plain=self.plain)

    @property
    def photos(self) -> IntArray:
        """Return the photo of each unit, numbered from 0.

        A unit of several faces is in several photos, so it gets one of its own: it is the conflicts
        that keep it out of the others.
        """
        first = np.unique(self.start)
        own = len(self.photo) + np.arange(len(first))
        shown = np.where(np.bincount(self.unit) == 1, self.photo[first], own)
        return np.unique(shown, return_inverse=True)[1]

    @property
    def pairs(self) -> IntArray | None:
        """Return the units that may not meet, int64 (2, p); None where the photos say it all."""
        return None if self.plain else self.unit[self.conflicts]

    def parts(self, rows: FloatArray, threshold: float) -> Units:
        """Return the units cut into parts of faces that are alike, with all their conflicts.

        A child and the adult it became may have no likeness: the mean of both resembles neither,
        and new photos would join neither. As parts each draws its own, and `join` puts them
        together. What may not meet a unit may not meet any part of it.
        """
        group = self.start.copy()
        heads: dict[int, list[int]] = {}
        for unit in np.flatnonzero(np.bincount(self.unit) > 1):
            faces = np.flatnonzero(self.unit == unit)
            group[faces] = faces[average_linkage(rows[faces], threshold=threshold).labels()]
            heads[int(faces[0])] = np.unique(group[faces]).tolist()
        met = set(map(tuple, self.start[self.conflicts].T.tolist()))
        spread = [
            (one, other)
            for first, second in met
            if first in heads or second in heads
            for one in heads.get(first, [first])
            for other in heads.get(second, [second])
        ]
        conflicts = np.concatenate(
            [self.conflicts, np.array(spread, np.int64).reshape(-1, 2).T], axis=1
        )
        return self._bound(group, self.photo, conflicts, plain=self.plain)

    def join(self, labels: IntArray, squared: FloatArray) -> IntArray:
        """Return clusters int64 (n,) in which each unit is whole again, from those of its parts.

        Joining two clusters can bring faces together that may not meet, one drawn by each part:
        the smaller unit of the two, or the one farther from its centroid by `squared` (n,), is then
        left alone.
        """
        # SciPy takes 0.2 s to import, and only corrections need this.
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        labels = labels.copy()
        first, second = self.conflicts
        size = np.bincount(self.unit)[self.unit]
        rank = np.argsort(np.lexsort((-squared, size)))
        weaker = np.where(rank[first] < rank[second], first, second)
        while True:
            top = int(labels.max()) + 1
            links = coo_array(
                (np.ones(len(labels)), (labels, top + self.unit)), shape=(top + len(labels),) * 2
            )
            joined: IntArray = connected_components(links, directed=False)[1][labels]
            out = np.unique(self.unit[weaker[joined[first] == joined[second]]])
            if not len(out):
                return joined.astype(np.int64)
            left = np.isin(self.unit, out)
            labels[left] = top + self.unit[left]

    def vectors(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return each unit's direction, float32 (units, d), and how much it counts in a mean.

        The nearest centroid to all faces of a unit together is the nearest to their sum's
        direction, and in a mean the sum counts by its length.
        """
        directions = mean_directions(rows, self.unit)
        along = np.einsum("nd,nd->n", rows, directions[self.unit])
        weights = np.bincount(self.unit, along).astype(np.float32)
        return directions, np.maximum(weights, np.float32(1e-6))


def _numbered(entries: npt.ArrayLike, faces: int, what: str) -> IntArray:
    """Return the entries as numbers from 0, int64 (n,)."""
    array = np.asarray(entries)
    if array.shape != (faces,):
        raise ValueError(f"{faces} faces need as many {what}, not shape {array.shape}")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def conflicting_pairs(photos: IntArray) -> IntArray:
    """Return every ordered pair of different faces with the same photo, int64 (2, p)."""
    order = np.argsort(photos, kind="stable")
    _, sizes = np.unique(photos, return_counts=True)
    groups = np.split(order, np.cumsum(sizes)[:-1])
    pairs = [np.stack(np.meshgrid(g, g)).reshape(2, -1) for g in groups if len(g) > 1]
    both = np.concatenate([np.empty((2, 0), np.int64), *pairs], axis=1)
    return both[:, both[0] != both[1]]
