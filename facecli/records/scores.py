"""Records of evaluate clustering and evaluate robustness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Count, ModelName, Share, SquaredL2, Threshold, Unit, WrittenBy

if TYPE_CHECKING:
    from facecli.evaluation.clustering import ClusteringResult
    from facecli.evaluation.robustness import Robustness
    from facecli.metrics import PartitionScore
    from facecli.types import ModelCard


class Score(TypedDict):
    """How well clusters agree with people."""

    precision: Annotated[Share, "how much of what was put together belongs together"]
    recall: Annotated[Share, "how much of what belongs together was put together"]
    f: Annotated[Share, "harmonic mean of the two"]


class ClusteringScoreRecord(TypedDict):
    """How well clustering finds the people of a folder."""

    kind: Annotated[Literal["clustering_score"], WrittenBy(("facecli evaluate clustering",))]
    photos: Annotated[Count, "photos with a face; one face of each is clustered"]
    people: Annotated[Count, "people there are"]
    found: Annotated[Count, "clusters that their photos are in"]
    unnamed: Annotated[Count, "photos that belong to no person: clustered, but not scored"]
    failures: Annotated[Count, "photos without a face"]
    threshold: Annotated[SquaredL2, "the largest squared L2 within which faces were put together"]
    pairwise: Annotated[Score, "counted over pairs of photos"]
    bcubed: Annotated[Score, "BCubed: counted over photos"]
    k: Annotated[Count | None, "number of clusters as given by --k; null for auto"]
    model: ModelName


def clustering_score(
    result: ClusteringResult, card: ModelCard, *, k: int | None
) -> ClusteringScoreRecord:
    """Return the record of how well clustering finds people."""
    return {
        "kind": "clustering_score",
        "photos": result.photos,
        "people": result.people,
        "found": result.found,
        "unnamed": result.unnamed,
        "failures": result.failures,
        "threshold": result.threshold,
        "pairwise": _score(result.pairwise),
        "bcubed": _score(result.bcubed),
        "k": k,
        "model": card.name,
    }


def _score(score: PartitionScore) -> Score:
    return {"precision": score.precision, "recall": score.recall, "f": score.f}


class RobustnessRecord(TypedDict):
    """What photos can take: one way of damaging them, and how many still verify."""

    kind: Annotated[Literal["robustness"], WrittenBy(("facecli evaluate robustness",))]
    series: Annotated[str, 'the kind of damage, such as "JPEG quality"']
    level: Annotated[float, Unit("depends on the series"), "how much of it"]
    alteration: Annotated[str, "both in words"]
    photos: Annotated[Count, "photos with a face"]
    verified: Annotated[Count, "damaged copies that still verify with the original"]
    missed: Annotated[Count, "damaged copies in which no face was found"]
    median: Annotated[
        SquaredL2 | None, "median between copy and original; null if no face was found in any"
    ]
    share: Annotated[Share, "share of photos whose copy still verifies"]
    threshold: Threshold
    model: ModelName


def robustness(line: Robustness, card: ModelCard, *, threshold: float) -> RobustnessRecord:
    """Return the record of one way of damaging photos."""
    return {
        "kind": "robustness",
        "series": line.series,
        "level": line.level,
        "alteration": line.alteration,
        "photos": line.photos,
        "verified": line.verified,
        "missed": line.missed,
        "median": None if line.missed == line.photos else line.median,
        "share": line.share,
        "threshold": threshold,
        "model": card.name,
    }
