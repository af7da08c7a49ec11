"""Records of searching galleries, of clustering, and of photos that are altered."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict, cast

from facecli.records.fields import (
    Model,
    RateCurve,
    RateOf,
    Threshold,
    curve_of,
    high_of,
    low_of,
    rate_of,
)

if TYPE_CHECKING:
    from facecli.evaluation.clustering import ClusteringResult
    from facecli.evaluation.growth import GallerySize
    from facecli.evaluation.identification import ClosedSet, OpenSet
    from facecli.evaluation.rates import Val
    from facecli.evaluation.robustness import Robustness


class ClosedSetRecord(TypedDict):
    """Identification where every probe has a mate enrolled."""

    kind: Literal["closed_set"]
    enrolled: Annotated[int, "people enrolled from one photo each"]
    probes: Annotated[int, "other photos of them"]
    without_face: Annotated[int, "probes without a face, which count as not found"]
    cmc: Annotated[list[float], "share found at rank 1, 2, ... 10"]
    missed: Annotated[list[RateOf], "those not found at each rank"]
    threshold: NotRequired[Threshold]
    model: NotRequired[Model]


class OpenSetRecord(TypedDict):
    """Identification where half of the people are not enrolled."""

    kind: Literal["open_set"]
    enrolled: int
    strangers: Annotated[int, "people who are not enrolled"]
    fpir: Annotated[RateOf, "searches by strangers that return somebody"]
    fnir: Annotated[RateOf, "searches by people enrolled that do not return them"]
    curve: RateCurve
    threshold: NotRequired[Threshold]
    model: NotRequired[Model]


class FnirAtFpirRecord(TypedDict):
    """The miss rate of identification at a false positive rate."""

    kind: Literal["fnir_at_fpir"]
    enrolled: int
    fpir: Annotated[float, "false positive identification rate"]
    fnir: Annotated[float | None, "null where the searches do not support it"]
    low: Annotated[float | None, "lower end of the 95 % interval"]
    high: Annotated[float | None, "upper end of the 95 % interval"]
    at: Annotated[float | None, "squared L2 at that rate"]
    reason: Annotated[str | None, "why there is no number"]
    threshold: NotRequired[Threshold]
    model: NotRequired[Model]


class GallerySizeRecord(TypedDict):
    """Identification in a gallery of another size."""

    kind: Literal["gallery_size"]
    size: Annotated[int, "people enrolled"]
    measured: Annotated[bool, "false if it is computed from the impostor distribution"]
    fpir: Annotated[float | None, "null where the data do not reach"]
    fnir: Annotated[float | None, "null where the data do not reach"]
    rank_one: Annotated[float | None, "null where the data do not reach"]
    threshold: NotRequired[Threshold]
    model: NotRequired[Model]


class PartitionRecord(TypedDict):
    """How clusters agree with people."""

    precision: float
    recall: float
    f: Annotated[float, "harmonic mean of both"]


class ClusteringScoreRecord(TypedDict):
    """How well clustering finds people."""

    kind: Literal["clustering_score"]
    photos: int
    people: Annotated[int, "how many there are"]
    found: Annotated[int, "clusters that their photos are in"]
    unnamed: Annotated[int, "photos of nobody named, which are not scored"]
    failures: Annotated[int, "photos without a face"]
    threshold: Annotated[float, "squared L2 within which faces were sorted"]
    pairwise: Annotated[PartitionRecord, "over pairs of photos"]
    bcubed: Annotated[PartitionRecord, "over photos"]
    k: Annotated[int | None, "number of clusters that was asked for"]
    model: Model


class RobustnessRecord(TypedDict):
    """How photos fare under one alteration."""

    kind: Literal["robustness"]
    series: Annotated[str, "kind of alteration"]
    level: Annotated[float, "how strong it is"]
    alteration: Annotated[str, "both in words"]
    photos: int
    verified: Annotated[int, "photos within the threshold of their original"]
    missed: Annotated[int, "photos whose face was lost"]
    median: Annotated[float | None, "median squared L2 to the original; null if all are lost"]
    share: Annotated[float, "photos that still verify, 0 to 1"]
    threshold: Threshold
    model: Model


def closed_set(closed: ClosedSet) -> ClosedSetRecord:
    """Return what is said of a search in which everybody is enrolled."""
    return {
        "kind": "closed_set",
        "enrolled": closed.enrolled,
        "probes": closed.probes,
        "without_face": closed.lost,
        "cmc": list(closed.cmc),
        "missed": [rate_of(one) for one in closed.missed],
    }


def open_set(opened: OpenSet) -> list[Any]:
    """Return what is said of a search in which half of the people are strangers."""
    rates: dict[str, Any] = {
        "kind": "open_set",
        "enrolled": opened.enrolled,
        "strangers": opened.strangers,
        "fpir": rate_of(opened.fpir),
        "fnir": rate_of(opened.fnir),
        "curve": curve_of(opened.curve, "fpir", "fnir"),
    }
    points: list[FnirAtFpirRecord] = [
        {
            "kind": "fnir_at_fpir",
            "enrolled": opened.enrolled,
            "fpir": point.far,
            "fnir": point.missed,
            "low": low_of(point.missed_interval),
            "high": high_of(point.missed_interval),
            "at": point.threshold,
            "reason": search_reason(point) or None,
        }
        for point in opened.at
    ]
    return [rates, *points]


def search_reason(point: Val) -> str:
    """Say why there is no miss rate of a search; empty where there is one."""
    return point.reason(genuine="searches by people enrolled", impostor="searches by strangers")


def gallery_size(size: GallerySize) -> GallerySizeRecord:
    """Return what is said of a gallery of another size."""
    return cast("GallerySizeRecord", {"kind": "gallery_size", **dataclasses.asdict(size)})


def clustering_score(
    result: ClusteringResult, *, k: int | None, model: str
) -> ClusteringScoreRecord:
    """Return how well clustering finds people."""
    record = {"kind": "clustering_score", **dataclasses.asdict(result), "k": k, "model": model}
    return cast("ClusteringScoreRecord", record)


def robustness(line: Robustness, *, threshold: float, model: str) -> RobustnessRecord:
    """Return how photos fare under one alteration."""
    record = {
        "kind": "robustness",
        **dataclasses.asdict(line),
        "median": None if line.missed == line.photos else line.median,
        "share": line.share,
        "threshold": threshold,
        "model": model,
    }
    return cast("RobustnessRecord", record)
