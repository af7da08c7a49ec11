"""Measure how well clustering finds people, with one folder of photos for each person."""

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
from facecli.types import Subject


@dataclass(frozen=True, slots=True)
class ClusteringResult:
    """How well clusters of one face from each photo agree with the people.

    `people` is the number of people, `found` the number of clusters with their photos. `threshold`
    is the squared L2 of the clustering. `unnamed` photos, whose person is not known, are clustered
    with the others but not scored. `failures` photos gave no face.
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
    subject: Subject = Subject.FACE,
) -> ClusteringResult:
    """Cluster the samples as `facecli cluster` does, and score the clusters by their people.

    `rates` are those of `threshold_among`, `subject` is what the model looks at. Raises
    FaceError if nobody is named.
    """
    named = np.array([bool(person) for person in samples.people], dtype=bool)
    if not named.any():
        raise FaceError(
            "no face of anyone named: each person's photos lie in a folder of their own"
        )
    within = threshold_among(len(samples), threshold, rates or {})
    try:
        weak = np.array(
            [bool(usable_for_enrollment(one, subject)) for one in samples.qualities], bool
        )
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
