"""Turn the constraints on a clustering into units: faces that stay together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.clustering.kmeans import mean_directions
from facecli.clustering.linkage import average_linkage
from facecli.types import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Units:
    """Faces that must stay together; a face without such a constraint is a unit of its own.

    `unit` is the number of each face's unit from 0, `start` the first face of that unit, `photo`
    the number of each face's photo from 0; all int64 (n,). `conflicts` are pairs of faces whose
    units must not be in one cluster, each pair in both orders, int64 (2, p). `plain` is true if all
    conflicts come from the photos.
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
        """Make units from equal entries of `together`, conflicts from photos and pairs (p, 2)."""
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
        """Return the units of these faces only; `rows` is in ascending order."""
        place = np.full(len(self.photo), -1)
        place[rows] = np.arange(len(rows))
        conflicts = place[self.conflicts]
        kept = conflicts[:, (conflicts >= 0).all(axis=0)]
        photo = np.unique(self.photo[rows], return_inverse=True)[1]
        return self._bound(self.unit[rows], photo, kept, plain=self.plain)

    @property
    def photos(self) -> IntArray:
        """Return the photo of each unit, numbered from 0.

        A unit of several faces is in several photos, so it gets a number of its own; the conflicts
        keep it apart from the other units of its photos.
        """
        first = np.unique(self.start)
        own = len(self.photo) + np.arange(len(first))
        shown = np.where(np.bincount(self.unit) == 1, self.photo[first], own)
        return np.unique(shown, return_inverse=True)[1]

    @property
    def pairs(self) -> IntArray | None:
        """Return the pairs of units in conflict, int64 (2, p); None if `plain`."""
        return None if self.plain else self.unit[self.conflicts]

    def parts(self, rows: FloatArray, threshold: float) -> Units:
        """Return the units cut into parts of similar faces, with all their conflicts.

        The same person as a child and as an adult may not look alike. The mean of both is near to
        neither, so new photos would join neither. As two parts, each gets its own new photos, and
        `join` puts the parts together again. A conflict with a unit is one with all its parts.
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

        Joining two clusters can bring faces together that are in conflict. Then the smaller unit of
        the two gets a cluster of its own; of equally large units, the one with the larger squared
        L2 to its centroid, `squared` (n,).
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
        """Return the direction of each unit, float32 (units, d), and its weight in a mean.

        The centroid that is nearest to all faces of a unit is the one nearest to the direction of
        their sum. The weight in a mean is the length of that sum.
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
