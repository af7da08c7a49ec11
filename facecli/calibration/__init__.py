"""Compute thresholds, odds and probabilities from a user's own data."""

from facecli.calibration.odds import (
    ImpostorDistribution,
    Odds,
    distribution_from,
    impostor_distribution,
    impostor_table,
    sentence,
)
from facecli.calibration.threshold import calibrated_threshold

__all__ = [
    "ImpostorDistribution",
    "Odds",
    "calibrated_threshold",
    "distribution_from",
    "impostor_distribution",
    "impostor_table",
    "sentence",
]
