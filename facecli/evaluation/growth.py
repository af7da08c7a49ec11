"""Compute how identification changes as the gallery grows.

Up to the number of people with photos, a rate is the exact mean over all galleries of a size that
can be drawn from them. If k of M other people are near enough to matter, the probability that none
of the k is among n drawn is C(M-k, n) / C(M, n). For larger galleries the rates are computed from
the impostor distribution as if people were independent, FPIR(N) = 1 - (1 - FMR)^N, and are marked
as computed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.errors import FaceError
from facecli.evaluation.identification import one_shot_split, searched
from facecli.evaluation.samples import Samples
from facecli.metrics import Comparisons, Interval, all_pairs, exact_interval, exact_limits
from facecli.metrics.support import ERRORS_NEEDED
from facecli.metrics.verification import RateArray
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, squared_l2


@dataclass(frozen=True, slots=True)
class GallerySize:
    """Rates of one-shot identification among `size` people; None if the data do not support it.

    A rate that is None has its 95 % interval instead, if anything is known of it.

    `fpir` is the share of searches by people not enrolled that return anybody at or below the
    threshold. `fnir` is the share of searches by enrolled people that do not return them first and
    at or below it. `measured` is false if the rates are computed from the impostor distribution.
    """

    size: int
    measured: bool
    fpir: float | None
    fnir: float | None
    rank_one: float | None
    fpir_interval: Interval | None = None
    fnir_interval: Interval | None = None
    rank_one_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class _Searches:
    """What decides the result of each search in a gallery drawn from a pool of people.

    `others` is the number of other people in the pool. `matching` counts those at or below the
    threshold for each search, int64. For searches by enrolled people, `own` is the squared L2 to
    their own template, and `rivals` counts the other people at or below it. The shares are those of
    photos that gave a face.
    """

    others: int
    matching: IntArray
    own: FloatArray
    rivals: IntArray
    found_share: float
    mated_share: float


@dataclass(frozen=True, slots=True)
class _Estimate:
    """A rate, or the interval of a rate that is not supported; both None if nothing is known."""

    value: float | None
    interval: Interval | None


def gallery_sizes(
    samples: Samples, distractors: FloatArray, *, threshold: float, largest: int
) -> list[GallerySize]:
    """Return the rates at 10, 100, … `largest` people, and at the number of people with photos.

    Galleries are drawn from the first photo of each person, by file name, and from `distractors`,
    unit rows (m, d), one of each other person. Every photo of a named person is a search in
    galleries without that person. Every photo but the first is a search in galleries with them.
    Raises FaceError if nobody has a second photo.
    """
    searches = _search(samples, distractors, threshold)
    impostor = all_pairs(samples.embeddings, np.array(samples.people, dtype=np.str_)).impostor
    sizes = {10**power for power in range(1, 8) if 10**power <= largest}
    sizes |= {largest, min(largest, searches.others)}
    return [
        _measured(searches, size, threshold)
        if size <= searches.others
        else _computed(searches, size, threshold, impostor)
        for size in sorted(sizes)
    ]


def _search(samples: Samples, distractors: FloatArray, threshold: float) -> _Searches:
    people, vectors = np.array(samples.people, dtype=np.str_), samples.embeddings
    enrolled, probes = one_shot_split(samples)
    if not len(probes):
        raise FaceError("nobody has two photos with a face: one to enroll, one to look for")
    pool = np.concatenate([vectors[enrolled], distractors])
    column = dict(zip(people[enrolled].tolist(), range(len(enrolled)), strict=True))
    mate = np.array([column.get(name, -1) for name in people.tolist()])
    named = np.flatnonzero(mate >= 0)
    own, _ = searched(vectors[probes], pool, mate[probes])
    limits = np.full(len(named), threshold)
    lost = sum(bool(name) for name in samples.failed)
    lost_mated = sum(name in column for name in samples.failed)
    return _Searches(
        others=len(pool) - 1,
        matching=_strangers_within(vectors[named], pool, mate[named], limits),
        own=own,
        rivals=_strangers_within(vectors[probes], pool, mate[probes], own.astype(np.float64)),
        found_share=len(named) / (len(named) + lost),
        mated_share=len(probes) / (len(probes) + lost_mated),
    )


def _strangers_within(
    probes: FloatArray, pool: FloatArray, mate: IntArray, limits: RateArray
) -> IntArray:
    """Count for each probe the rows of the pool at or below its limit, without its mate."""
    counts = np.empty(len(probes), np.int64)
    height = max(1, COMPARISONS_HELD // len(pool))
    for start in range(0, len(probes), height):
        some = slice(start, start + height)
        squared = squared_l2(probes[some], pool)
        squared[np.arange(len(squared)), mate[some]] = np.inf
        counts[some] = (squared <= limits[some, None]).sum(axis=1)
    return counts


def _measured(searches: _Searches, size: int, threshold: float) -> GallerySize:
    """Return the means over all galleries of `size` people from the pool."""
    alone = _none_drawn(searches.others, size - 1)[searches.rivals]
    unseen = _none_drawn(searches.others, size)[searches.matching]
    alarms = float((1 - unseen).sum())
    enough = np.count_nonzero(searches.matching) >= ERRORS_NEEDED
    fpir = _estimate((alarms, alarms), len(unseen) / searches.found_share, supported=bool(enough))
    return _size(searches, size, threshold, fpir=fpir, alone=(alone, alone))


def _size(
    searches: _Searches,
    size: int,
    threshold: float,
    *,
    fpir: _Estimate,
    alone: tuple[RateArray, RateArray],
) -> GallerySize:
    """Return the rates of a size; `alone` is the probability of no rival, at least and at most."""
    within = searches.own <= np.float64(threshold)
    missed = _missed(searches, *(np.where(within, one, 0.0) for one in alone))
    not_first = _missed(searches, *alone)
    return GallerySize(
        size=size,
        measured=size <= searches.others,
        fpir=fpir.value,
        fnir=missed.value,
        rank_one=None if not_first.value is None else 1 - not_first.value,
        fpir_interval=fpir.interval,
        fnir_interval=missed.interval,
        rank_one_interval=not_first.interval and not_first.interval.complement(),
    )


def _missed(searches: _Searches, fewest: RateArray, most: RateArray) -> _Estimate:
    """Estimate the share of searches that fail from the hit probabilities, at least and at most."""
    of = len(fewest) / searches.mated_share
    errors = max(0.0, of - float(most.sum())), max(0.0, of - float(fewest.sum()))
    return _estimate(errors, of, supported=errors[0] >= ERRORS_NEEDED * (1 - 1e-9))


def _estimate(errors: tuple[float, float], of: float, *, supported: bool) -> _Estimate:
    """Return the share of expected errors, which are between two numbers, or only its interval."""
    fewest, most = errors
    if supported and fewest == most:
        return _Estimate(fewest / of, None)
    low, high = exact_interval(fewest, of).low, exact_interval(most, of).high
    known = low > 0 or high < 1
    return _Estimate(None, Interval((fewest + most) / 2 / of, low, high) if known else None)


def _none_drawn(others: int, drawn: int) -> RateArray:
    """Return the probability that none of k of `others` is among `drawn`, for k = 0, 1, ….

    C(M-k, n) / C(M, n) is the product of 1 - n/(M-j) over j below k. Returns float64 (others + 1,).
    """
    left = np.maximum(others - np.arange(others), drawn)
    with np.errstate(divide="ignore"):  # log(0), if one of them is certainly drawn
        chance: RateArray = np.exp(np.append(0.0, np.cumsum(np.log1p(-drawn / left))))
    return chance


def _computed(
    searches: _Searches, size: int, threshold: float, impostor: Comparisons
) -> GallerySize:
    """Compute the rates as if people were independent; bounds if fewer than 30 pairs support it."""
    matched = int(impostor.matched(threshold))
    fmr = exact_interval(matched, impostor.size)
    alarmed, low, high = (
        float(-np.expm1(size * np.log1p(-one))) * searches.found_share if one < 1 else 1.0
        for one in (fmr.estimate, fmr.low, fmr.high)
    )
    if matched >= ERRORS_NEEDED:
        fpir = _Estimate(alarmed, None)
    else:
        fpir = _Estimate(None, Interval(alarmed, low, high) if low > 0 or high < 1 else None)
    nearer = impostor.matched(searches.own).astype(np.float64)
    share = nearer / impostor.size
    ends = share, share
    if impostor.size < ERRORS_NEEDED * size:
        ends = exact_limits(nearer, impostor.size)
    fewest, most = (np.power(1 - one, size - 1) for one in reversed(ends))
    return _size(searches, size, threshold, fpir=fpir, alone=(fewest, most))
