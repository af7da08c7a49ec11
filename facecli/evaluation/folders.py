"""All pairs of a folder of people: error rates of verification, with intervals over people.

Rates count the comparisons that took place, as ISO/IEC 19795-1 has it for FMR and FNMR; photos
without a face (failures to acquire) are reported beside them, and as rejections in `frr`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from facecli.distances import squared_l2
from facecli.errors import FaceError
from facecli.evaluation.identification import one_shot_split
from facecli.evaluation.rates import (
    FARS,
    Curve,
    Histogram,
    Rate,
    Val,
    curve_of,
    histogram_of,
    val_at,
)
from facecli.evaluation.samples import Samples
from facecli.metrics import (
    AllPairs,
    Comparisons,
    Interval,
    ListedPairs,
    all_pairs,
    auc,
    draw_people,
    eer,
    interval,
    nearest_impostors,
    rank_one,
    resampled_rates,
)
from facecli.metrics.support import rate_name
from facecli.metrics.verification import RateArray
from facecli.types import FloatArray, IntArray

HARDEST = 20
"""Pairs of each kind that are listed for a person to look at."""

REPLICATES = 1000

FMR, FNMR = "FMR", "FNMR"

BLOCK = 2**22
"""Comparisons of one person's photos held at a time: 16 MB of float32."""


@dataclass(frozen=True, slots=True)
class FolderResult:
    """Error rates over all pairs of named people.

    `frr` counts genuine pairs with a failed photo as rejected, `fnmr` leaves them out. `unnamed`
    photos are of nobody named and in no pair. Listed pairs hold rows of the samples. `resampled`
    holds, by measure, its value for each draw of people, float64 (REPLICATES,), NaN where a draw
    has none; it is empty where the people with two photos are too few to draw from.
    """

    photos: int
    people: int
    unnamed: int
    failures: int
    threshold: float
    fmr: Rate
    fnmr: Rate
    frr: Rate
    val: tuple[Val, ...]
    eer: float
    auc: float
    rank_one: float
    curve: Curve
    histogram: Histogram
    hardest_genuine: ListedPairs
    hardest_impostor: ListedPairs
    resampled: dict[str, RateArray]


Watch = Callable[[Sequence[Any], str], Iterable[Any]]
"""Is handed steps with what they do, and hands them on: a place for a progress bar."""


def silent(steps: Sequence[Any], _: str) -> Iterable[Any]:
    """Watch nothing."""
    return steps


def measure_folder(samples: Samples, *, threshold: float, watch: Watch = silent) -> FolderResult:
    """Compare all photos of named people; `threshold` is the one in force.

    Raises FaceError without a genuine and an impostor pair.
    """
    labels = person_numbers(samples)
    pairs = compared(samples, labels, watch=watch)
    draws = people_drawn(pairs, labels)
    return measure(samples, labels, pairs=pairs, draws=draws, threshold=threshold, watch=watch)


def person_numbers(samples: Samples) -> IntArray:
    """Return a number for each sample's person, by name, int64 (n,); -1 for nobody named."""
    names, numbers = np.unique(np.array(samples.people, dtype=np.str_), return_inverse=True)
    return numbers.astype(np.int64) - int("" in names)


def compared(samples: Samples, labels: IntArray, *, watch: Watch = silent) -> AllPairs:
    """Return all pairs; raise FaceError without a genuine and an impostor pair."""
    pairs = all_pairs(
        samples.embeddings, labels, watch=lambda blocks: watch(blocks, "Comparing photos")
    )
    if not len(pairs.genuine):
        raise FaceError("nobody has two photos with a face: there are no genuine pairs")
    if not pairs.impostor.size:
        raise FaceError("all faces are of one person: there are no impostor pairs")
    return pairs


def people_drawn(pairs: AllPairs, labels: IntArray) -> IntArray | None:
    """Draw people for the intervals, int64 (REPLICATES, people), or None if they are too few."""
    if len(np.unique(pairs.genuine_person)) < 2:
        return None
    return draw_people(pairs, labels, replicates=REPLICATES, seed=0)


def measure(
    samples: Samples,
    labels: IntArray,
    *,
    pairs: AllPairs,
    draws: IntArray | None,
    threshold: float,
    watch: Watch = silent,
) -> FolderResult:
    """Measure what was compared; a column of `draws` for each person among the labels, in order."""
    genuine, impostor = Comparisons.of(pairs.genuine), pairs.impostor
    val = [val_at(genuine, impostor, far) for far in FARS]
    resampled = {}
    if draws is not None:
        rates = partial(_resampled, samples, labels, pairs=pairs, draws=draws, watch=watch)
        fars = [point.far for point in val if point.val is not None]
        resampled = rates(fars=fars, threshold=threshold)
    false_matches = Rate(int(impostor.matched(threshold)), impostor.size)
    matched = int(genuine.matched(threshold))
    mated = len(np.unique(pairs.genuine_person))
    everyone = genuine_with_failures(samples)
    return FolderResult(
        photos=len(samples),
        people=len(np.unique(labels[labels >= 0])),
        unnamed=int((labels < 0).sum()),
        failures=len(samples.failures),
        threshold=threshold,
        fmr=_with_interval(false_matches, resampled.get(FMR)),
        fnmr=_with_interval(Rate(genuine.size - matched, genuine.size), resampled.get(FNMR)),
        frr=Rate(everyone - matched, everyone),
        val=tuple(
            _val_with_interval(point, resampled.get(val_name(point.far)), mated) for point in val
        ),
        eer=eer(genuine, impostor),
        auc=auc(genuine, impostor),
        rank_one=_rank_one(samples, labels),
        curve=curve_of(genuine, impostor),
        histogram=histogram_of(genuine, impostor),
        hardest_genuine=hardest_genuine(samples.embeddings, labels),
        hardest_impostor=hardest_impostor(samples.embeddings, labels, impostor),
        resampled=resampled,
    )


def _resampled(
    samples: Samples,
    labels: IntArray,
    *,
    pairs: AllPairs,
    draws: IntArray,
    fars: Sequence[float],
    threshold: float,
    watch: Watch,
) -> dict[str, RateArray]:
    """Return the values of each measure for the draws of people."""
    columns = resampled_rates(
        samples.embeddings,
        labels,
        pairs=pairs,
        draws=draws,
        fars=fars,
        thresholds=[threshold],
        watch=lambda numbers: watch(numbers, "Resampling people"),
    )
    return dict(zip([*map(val_name, fars), FMR, FNMR], columns.T, strict=True))


def _rank_one(samples: Samples, labels: IntArray) -> float:
    """Return how many of everyone's later photos are nearest to their first."""
    enrolled, probes = one_shot_split(samples)
    vectors = samples.embeddings
    return rank_one(vectors[enrolled], labels[enrolled], vectors[probes], labels[probes])


def val_name(far: float) -> str:
    """Name VAL at a FAR, as differences and resampled values are listed under."""
    return f"VAL at FAR {rate_name(far)}"


def genuine_with_failures(samples: Samples) -> int:
    """Count the genuine pairs there would be if every photo had given a face."""
    photos = Counter([*samples.people, *samples.failed])
    return sum(count * (count - 1) // 2 for person, count in photos.items() if person)


def _with_interval(rate: Rate, draws: RateArray | None) -> Rate:
    if draws is None or rate.value is None:
        return rate
    return replace(rate, interval=interval(rate.value, draws))


def _val_with_interval(point: Val, draws: RateArray | None, mated: int) -> Val:
    """Add the interval over people; without any rejection, that of the rule of three.

    Resampling cannot tell how rare what never happened is; with no case among n independent ones
    the 95 % limit is about 3/n (Hanley & Lippman-Hand, JAMA 249, 1983). The `mated` people, those
    with genuine pairs, are the independent ones here.
    """
    if draws is None or point.val is None:
        return point
    found = interval(point.val, draws)
    if point.val == 1:
        found = Interval(1.0, max(0.0, 1 - 3 / mated), 1.0)
    return replace(point, interval=found)


def hardest_genuine(embeddings: FloatArray, labels: IntArray) -> ListedPairs:
    """List the HARDEST genuine pairs that are farthest apart, farthest first."""
    parts: list[tuple[IntArray, IntArray, FloatArray]] = []
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[order], return_index=True)
    for rows in np.split(order, starts[1:]):
        if labels[rows[0]] >= 0:
            parts.extend(_farthest(embeddings, rows))
    first, second, squared = (np.concatenate(part) for part in zip(*parts, strict=True))
    chosen = np.argsort(-squared, kind="stable")[:HARDEST]
    return ListedPairs(first[chosen], second[chosen], squared[chosen])


def _farthest(
    embeddings: FloatArray, rows: IntArray
) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
    """Yield the HARDEST pairs of each few of one person's rows with all that follow."""
    height = max(1, BLOCK // len(rows))
    for start in range(0, len(rows), height):
        squared = squared_l2(embeddings[rows[start : start + height]], embeddings[rows[start:]])
        row, column = np.triu_indices(len(squared), 1, squared.shape[1])
        values = squared[row, column]
        farthest = np.argsort(-values, kind="stable")[:HARDEST]
        row, column = row[farthest], column[farthest]
        yield rows[start + row], rows[start + column], values[farthest]


def hardest_impostor(
    embeddings: FloatArray, labels: IntArray, impostor: Comparisons
) -> ListedPairs:
    """List the HARDEST impostor pairs that are nearest, nearest first."""
    place = min(int(np.searchsorted(impostor.counts[1:], HARDEST)), len(impostor.values) - 1)
    listed = nearest_impostors(embeddings, labels, threshold=float(impostor.values[place]))
    return ListedPairs(listed.first[:HARDEST], listed.second[:HARDEST], listed.squared[:HARDEST])
