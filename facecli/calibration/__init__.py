"""Compute thresholds, odds and probabilities from a user's own data."""

from facecli.calibration.odds import (
    ImpostorDistribution,
    Odds,
    distribution_from,
    impostor_distribution,
    impostor_table,
    sentence,
)

__all__ = [
    "ImpostorDistribution",
    "Odds",
    "distribution_from",
    "impostor_distribution",
    "impostor_table",
    "sentence",
]
