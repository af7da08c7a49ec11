"""Records of evaluate identification: people enrolled from one photo, and searches for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import (
    Count,
    Limits,
    ModelName,
    Rate,
    Share,
    SquaredL2,
    Threshold,
    WrittenBy,
    limits,
    rate,
)

if TYPE_CHECKING:
    from facecli.evaluation.growth import GallerySize
    from facecli.evaluation.identification import ClosedSet, OpenSet
    from facecli.evaluation.rates import Curve, Val
    from facecli.types import ModelCard


class ClosedSetRecord(TypedDict):
    """Searches for people who are all enrolled."""

    kind: Annotated[Literal["closed_set"], WrittenBy(("facecli evaluate identification",))]
    enrolled: Annotated[Count, "people enrolled, one photo each"]
    probes: Annotated[Count, "other photos of them, which are searched for"]
    without_face: Annotated[Count, "of these, photos without a face; they count as not found"]
    cmc: Annotated[
        Sequence[Share], "share of probes whose person is among the first 1, 2, … 10 found"
    ]
    missed: Annotated[Sequence[Rate], "the others, for the first 1, 2, … 10"]
    threshold: Threshold
    model: ModelName


def closed_set(found: ClosedSet, card: ModelCard, *, threshold: float) -> ClosedSetRecord:
    """Return the record of searches for people who are all enrolled."""
    return {
        "kind": "closed_set",
        "enrolled": found.enrolled,
        "probes": found.probes,
        "without_face": found.lost,
        "cmc": found.cmc.tolist(),
        "missed": [rate(one) for one in found.missed],
        "threshold": threshold,
        "model": card.name,
    }


class SearchCurve(TypedDict):
    """Error rates of searches at each of some thresholds."""

    thresholds: Annotated[Sequence[SquaredL2], "thresholds, ascending"]
    fpir: Annotated[Sequence[Share], "false positive identification rate at each"]
    fnir: Annotated[Sequence[Share], "false negative identification rate at each"]


class OpenSetRecord(TypedDict):
    """Searches for people of whom half are enrolled."""

    kind: Annotated[Literal["open_set"], WrittenBy(("facecli evaluate identification",))]
    enrolled: Annotated[Count, "people enrolled, one photo each"]
    strangers: Annotated[Count, "people left out"]
    fpir: Annotated[
        Rate, "false positive identification rate: searches by strangers that return somebody"
    ]
    fnir: Annotated[
        Rate,
        "false negative identification rate: searches by enrolled people that do not return them "
        "first and within the threshold",
    ]
    curve: Annotated[SearchCurve, "error rates at other thresholds"]
    threshold: Threshold
    model: ModelName


class FnirAtFpirRecord(TypedDict):
    """How many enrolled people are missed when few strangers are taken for somebody."""

    kind: Annotated[Literal["fnir_at_fpir"], WrittenBy(("facecli evaluate identification",))]
    enrolled: Annotated[Count, "people enrolled, one photo each"]
    fpir: Annotated[Share, "the false positive identification rate"]
    fnir: Annotated[Share | None, "the false negative one; null if the searches do not support it"]
    low: Annotated[
        Share | None,
        "lower end of the 95 % interval, which may be known without `fnir`; null if there is none",
    ]
    high: Annotated[Share | None, "upper end of the 95 % interval; null if there is none"]
    at: Annotated[
        SquaredL2 | None, "the threshold with this `fpir`; null if the searches do not support it"
    ]
    reason: Annotated[str | None, "why there is no rate; null if there is one"]
    threshold: Threshold
    model: ModelName


def open_set(found: OpenSet, card: ModelCard) -> OpenSetRecord:
    """Return the record of searches for people of whom half are enrolled."""
    return {
        "kind": "open_set",
        "enrolled": found.enrolled,
        "strangers": found.strangers,
        "fpir": rate(found.fpir),
        "fnir": rate(found.fnir),
        "curve": _curve(found.curve),
        "threshold": found.threshold,
        "model": card.name,
    }


def fnir_at_fpir(
    point: Val, card: ModelCard, *, enrolled: int, threshold: float
) -> FnirAtFpirRecord:
    """Return the record of one point of the open set."""
    return {
        "kind": "fnir_at_fpir",
        "enrolled": enrolled,
        "fpir": point.far,
        "fnir": point.missed,
        **limits(point.missed_interval),
        "at": point.threshold,
        "reason": search_reason(point) or None,
        "threshold": threshold,
        "model": card.name,
    }


def search_reason(point: Val) -> str:
    """Say why there is no rate; empty where there is one."""
    return point.reason(genuine="searches by people enrolled", impostor="searches by strangers")


def _curve(curve: Curve) -> SearchCurve:
    return {
        "thresholds": curve.thresholds.tolist(),
        "fpir": curve.fmr.tolist(),
        "fnir": curve.fnmr.tolist(),
    }


class GallerySizeRecord(TypedDict):
    """Error rates for a gallery of another size. A rate is null if too few errors support it."""

    kind: Annotated[
        Literal["gallery_size"], WrittenBy(("facecli evaluate identification --gallery-size",))
    ]
    size: Annotated[Count, "people enrolled, one photo each"]
    measured: Annotated[bool, "whether the rates were measured; if not, they were computed"]
    fpir: Annotated[Share | None, "false positive identification rate"]
    fnir: Annotated[Share | None, "false negative identification rate"]
    rank_one: Annotated[Share | None, "share of searches that return the right person first"]
    fpir_interval: Annotated[Limits, "95 % interval of a rate that is null; null if not known"]
    fnir_interval: Annotated[Limits, "the same for `fnir`"]
    rank_one_interval: Annotated[Limits, "the same for `rank_one`"]
    threshold: Threshold
    model: ModelName


def gallery_size(size: GallerySize, card: ModelCard, *, threshold: float) -> GallerySizeRecord:
    """Return the record of a gallery of another size."""
    return {
        "kind": "gallery_size",
        "size": size.size,
        "measured": size.measured,
        "fpir": size.fpir,
        "fnir": size.fnir,
        "rank_one": size.rank_one,
        "fpir_interval": limits(size.fpir_interval),
        "fnir_interval": limits(size.fnir_interval),
        "rank_one_interval": limits(size.rank_one_interval),
        "threshold": threshold,
        "model": card.name,
    }


SearchRecord = ClosedSetRecord | OpenSetRecord | FnirAtFpirRecord | GallerySizeRecord


def of_searches(
    closed: ClosedSet, opened: OpenSet, sizes: Sequence[GallerySize], card: ModelCard
) -> list[SearchRecord]:
    """Return the records of all searches of a folder."""
    threshold, enrolled = opened.threshold, opened.enrolled
    return [
        closed_set(closed, card, threshold=threshold),
        open_set(opened, card),
        *(fnir_at_fpir(one, card, enrolled=enrolled, threshold=threshold) for one in opened.at),
        *(gallery_size(one, card, threshold=threshold) for one in sizes),
    ]
