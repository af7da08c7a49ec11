"""Compute how much an identification rate would change with other probes: intervals by resampling.

People are drawn with replacement, each with all their searches, because photos of one person fail
together (Bolle, Ratha & Pankanti, CVIU 93, 2004; for a ratio of sums over drawn groups, Field &
Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B 69, 2007). The gallery stays the same:
drawn with replacement it would have 63 % of its people, and all rates here depend on the number of
people enrolled. So an interval is valid for this gallery. Between disjoint quarters of LFW's 1,711
people, other galleries and other impostors changed FPIR by 0.0082; drawing impostors alone gives
0.0084.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.metrics.means import resampled_means
from facecli.metrics.verification import RateArray
from facecli.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Searches:
    """The squared L2 of each search's result, (m,), and the person who searched, int64 (m,) from 0.

    It is infinite if the search cannot return anybody, or not the right person.
    """

    squared: FloatArray
    person: IntArray

    def sorted(self) -> Searches:
        """Return the searches in the order of their squared L2, smallest first."""
        order = np.argsort(self.squared)
        return Searches(self.squared[order], self.person[order])


def resampled_shares(errors: BoolArray, person: IntArray, draws: IntArray) -> RateArray:
    """Return the share of searches that are errors in each draw, float64 (draws, kinds).

    `errors` is bool (m, kinds). `draws` says how often each person was drawn, int64 (draws,
    people); `person` is the column of each search in it, int64 (m,). A draw without searches is
    NaN.
    """
    return resampled_means(errors, person, draws)


def resampled_vals(
    mated: Searches, strangers: Searches, *, draws: tuple[IntArray, IntArray], fpir: float
) -> RateArray:
    """Return 1 - FNIR at an FPIR below 1 for each draw, at the draw's own threshold, (draws,).

    `draws` are the draws of the people of `mated` and those of `strangers` (who have no mate
    enrolled), int64 (draws, people) each. All of these people have searches.
    """
    mated, strangers = mated.sorted(), strangers.sorted()
    rates = np.empty(len(draws[0]))
    for place, (present, absent) in enumerate(zip(*draws, strict=True)):
        alarms = np.cumsum(absent[strangers.person])
        refused = int(np.searchsorted(alarms / alarms[-1], fpir, side="right"))
        found = np.append(0, np.cumsum(present[mated.person]))
        first = np.searchsorted(mated.squared, strangers.squared[refused], side="left")
        rates[place] = found[first] / found[-1]
    return rates
