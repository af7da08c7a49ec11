"""How far a rate of searches would move if other people searched: intervals by resampling.

People are drawn with replacement, each with all their searches, since photos of one person fail
together (Bolle, Ratha & Pankanti, CVIU 93, 2004; as a ratio of sums over drawn groups, Field &
Welsh, "Bootstrapping clustered data", J. R. Statist. Soc. B 69, 2007). The gallery stays as it is:
drawn with replacement it would hold 63 % of its people, and every rate here depends on how many
are enrolled. An interval so holds for this gallery; between disjoint fourths of LFW's 1,711 people,
other galleries and strangers moved FPIR by 0.0082, where drawing strangers alone says 0.0084.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.metrics.verification import RateArray
from facecli.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Searches:
    """Squared L2 of what each search returned, (m,), and who searched, int64 (m,) from 0.

    It is infinite for a search that can return nobody, or nobody right.
    """

    squared: FloatArray
    person: IntArray

    def sorted(self) -> Searches:
        """Return the searches, those of the smallest squared L2 first."""
        order = np.argsort(self.squared)
        return Searches(self.squared[order], self.person[order])


def resampled_shares(errors: BoolArray, person: IntArray, draws: IntArray) -> RateArray:
    """Return the share of searches that are errors in each draw, float64 (draws, kinds).

    `errors` is bool (m, kinds), `person` int64 (m,) a column of `draws`, int64 (draws, people),
    which say how often each was drawn. A draw without searches is NaN.
    """
    people = draws.shape[1]
    wrong = np.stack([np.bincount(person[one], minlength=people) for one in errors.T], axis=1)
    searches = draws @ np.bincount(person, minlength=people)
    rates: RateArray = np.full((len(draws), wrong.shape[1]), np.nan)
    some = searches > 0
    rates[some] = (draws @ wrong)[some] / searches[some, None]
    return rates


def resampled_vals(
    mated: Searches, strangers: Searches, *, draws: tuple[IntArray, IntArray], fpir: float
) -> RateArray:
    """Return 1 - FNIR at an FPIR below 1 in each draw, at the draw's own threshold, (draws,).

    `draws` are of the people of `mated` and of `strangers`, int64 (draws, people) each; all of
    these people search.
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
