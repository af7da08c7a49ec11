"""How well clustering finds people: folders are the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from facecli.albums.grouping import threshold_among
from facecli.clustering import cluster
from facecli.errors import FaceError
from facecli.evaluation.samples import Samples
from facecli.faces.quality import usable_for_enrollment
from facecli.metrics import PartitionScore, bcubed_score, pairwise_score


@dataclass(frozen=True, slots=True)
class ClusteringResult:
    """How clusters of one face a photo agree with who is on them.

    `people` is how many there are, `found` how many clusters their photos are in. `threshold`, in
    squared L2, is what they were sorted with. Photos of nobody named (`unnamed`) are sorted with
    the others and not scored; `failures` gave no face.
    """

    photos: int
    people: int
    found: int
    unnamed: int
    failures: int
    threshold: float
    pairwise: PartitionScore
    bcubed: PartitionScore


def measure_clustering(
    samples: Samples,
    *,
    threshold: float,
    rates: Mapping[str, float] | None = None,
    k: int | None = None,
) -> ClusteringResult:
    """Cluster the samples as `facecli cluster` would and score it by their people.

    `rates` are as `threshold_among` takes them. Raises FaceError where nobody is named.
    """
    named = np.array([bool(person) for person in samples.people], dtype=bool)
    if not named.any():
        raise FaceError(
            "no face of anyone named: each person's photos lie in a folder of their own"
        )
    within = threshold_among(len(samples), threshold, rates or {})
    try:
        weak = np.array([bool(usable_for_enrollment(one)) for one in samples.qualities], bool)
        labels = cluster(samples.embeddings, threshold=within, k=k, weak=weak).labels[named]
    except ValueError as error:
        raise FaceError(str(error)) from error
    people = np.array(samples.people)[named]
    return ClusteringResult(
        photos=len(samples),
        people=len(np.unique(people)),
        found=len(np.unique(labels)),
        unnamed=int((~named).sum()),
        failures=len(samples.failures),
        threshold=within,
        pairwise=pairwise_score(people, labels),
        bcubed=bcubed_score(people, labels),
    )
