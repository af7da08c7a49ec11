"""Add faces of poor quality to clusters of at least two other faces, or leave them alone.

Blurred, tiny and cut faces look like each other, whoever they are. In LFW's development photos, 146
faces in the background are not good enough for enrollment. With the start weights of facecli-128,
0.18 % of the pairs of these in different photos are within 1.1, and 0.47 % of the pairs of those
with less than 16 pixels between the eyes; of impostor pairs it is usually 0.003 %. Pairs of such a
face with a main one are within it no more often than usual.
"""

from __future__ import annotations

import numpy as np

from facecli.types import BoolArray, FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD

FOUNDERS = 2
"""Faces that a cluster needs before weak faces join it: a single one may be a poor face too."""


def join_weak(
    rows: FloatArray, labels: IntArray, weak: BoolArray, *, conflicts: IntArray, threshold: float
) -> IntArray:
    """Return clusters int64 (n,) in which each weak face has joined others or is alone.

    `labels` int64 (n,) are the clusters of the other faces, 0..k-1. A weak face joins the nearest
    cluster of at least FOUNDERS such faces whose mean squared L2 to it is at most `threshold`. It
    does not join a cluster with a face it is in conflict with: `conflicts` are pairs, each in both
    orders, int64 (2, p). The nearest weak faces join first.
    """
    found = np.where(weak, -1, labels)
    foes: dict[int, list[int]] = {}
    for face, other in conflicts[:, weak[conflicts[0]]].T.tolist():
        foes.setdefault(face, []).append(other)
    for _, face, cluster in sorted(_near(rows, found, np.flatnonzero(weak), threshold)):
        if found[face] < 0 and cluster not in found[foes.get(face, [])]:
            found[face] = cluster
    alone = np.flatnonzero(found < 0)
    found[alone] = found.max(initial=-1) + 1 + np.arange(len(alone))
    return found


def _near(
    rows: FloatArray, labels: IntArray, weak: IntArray, threshold: float
) -> list[tuple[float, int, int]]:
    """Return mean squared L2, face and cluster wherever a weak face is within the threshold."""
    strong = labels >= 0
    if not strong.any():
        return []
    means = np.zeros((int(labels.max()) + 1, rows.shape[1]))
    np.add.at(means, labels[strong], rows[strong])
    founders = np.bincount(labels[strong])
    means /= founders[:, None]
    near: list[tuple[float, int, int]] = []
    height = max(1, COMPARISONS_HELD // len(means))
    for start in range(0, len(weak), height):
        squared = 2 - 2 * rows[weak[start : start + height]] @ means.T.astype(np.float32)
        line, cluster = np.nonzero((squared <= threshold) & (founders >= FOUNDERS))
        values = squared[line, cluster]
        near += zip(values.tolist(), weak[start + line].tolist(), cluster.tolist(), strict=True)
    return near
