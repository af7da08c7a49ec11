"""How well clusters agree with people: scores of one partition against another.

Both are labels, one per face, of any kind that sorts. Everything follows from how many faces each
person has in each cluster, so the cost is that of sorting, not of comparing all pairs.
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
    """Score pairs of faces: precision over pairs put together, recall over pairs of one person.

    Where no pair was put together nothing was put together wrongly: precision is 1; likewise recall
    where nobody has two faces.
    """
    both, person, cluster = _contingency(people, clusters)
    right = _pairs(both)
    together, mated = _pairs(np.bincount(cluster, both)), _pairs(np.bincount(person, both))
    return _score(right / together if together else 1.0, right / mated if mated else 1.0)


def bcubed_score(people: npt.ArrayLike, clusters: npt.ArrayLike) -> PartitionScore:
    """Score face by face: the share of its cluster that is its person, and of its person in it.

    Precision and recall are means over all faces, F is their harmonic mean (Amigó et al., "A
    comparison of extrinsic clustering evaluation metrics", Information Retrieval 12, 2009).
    """
    both, person, cluster = _contingency(people, clusters)
    faces = both.sum()
    in_cluster = np.bincount(cluster, both)[cluster]
    of_person = np.bincount(person, both)[person]
    squares = both.astype(np.float64) ** 2
    return _score(
        float((squares / in_cluster).sum() / faces), float((squares / of_person).sum() / faces)
    )


def _contingency(
    people: npt.ArrayLike, clusters: npt.ArrayLike
) -> tuple[IntArray, IntArray, IntArray]:
    """Return how many faces each occurring (person, cluster) has, and the numbers of the two."""
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
    """Count the pairs within groups of these sizes."""
    whole = np.asarray(sizes).astype(np.int64)
    return int((whole * (whole - 1) // 2).sum())


def _score(precision: float, recall: float) -> PartitionScore:
    """Combine both; two zeros have the harmonic mean 0."""
    total = precision + recall
    return PartitionScore(precision, recall, 2 * precision * recall / total if total else 0.0)
