"""Faces too poor to found a cluster: they join those of two others or more, or stay alone.

Blurred, tiny and cut faces resemble each other, whoever they are. Of LFW's development photos, 130
faces in the background were not good enough to be enrolled; of the pairs of these, 1.6 % lay within
the model's threshold, at which strangers usually do so once in 10,000 pairs. Compared with good
faces they did so no more often than any stranger.
"""

from __future__ import annotations

import numpy as np

from facecli.types import BoolArray, FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD

FOUNDERS = 2
"""Other faces that make a cluster one to join: somebody seen once is as likely a poor likeness."""


def join_weak(
    rows: FloatArray, labels: IntArray, weak: BoolArray, *, conflicts: IntArray, threshold: float
) -> IntArray:
    """Return clusters int64 (n,) with the weak faces in them, or each in one of its own.

    `labels` int64 (n,) are those of the others, 0..k-1. A weak face joins the cluster whose other
    faces, FOUNDERS or more, are nearest, if their mean squared L2 is at most `threshold`, and none
    that holds a face it may not meet: the pairs of `conflicts`, int64 (2, p), both ways round. The
    nearest go first.
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
    """Return mean squared L2, face and cluster where a weak face is within the threshold."""
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
