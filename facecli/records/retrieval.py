"""The record of evaluate folders that says what is nearest to each photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Count, ModelName, Position, Share, WrittenBy, limits

if TYPE_CHECKING:
    from facecli.evaluation.retrieval import Mean, RetrievalResult
    from facecli.types import ModelCard


class MeanOfPhotos(TypedDict):
    """A mean over the photos that ask."""

    value: Annotated[Share, "the mean"]
    low: Annotated[
        Share | None,
        "lower end of the 95 % interval over people; null if only one person has two photos",
    ]
    high: Annotated[Share | None, "upper end of the 95 % interval; null as `low`"]


class _AtK(TypedDict):
    k: Annotated[Position, "K, how many of the nearest photos are looked at"]


class RecallAtK(_AtK, MeanOfPhotos):
    """Recall@K: the share of photos with one of their own person among the K nearest."""


class RetrievalRecord(TypedDict):
    """What is nearest to each photo of a folder, and how well k-means finds the people."""

    kind: Annotated[Literal["retrieval"], WrittenBy(("facecli evaluate folders",))]
    photos: Annotated[Count, "photos of named people, among which each photo searches"]
    queries: Annotated[Count, "photos that ask: their person has another one"]
    people: Annotated[Count, "people whose photos ask"]
    recall: Annotated[Sequence[RecallAtK], "Recall@K for K = 1, 2, 4 and 8"]
    map_at_r: Annotated[MeanOfPhotos, "MAP@R, mean average precision at R"]
    r_precision: Annotated[
        MeanOfPhotos, "R-precision: the share of the person among the R nearest photos"
    ]
    nmi: Annotated[
        Share | None,
        "normalised mutual information of people and as many k-means clusters; null if there is "
        "none",
    ]
    nmi_reason: Annotated[str | None, "why there is no `nmi`; null if there is one"]
    model: ModelName


def retrieval(found: RetrievalResult, card: ModelCard) -> RetrievalRecord:
    """Return the record of what is nearest to each photo."""
    return {
        "kind": "retrieval",
        "photos": found.photos,
        "queries": found.queries,
        "people": found.people,
        "recall": [{"k": k, **_mean(one)} for k, one in found.recall.items()],
        "map_at_r": _mean(found.map_at_r),
        "r_precision": _mean(found.r_precision),
        "nmi": found.nmi,
        "nmi_reason": found.nmi_reason or None,
        "model": card.name,
    }


def _mean(one: Mean) -> MeanOfPhotos:
    return {"value": one.value, **limits(one.interval)}
