"""The record of a comparison of losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Seconds, Share, Unit, WrittenBy

if TYPE_CHECKING:
    from facecli.metrics import Interval
    from facecli.training.compared import ComparedLoss, ComparedLosses


class MeasuredShare(TypedDict):
    """A share with its 95 % interval over classes."""

    value: Annotated[Share, "the share"]
    low: Annotated[Share, "lower end of its interval"]
    high: Annotated[Share, "upper end of its interval"]


class DifferenceRecord(TypedDict):
    """A difference of two shares with its 95 % interval over classes."""

    value: Annotated[float, Unit(low=-1, high=1), "this loss less the reference"]
    low: Annotated[float, Unit(low=-1, high=1), "lower end of its interval"]
    high: Annotated[float, Unit(low=-1, high=1), "upper end of its interval"]


class ComparedLossRecord(TypedDict):
    """How one loss did on classes that it was not trained on."""

    name: Annotated[str, "the loss, or the way without training"]
    settings: Annotated[str, "what was chosen on the folds"]
    fold_map_at_r: Annotated[MeasuredShare | None, "MAP@R over the folds; null without training"]
    map_at_r: Annotated[MeasuredShare, "MAP@R on the test classes"]
    recall_at_1: Annotated[MeasuredShare, "Recall@1 on the test classes"]
    r_precision: Annotated[MeasuredShare, "R-precision on the test classes"]
    nmi: Annotated[Share, "normalised mutual information with k-means on the test classes"]
    val: Annotated[MeasuredShare | None, "VAL at a FAR of 1e-2; null where the pairs are too few"]
    difference: Annotated[DifferenceRecord | None, "in MAP@R; null for the reference itself"]
    verdict: Annotated[str, "better, worse, no difference shown, or empty for the reference"]
    seconds: Annotated[Seconds, "time its networks took"]


class LossesComparedRecord(TypedDict):
    """A comparison of losses."""

    kind: Annotated[Literal["losses_compared"], WrittenBy(("facecli train --compare",))]
    report: Annotated[str, "the page"]
    facts: Annotated[Mapping[str, str], "data, classes, folds, trials, steps and seed"]
    reference: Annotated[str, "the loss that the others are compared with"]
    best: Annotated[str, "the loss with the best MAP@R over the folds"]
    losses: Annotated[Sequence[ComparedLossRecord], "all losses, and the start without training"]


def losses_compared(result: ComparedLosses, report: Path) -> LossesComparedRecord:
    """Return the record of a comparison of losses."""
    return {
        "kind": "losses_compared",
        "report": str(report),
        "facts": dict(result.facts),
        "reference": result.reference,
        "best": result.best.name,
        "losses": [_loss(one) for one in result.rows],
    }


def _loss(one: ComparedLoss) -> ComparedLossRecord:
    return {
        "name": one.name,
        "settings": one.settings,
        "fold_map_at_r": None if one.fold_map_at_r is None else _share(one.fold_map_at_r),
        "map_at_r": _share(one.map_at_r),
        "recall_at_1": _share(one.recall_at_1),
        "r_precision": _share(one.r_precision),
        "nmi": one.nmi,
        "val": None if one.val is None else _share(one.val),
        "difference": None
        if one.difference is None
        else {
            "value": one.difference.estimate,
            "low": one.difference.low,
            "high": one.difference.high,
        },
        "verdict": one.verdict,
        "seconds": one.seconds,
    }


def _share(found: Interval) -> MeasuredShare:
    return {"value": found.estimate, "low": found.low, "high": found.high}
