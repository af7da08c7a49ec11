"""Measure identification with one photo enrolled for each person and all others as probes.

The open-set rates are those of NIST's FRVT 1:N reports (Grother, Ngan & Hanaoka, NISTIR 8271, 2019,
section 3). FPIR(N, T) is the share of searches by people who are not among the N enrolled that
return anybody at or below T. FNIR(N, T) is the share of searches by enrolled people that do not
return them first and at or below T. A search with a photo without a face returns nobody. Rank-k is
1 - FNIR(N, R = k, T = 4).

Intervals come from resampling the people who search; see `metrics.searches`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from facecli.errors import FaceError
from facecli.evaluation.rates import REPLICATES, Curve, Rate, Val, curve_of, val_at
from facecli.evaluation.samples import Samples
from facecli.metrics import (
    Comparisons,
    Searches,
    mate_ranks,
    resampled_shares,
    resampled_vals,
    times_drawn,
)
from facecli.metrics.verification import RateArray
from facecli.types import BoolArray, FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, squared_l2

Names = npt.NDArray[np.str_]

DEPTH = 10
"""Number of ranks that are reported."""

LEFT_OUT = 0.5
"""Share of the people who are not enrolled in the open-set protocol."""

SEED = 0
"""Seed for choosing those people."""

FPIRS = (1e-1, 1e-2, 1e-3)
"""FPIR values at which FNIR is measured."""


@dataclass(frozen=True, slots=True)
class ClosedSet:
    """Everyone is enrolled from one photo, and `probes` are searched among them.

    `missed` counts the probes whose person is not among the first 1, 2, … 10. `lost` probes have no
    face and count as missed.
    """

    enrolled: int
    probes: int
    lost: int
    missed: tuple[Rate, ...]

    @property
    def cmc(self) -> RateArray:
        """Rank-1 to rank-10, float64 (10,), even if too few errors support them."""
        return np.array([(one.of - one.errors) / one.of for one in self.missed])


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Searches in a gallery of `enrolled` people, one photo each, by them and by `strangers`.

    At `threshold`, the one in use, `fpir` counts the searches by strangers that returned anybody,
    and `fnir` those by enrolled people that did not return them first. In `at` and `curve`, FPIR
    takes the place of FMR, and 1 - FNIR that of VAL. If only one person searches, there are no
    intervals.
    """

    enrolled: int
    strangers: int
    threshold: float
    fpir: Rate
    fnir: Rate
    at: tuple[Val, ...]
    curve: Curve


def one_shot_split(samples: Samples) -> tuple[IntArray, IntArray]:
    """Return the rows to enroll, the first photo of each person by file name, and the others."""
    first: dict[str, int] = {}
    rows = sorted(range(len(samples)), key=lambda row: samples.paths[row])
    for row in rows:
        if samples.people[row]:
            first.setdefault(samples.people[row], row)
    enrolled = set(first.values())
    probes = [row for row in rows if samples.people[row] and row not in enrolled]
    return np.array(sorted(enrolled), np.int64), np.array(probes, np.int64)


def closed_set(samples: Samples) -> ClosedSet:
    """Enroll the first photo of everyone, by file name, and search for all others.

    Raises FaceError if nobody has a second photo.
    """
    people, vectors = np.array(samples.people), samples.embeddings
    enrolled, probes = one_shot_split(samples)
    known = set(people[enrolled].tolist())
    lost = [person for person in samples.failed if person in known]
    if not len(probes):
        raise FaceError("nobody has two photos with a face: one to enroll, one to look for")
    ranks = mate_ranks(vectors[enrolled], people[enrolled], vectors[probes], people[probes])
    ranks = np.append(ranks, np.full(len(lost), len(enrolled) + DEPTH))
    _, person = np.unique(np.append(people[probes], lost), return_inverse=True)
    missed = ranks[:, None] > np.arange(1, DEPTH + 1)
    rates = _rates(missed, person, _drawn(person, seed=0))
    return ClosedSet(len(enrolled), len(ranks), len(lost), rates)


def open_set(samples: Samples, *, threshold: float) -> OpenSet:
    """Enroll the first photo of some people; the photos of all others are searches by strangers.

    Raises FaceError if there are no searches by enrolled people, or none by strangers.
    """
    enrolled, probes = one_shot_split(samples)
    people = np.array(samples.people, dtype=np.str_)
    names = people[enrolled]
    left_out = np.random.default_rng(SEED).permutation(names)[: round(LEFT_OUT * len(names))]
    gallery = enrolled[~np.isin(names, left_out)]
    inside = np.setdiff1d(names, left_out)
    mated = probes[np.isin(people[probes], inside)]
    unmated = np.flatnonzero(np.isin(people, left_out))
    if not len(unmated) or not len(mated):
        raise FaceError("open-set search needs more people, and some of them with two photos")
    vectors = samples.embeddings
    owner = dict(zip(people[gallery].tolist(), range(len(gallery)), strict=True))
    mate = np.array([owner[name] for name in people[mated].tolist()])
    own, other = searched(vectors[mated], vectors[gallery], mate)
    _, nearest = searched(vectors[unmated], vectors[gallery], np.full(len(unmated), -1))
    return _open_rates(
        _searches(np.where(own < other, own, np.inf), people[mated], samples, inside),
        _searches(nearest, people[unmated], samples, left_out),
        sizes=(len(gallery), len(left_out)),
        threshold=threshold,
    )


def _open_rates(
    mated: Searches, strangers: Searches, *, sizes: tuple[int, int], threshold: float
) -> OpenSet:
    """Count the failed searches; `sizes` are the numbers of people enrolled and left out."""
    genuine, impostor = Comparisons.of(mated.squared), Comparisons.of(strangers.squared)
    present, absent = _drawn(mated.person, seed=0), _drawn(strangers.person, seed=1)
    limit = np.float64(threshold)  # as float32 it could match a value above it
    (fpir,) = _rates(strangers.squared[:, None] <= limit, strangers.person, absent)
    (fnir,) = _rates(mated.squared[:, None] > limit, mated.person, present)
    at = [val_at(genuine, impostor, rate) for rate in FPIRS]
    if present is not None and absent is not None:
        vals = partial(resampled_vals, mated, strangers, draws=(present, absent))
        people = present.shape[1]
        at = [
            one if one.val is None else one.with_interval(vals(fpir=one.far), people) for one in at
        ]
    enrolled, left_out = sizes
    return OpenSet(
        enrolled=enrolled,
        strangers=left_out,
        threshold=threshold,
        fpir=fpir,
        fnir=fnir,
        at=tuple(at),
        curve=curve_of(genuine, impostor),
    )


def _drawn(person: IntArray, *, seed: int) -> IntArray | None:
    """Resample the people who search, numbered from 0; None if there is only one."""
    people = int(person.max()) + 1
    return times_drawn(people, replicates=REPLICATES, seed=seed) if people > 1 else None


def _rates(errors: BoolArray, person: IntArray, draws: IntArray | None) -> tuple[Rate, ...]:
    """Count errors, bool (searches, kinds), with their intervals over people."""
    rates = [Rate(int(one.sum()), len(one)) for one in errors.T]
    if draws is None:
        return tuple(rates)
    drawn = resampled_shares(errors, person, draws).T
    return tuple(rate.with_interval(one) for rate, one in zip(rates, drawn, strict=True))


def searched(
    probes: FloatArray, gallery: FloatArray, mate: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return the squared L2 of each probe to its mate and to the nearest other, float32 (m,) each.

    `mate` is the row of the mate in the gallery, int64 (m,), or -1 if there is none: then the
    squared L2 to it is infinite.
    """
    own = np.full(len(probes), np.inf, np.float32)
    other = own.copy()
    height = max(1, COMPARISONS_HELD // max(1, len(gallery)))
    for start in range(0, len(probes), height):
        squared = squared_l2(probes[start : start + height], gallery)
        mated = np.flatnonzero(mate[start : start + height] >= 0)
        column = mate[start + mated]
        own[start + mated] = squared[mated, column]
        squared[mated, column] = np.inf
        other[start : start + height] = squared.min(axis=1, initial=np.inf)
    return own, other


def _searches(squared: FloatArray, people: Names, samples: Samples, population: Names) -> Searches:
    """Return searches with their people; photos of the population without a face find nobody."""
    failed = np.array(samples.failed, dtype=np.str_)
    lost = failed[np.isin(failed, population)]
    _, person = np.unique(np.append(people, lost), return_inverse=True)
    return Searches(np.append(squared, np.full(len(lost), np.inf, np.float32)), person)
