"""Error rates and scores, computed from squared L2 between unit vectors: lower is more alike."""

from facecli.metrics.verification import (
    Comparisons,
    FoldAccuracy,
    Roc,
    accuracy_at,
    auc,
    best_accuracy_threshold,
    eer,
    fmr,
    fnmr,
    roc,
    ten_fold_accuracy,
    threshold_at_fmr,
    val_at_far,
)

__all__ = [
    "Comparisons",
    "FoldAccuracy",
    "Roc",
    "accuracy_at",
    "auc",
    "best_accuracy_threshold",
    "eer",
    "fmr",
    "fnmr",
    "roc",
    "ten_fold_accuracy",
    "threshold_at_fmr",
    "val_at_far",
]
