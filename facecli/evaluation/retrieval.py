"""Measure retrieval in a folder of people: what is nearest to each photo, and k-means against them.

Recall@K, MAP@R and R-precision have no threshold: they say how far the photos of one person come
before those of others. NMI says how well k-means finds the people when it is told how many there
are. All are for these photos: among more people, or in a part of them, the same model has others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.clustering.kmeans import as_many_clusters
from facecli.evaluation.folders import FollowWork, person_numbers, silent
from facecli.evaluation.rates import REPLICATES, Rate
from facecli.evaluation.samples import Samples
from facecli.metrics import (
    Interval,
    Retrieval,
    draw_classes,
    interval,
    normalized_mutual_information,
    resampled_means,
    retrieve,
)
from facecli.metrics.verification import RateArray
from facecli.types import FloatArray, IntArray

LARGEST_CLUSTERING = 2**24
"""Most photos times people for which NMI is computed: k-means takes about a second for these."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over photos, in [0, 1], and its 95 % interval over people; None if not known."""

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """How each photo of a person with two or more finds the person's others among all.

    `photos` of named people are searched, with the photo that asks left out; `queries` of them,
    of `people` people, ask. `recall` maps K to Recall@K. `nmi` is between people and k-means
    clusters of all `photos`, in [0, 1]. It has no interval: of people drawn twice, k-means would
    find both copies as one. It is None if `nmi_reason` says why; else that is empty.
    """

    photos: int
    queries: int
    people: int
    recall: dict[int, Mean]
    map_at_r: Mean
    r_precision: Mean
    nmi: float | None
    nmi_reason: str = ""

    def named(self) -> dict[str, Mean]:
        """Return the means by the names that papers use, in their order."""
        recall = {f"Recall@{k}": one for k, one in self.recall.items()}
        return recall | {"MAP@R": self.map_at_r, "R-precision": self.r_precision}


def measure_retrieval(samples: Samples, *, watch: FollowWork = silent) -> RetrievalResult:
    """Search for every photo of named people among the others, and cluster them.

    Raises ValueError if nobody has two photos.
    """
    labels = person_numbers(samples)
    found = retrieve(
        samples.embeddings, labels, watch=lambda blocks: watch(blocks, "Searching photos")
    )
    people = len(np.unique(found.query_classes))
    means = _means(found, people)
    named = labels >= 0
    nmi, reason = _nmi(samples.embeddings[named], labels[named])
    return RetrievalResult(
        photos=int(named.sum()),
        queries=len(found.query_rows),
        people=people,
        recall=dict(zip(found.ks, means[:-2], strict=True)),
        map_at_r=means[-2],
        r_precision=means[-1],
        nmi=nmi,
        nmi_reason=reason,
    )


def _means(found: Retrieval, people: int) -> list[Mean]:
    """Return Recall at each K, MAP@R and R-precision, with intervals if there are two people."""
    precisions = np.stack([found.average_precision_at_r, found.precision_at_r], axis=1)
    drawn: list[RateArray | None] = [None] * (len(found.ks) + 2)
    if people > 1:
        number, draws = draw_classes(found.query_classes, replicates=REPLICATES)
        columns = np.concatenate([~found.hits, precisions], axis=1)
        drawn = list(resampled_means(columns, number, draws).T)
    recall = [_share(hits, draws) for hits, draws in zip(found.hits.T, drawn[:-2], strict=True)]
    means = [
        Mean(float(column.mean()), _limits(float(column.mean()), draws, people))
        for column, draws in zip(precisions.T, drawn[-2:], strict=True)
    ]
    return recall + means


def _share(hits: np.ndarray, missed: RateArray | None) -> Mean:
    """Return the share of hits; with few misses, its interval is that of a counted rate."""
    rate = Rate(int((~hits).sum()), len(hits)).with_interval(missed)
    return Mean(float(hits.mean()), rate.right_interval)


def _limits(value: float, draws: RateArray | None, people: int) -> Interval | None:
    """Return the percentile interval of a mean; at 0 or 1 all draws agree.

    Then it is that of the rule of three, as in `evaluation.rates.Val`: 3 divided by the people.
    """
    if draws is None:
        return None
    if value in (0, 1):
        far = min(1.0, 3 / people)
        return Interval(value, max(0.0, value - far), min(1.0, value + far))
    return interval(value, draws)


def _nmi(embeddings: FloatArray, labels: IntArray) -> tuple[float | None, str]:
    """Return NMI between people and as many k-means clusters, or why there is none."""
    people = len(np.unique(labels))
    if len(embeddings) * people > LARGEST_CLUSTERING:
        return None, f"too many to cluster: {len(embeddings):,} photos of {people:,} people"
    return normalized_mutual_information(labels, as_many_clusters(embeddings, people)), ""
