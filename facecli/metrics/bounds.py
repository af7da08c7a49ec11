"""Bound a rate that too few errors support: by exact limits of a binomial proportion."""

from __future__ import annotations

import numpy as np

from facecli.metrics.resampling import Interval
from facecli.metrics.verification import RateArray

CONFIDENCE = 0.95


def exact_interval(errors: float, of: float) -> Interval:
    """Return a rate with the exact 95 % interval of Clopper and Pearson (Biometrika 26, 1934).

    It holds for any number of errors, also for none: then its upper end is about 3.7/n, a two-sided
    rule of three. Comparisons count as independent. Numbers need not be whole: an expected number
    of errors, or an effective number of comparisons. Nothing is known of 0 comparisons.
    """
    low, high = exact_limits(np.array(errors, np.float64), of)
    return Interval(errors / of if of > 0 else 0.0, float(low), float(high))


def exact_limits(errors: RateArray, of: RateArray | float) -> tuple[RateArray, RateArray]:
    """Return the ends of `exact_interval` for each number of errors, float64 of its shape."""
    from scipy.special import betaincinv

    tail = (1 - CONFIDENCE) / 2
    with np.errstate(invalid="ignore"):
        low = betaincinv(errors, of - errors + 1, tail)
        high = betaincinv(errors + 1, of - errors, 1 - tail)
    return np.where(errors > 0, low, 0.0), np.where(errors < of, high, 1.0)


def grouped_interval(errors: int, of: int, draws: RateArray) -> Interval:
    """Return the exact interval of a rate, wider if errors come together in some people.

    `draws` are the values of the rate for resampled people, (draws,), NaN if a draw has none. The
    interval is that of as many independent comparisons as have the variance of the draws (Korn &
    Graubard, Survey Methodology 24, 1998). Without an error there is no variance to measure: then
    comparisons count as independent.
    """
    share = errors / of
    alone = share * (1 - share) / of
    usable = draws[~np.isnan(draws)]
    if not alone or len(usable) < 2:
        return exact_interval(errors, of)
    together = max(1.0, float(np.var(usable)) / alone)
    return exact_interval(errors / together, of / together)
