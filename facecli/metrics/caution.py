"""A threshold whose false match rate holds for other people than those it was measured on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from facecli.metrics.pairs import all_pairs, nearest_impostors, number_people
from facecli.metrics.resampling import times_drawn
from facecli.metrics.verification import threshold_at_fmr
from facecli.types import FloatArray

REACH = 8
"""Pairs are listed up to so many times the rate. A draw that has fewer of them below the rate says
nothing against the last one."""


def cautious_threshold(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    rate: float,
    *,
    confidence: float = 0.9,
    replicates: int = 500,
    seed: int = 0,
) -> float:
    """Return the squared L2 below which the FMR stays at `rate` in most draws of people.

    `embeddings` are unit rows (n, d), and labels as in `metrics.pairs`. People are drawn with
    replacement, as in `metrics.bootstrap_by_person`. The FMR of a draw at the threshold is at most
    `rate` in a share `confidence` of the draws. It is never above the threshold at the rate itself.
    Raises ValueError if there are no impostor pairs.
    """
    impostor = all_pairs(embeddings, labels).impostor
    if not impostor.size:
        raise ValueError("there are no impostor pairs")
    measured = threshold_at_fmr(impostor, rate)
    cut = threshold_at_fmr(impostor, min(1.0, REACH * rate))
    listed = nearest_impostors(embeddings, labels, threshold=cut)
    known, person_of_known = number_people(labels, len(embeddings))
    person = np.full(len(embeddings), -1)
    person[known] = person_of_known
    first, second = person[listed.first], person[listed.second]
    pictures = np.bincount(person_of_known)
    limits = []
    for draw in times_drawn(len(pictures), replicates=replicates, seed=seed):
        drawn = draw * pictures
        pairs = int(drawn.sum() ** 2 - (drawn**2).sum()) / 2
        if not pairs:
            continue
        running = np.cumsum(draw[first] * draw[second]) / pairs
        refused = int(np.searchsorted(running, rate, side="right"))
        limits.append(listed.squared[refused] if refused < len(running) else np.inf)
    if not limits:
        return measured
    lowest = float(np.quantile(limits, 1 - confidence, method="lower"))
    return min(measured, float(np.nextafter(np.float32(lowest), np.float32(0))))
