"""Tell how many comparisons support a rate, and name rates."""

from __future__ import annotations

ERRORS_NEEDED = 30
"""Doddington's rule of 30: a rate with 30 errors is within 30 % of the truth, 9 times in 10.

Doddington et al., "The NIST speaker recognition evaluation", Speech Communication 31, 2000.
"""


def supported(rate: float, impostor_pairs: int) -> bool:
    """Tell if so many impostor pairs are enough to measure a false match rate (rule of 30)."""
    return rate * impostor_pairs >= ERRORS_NEEDED * (1 - 1e-9)


def rate_name(rate: float) -> str:
    """Return a rate as model cards write it: 0.0001 is "1e-4"."""
    return f"{rate:.1e}".replace(".0e", "e").replace("e-0", "e-")
