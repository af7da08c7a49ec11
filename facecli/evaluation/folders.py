"""Measure verification on all pairs of a folder of people, with intervals over people.

FMR and FNMR count the comparisons that took place, as in ISO/IEC 19795-1. Photos without a face
(failures to acquire) are reported separately, and count as rejections in `frr`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from facecli.errors import FaceError
from facecli.evaluation.identification import one_shot_split
from facecli.evaluation.rates import (
    FARS,
    REPLICATES,
    Curve,
    Histogram,
    Rate,
    Val,
    curve_of,
    eer_bounds,
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
    mate_ranks,
    nearest_impostors,
    resampled_rates,
    resampled_shares,
)
from facecli.metrics.support import rate_name
from facecli.metrics.verification import RateArray
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD, squared_l2

HARDEST = 20
"""Genuine pairs, and impostor pairs, that are listed to be looked at."""

FMR, FNMR, EER = "FMR", "FNMR", "EER"


@dataclass(frozen=True, slots=True)
class FolderResult:
    """Error rates over all pairs of named people.

    `frr` counts genuine pairs with a failed photo as rejected; `fnmr` leaves them out. `eer_reason`
    says why the pairs do not support the EER, which then only has an interval; it is empty if they
    do. `missed` counts the later
    photos of people that are not nearest to the first photo of their own person. `unnamed` photos,
    whose person is not known, are in no pair. Listed pairs are rows of the samples. `resampled`
    maps each measure to its values in the draws of people, float64 (REPLICATES,), NaN if a draw has
    none. It is empty if too few people have two photos.
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
    eer_reason: str
    eer_interval: Interval | None
    auc: float
    missed: Rate
    curve: Curve
    histogram: Histogram
    hardest_genuine: ListedPairs
    hardest_impostor: ListedPairs
    resampled: dict[str, RateArray]


FollowWork = Callable[[Sequence[Any], str], Iterable[Any]]
"""Wraps a list of steps, with a text that says what they do, for a progress bar."""


def silent(steps: Sequence[Any], _: str) -> Iterable[Any]:
    """Return the steps as they are, without a progress bar."""
    return steps


def measure_folder(
    samples: Samples, *, threshold: float, watch: FollowWork = silent
) -> FolderResult:
    """Compare all photos of named people; `threshold` is the one in use.

    Raises FaceError if there is no genuine or no impostor pair.
    """
    labels = person_numbers(samples)
    pairs = compared(samples, labels, watch=watch)
    draws = people_drawn(pairs, labels)
    return measure(samples, labels, pairs=pairs, draws=draws, threshold=threshold, watch=watch)


def person_numbers(samples: Samples) -> IntArray:
    """Return the number of each sample's person, by name, int64 (n,); -1 if not known."""
    names, numbers = np.unique(np.array(samples.people, dtype=np.str_), return_inverse=True)
    return numbers.astype(np.int64) - int("" in names)


def compared(samples: Samples, labels: IntArray, *, watch: FollowWork = silent) -> AllPairs:
    """Return all pairs; raise FaceError if there is no genuine or no impostor pair."""
    pairs = all_pairs(
        samples.embeddings, labels, watch=lambda blocks: watch(blocks, "Comparing photos")
    )
    if not len(pairs.genuine):
        raise FaceError("nobody has two photos with a face: there are no genuine pairs")
    if not pairs.impostor.size:
        raise FaceError("all faces are of one person: there are no impostor pairs")
    return pairs


def people_drawn(pairs: AllPairs, labels: IntArray) -> IntArray | None:
    """Draw people for the intervals, int64 (REPLICATES, people); None if they are too few."""
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
    watch: FollowWork = silent,
) -> FolderResult:
    """Measure compared pairs; `draws` has a column for each person of the labels, in order."""
    genuine, impostor = Comparisons.of(pairs.genuine), pairs.impostor
    val = [val_at(genuine, impostor, far) for far in FARS]
    equal = eer(genuine, impostor)
    # The EER is 1 - VAL at a FAR equal to the EER, so it needs as many pairs.
    eer_reason = val_at(genuine, impostor, equal).reason()
    resampled = {}
    if draws is not None:
        rates = partial(_resampled, samples, labels, pairs=pairs, draws=draws, watch=watch)
        fars = [point.far for point in val if point.val is not None]
        resampled = rates(fars=fars, threshold=threshold, equal_error=not eer_reason)
    eer_interval = eer_bounds(genuine, impostor, equal) if eer_reason else None
    if EER in resampled:
        eer_interval = interval(equal, resampled[EER])
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
        fmr=false_matches.with_interval(resampled.get(FMR)),
        fnmr=Rate(genuine.size - matched, genuine.size).with_interval(resampled.get(FNMR)),
        frr=Rate(everyone - matched, everyone),
        val=tuple(point.with_interval(resampled.get(val_name(point.far)), mated) for point in val),
        eer=equal,
        eer_reason=eer_reason,
        eer_interval=eer_interval,
        auc=auc(genuine, impostor),
        missed=_missed(samples, labels, draws),
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
    equal_error: bool,
    watch: FollowWork,
) -> dict[str, RateArray]:
    """Return the values of each measure in the draws of people."""
    columns = resampled_rates(
        samples.embeddings,
        labels,
        pairs=pairs,
        draws=draws,
        fars=fars,
        thresholds=[threshold],
        equal_error=equal_error,
        watch=lambda numbers: watch(numbers, "Resampling people"),
    )
    names = [*map(val_name, fars), FMR, FNMR, *([EER] if equal_error else [])]
    return dict(zip(names, columns.T, strict=True))


def _missed(samples: Samples, labels: IntArray, draws: IntArray | None) -> Rate:
    """Count the later photos that are not nearest to their person's first, also in each draw."""
    enrolled, probes = one_shot_split(samples)
    vectors = samples.embeddings
    ranks = mate_ranks(vectors[enrolled], labels[enrolled], vectors[probes], labels[probes])
    missed = Rate(int((ranks > 1).sum()), len(ranks))
    if draws is None:
        return missed
    person = np.searchsorted(np.unique(labels[enrolled]), labels[probes])
    return missed.with_interval(resampled_shares(ranks[:, None] > 1, person, draws)[:, 0])


def val_name(far: float) -> str:
    """Return the name of VAL at a FAR, for differences and resampled values."""
    return f"VAL at FAR {rate_name(far)}"


def genuine_with_failures(samples: Samples) -> int:
    """Count the genuine pairs as if every photo had a face."""
    photos = Counter([*samples.people, *samples.failed])
    return sum(count * (count - 1) // 2 for person, count in photos.items() if person)


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
    """Yield the HARDEST pairs of each block of one person's rows with all rows after it."""
    height = max(1, COMPARISONS_HELD // len(rows))
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
