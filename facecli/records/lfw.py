"""Records of evaluate lfw."""

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
    from facecli.evaluation.lfw import LfwResult
    from facecli.evaluation.pairlists import PairList
    from facecli.metrics import FoldVal
    from facecli.types import ModelCard


class FoldsVal(TypedDict):
    """VAL over folds: each fold with the threshold that the others have at FMR 1e-3."""

    mean: Annotated[Share, "mean share of accepted pairs of one person"]
    standard_error: Annotated[Share, "standard error of the mean"]
    fmr: Annotated[Share, "mean false match rate that was met"]


class Baseline(TypedDict):
    """A published result of another system on LFW."""

    name: Annotated[str, "the system and the source"]
    accuracy: Annotated[Share, "its accuracy over ten folds"]


class LfwRecord(TypedDict):
    """What a model does on a list of pairs. The fields of folds are null for a list without."""

    kind: Annotated[Literal["lfw"], WrittenBy(("facecli evaluate lfw",))]
    pairs: Annotated[str, "the list of pairs"]
    photos: Annotated[Count, "photos named in the list"]
    failures: Annotated[Count, "photos without a face"]
    genuine_pairs: Annotated[Count, "pairs of photos of the same person"]
    impostor_pairs: Annotated[Count, "pairs of photos of different people"]
    lost_pairs: Annotated[Count, "pairs with a photo without a face"]
    assumption: Annotated[str, "how these were counted"]
    folds: Annotated[Count | None, "folds of the list"]
    accuracy: Annotated[
        Share | None, "mean accuracy over folds, each with the best threshold of the others"
    ]
    standard_error: Annotated[Share | None, "standard error of that mean"]
    fold_accuracies: Annotated[Sequence[Share] | None, "accuracy on each fold"]
    fold_thresholds: Annotated[Sequence[SquaredL2] | None, "threshold used on each fold"]
    fold_val: Annotated[FoldsVal | None, "accepted pairs of one person at FMR 1e-3, over folds"]
    threshold: Threshold
    accuracy_at_threshold: Annotated[Share, "accuracy at that threshold"]
    best_threshold: Annotated[SquaredL2, "the threshold with the best accuracy on these pairs"]
    best_accuracy: Annotated[
        Share, "accuracy at that threshold; too good, because it was chosen on the same pairs"
    ]
    fmr: Annotated[Rate, "false match rate: pairs of different people within `threshold`"]
    fnmr: Annotated[Rate, "false non-match rate: pairs of one person beyond `threshold`"]
    eer: Annotated[Share | None, "equal error rate; null if too many pairs are lost"]
    eer_interval: Annotated[Limits, "95 % interval of `eer`; null without it"]
    auc: Annotated[Share, "area under the ROC curve"]
    baselines: Annotated[Sequence[Baseline], "published results of others, for comparison"]
    model: ModelName


def lfw(
    result: LfwResult,
    pairs: PairList,
    card: ModelCard,
    *,
    assumption: str,
    baselines: Sequence[tuple[str, float]],
) -> LfwRecord:
    """Return the record of a list of pairs."""
    folds = result.folds
    return {
        "kind": "lfw",
        "pairs": str(pairs.source),
        "photos": result.photos,
        "failures": len(result.failures),
        "genuine_pairs": result.genuine,
        "impostor_pairs": result.impostor,
        "lost_pairs": result.lost,
        "assumption": assumption,
        "folds": None if folds is None else len(folds.accuracies),
        "accuracy": None if folds is None else folds.mean,
        "standard_error": None if folds is None else folds.standard_error,
        "fold_accuracies": None if folds is None else folds.accuracies.tolist(),
        "fold_thresholds": None if folds is None else folds.thresholds.tolist(),
        "fold_val": _fold_val(result.fold_val),
        "threshold": result.threshold,
        "accuracy_at_threshold": result.accuracy,
        "best_threshold": result.best_threshold,
        "best_accuracy": result.best_accuracy,
        "fmr": rate(result.false_matches),
        "fnmr": rate(result.false_non_matches),
        "eer": result.eer,
        "eer_interval": limits(result.eer_interval),
        "auc": result.auc,
        "baselines": [{"name": name, "accuracy": value} for name, value in baselines],
        "model": card.name,
    }


def _fold_val(found: FoldVal | None) -> FoldsVal | None:
    if found is None:
        return None
    return {"mean": found.mean, "standard_error": found.standard_error, "fmr": found.fmr}
