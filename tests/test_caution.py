"""A cautious threshold holds for other people than those it was measured on."""

from __future__ import annotations

import numpy as np
import pytest

from facecli.metrics import all_pairs, fmr, threshold_at_fmr
from facecli.metrics.caution import cautious_threshold
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import normalize


def people(
    count: int, photos: int, *, seed: int, spread: float = 0.6
) -> tuple[FloatArray, IntArray]:
    """Return embeddings of people, some of whom are much alike."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(count, 16))
    twins = random.integers(0, count, count // 3)
    centres[: len(twins)] = centres[twins] + 0.5 * random.normal(size=(len(twins), 16))
    rows = np.repeat(centres, photos, axis=0)
    rows = rows + spread * random.normal(size=rows.shape)
    return normalize(rows.astype(np.float32)), np.repeat(np.arange(count), photos)


@pytest.mark.parametrize("rate", [1e-2, 1e-1])
def test_it_is_never_above_the_threshold_at_the_rate(rate: float) -> None:
    for seed in range(5):
        rows, labels = people(12, 8, seed=seed)
        measured = threshold_at_fmr(all_pairs(rows, labels).impostor, rate)
        assert 0 <= cautious_threshold(rows, labels, rate) <= measured


def test_the_rate_holds_for_most_other_people_and_a_measured_one_does_not() -> None:
    held, measured_held = [], []
    for seed in range(40):
        rows, labels = people(60, 6, seed=seed)
        few, others = labels < 12, labels >= 12
        strangers = all_pairs(rows[others], labels[others]).impostor
        cautious = cautious_threshold(rows[few], labels[few], 1e-2)
        plain = threshold_at_fmr(all_pairs(rows[few], labels[few]).impostor, 1e-2)
        held.append(fmr(strangers, cautious) <= 2e-2)
        measured_held.append(fmr(strangers, plain) <= 2e-2)
    assert np.mean(held) >= 0.85
    assert np.mean(measured_held) < np.mean(held)


def test_it_is_that_of_a_slow_search_over_draws() -> None:
    rows, labels = people(7, 4, seed=3)
    squared = 2 - 2 * rows.astype(np.float64) @ rows.T
    first, second = np.triu_indices(len(rows), 1)
    apart = labels[first] != labels[second]
    first, second = labels[first[apart]], labels[second[apart]]
    values = squared[np.triu_indices(len(rows), 1)][apart]
    draws = np.random.default_rng(0).multinomial(7, np.full(7, 1 / 7), size=500)
    thresholds = np.sort(values)
    limits = []
    for draw in draws:
        weights = draw[first] * draw[second]
        if not weights.sum():
            continue
        rates = [weights[values <= one].sum() / weights.sum() for one in thresholds]
        over = [one for one, rate in zip(thresholds, rates, strict=True) if rate > 0.1]
        limits.append(over[0])
    expected = np.quantile(limits, 0.1, method="lower")
    measured = threshold_at_fmr(all_pairs(rows, labels).impostor, 0.1)
    found = cautious_threshold(rows, labels, 0.1)
    assert found == pytest.approx(min(measured, expected), abs=1e-5)


def test_one_person_has_no_threshold() -> None:
    rows, labels = people(1, 4, seed=0)
    with pytest.raises(ValueError, match="no impostor pairs"):
        cautious_threshold(rows, labels, 1e-2)
