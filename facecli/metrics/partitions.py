"""Score how well clusters agree with people.

People and clusters are labels, one per face, of any type that can be sorted. The scores follow from
the number of faces of each person in each cluster, so the time is that of sorting, and pairs of
faces are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.types import IntArray


@dataclass(frozen=True, slots=True)
class PartitionScore:
    """Precision, recall and their harmonic mean, all in [0, 1]."""

    precision: float
    recall: float
    f: float


def pairwise_score(people: npt.ArrayLike, clusters: npt.ArrayLike) -> PartitionScore:
    """Score pairs of faces.

    Precision is the share of pairs in one cluster that are of one person, 1 if no cluster has a
    pair. Recall is the share of pairs of one person that are in one cluster, 1 if nobody has two
    faces.
    """
    both, person, cluster = _contingency(people, clusters)
    right = _pairs(both)
    together, mated = _pairs(np.bincount(cluster, both)), _pairs(np.bincount(person, both))
    return _score(right / together if together else 1.0, right / mated if mated else 1.0)


def bcubed_score(people: npt.ArrayLike, clusters: npt.ArrayLike) -> PartitionScore:
    """Score every face by its cluster and its person (BCubed).

    The precision of a face is the share of its cluster that is its person; its recall is the share
    of its person that is in its cluster. Precision and recall are means over all faces, F is their
    harmonic mean (Amigó et al., "A comparison of extrinsic clustering evaluation metrics",
    Information Retrieval 12, 2009).
    """
    both, person, cluster = _contingency(people, clusters)
    faces = both.sum()
    in_cluster = np.bincount(cluster, both)[cluster]
    of_person = np.bincount(person, both)[person]
    squares = both.astype(np.float64) ** 2
    return _score(
        float((squares / in_cluster).sum() / faces), float((squares / of_person).sum() / faces)
    )


def normalized_mutual_information(people: npt.ArrayLike, clusters: npt.ArrayLike) -> float:
    """Return how much people and clusters say about each other: NMI, in [0, 1].

    It is the mutual information divided by the mean of both entropies (arithmetic, as scikit-learn
    does; Vinh, Epps & Bailey, "Information theoretic measures for clusterings comparison", JMLR 11,
    2010). It is 1 if clusters are people, also if there is one of each, and 0 if they are
    independent. By chance it rises with the number of clusters, so compare it only for the same
    faces.
    """
    both, person, cluster = _contingency(people, clusters)
    of_person, in_cluster = np.bincount(person, both), np.bincount(cluster, both)
    entropy = (_entropy(of_person) + _entropy(in_cluster)) / 2
    if not entropy:
        return 1.0
    shared = 2 * entropy - _entropy(both)
    return min(1.0, max(0.0, shared / entropy))


def _entropy(sizes: npt.NDArray[np.generic]) -> float:
    """Return the entropy of the shares of these sizes, all above 0, in nats."""
    shares = np.asarray(sizes, np.float64)
    shares = shares / shares.sum()
    return float(-(shares * np.log(shares)).sum())


def _contingency(
    people: npt.ArrayLike, clusters: npt.ArrayLike
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the number of faces of each (person, cluster) that occurs, and both their numbers."""
    truth, found = np.asarray(people), np.asarray(clusters)
    if truth.ndim != 1 or truth.shape != found.shape:
        raise ValueError(f"people and clusters have different shapes: {truth.shape}, {found.shape}")
    if not len(truth):
        raise ValueError("no faces to score")
    _, person = np.unique(truth, return_inverse=True)
    _, cluster = np.unique(found, return_inverse=True)
    width = int(cluster.max()) + 1
    cells, both = np.unique(person * width + cluster, return_counts=True)
    return both, cells // width, cells % width


def _pairs(sizes: npt.NDArray[np.generic]) -> int:
    """Count the pairs inside groups of these sizes."""
    whole = np.asarray(sizes).astype(np.int64)
    return int((whole * (whole - 1) // 2).sum())


def _score(precision: float, recall: float) -> PartitionScore:
    """Add the harmonic mean of both, which is 0 if both are 0."""
    total = precision + recall
    return PartitionScore(precision, recall, 2 * precision * recall / total if total else 0.0)
