"""Records of comparing pairs of photos: error rates, LFW's lists and trained verifiers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict, cast

from facecli.records.fields import (
    Estimate,
    Limits,
    Model,
    Path,
    RateCurve,
    RateOf,
    SquaredL2,
    Threshold,
    curve_of,
    high_of,
    limits,
    low_of,
    rate_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.calibration.comparing import VerifierComparison
    from facecli.evaluation.folders import FolderResult
    from facecli.evaluation.lfw import LfwResult
    from facecli.evaluation.rates import Val
    from facecli.evaluation.samples import Samples
    from facecli.evaluation.subgroups import Subgroups
    from facecli.metrics import ListedPairs


class ErrorRatesRecord(TypedDict):
    """Error rates over all pairs of named people, or of one group of them.

    A group that is too small has only `photos`, `reason`, `column` and `group`.
    """

    kind: Literal["error_rates"]
    photos: int
    people: NotRequired[int]
    unnamed: NotRequired[Annotated[int, "photos of nobody named, which are in no pair"]]
    failures: NotRequired[Annotated[int, "photos without a face"]]
    threshold: NotRequired[Threshold]
    fmr: NotRequired[Annotated[RateOf, "impostor pairs that match"]]
    fnmr: NotRequired[Annotated[RateOf, "genuine pairs that do not match"]]
    frr: NotRequired[Annotated[RateOf, "genuine pairs rejected, with photos without a face"]]
    eer: NotRequired[Annotated[float, "where FMR and FNMR are equal, 0 to 1"]]
    eer_interval: NotRequired[Limits]
    auc: NotRequired[Annotated[float, "area under the ROC, 0 to 1"]]
    rank_one: NotRequired[Annotated[float, "other photos found first, 0 to 1"]]
    missed: NotRequired[Annotated[RateOf, "other photos not found first"]]
    curve: NotRequired[RateCurve]
    reason: NotRequired[Annotated[str, "why a group has no rates"]]
    column: NotRequired[Annotated[str, "the column of --by"]]
    group: NotRequired[Annotated[str, "the group"]]
    model: NotRequired[Model]


class ValAtFarRecord(TypedDict):
    """Share of genuine pairs accepted at a false accept rate (VAL)."""

    kind: Literal["val_at_far"]
    far: Annotated[float, "false accept rate"]
    val: Annotated[float | None, "0 to 1; null where the pairs do not support it"]
    low: Annotated[float | None, "lower end of the 95 % interval"]
    high: Annotated[float | None, "upper end of the 95 % interval"]
    threshold: Annotated[float | None, "squared L2 at that rate"]
    genuine_pairs: int
    impostor_pairs: int
    reason: Annotated[str | None, "why there is no number"]
    column: NotRequired[Annotated[str, "the column of --by"]]
    group: NotRequired[Annotated[str, "the group"]]
    model: NotRequired[Model]


class HardestPairRecord(TypedDict):
    """A pair that is hard to tell apart; such pairs are often wrong labels."""

    kind: Literal["hardest_pair"]
    of: Annotated[str, "genuine or impostor"]
    paths: Annotated[list[str], "both photos"]
    people: Annotated[list[str], "both names"]
    squared_l2: SquaredL2
    model: NotRequired[Model]


class RateDifferenceRecord(TypedDict):
    """How a group differs from the largest one."""

    kind: Literal["rate_difference"]
    column: Annotated[str, "the column of --by"]
    group: str
    reference: Annotated[str, "the largest group"]
    measure: Annotated[str, "which rate"]
    difference: Annotated[float, "rate of the group less that of the reference"]
    low: Annotated[float | None, "lower end of the 95 % interval"]
    high: Annotated[float | None, "upper end of the 95 % interval"]
    model: NotRequired[Model]


class Baseline(TypedDict):
    """A published accuracy."""

    name: str
    accuracy: float


class LfwRecord(TypedDict):
    """A model on listed pairs."""

    kind: Literal["lfw"]
    pairs: Path
    photos: int
    failures: Annotated[int, "photos without a face or not readable"]
    genuine_pairs: int
    impostor_pairs: int
    lost_pairs: Annotated[int, "pairs with such a photo"]
    assumption: Annotated[str, "how those pairs count"]
    folds: Annotated[int | None, "number of folds, if the list has any"]
    accuracy: Annotated[float | None, "mean over the folds, 0 to 1"]
    standard_error: Annotated[float | None, "of that mean"]
    fold_accuracies: list[float] | None
    fold_thresholds: Annotated[list[float] | None, "squared L2 of each fold"]
    fold_val: Annotated[dict[str, float] | None, "VAL over the folds: mean, standard_error, fmr"]
    threshold: Threshold
    accuracy_at_threshold: Annotated[float, "0 to 1"]
    best_threshold: SquaredL2
    best_accuracy: Annotated[float, "at the best threshold for these very pairs"]
    fmr: RateOf
    fnmr: RateOf
    eer: Annotated[float | None, "null where pairs are lost"]
    auc: Annotated[float, "area under the ROC, 0 to 1"]
    baselines: Annotated[list[Baseline], "what others report"]
    model: Model


class VerifierRecord(TypedDict):
    """A verifier that was trained, against the plain threshold."""

    kind: Literal["verifier"]
    path: Path
    form: Annotated[str, "components or squared-l2"]
    better: Annotated[bool, "whether it is better beyond doubt"]
    verdict: Annotated[str, "the same in words"]
    far: Annotated[float, "false accept rate of the comparison"]
    people: Annotated[int, "people it never saw"]
    genuine_pairs: int
    impostor_pairs: int
    threshold: Annotated[Estimate, "VAL of the plain threshold"]
    verifier: Annotated[Estimate, "VAL of the verifier"]
    gain: Annotated[Estimate, "difference of both"]


def error_rates(result: FolderResult) -> ErrorRatesRecord:
    """Return the rates of a folder of people or of a group."""
    return {
        "kind": "error_rates",
        "photos": result.photos,
        "people": result.people,
        "unnamed": result.unnamed,
        "failures": result.failures,
        "threshold": result.threshold,
        "fmr": rate_of(result.fmr),
        "fnmr": rate_of(result.fnmr),
        "frr": rate_of(result.frr),
        "eer": result.eer,
        "eer_interval": limits(result.eer_interval),
        "auc": result.auc,
        "rank_one": 1 - result.missed.errors / result.missed.of,
        "missed": rate_of(result.missed),
    }


def val_at_far(point: Val) -> ValAtFarRecord:
    """Return VAL at a FAR."""
    return {
        "kind": "val_at_far",
        "far": point.far,
        "val": point.val,
        "low": low_of(point.interval),
        "high": high_of(point.interval),
        "threshold": point.threshold,
        "genuine_pairs": point.genuine_pairs,
        "impostor_pairs": point.impostor_pairs,
        "reason": point.reason() or None,
    }


def folder(result: FolderResult, samples: Samples) -> list[Any]:
    """Return all that is said of a folder of people."""
    hardest = (("genuine", result.hardest_genuine), ("impostor", result.hardest_impostor))
    return [
        {**error_rates(result), "curve": curve_of(result.curve)},
        *map(val_at_far, result.val),
        *(line for of, pairs in hardest for line in hardest_pairs(of, pairs, samples)),
    ]


def hardest_pairs(of: str, pairs: ListedPairs, samples: Samples) -> list[HardestPairRecord]:
    """Return the pairs that are hardest to tell apart."""
    return [
        {
            "kind": "hardest_pair",
            "of": of,
            "paths": [samples.paths[one], samples.paths[other]],
            "people": [samples.people[one], samples.people[other]],
            "squared_l2": float(squared),
        }
        for one, other, squared in zip(pairs.first, pairs.second, pairs.squared, strict=True)
    ]


def groups(measured: Subgroups) -> list[Any]:
    """Return the rates of each group, and how the groups differ."""
    found: list[Any] = []
    for group in measured.groups:
        where = {"column": measured.split.column, "group": group.name}
        if group.result is None:
            found.append(
                {"kind": "error_rates", "photos": group.photos, "reason": group.reason, **where}
            )
        else:
            lines = [error_rates(group.result), *map(val_at_far, group.result.val)]
            found.extend({**line, **where} for line in lines)
    return [*found, *_differences(measured)]


def _differences(measured: Subgroups) -> list[RateDifferenceRecord]:
    return [
        {
            "kind": "rate_difference",
            "column": measured.split.column,
            "group": one.group,
            "reference": one.reference,
            "measure": one.measure,
            "difference": one.interval.estimate,
            "low": low_of(one.interval),
            "high": high_of(one.interval),
        }
        for one in measured.differences
    ]


def lfw(
    result: LfwResult,
    *,
    source: str,
    baselines: Sequence[tuple[str, float]],
    assumption: str,
    model: str,
) -> LfwRecord:
    """Return what is said of a model on listed pairs."""
    folds = result.folds
    return {
        "kind": "lfw",
        "pairs": source,
        "photos": result.photos,
        "failures": len(result.failures),
        "genuine_pairs": result.genuine,
        "impostor_pairs": result.impostor,
        "lost_pairs": result.lost,
        "assumption": assumption,
        "folds": None if folds is None else len(folds.accuracies),
        "accuracy": None if folds is None else folds.mean,
        "standard_error": None if folds is None else folds.standard_error,
        "fold_accuracies": None if folds is None else list(folds.accuracies),
        "fold_thresholds": None if folds is None else list(folds.thresholds),
        "fold_val": None if result.fold_val is None else dataclasses.asdict(result.fold_val),
        "threshold": result.threshold,
        "accuracy_at_threshold": result.accuracy,
        "best_threshold": result.best_threshold,
        "best_accuracy": result.best_accuracy,
        "fmr": rate_of(result.false_matches),
        "fnmr": rate_of(result.false_non_matches),
        "eer": result.eer,
        "auc": result.auc,
        "baselines": [{"name": name, "accuracy": value} for name, value in baselines],
        "model": model,
    }


def verifier(comparison: VerifierComparison, *, path: str, form: str) -> VerifierRecord:
    """Return how a verifier compares with the plain threshold."""
    record = {
        "kind": "verifier",
        "path": path,
        "form": form,
        "better": comparison.better,
        "verdict": comparison.verdict,
        **dataclasses.asdict(comparison),
    }
    return cast("VerifierRecord", record)
