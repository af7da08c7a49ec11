"""How far a rate would move with other people: intervals by resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.metrics.pairs import AllPairs, all_pairs, nearest_impostors, number_people
from facecli.metrics.verification import RateArray, threshold_at_fmr, val_at_far
from facecli.types import FloatArray, IntArray

HEADROOM = 4
"""How many times the impostors below the FAR are listed at first: draws differ in how many of them
they hold. A draw that needs more lists as many times more."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate, or a difference of two, and the ends of its percentile interval."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Tail:
    """The nearest impostors: squared L2 ascending (m,), the two people of each, and if all are."""

    squared: FloatArray
    first: IntArray
    second: IntArray
    complete: bool


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

    Comparisons that share a person depend on each other, so people are drawn, with replacement, and
    not pairs (Bolle, Ratha & Pankanti, "Error analysis of pattern recognition systems: the subsets
    bootstrap", CVIU 93, 2004; for pairs, Snijders & Borgatti, Connections 22, 1999). A person drawn
    w times weighs own pairs by w, and pairs with another person by the product of both numbers; the
    pairs between copies of one person do not exist. Every draw finds its own threshold.

    Labels are as in `metrics.pairs`. Draws left without genuine or impostor pairs are ignored.
    Raise ValueError if fewer than two people have genuine pairs. Memory, and time per replicate,
    grow with the number of impostors below the largest FAR.
    """
    _check_rates(fars)
    pairs = all_pairs(embeddings, labels)
    draws = _draw_people(pairs, labels, rows=len(embeddings), replicates=replicates, seed=seed)
    rates = _resampled_val(embeddings, labels, pairs=pairs, draws=draws, fars=fars)
    estimates = [val_at_far(pairs.genuine, pairs.impostor, far) for far in fars]
    return _intervals(estimates, np.array(rates), confidence)


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
    """Return how much more VAL `after` has than `before` at each FAR, in [-1, 1], with intervals.

    Both embed the same pictures, row by row, and are measured on the same draws of people: what is
    hard about some of them is hard for both and does not widen the interval. Otherwise as
    `bootstrap_by_person`.
    """
    _check_rates(fars)
    both = []
    for embeddings in (before, after):
        pairs = all_pairs(embeddings, labels)
        draws = _draw_people(pairs, labels, rows=len(embeddings), replicates=replicates, seed=seed)
        rates = _resampled_val(embeddings, labels, pairs=pairs, draws=draws, fars=fars)
        both.append(([val_at_far(pairs.genuine, pairs.impostor, far) for far in fars], rates))
    (first, first_rates), (second, second_rates) = both
    # Which draws are usable depends on the labels alone, so the rows of both still correspond.
    moved = np.array(second_rates) - np.array(first_rates)
    gains = [float(one - other) for one, other in zip(second, first, strict=True)]
    return _intervals(gains, moved, confidence)


def _check_rates(fars: Sequence[float]) -> None:
    if not fars or not all(0 < far <= 1 for far in fars):
        raise ValueError(f"false accept rates lie in (0, 1], not {list(fars)}")


def _draw_people(
    pairs: AllPairs, labels: npt.ArrayLike, *, rows: int, replicates: int, seed: int
) -> IntArray:
    """Return how often each person is drawn in each replicate, int64 (replicates, people)."""
    if len(np.unique(pairs.genuine_person)) < 2:
        raise ValueError("resampling needs two people with at least two pictures each")
    people = int(number_people(labels, rows)[1].max()) + 1
    chance = np.full(people, 1 / people)
    return np.random.default_rng(seed).multinomial(people, chance, size=replicates)


def _intervals(estimates: Sequence[float], rates: RateArray, confidence: float) -> list[Interval]:
    """Return each estimate with the quantiles of its column of `rates`, (draws, rates)."""
    ends = np.quantile(rates, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return [
        Interval(estimate, float(low), float(high))
        for estimate, low, high in zip(estimates, *ends, strict=True)
    ]


def _resampled_val(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    *,
    pairs: AllPairs,
    draws: IntArray,
    fars: Sequence[float],
) -> list[RateArray]:
    """Return VAL at each FAR for each usable draw; `draws` is int64 (replicates, people)."""
    pictures = np.bincount(number_people(labels, len(embeddings))[1])
    order = np.argsort(pairs.genuine)
    genuine, owner = pairs.genuine[order], pairs.genuine_person[order]
    share = min(1.0, HEADROOM * max(fars))
    tail = _list_tail(embeddings, labels, cut=threshold_at_fmr(pairs.impostor, share))
    rates = []
    for draw in draws:
        weight = np.append(0, np.cumsum(draw[owner]))
        drawn = draw * pictures
        impostors = int(drawn.sum() ** 2 - (drawn**2).sum()) // 2
        if not weight[-1] or not impostors:
            continue
        while (refused := _first_refused(tail, draw, impostors=impostors, fars=fars)) is None:
            share = min(1.0, HEADROOM * share)
            tail = _list_tail(embeddings, labels, cut=threshold_at_fmr(pairs.impostor, share))
        rates.append(weight[np.searchsorted(genuine, refused, side="left")] / weight[-1])
    return rates


def _list_tail(embeddings: FloatArray, labels: npt.ArrayLike, *, cut: float) -> _Tail:
    """List the impostors at or below `cut` by their people."""
    known, person = number_people(labels, len(embeddings))
    person_of_row = np.full(len(embeddings), -1)
    person_of_row[known] = person
    pairs = nearest_impostors(embeddings, labels, threshold=cut)
    return _Tail(pairs.squared, person_of_row[pairs.first], person_of_row[pairs.second], cut >= 4)


def _first_refused(
    tail: _Tail, draw: IntArray, *, impostors: int, fars: Sequence[float]
) -> RateArray | None:
    """Return for each FAR the squared L2 from which on a draw must refuse, infinity for never.

    `draw` int64 (people,) says how often each was drawn, `impostors` how many impostor pairs that
    makes. None means that the tail is too short to tell.
    """
    running = np.cumsum(draw[tail.first] * draw[tail.second])
    index = np.searchsorted(running / impostors, fars, side="right")
    if not tail.complete and index.max() == len(running):
        return None
    return np.append(tail.squared, np.inf)[index]
