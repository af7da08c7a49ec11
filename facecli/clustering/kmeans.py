"""Spherical k-means from a given start, and a start where none is known.

Dhillon & Modha, "Concept decompositions for large sparse text data using clustering", Machine
Learning 42, 2001: Lloyd's two steps with unit centroids. On unit vectors the nearest centroid by
squared L2 is the one of highest cosine, and the best unit centroid points along the members' mean.
"""

from __future__ import annotations

import numpy as np

from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, normalize, paired_squared_l2, squared_l2


class TooFewClusters(ValueError):
    """Faces that may not meet were too many for the clusters."""


ITERATIONS = 20
"""Most rounds of k-means for NMI; on photos nothing moves after about five."""

STARTS = 10
"""Most starts of k-means; the closest clusters count. With few photos one start often fails."""

SEVERAL_STARTS = 2**22
"""Photos times people of all starts together: 10 starts for 400,000 or fewer, one for LFW's."""


def spherical_kmeans(
    embeddings: FloatArray,
    centroids: FloatArray,
    *,
    iterations: int,
    photos: IntArray | None = None,
    conflicts: IntArray | None = None,
    weights: FloatArray | None = None,
) -> IntArray:
    """Assign faces to centroids and move the centroids, `iterations` times or until nothing moves.

    `embeddings` (n, d) and `centroids` (k, d) hold unit rows, k at most n; `weights` float32 (n,)
    says how much each row counts, else 1. Faces with the same number in `photos`, int64 (n,), at
    most k of them, go to different clusters, and so do the pairs of `conflicts`, int64 (2, p), both
    ways round. Return the cluster of each row, int64 (n,) in 0..k-1; every cluster has a member.
    Raise TooFewClusters where no way was found to keep to the conflicts with k.
    """
    labels = np.full(len(embeddings), -1)
    for _ in range(iterations):
        found = _assign(embeddings, centroids, photos)
        if conflicts is not None:
            _separate(found, embeddings, centroids, conflicts)
        _fill_empty(found, embeddings, centroids)
        if np.array_equal(found, labels):
            break
        labels, centroids = found, mean_directions(embeddings, found, weights)
    return labels


def kmeans_from_scratch(
    embeddings: FloatArray, k: int, *, starts: int, iterations: int, seed: int = 0
) -> IntArray:
    """Return the closest clusters of several starts of `spherical_kmeans`, int64 (n,) in 0..k-1.

    `embeddings` (n, d) are unit rows; k is at most n. Closest are those with the least squared L2
    from all rows to their centroids. The starts are those of `spread_rows`, by seeds from `seed`.
    """
    found, least = np.zeros(len(embeddings), np.int64), np.inf
    for number in range(seed, seed + starts):
        start = embeddings[spread_rows(embeddings, k, seed=number)]
        labels = spherical_kmeans(embeddings, start, iterations=iterations)
        squared = paired_squared_l2(embeddings, mean_directions(embeddings, labels)[labels])
        if (spread := float(squared.sum(dtype=np.float64))) < least:
            found, least = labels, spread
    return found


def as_many_clusters(embeddings: FloatArray, k: int) -> IntArray:
    """Return labels int64 (n,) of `k` clusters of unit rows (n, d), to be compared with k classes.

    Small data are clustered from several starts, large ones from one.
    """
    starts = max(1, min(STARTS, SEVERAL_STARTS // (len(embeddings) * k)))
    return kmeans_from_scratch(embeddings, k, starts=starts, iterations=ITERATIONS)


def spread_rows(embeddings: FloatArray, k: int, *, seed: int = 0) -> IntArray:
    """Choose k different rows of unit vectors (n, d) to start from, int64 (k,), k at most n.

    Each is drawn in proportion to its squared L2 from the nearest one already chosen, so they
    spread over the data: k-means++ (Arthur & Vassilvitskii, SODA 2007). Equal seeds choose equally.
    """
    random = np.random.default_rng(seed)
    chosen = np.empty(k, np.int64)
    squared = np.ones(len(embeddings), np.float64)
    for place in range(k):
        heaped = np.cumsum(squared)
        if not heaped[-1]:  # every row left equals a chosen one: any will do
            squared[:] = 1.0
            squared[chosen[:place]] = 0.0
            heaped = np.cumsum(squared)
        drawn = random.random() * heaped[-1]
        row = int(np.searchsorted(heaped[:-1], drawn, side="right"))
        chosen[place] = row
        # A dot product of each row on one thread: the threads of a matrix product cost more here.
        near = 2.0 - 2.0 * np.vecdot(embeddings, embeddings[row])
        np.minimum(squared, near.clip(0.0), out=squared)
        squared[row] = 0.0
    return chosen


def mean_directions(
    embeddings: FloatArray, labels: IntArray, weights: FloatArray | None = None
) -> FloatArray:
    """Return the unit centroid of each cluster, float32 (k, d), for labels 0..k-1 all in use.

    Members that cancel out have no mean direction; the first member's then stands for it.
    """
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(int(labels.max()) + 1))
    rows = embeddings[order].astype(np.float64)
    if weights is not None:
        rows *= weights[order, None]
    sums = np.add.reduceat(rows, starts, axis=0)
    # Rounding leaves about 1e-8 per member where float32 unit vectors cancel.
    cancelled = np.linalg.norm(sums, axis=1) < 1e-6 * np.bincount(labels)
    sums[cancelled] = embeddings[order[starts[cancelled]]]
    return normalize(sums)


def _assign(embeddings: FloatArray, centroids: FloatArray, photos: IntArray | None) -> IntArray:
    """Return the nearest centroid of each row, or the jointly nearest for faces of one photo."""
    height = max(1, COMPARISONS_HELD // len(centroids))
    nearest = np.concatenate(
        [
            np.argmin(squared_l2(embeddings[start : start + height], centroids), axis=1)
            for start in range(0, len(embeddings), height)
        ]
    )
    if photos is not None:
        for faces in _clashes(nearest, photos):
            nearest[faces] = _assign_jointly(embeddings[faces], centroids)
    return nearest


def _clashes(nearest: IntArray, photos: IntArray) -> list[IntArray]:
    """Return the rows of each photo of which two faces have the same nearest centroid."""
    order = np.lexsort((nearest, photos))
    photo, centroid = photos[order], nearest[order]
    clash = (photo[1:] == photo[:-1]) & (centroid[1:] == centroid[:-1])
    return [np.flatnonzero(photos == number) for number in np.unique(photo[1:][clash])]


def _assign_jointly(faces: FloatArray, centroids: FloatArray) -> IntArray:
    """Give each face a centroid of its own at the least total squared L2 (Kuhn 1955)."""
    # SciPy takes 0.2 s to import, and most sets of photos never need this.
    from scipy.optimize import linear_sum_assignment

    chosen: IntArray = linear_sum_assignment(squared_l2(faces, centroids))[1]
    return chosen


def _separate(
    labels: IntArray, embeddings: FloatArray, centroids: FloatArray, conflicts: IntArray
) -> None:
    """Move faces until no pair of `conflicts` shares a centroid, those farthest from theirs first.

    Each goes to the nearest centroid that nothing keeps it from, so that moving it causes no new
    conflict and going once over the faces is enough.
    """
    first, second = conflicts
    clashing = np.unique(first[labels[first] == labels[second]])
    squared = paired_squared_l2(embeddings[clashing], centroids[labels[clashing]])
    for face in clashing[np.argsort(-squared, kind="stable")]:
        taken = labels[second[first == face]]
        if labels[face] not in taken:
            continue
        distances = squared_l2(embeddings[face, None], centroids)[0]
        distances[taken] = np.inf
        labels[face] = np.argmin(distances)
        if np.isinf(distances[labels[face]]):
            raise TooFewClusters(
                f"{len(centroids)} clusters are too few to keep apart what must be"
            )


def _fill_empty(labels: IntArray, embeddings: FloatArray, centroids: FloatArray) -> None:
    """Give each centroid without a face the one farthest from its own that is not alone there."""
    sizes = np.bincount(labels, minlength=len(centroids))
    empty = np.flatnonzero(sizes == 0)
    if not len(empty):
        return
    squared = paired_squared_l2(embeddings, centroids[labels])
    for cluster in empty:
        face = int(np.argmax(np.where(sizes[labels] > 1, squared, -1.0)))
        sizes[labels[face]] -= 1
        sizes[cluster] += 1
        labels[face] = cluster
