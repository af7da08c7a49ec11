"""How many comparisons a rate takes, and what rates are called."""

from __future__ import annotations

ERRORS_NEEDED = 30
"""Doddington's rule of 30: with as many errors a rate is within 30 % of the truth, 9 times in 10.

Doddington et al., "The NIST speaker recognition evaluation", Speech Communication 31, 2000.
"""


def supported(rate: float, impostor_pairs: int) -> bool:
    """Tell whether so many pairs let one measure a false match rate, by the rule of 30."""
    return rate * impostor_pairs >= ERRORS_NEEDED * (1 - 1e-9)


def rate_name(rate: float) -> str:
    """Return a rate as cards name it: 0.0001 is "1e-4"."""
    return f"{rate:.1e}".replace(".0e", "e").replace("e-0", "e-")
