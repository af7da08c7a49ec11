"""Who is it: one photo a person enrolled, the rest as probes, and strangers at the gate.

Open-set rates after NIST's FRVT 1:N reports (Grother, Ngan & Hanaoka, NISTIR 8271, 2019, section
3): FPIR(N, T) is the share of searches by people not enrolled among N that return anybody at or
below T; FNIR(N, T) the share of searches by people enrolled that do not return them first and at or
below T. A search whose photo gave no face returns nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.distances import squared_l2
from facecli.errors import FaceError
from facecli.evaluation.rates import Curve, Rate, Val, curve_of, val_at
from facecli.evaluation.samples import Samples
from facecli.metrics import Comparisons, cmc
from facecli.metrics.verification import RateArray
from facecli.types import FloatArray, IntArray

DEPTH = 10
"""Ranks that are reported."""

LEFT_OUT = 0.5
"""Share of the people who are not enrolled in the open-set protocol."""

SEED = 0
"""Of the draw of those people."""

FPIRS = (1e-1, 1e-2, 1e-3)
"""Rates that FNIR is looked for at."""

BLOCK = 2**22
"""Comparisons held at a time: 16 MB of float32."""


@dataclass(frozen=True, slots=True)
class ClosedSet:
    """Everyone enrolled from one photo: `cmc` float64 (10,) holds rank-1 to rank-10 of `probes`.

    Of the probes `lost` had no face: they are never found.
    """

    enrolled: int
    probes: int
    lost: int
    cmc: RateArray


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Searches of a gallery of `enrolled` people, one photo each, by them and by `strangers`.

    At `threshold`, the one in force, `fpir` counts searches by strangers that returned anybody,
    `fnir` those by enrolled people that did not return them first. `at` and `curve` hold FPIR in
    place of FMR, and 1 - FNIR in place of VAL.
    """

    enrolled: int
    strangers: int
    threshold: float
    fpir: Rate
    fnir: Rate
    at: tuple[Val, ...]
    curve: Curve


def one_shot_split(samples: Samples) -> tuple[IntArray, IntArray]:
    """Return the rows enrolled, each person's first photo by name, and the probes, all others."""
    first: dict[str, int] = {}
    rows = sorted(range(len(samples)), key=lambda row: samples.paths[row])
    for row in rows:
        if samples.people[row]:
            first.setdefault(samples.people[row], row)
    enrolled = set(first.values())
    probes = [row for row in rows if samples.people[row] and row not in enrolled]
    return np.array(sorted(enrolled), np.int64), np.array(probes, np.int64)


def closed_set(samples: Samples) -> ClosedSet:
    """Enroll everyone's first photo by name and look for all others among everyone.

    Raises FaceError where nobody has a second photo.
    """
    people, vectors = np.array(samples.people), samples.embeddings
    enrolled, probes = one_shot_split(samples)
    lost = sum(person in set(people[enrolled].tolist()) for person in samples.failed)
    if not len(probes):
        raise FaceError("nobody has two photos with a face: one to enroll, one to look for")
    found = cmc(vectors[enrolled], people[enrolled], vectors[probes], people[probes], depth=DEPTH)
    total = len(probes) + lost
    return ClosedSet(len(enrolled), total, lost, found * (len(probes) / total))


def open_set(samples: Samples, *, threshold: float) -> OpenSet:
    """Enroll the first photo of some people; all others' photos are searches by strangers.

    Raises FaceError where there are no searches of either kind.
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
    genuine = _searches(np.where(own < other, own, np.inf), samples, inside)
    impostor = _searches(nearest, samples, left_out)
    return OpenSet(
        enrolled=len(gallery),
        strangers=len(left_out),
        threshold=threshold,
        fpir=Rate(int(impostor.matched(threshold)), impostor.size),
        fnir=Rate(genuine.size - int(genuine.matched(threshold)), genuine.size),
        at=tuple(val_at(genuine, impostor, far) for far in FPIRS),
        curve=curve_of(genuine, impostor),
    )


def searched(
    probes: FloatArray, gallery: FloatArray, mate: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return each probe's squared L2 to its mate and to the nearest other, float32 (m,) each.

    `mate` is int64 (m,), a row of the gallery, or -1 for none, which is infinitely far away.
    """
    own = np.full(len(probes), np.inf, np.float32)
    other = own.copy()
    height = max(1, BLOCK // max(1, len(gallery)))
    for start in range(0, len(probes), height):
        squared = squared_l2(probes[start : start + height], gallery)
        mated = np.flatnonzero(mate[start : start + height] >= 0)
        column = mate[start + mated]
        own[start + mated] = squared[mated, column]
        squared[mated, column] = np.inf
        other[start : start + height] = squared.min(axis=1, initial=np.inf)
    return own, other


def _searches(squared: FloatArray, samples: Samples, people: npt.NDArray[np.str_]) -> Comparisons:
    """Count searches, with those of these people whose photo gave no face: they return nobody."""
    lost = int(np.isin(np.array(samples.failed, dtype=np.str_), people).sum())
    return Comparisons.of(np.append(squared, np.full(lost, np.inf, np.float32)))
