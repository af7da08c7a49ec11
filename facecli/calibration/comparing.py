"""Compare two scores on the same pairs: which accepts more genuine pairs at one FAR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facecli.metrics import Interval
from facecli.metrics.resampling import interval
from facecli.metrics.support import rate_name
from facecli.types import BoolArray, IntArray

HEADROOM = 8
"""How many times the impostor pairs below the FAR are resampled, since some draws need more."""

FEWEST = 1000
"""Fewest impostor pairs that are resampled."""

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairs:
    """All pairs of some photos: the two rows, if they are genuine, and the two people, all (m,).

    People are numbered from 0. `photos` is how many photos each person has, int64 (people,).
    """

    first: IntArray
    second: IntArray
    same: BoolArray
    first_person: IntArray
    second_person: IntArray
    photos: IntArray


@dataclass(frozen=True, slots=True)
class VerifierComparison:
    """VAL of the plain threshold and of a verifier on people it was not trained on, and the gain.

    All are measured at `far`, with 95 % intervals over `people`.
    """

    far: float
    people: int
    genuine_pairs: int
    impostor_pairs: int
    threshold: Interval
    verifier: Interval
    gain: Interval

    @property
    def better(self) -> bool:
        """Whether the whole interval of the gain is above 0."""
        return self.gain.low > 0

    @property
    def verdict(self) -> str:
        """The comparison in one line."""
        word = "better" if self.better else "not shown to be better"
        gain = self.gain
        return (
            f"{word} than the threshold alone: VAL at FAR {rate_name(self.far)} moved by "
            f"{gain.estimate:+.4f} (95 % interval {gain.low:+.4f} to {gain.high:+.4f})"
        )


def list_pairs(rows: IntArray, owner: IntArray) -> Pairs:
    """List all pairs of `rows` (n,); row i is a photo of person `owner[i]`."""
    _, person = np.unique(owner[rows], return_inverse=True)
    one, other = np.triu_indices(len(rows), 1)
    return Pairs(
        first=rows[one],
        second=rows[other],
        same=person[one] == person[other],
        first_person=person[one],
        second_person=person[other],
        photos=np.bincount(person),
    )


def compare(
    pairs: Pairs, scores: Sequence[Scores], *, far: float, draws: IntArray
) -> VerifierComparison:
    """Compare two scores (m,) of the pairs at a false accept rate; lower is more alike.

    `draws` is how often each person is drawn, int64 (replicates, people). Both scores are measured
    on the same draws. The weights of pairs are those of `metrics.bootstrap_by_person`.
    """
    estimates = [
        float((score[pairs.same] < first_refused(score[~pairs.same], far)).mean())
        for score in scores
    ]
    rates = [_resampled_val(pairs, score, far, draws) for score in scores]
    before, after = (interval(*one) for one in zip(estimates, rates, strict=True))
    return VerifierComparison(
        far=far,
        people=len(pairs.photos),
        genuine_pairs=int(pairs.same.sum()),
        impostor_pairs=int((~pairs.same).sum()),
        threshold=before,
        verifier=after,
        gain=interval(estimates[1] - estimates[0], rates[1] - rates[0]),
    )


def first_refused(impostor: Scores, far: float) -> float:
    """Return the lowest impostor score that must be refused at `far`, which is below 1."""
    allowed = np.searchsorted(np.arange(1, len(impostor) + 1) / len(impostor), far, side="right")
    return float(np.partition(impostor, allowed)[allowed])


def _resampled_val(pairs: Pairs, score: Scores, far: float, draws: IntArray) -> Scores:
    """Return VAL of each draw at its own threshold, (replicates,); NaN if it has too few pairs."""
    mates, strangers = np.flatnonzero(pairs.same), np.flatnonzero(~pairs.same)
    mates = mates[np.argsort(score[mates])]
    kept = max(FEWEST, int(HEADROOM * far * len(strangers)))
    near = strangers[np.argsort(score[strangers])][:kept]
    owner, one, other = (
        pairs.first_person[mates],
        pairs.first_person[near],
        pairs.second_person[near],
    )
    rates = np.full(len(draws), np.nan)
    for place, draw in enumerate(draws):
        weight = np.append(0, np.cumsum(draw[owner]))
        drawn = draw * pairs.photos
        impostors = int(drawn.sum() ** 2 - (drawn**2).sum()) // 2
        if weight[-1] and impostors:
            running = np.cumsum(draw[one] * draw[other]) / impostors
            refused = min(int(np.searchsorted(running, far, side="right")), len(near) - 1)
            matched = np.searchsorted(score[mates], score[near[refused]], side="left")
            rates[place] = weight[matched] / weight[-1]
    return rates
