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
from facecli.metrics import Comparisons, all_pairs
from facecli.metrics.support import ERRORS_NEEDED
from facecli.metrics.verification import RateArray
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, squared_l2


@dataclass(frozen=True, slots=True)
class GallerySize:
    """Rates of one-shot identification among `size` people; None if the data do not support it.

    `fpir` is the share of searches by people not enrolled that return anybody at or below the
    threshold. `fnir` is the share of searches by enrolled people that do not return them first and
    at or below it. `measured` is false if the rates are computed from the impostor distribution.
    """

    size: int
    measured: bool
    fpir: float | None
    fnir: float | None
    rank_one: float | None


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
    hit = np.where(searches.own <= np.float64(threshold), alone, 0.0)
    unseen = _none_drawn(searches.others, size)[searches.matching]
    fpir = float((1 - unseen).mean()) * searches.found_share
    return GallerySize(
        size=size,
        measured=True,
        fpir=fpir if np.count_nonzero(searches.matching) >= ERRORS_NEEDED else None,
        fnir=_missed(searches, hit),
        rank_one=_found(searches, alone),
    )


def _missed(searches: _Searches, hit: RateArray) -> float | None:
    """Return FNIR from the hit probability of each search; None if fewer than 30 fail."""
    fnir = 1 - float(hit.mean()) * searches.mated_share
    misses = fnir * len(hit) / searches.mated_share
    return fnir if misses >= ERRORS_NEEDED * (1 - 1e-9) else None


def _found(searches: _Searches, alone: RateArray) -> float | None:
    """Return rank-1 from the probability that a search has no rival; None if not supported."""
    missed = _missed(searches, alone)
    return None if missed is None else 1 - missed


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
    """Compute the rates as if people were independent; None if fewer than 30 pairs support it."""
    matched = int(impostor.matched(threshold))
    fmr = matched / impostor.size
    fpir = fnir = rank_one = None
    if matched >= ERRORS_NEEDED:
        fpir = float(-np.expm1(size * np.log1p(-fmr))) * searches.found_share
    if impostor.size >= ERRORS_NEEDED * size:
        nearer = impostor.matched(searches.own) / impostor.size
        alone = np.exp((size - 1) * np.log1p(-nearer))
        hit = np.where(searches.own <= np.float64(threshold), alone, 0.0)
        fnir = _missed(searches, hit)
        rank_one = _found(searches, alone)
    return GallerySize(size, measured=False, fpir=fpir, fnir=fnir, rank_one=rank_one)
