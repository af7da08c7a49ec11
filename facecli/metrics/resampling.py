"""Compute how much a rate would change with other people: intervals by resampling people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from facecli.metrics.pairs import AllPairs, all_pairs, nearest_impostors, number_people
from facecli.metrics.verification import (
    Comparisons,
    RateArray,
    eer,
    threshold_at_fmr,
    val_at_far,
)
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import MAXIMUM

HEADROOM = 4
"""How many times the impostor pairs below the FAR are listed at first: some draws need more.

If a draw needs more than are listed, the list grows by this factor.
"""

KEPT = 2**18
"""Most genuine and most impostor pairs kept for one rate. If there are more, a random part of this
size is used. At a FAR of 0.1 that changes the FMR of a draw by 0.4 % of its value, far less than
other people do."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate, or the difference of two rates, and the ends of its percentile interval."""

    estimate: float
    low: float
    high: float

    def complement(self) -> Interval:
        """Return the interval of 1 minus the rate."""
        return Interval(1 - self.estimate, 1 - self.high, 1 - self.low)


@dataclass(frozen=True, slots=True)
class _Tail:
    """The nearest impostor pairs: ascending squared L2, (m,), and the two people of each pair.

    Squared L2 is float64: searching a float32 array for a threshold would copy it every time.
    `share` is the part of the pairs, up to the last one, that is listed. `complete` is true if no
    impostor pair has a larger squared L2.
    """

    squared: RateArray
    first: IntArray
    second: IntArray
    share: float
    complete: bool

    def weights(self, draw: IntArray) -> IntArray:
        """Return how often a draw has each pair; `draw` (people,) counts each person."""
        return draw[self.first] * draw[self.second]


class _GrowingTail:
    """The nearest impostor pairs; more are listed when a draw needs them."""

    def __init__(
        self, listed: Callable[[float], _Tail], impostor: Comparisons, share: float
    ) -> None:
        self._listed, self._impostor, self._share = listed, impostor, share
        self._lengthen()

    def _lengthen(self) -> None:
        self._share *= HEADROOM
        self._tail = self._listed(threshold_at_fmr(self._impostor, min(1.0, self._share)))

    def ask(self, question: Callable[[_Tail], float | None]) -> float:
        """Return the answer to a question, which is None as long as the tail is too short."""
        while (answer := question(self._tail)) is None:
            self._lengthen()
        return answer


def bootstrap_by_person(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    *,
    fars: Sequence[float],
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """Return VAL at each FAR, in (0, 1], with its percentile interval over resampled people.

    Comparisons of the same person depend on each other. So people are drawn with replacement, not
    pairs (Bolle, Ratha & Pankanti, "Error analysis of pattern recognition systems: the subsets
    bootstrap", CVIU 93, 2004; for pairs, Snijders & Borgatti, Connections 22, 1999). If a person is
    drawn w times, their genuine pairs have the weight w. The weight of an impostor pair is the
    product of the numbers of both people. Copies of one person form no pairs with each other. Every
    draw has its own threshold.

    Labels are as in `metrics.pairs`. Draws without genuine or without impostor pairs are ignored.
    Raises ValueError if fewer than two people have genuine pairs. Memory, and time per replicate,
    grow with the number of impostor pairs below the largest FAR.
    """
    _check_rates(fars)
    pairs = all_pairs(embeddings, labels)
    draws = draw_people(pairs, labels, replicates=replicates, seed=seed)
    rates = resampled_rates(embeddings, labels, pairs=pairs, draws=draws, fars=fars)
    estimates = [val_at_far(pairs.genuine, pairs.impostor, far) for far in fars]
    return [
        interval(estimate, column, confidence=confidence)
        for estimate, column in zip(estimates, rates.T, strict=True)
    ]


def bootstrap_difference(
    before: FloatArray,
    after: FloatArray,
    labels: npt.ArrayLike,
    *,
    fars: Sequence[float],
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """Return VAL of `after` minus VAL of `before` at each FAR, in [-1, 1], with intervals.

    Both are embeddings of the same pictures, row by row, and are measured on the same draws of
    people. So people who are hard for both do not make the interval wider. All else is as in
    `bootstrap_by_person`.
    """
    _check_rates(fars)
    both = []
    for embeddings in (before, after):
        pairs = all_pairs(embeddings, labels)
        draws = draw_people(pairs, labels, replicates=replicates, seed=seed)
        rates = resampled_rates(embeddings, labels, pairs=pairs, draws=draws, fars=fars)
        both.append(([val_at_far(pairs.genuine, pairs.impostor, far) for far in fars], rates))
    (first, first_rates), (second, second_rates) = both
    return [
        interval(float(one - other), column, confidence=confidence)
        for one, other, column in zip(second, first, (second_rates - first_rates).T, strict=True)
    ]


def _check_rates(fars: Sequence[float]) -> None:
    if not fars or not all(0 < far <= 1 for far in fars):
        raise ValueError(f"false accept rates lie in (0, 1], not {list(fars)}")


def draw_people(pairs: AllPairs, labels: npt.ArrayLike, *, replicates: int, seed: int) -> IntArray:
    """Return how often each person is drawn in each replicate, int64 (replicates, people)."""
    if len(np.unique(pairs.genuine_person)) < 2:
        raise ValueError("resampling needs two people with at least two pictures each")
    people = int(number_people(labels, len(np.asarray(labels)))[1].max()) + 1
    return times_drawn(people, replicates=replicates, seed=seed)


def times_drawn(people: int, *, replicates: int, seed: int) -> IntArray:
    """Draw `people` people with replacement; return how often each, int64 (replicates, people)."""
    chance = np.full(people, 1 / people)
    return np.random.default_rng(seed).multinomial(people, chance, size=replicates)


def interval(estimate: float, rates: RateArray, *, confidence: float = 0.95) -> Interval:
    """Return an estimate with the percentile interval of its resampled values, (draws,).

    Values that are NaN are ignored. Raises ValueError if all are NaN.
    """
    usable = rates[~np.isnan(rates)]
    if not len(usable):
        raise ValueError("no draw has both genuine and impostor pairs")
    low, high = np.quantile(usable, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(estimate, float(low), float(high))


def resampled_rates(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    *,
    pairs: AllPairs,
    draws: IntArray,
    fars: Sequence[float] = (),
    thresholds: Sequence[float] = (),
    equal_error: bool = False,
    watch: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> RateArray:
    """Return float64 (draws, rates): VAL at each FAR, FMR and FNMR at each threshold, then EER.

    `pairs` are all pairs of these embeddings and labels. `draws` are from `draw_people`, int64
    (replicates, people), with people in the order of the sorted labels. The weights of pairs are
    those of `bootstrap_by_person`. A draw without genuine or without impostor pairs is NaN. The EER
    is added if `equal_error` is true: that of the drawn genuine and impostor pairs, at the draw's
    own threshold. `watch` wraps the numbers of the draws, for a progress bar.
    """
    person = np.full(len(embeddings), -1)
    known, person_of_known = number_people(labels, len(embeddings))
    person[known] = person_of_known
    pictures = np.bincount(person_of_known, minlength=draws.shape[1])
    genuine, owner = _some_genuine(pairs)

    tail = partial(_list_tail, embeddings, labels, person=person, impostor=pairs.impostor)
    fixed = [(limit, tail(limit)) for limit in thresholds]
    shares = [*fars, *([_some_eer(pairs)] if equal_error else [])]
    tails = [_GrowingTail(tail, pairs.impostor, share) for share in shares]
    rates = np.full((len(draws), 2 * len(fixed) + len(tails)), np.nan)
    for number in watch(range(len(draws))):
        row, draw = rates[number], draws[number]
        weight = np.append(0, np.cumsum(draw[owner]))
        drawn = draw * pictures
        impostors = int(drawn.sum() ** 2 - (drawn**2).sum()) // 2
        if not weight[-1] or not impostors:
            continue
        mates = Comparisons(genuine, weight, int(weight[-1]))
        for place, far in enumerate(fars):
            refused = tails[place].ask(partial(_first_refused, draw, impostors, far))
            row[place] = weight[np.searchsorted(genuine, refused, side="left")] / weight[-1]
        for place, (limit, listed) in enumerate(fixed):
            column = len(fars) + 2 * place
            row[column] = listed.weights(draw).sum() / listed.share / impostors
            row[column + 1] = 1 - mates.matched(limit) / weight[-1]
        if equal_error:
            row[-1] = tails[-1].ask(partial(_equal_error, draw, impostors, mates))
    return rates


def _some_genuine(pairs: AllPairs) -> tuple[RateArray, IntArray]:
    """Return genuine squared L2, ascending float64, and their people: all, or KEPT at random."""
    chosen = np.argsort(pairs.genuine)
    if len(chosen) > KEPT:
        drawn = np.random.default_rng(0).choice(len(chosen), size=KEPT, replace=False)
        chosen = chosen[np.sort(drawn)]
    return pairs.genuine[chosen].astype(np.float64), pairs.genuine_person[chosen]


def _some_eer(pairs: AllPairs) -> float:
    """Return the EER of all pairs, but at least the share of one impostor pair."""
    return max(eer(pairs.genuine, pairs.impostor), 1 / pairs.impostor.size)


def _list_tail(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    cut: float,
    *,
    person: IntArray,
    impostor: Comparisons,
) -> _Tail:
    """List the impostor pairs at or below `cut`, or a random part, with the people of each."""
    share = min(1.0, KEPT / max(1, int(impostor.matched(cut))))
    pairs = nearest_impostors(embeddings, labels, threshold=cut, share=share)
    first, second = person[pairs.first], person[pairs.second]
    return _Tail(pairs.squared.astype(np.float64), first, second, share, cut >= MAXIMUM)


def _first_refused(draw: IntArray, impostors: int, far: float, tail: _Tail) -> float | None:
    """Return the smallest squared L2 that a draw must refuse at a FAR; infinity if none.

    `draw` is how often each person was drawn, int64 (people,), and `impostors` the number of
    impostor pairs of the draw. None means that the tail is too short to tell.
    """
    running = np.cumsum(tail.weights(draw)) / tail.share
    index = int(np.searchsorted(running / impostors, far, side="right"))
    if index < len(running):
        return float(tail.squared[index])
    return np.inf if tail.complete else None


def _equal_error(draw: IntArray, impostors: int, mates: Comparisons, tail: _Tail) -> float | None:
    """Return the EER of a draw with the genuine pairs `mates`; all else as `_first_refused`."""
    counts = np.append(0, np.cumsum(tail.weights(draw)))
    strangers = Comparisons(tail.squared, counts, math.ceil(impostors * tail.share))
    last = float(tail.squared[-1]) if len(tail.squared) else -np.inf
    missed = 1 - int(mates.matched(last)) / mates.size
    if not tail.complete and int(counts[-1]) / strangers.size < missed:
        return None
    return eer(mates, strangers)
