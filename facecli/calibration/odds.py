"""Tell how many other people are as near as a face: the distribution of impostor pairs.

Measuring it needs `metrics`, which is imported only then: an answer reads the distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from facecli.types import FloatArray, IntArray

if TYPE_CHECKING:
    from facecli.metrics import Comparisons

RateArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95
LARGEST_SHARE = 0.1
"""The table ends at this share: beyond it, "more than 1 in 10" says enough."""

LISTED = 2**23
"""Most impostor pairs listed, 0.6 GB; the table of a larger set ends at a smaller share."""

POINTS_A_DECADE = 10
"""The shares of neighbouring points differ by a quarter; between them it is interpolated."""


@dataclass(frozen=True, slots=True)
class Odds:
    """The share of impostor pairs at or below a squared L2, and its 95 % interval, in [0, 1].

    `share` is None outside the table: then it is only known to be between `low` and `high`. It was
    counted on `pairs` pairs of `source`.
    """

    share: float | None
    low: float
    high: float
    pairs: int = 0
    source: str = ""

    @property
    def below(self) -> bool:
        """Whether the squared L2 is below the table: only a largest share is known."""
        return self.share is None and self.low == 0

    def among(self, templates: int) -> Odds:
        """Return the probability that another person is as near to one of so many templates.

        1 - (1 - share)^N assumes that the templates are independent. If several are of the same
        person, the true probability is smaller.
        """
        share = None if self.share is None else _any_of(self.share, templates)
        low, high = (_any_of(one, templates) for one in (self.low, self.high))
        return replace(self, share=share, low=low, high=high)


@dataclass(frozen=True, slots=True)
class ImpostorDistribution:
    """The lower tail of the squared L2 of impostor pairs, with intervals over people.

    `counts` is how many of `pairs` pairs are at or below each of the ascending `squared_l2`; it is
    exact. `low` and `high` are the ends of the 95 % interval of that share. `counts` is int64, the
    others float64, all (k,). `source` names the data.
    """

    pairs: int
    people: int
    source: str
    squared_l2: RateArray
    counts: IntArray
    low: RateArray
    high: RateArray

    def share(self, squared_l2: float) -> Odds:
        """Return the share of impostor pairs at or below a squared L2; it rises with that."""
        points = self.squared_l2
        if squared_l2 < points[0]:
            return Odds(None, 0.0, float(self.high[0]), self.pairs, self.source)
        if squared_l2 > points[-1]:
            return Odds(None, float(self.low[-1]), 1.0, self.pairs, self.source)
        # The tail is nearly exponential, so its logarithm can be interpolated.
        columns = (self.counts / self.pairs, self.low, self.high)
        share, low, high = (math.exp(np.interp(squared_l2, points, np.log(one))) for one in columns)
        return Odds(share, low, high, self.pairs, self.source)

    def table(self) -> dict[str, Any]:
        """Return it as JSON values, for a model card or a gallery."""
        return {
            "pairs": self.pairs,
            "people": self.people,
            "source": self.source,
            "squared_l2": self.squared_l2.tolist(),
            "counts": self.counts.tolist(),
            "low": [float(f"{value:.4g}") for value in self.low],
            "high": [float(f"{value:.4g}") for value in self.high],
        }


def distribution_from(table: dict[str, Any]) -> ImpostorDistribution | None:
    """Read a table from `ImpostorDistribution.table`; None for an empty one.

    Raises ValueError for anything else: a card or gallery may come from another program.
    """
    if not table:
        return None
    try:
        made = ImpostorDistribution(
            pairs=int(table["pairs"]),
            people=int(table["people"]),
            source=str(table["source"]),
            squared_l2=np.asarray(table["squared_l2"], np.float64),
            counts=np.asarray(table["counts"], np.int64),
            low=np.asarray(table["low"], np.float64),
            high=np.asarray(table["high"], np.float64),
        )
        columns = np.stack([made.squared_l2, made.counts, made.low, made.high])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError("not a table of impostors") from error
    shares = made.counts / max(made.pairs, 1)
    rising = np.isfinite(columns).all() and (np.diff(columns) >= 0).all()
    ordered = (made.low > 0) & (made.low <= shares) & (shares <= made.high) & (made.high <= 1)
    if columns.ndim != 2 or not columns.size or not rising or not ordered.all():
        raise ValueError("not a table of impostors")
    return made


def impostor_table(embeddings: FloatArray, labels: npt.ArrayLike, *, source: str) -> dict[str, Any]:
    """Return the table for a model card from unit rows (n, d) and labels (n,); {} if too few."""
    from facecli.metrics import all_pairs

    impostor = all_pairs(embeddings, labels).impostor
    made = impostor_distribution(embeddings, labels, impostor, source=source)
    return {} if made is None else made.table()


def impostor_distribution(
    embeddings: FloatArray, labels: npt.ArrayLike, impostor: Comparisons, *, source: str
) -> ImpostorDistribution | None:
    """Return the tail of all impostor pairs of unit rows (n, d); None if they are too few.

    `impostor` are their comparisons from `metrics.all_pairs`. The table begins at 30 pairs and ends
    at a tenth of all. Pairs of the same person depend on each other. So the variance of each share
    is estimated by a jackknife over people, which is too large rather than too small on average
    (Efron & Stein, "The jackknife estimate of variance", Annals of Statistics 9, 1981). It tells
    how many independent pairs would have this variance, and for that number the interval is that of
    Clopper and Pearson (Korn & Graubard, "Confidence intervals for proportions with small expected
    number of positive counts", Survey Methodology 24, 1998).
    """
    from facecli.metrics.pairs import number_people

    points, counts = _points(impostor)
    if not len(points):
        return None
    known, person = number_people(labels, len(embeddings))
    pictures = np.bincount(person)
    own = _counts_by_person(embeddings, labels, points)
    shares = counts / impostor.size
    of_person = pictures * (len(known) - pictures)
    influence = (own - shares * of_person[:, None]) / impostor.size
    variance = (influence**2).sum(axis=0)
    low, high = _interval(shares, variance, pairs=impostor.size, people=len(pictures))
    return ImpostorDistribution(
        pairs=impostor.size,
        people=len(pictures),
        source=source,
        squared_l2=points,
        counts=counts,
        # Bounds must not fall; where neighbours differ, the wider interval counts.
        low=np.minimum.accumulate(low[::-1])[::-1],
        high=np.maximum.accumulate(high),
    )


def _points(impostor: Comparisons) -> tuple[RateArray, IntArray]:
    """Choose squared L2 by their share; return them, and how many pairs are at or below each."""
    from facecli.metrics.support import ERRORS_NEEDED

    last = min(LARGEST_SHARE * impostor.size, LISTED)
    if last < ERRORS_NEEDED:
        return np.empty(0), np.empty(0, np.int64)
    steps = 1 + int(POINTS_A_DECADE * math.log10(last / ERRORS_NEEDED))
    wanted = ERRORS_NEEDED * 10 ** (np.arange(steps) / POINTS_A_DECADE)
    up_to = impostor.counts[1:]
    places = np.unique(np.searchsorted(up_to, [*wanted, last]))
    places = places[up_to[places] < impostor.size]  # with ties, a point can include all pairs
    return impostor.values[places].astype(np.float64), up_to[places]


def _counts_by_person(
    embeddings: FloatArray, labels: npt.ArrayLike, points: RateArray
) -> npt.NDArray[np.int64]:
    """Count each person's impostor pairs at or below each point, int64 (people, points)."""
    from facecli.metrics import nearest_impostors
    from facecli.metrics.pairs import number_people

    tail = nearest_impostors(embeddings, labels, threshold=float(points[-1]))
    known, person = number_people(labels, len(embeddings))
    of_row = np.zeros(len(embeddings), np.int64)
    of_row[known] = person
    place = np.searchsorted(points, tail.squared)
    size = (int(person.max()) + 1) * len(points)
    counts = np.zeros(size, np.int64)
    for rows in (tail.first, tail.second):
        counts += np.bincount(of_row[rows] * len(points) + place, minlength=size)
    return counts.reshape(-1, len(points)).cumsum(axis=1)


def _interval(
    shares: RateArray, variance: RateArray, *, pairs: int, people: int
) -> tuple[RateArray, RateArray]:
    """Return the ends of Korn and Graubard's interval of each share, for `people` clusters."""
    from scipy.special import ndtri, stdtrit

    from facecli.metrics.bounds import exact_limits

    tail = (1 - CONFIDENCE) / 2
    few_people = (ndtri(tail) / stdtrit(people - 1, tail)) ** 2
    alone = shares * (1 - shares) / pairs
    effective = pairs * few_people * alone / np.maximum(variance, alone)
    return exact_limits(effective * shares, effective)


def sentence(odds: Odds, *, enrolled: int | None = None) -> str:
    """Say in words how many strangers come this close to one face, or to one of those enrolled."""
    whom = "the one person" if enrolled == 1 else f"one of the {enrolled} people"
    close = "this close" if enrolled is None else f"this close to {whom} enrolled"
    if odds.share is None and odds.high < 1:
        return f"fewer than 1 in {_round(1 / odds.high, math.floor)} strangers come {close}"
    if odds.share is None or odds.share > 0.5:
        bound = odds.low if odds.share is None else 0.5
        return f"more than 1 in {_round(max(2.0, 1 / bound), math.ceil)} strangers come {close}"
    middle, few, many = (_round(1 / value, round) for value in (odds.share, odds.high, odds.low))
    return (
        f"about 1 in {middle} strangers comes {close} "
        f"({100 * CONFIDENCE:.0f} % interval 1 in {few} to {many})"
    )


def _any_of(share: float, times: int) -> float:
    """Return 1 - (1 - share)^times, exact for tiny shares too."""
    return 1.0 if share >= 1 else -math.expm1(times * math.log1p(-share))


def _round(number: float, how: Any) -> str:
    """Round to two digits: 5,234 is "5,200" and 2.345 is "2.3"."""
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    rounded = how(number / step) * step
    return f"{rounded:,.0f}" if step >= 1 else f"{rounded:.2g}"
