"""Compute error rates and scores from squared L2 between unit vectors; lower is more alike."""

from facecli.metrics.bounds import exact_interval, exact_limits, grouped_interval
from facecli.metrics.identification import mate_ranks
from facecli.metrics.means import draw_classes, paired_difference, resampled_means
from facecli.metrics.pairs import AllPairs, ListedPairs, all_pairs, nearest_impostors
from facecli.metrics.partitions import (
    PartitionScore,
    bcubed_score,
    normalized_mutual_information,
    pairwise_score,
)
from facecli.metrics.resampling import (
    Interval,
    bootstrap_by_person,
    bootstrap_difference,
    draw_people,
    interval,
    resampled_rates,
    times_drawn,
)
from facecli.metrics.retrieval import KS, Retrieval, retrieve
from facecli.metrics.searches import Searches, resampled_shares, resampled_vals
from facecli.metrics.verification import (
    Comparisons,
    FoldAccuracy,
    FoldVal,
    accuracy_at,
    auc,
    best_accuracy_threshold,
    eer,
    fmr,
    fnmr,
    ten_fold_accuracy,
    ten_fold_val,
    threshold_at_fmr,
    val_at_far,
)

__all__ = [
    "KS",
    "AllPairs",
    "Comparisons",
    "FoldAccuracy",
    "FoldVal",
    "Interval",
    "ListedPairs",
    "PartitionScore",
    "Retrieval",
    "Searches",
    "accuracy_at",
    "all_pairs",
    "auc",
    "bcubed_score",
    "best_accuracy_threshold",
    "bootstrap_by_person",
    "bootstrap_difference",
    "draw_classes",
    "draw_people",
    "eer",
    "exact_interval",
    "exact_limits",
    "fmr",
    "fnmr",
    "grouped_interval",
    "interval",
    "mate_ranks",
    "nearest_impostors",
    "normalized_mutual_information",
    "paired_difference",
    "pairwise_score",
    "resampled_means",
    "resampled_rates",
    "resampled_shares",
    "resampled_vals",
    "retrieve",
    "ten_fold_accuracy",
    "ten_fold_val",
    "threshold_at_fmr",
    "times_drawn",
    "val_at_far",
]
