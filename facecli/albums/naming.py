"""Names from the gallery for clusters that are clearly one enrolled person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facecli.types import FloatArray, IntArray, TemplateMatrix
from facecli.vectors.distances import COMPARISONS_HELD, MAXIMUM


@dataclass(frozen=True, slots=True)
class Namer:
    """The people enrolled, and how near a cluster must be to one of them to get the name.

    The squared L2 between a cluster and a person is the mean over the faces of the cluster, for the
    person's nearest template. It must be at most `threshold`, and smaller than that of any other
    person by at least `gap`.
    """

    matrix: TemplateMatrix
    threshold: float
    gap: float

    def names(
        self,
        embeddings: FloatArray,
        labels: IntArray,
        photos: IntArray,
        *,
        given: Mapping[int, str],
    ) -> dict[int, str]:
        """Return the names of the clusters that are near one person only and have no `given` name.

        `embeddings` is (n, d), `labels` int64 (n,) in 0..k-1, `photos` int64 (n,). Several clusters
        may get the same name, but if they share a photo only the nearest gets it.
        """
        shown: dict[str, set[int]] = {}
        for label, name in given.items():
            shown.setdefault(name, set()).update(photos[labels == label].tolist())
        found: dict[int, str] = {}
        for _, label, name in sorted(self._near(embeddings, labels)):
            own = set(photos[labels == label].tolist())
            if label not in given and not own & shown.setdefault(name, set()):
                found[label] = name
                shown[name] |= own
        return found

    def _near(self, embeddings: FloatArray, labels: IntArray) -> list[tuple[float, int, str]]:
        """Return squared L2, cluster and name for each cluster that is clearly near one person."""
        ids = self.matrix.person_ids
        if not len(ids):
            return []
        order = np.argsort(ids, kind="stable")
        owners, starts = np.unique(ids[order], return_index=True)
        templates = self.matrix.embeddings[order]
        means = _means(embeddings, labels)
        near: list[tuple[float, int, str]] = []
        height = max(1, COMPARISONS_HELD // len(templates))
        for first in range(0, len(means), height):
            squared = 2 - 2 * means[first : first + height] @ templates.T
            people = np.minimum.reduceat(squared, starts, axis=1)
            best = people.argmin(axis=1)
            rows = np.arange(len(people))
            nearest = people[rows, best]
            people[rows, best] = MAXIMUM
            clear = (nearest <= self.threshold) & (nearest + self.gap <= people.min(axis=1))
            near += [
                (float(nearest[row]), first + row, self.matrix.names[int(owners[best[row]])])
                for row in np.flatnonzero(clear).tolist()
            ]
        return near


def _means(embeddings: FloatArray, labels: IntArray) -> FloatArray:
    """Return the mean of each cluster's vectors, float32 (k, d), not scaled to unit length."""
    sums = np.zeros((int(labels.max()) + 1, embeddings.shape[1]))
    np.add.at(sums, labels, embeddings)
    return (sums / np.bincount(labels)[:, None]).astype(np.float32)
