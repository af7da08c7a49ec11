"""Records of evaluate folders and evaluate lfw: error rates over pairs of photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NotRequired, TypedDict

from facecli.records.fields import (
    Choices,
    Count,
    Difference,
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
    from facecli.evaluation.folders import FolderResult
    from facecli.evaluation.rates import Curve, Val
    from facecli.evaluation.samples import Samples
    from facecli.evaluation.subgroups import Group, Subgroups
    from facecli.metrics import ListedPairs
    from facecli.types import ModelCard


class PairCurve(TypedDict):
    """Error rates at each of some thresholds."""

    thresholds: Annotated[Sequence[SquaredL2], "thresholds, ascending"]
    fmr: Annotated[Sequence[Share], "false match rate at each"]
    fnmr: Annotated[Sequence[Share], "false non-match rate at each"]


class _FolderKind(TypedDict):
    kind: Annotated[Literal["error_rates"], WrittenBy(("facecli evaluate folders",))]


class _GroupKind(TypedDict):
    kind: Annotated[Literal["error_rates"], WrittenBy(("facecli evaluate folders --by",))]


class _Measured(TypedDict):
    photos: Annotated[Count, "photos with a face"]
    people: Annotated[Count, "people with such a photo"]
    unnamed: Annotated[Count, "photos that belong to no person; they are in no pair"]
    failures: Annotated[Count, "photos without a face"]
    threshold: Threshold
    fmr: Annotated[Rate, "false match rate: pairs of different people within the threshold"]
    fnmr: Annotated[Rate, "false non-match rate: pairs of one person beyond the threshold"]
    frr: Annotated[
        Rate,
        "false reject rate: as `fnmr`, but a pair counts as rejected if a photo has no face",
    ]
    eer: Annotated[Share, "equal error rate: where the false match and non-match rates are equal"]
    eer_interval: Annotated[Limits, "95 % interval of `eer`"]
    auc: Annotated[Share, "area under the ROC curve"]
    rank_one: Annotated[
        Share, "share of the other photos whose nearest first photo is that of their own person"
    ]
    missed: Annotated[Rate, "the other photos for which that is not so"]


class ErrorRatesRecord(_FolderKind, _Measured):
    """Error rates over all pairs of photos of a folder."""

    curve: Annotated[PairCurve, "error rates at other thresholds"]
    model: ModelName


class GroupRatesRecord(_GroupKind, _Measured):
    """Error rates over the pairs of photos of one group."""

    column: Annotated[str, "the column given by --by"]
    group: Annotated[str, "the group in that column"]
    model: ModelName


class UnratedGroupRecord(_GroupKind):
    """A group that is too small for error rates."""

    photos: Annotated[Count, "photos with a face"]
    reason: Annotated[str, "why there are no rates"]
    column: Annotated[str, "the column given by --by"]
    group: Annotated[str, "the group in that column"]
    model: ModelName


class ValAtFarRecord(TypedDict):
    """The share of pairs of one person that are accepted at a false accept rate."""

    kind: Annotated[
        Literal["val_at_far"], WrittenBy(("facecli evaluate folders", "facecli evaluate lfw"))
    ]
    far: Annotated[Share, "the false accept rate"]
    val: Annotated[Share | None, "the share; null if the pairs do not support it"]
    low: Annotated[
        Share | None,
        "lower end of the 95 % interval, which may be known without `val`; null if there is none",
    ]
    high: Annotated[Share | None, "upper end of the 95 % interval; null if there is none"]
    threshold: Annotated[
        SquaredL2 | None,
        "the threshold with this false accept rate; null if the impostor pairs do not support it",
    ]
    genuine_pairs: Annotated[Count, "pairs of photos of the same person"]
    impostor_pairs: Annotated[Count, "pairs of photos of different people"]
    reason: Annotated[str | None, "why there is no share; null if there is one"]
    column: NotRequired[Annotated[str, "only for a group: the column given by --by"]]
    group: NotRequired[Annotated[str, "only for a group: the group in that column"]]
    model: NotRequired[Annotated[ModelName, "name of the model in use; only evaluate folders"]]


class HardestPairRecord(TypedDict):
    """One of the 20 pairs of each kind that are hardest to judge."""

    kind: Annotated[Literal["hardest_pair"], WrittenBy(("facecli evaluate folders",))]
    of: Annotated[
        str,
        Choices(("genuine", "impostor")),
        "genuine: the same person, far apart; impostor: different people, close",
    ]
    paths: Annotated[Sequence[str], "the two photos"]
    people: Annotated[Sequence[str], "who is on them"]
    squared_l2: Annotated[SquaredL2, "between them"]
    model: ModelName


class RateDifferenceRecord(TypedDict):
    """How much a rate of one group differs from that of the largest group."""

    kind: Annotated[Literal["rate_difference"], WrittenBy(("facecli evaluate folders --by",))]
    column: Annotated[str, "the column given by --by"]
    group: Annotated[str, "the group in that column"]
    reference: Annotated[str, "the group with most photos"]
    measure: Annotated[str, "the rate, such as FMR"]
    difference: Annotated[Difference, "rate of the group less rate of the reference"]
    low: Annotated[Difference, "lower end of the 95 % interval"]
    high: Annotated[Difference, "upper end of the 95 % interval"]
    model: ModelName


PairRecord = (
    ErrorRatesRecord
    | GroupRatesRecord
    | UnratedGroupRecord
    | ValAtFarRecord
    | HardestPairRecord
    | RateDifferenceRecord
)


def of_folder(result: FolderResult, samples: Samples, card: ModelCard) -> list[PairRecord]:
    """Return the records of all pairs of a folder."""
    whole: ErrorRatesRecord = {
        "kind": "error_rates",
        **_measured(result),
        "curve": _curve(result.curve),
        "model": card.name,
    }
    vals = [_val_of_folder(one, card) for one in result.val]
    hardest = (("genuine", result.hardest_genuine), ("impostor", result.hardest_impostor))
    pairs = [one for of, listed in hardest for one in _hardest(of, listed, samples, card)]
    return [whole, *vals, *pairs]


def of_groups(measured: Subgroups, card: ModelCard) -> list[PairRecord]:
    """Return the records of the groups of one column."""
    column = measured.split.column
    groups = [one for group in measured.groups for one in _of_group(group, column, card)]
    differences: list[RateDifferenceRecord] = [
        {
            "kind": "rate_difference",
            "column": column,
            "group": one.group,
            "reference": one.reference,
            "measure": one.measure,
            "difference": one.interval.estimate,
            "low": one.interval.low,
            "high": one.interval.high,
            "model": card.name,
        }
        for one in measured.differences
    ]
    return [*groups, *differences]


def _of_group(group: Group, column: str, card: ModelCard) -> list[PairRecord]:
    if group.result is None:
        return [
            {
                "kind": "error_rates",
                "photos": group.photos,
                "reason": group.reason,
                "column": column,
                "group": group.name,
                "model": card.name,
            }
        ]
    rates: GroupRatesRecord = {
        "kind": "error_rates",
        **_measured(group.result),
        "column": column,
        "group": group.name,
        "model": card.name,
    }
    vals = [_val_of_group(one, group, column, card) for one in group.result.val]
    return [rates, *vals]


def _measured(result: FolderResult) -> _Measured:
    return {
        "photos": result.photos,
        "people": result.people,
        "unnamed": result.unnamed,
        "failures": result.failures,
        "threshold": result.threshold,
        "fmr": rate(result.fmr),
        "fnmr": rate(result.fnmr),
        "frr": rate(result.frr),
        "eer": result.eer,
        "eer_interval": limits(result.eer_interval),
        "auc": result.auc,
        "rank_one": 1 - result.missed.errors / result.missed.of,
        "missed": rate(result.missed),
    }


def _curve(curve: Curve) -> PairCurve:
    return {
        "thresholds": curve.thresholds.tolist(),
        "fmr": curve.fmr.tolist(),
        "fnmr": curve.fnmr.tolist(),
    }


def val_at_far(point: Val) -> ValAtFarRecord:
    """Return the record of VAL at a false accept rate."""
    ends = limits(point.interval)
    return {
        "kind": "val_at_far",
        "far": point.far,
        "val": point.val,
        "low": ends["low"],
        "high": ends["high"],
        "threshold": point.threshold,
        "genuine_pairs": point.genuine_pairs,
        "impostor_pairs": point.impostor_pairs,
        "reason": point.reason() or None,
    }


def _val_of_folder(point: Val, card: ModelCard) -> ValAtFarRecord:
    record = val_at_far(point)
    record["model"] = card.name
    return record


def _val_of_group(point: Val, group: Group, column: str, card: ModelCard) -> ValAtFarRecord:
    record = val_at_far(point)
    record["column"] = column
    record["group"] = group.name
    record["model"] = card.name
    return record


def _hardest(
    of: str, pairs: ListedPairs, samples: Samples, card: ModelCard
) -> list[HardestPairRecord]:
    return [
        {
            "kind": "hardest_pair",
            "of": of,
            "paths": [samples.paths[one], samples.paths[other]],
            "people": [samples.people[one], samples.people[other]],
            "squared_l2": float(squared),
            "model": card.name,
        }
        for one, other, squared in zip(pairs.first, pairs.second, pairs.squared, strict=True)
    ]
