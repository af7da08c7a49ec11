"""All pairs of a labelled set, and intervals by resampling people: against plain loops."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.metrics import (
    Comparisons,
    Interval,
    all_pairs,
    bootstrap_by_person,
    draw_people,
    eer,
    fmr,
    fnmr,
    interval,
    nearest_impostors,
    resampled_rates,
    threshold_at_fmr,
    val_at_far,
)
from facecli.types import FloatArray
from facecli.vectors.distances import normalize, squared_l2

seeds = st.integers(0, 2**32 - 1)
# Each call clears and scans a table of 33 million counters: about 0.1 s.
few = settings(max_examples=20)


def faces(seed: int, labels: list[str] | list[int], *, spread: float = 0.8) -> FloatArray:
    """Draw one row per label around one centre per label; some rows are copies of others."""
    rng = np.random.default_rng(seed)
    centres = {label: rng.normal(size=16) for label in sorted(set(labels), key=str)}
    rows = np.array([centres[label] + spread * rng.normal(size=16) for label in labels])
    if len(rows) > 3:
        rows[rng.integers(len(rows))] = rows[rng.integers(len(rows))]
    return normalize(rows.reshape(-1, 16))


def counted(comparisons: Comparisons) -> Counter[float]:
    """Undo the counting: how often each squared L2 occurs."""
    times = np.diff(comparisons.counts)
    return Counter(dict(zip(comparisons.values.tolist(), times.tolist(), strict=True)))


@pytest.mark.slow
@few
@given(
    seeds, st.lists(st.sampled_from(["", "ann", "bob", "cleo"]), max_size=25), st.integers(1, 99)
)
def test_all_pairs_agree_with_two_plain_loops(seed: int, labels: list[str], block: int) -> None:
    rows = faces(seed, labels)
    genuine: list[tuple[float, str]] = []
    impostor: Counter[float] = Counter()
    for i, j in itertools.combinations(range(len(labels)), 2):
        value = squared_l2(rows[i : i + 1], rows[j : j + 1]).item()
        if labels[i] and labels[i] == labels[j]:
            genuine.append((value, labels[i]))
        elif labels[i] and labels[j]:
            impostor[value] += 1
    result = all_pairs(rows, labels, block=block)
    names = sorted(set(labels) - {""})
    found = sorted(
        (names[owner], value)
        for value, owner in zip(result.genuine, result.genuine_person, strict=True)
    )
    expected = sorted((name, value) for value, name in genuine)
    assert [name for name, _ in found] == [name for name, _ in expected]
    np.testing.assert_allclose(
        [value for _, value in found], [value for _, value in expected], atol=1e-6
    )
    assert result.impostor.size == impostor.total()
    np.testing.assert_allclose(
        sorted(counted(result.impostor).elements()), sorted(impostor.elements()), atol=1e-6
    )


@pytest.mark.slow
def test_counting_on_the_grid_loses_nothing() -> None:
    """In one block, the counts are exactly those of sorting every impostor of the matrix."""
    labels = np.arange(300) // 3
    rows = faces(1, labels.tolist())
    squared = squared_l2(rows, rows)
    later = np.triu(np.ones_like(squared, dtype=bool), 1)
    expected = Comparisons.of(squared[later & (labels[:, None] != labels)])
    result = all_pairs(rows, labels, block=10**6).impostor
    assert result.values.dtype == expected.values.dtype == np.float32
    assert np.array_equal(result.values, expected.values)
    assert np.array_equal(result.counts, expected.counts)
    assert result.size == expected.size


@pytest.mark.parametrize("labels", [[0, -1, 1, -7, 0], ["a", "", "b", "", "a"]])
def test_unknown_people_are_left_out(labels: list[str] | list[int]) -> None:
    result = all_pairs(faces(0, labels), labels)
    assert (len(result.genuine), result.impostor.size) == (1, 2)


@pytest.mark.parametrize("labels", [[], ["ann"], ["", ""]])
def test_no_pairs_are_no_error_until_a_rate_is_asked_for(labels: list[str]) -> None:
    result = all_pairs(faces(0, labels), np.array(labels, dtype=str))
    assert (len(result.genuine), result.impostor.size) == (0, 0)
    with pytest.raises(ValueError, match="no impostor"):
        threshold_at_fmr(result.impostor, 0.1)


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="as many labels"):
        all_pairs(faces(0, [1, 2]), [1])
    with pytest.raises(ValueError, match="text or whole numbers"):
        all_pairs(faces(0, [1, 2]), [0.5, 1.5])


@given(seeds, st.lists(st.sampled_from([-1, 0, 1, 2]), max_size=25), st.floats(0, 4))
def test_nearest_impostors_agree_with_two_plain_loops(
    seed: int, labels: list[int], threshold: float
) -> None:
    rows = faces(seed, labels)
    squared = squared_l2(rows, rows)
    expected = {
        (i, j)
        for i, j in itertools.combinations(range(len(labels)), 2)
        if min(labels[i], labels[j]) >= 0
        and labels[i] != labels[j]
        and float(squared[i, j]) <= threshold
    }
    found = nearest_impostors(rows, np.array(labels, dtype=np.int64), threshold=threshold)
    pairs = list(zip(found.first.tolist(), found.second.tolist(), strict=True))
    close_call = np.abs(squared - threshold).min(initial=1) < 1e-6
    assert close_call or set(pairs) == expected
    assert len(set(pairs)) == len(pairs)
    assert np.all(np.diff(found.squared) >= 0)
    np.testing.assert_allclose(found.squared, [squared[i, j] for i, j in pairs], atol=1e-6)


def test_nearest_impostors_go_up_to_the_threshold_itself_and_not_beyond() -> None:
    """Between two neighbouring float32 the threshold is not rounded up to the larger one."""
    rows = faces(3, [0, 1])
    value = squared_l2(rows, rows)[0, 1].item()
    assert len(nearest_impostors(rows, [0, 1], threshold=value).squared) == 1
    assert (
        len(nearest_impostors(rows, [0, 1], threshold=float(np.nextafter(value, 0))).squared) == 0
    )


def copied_pairs(
    rows: FloatArray, labels: list[int], draw: list[int]
) -> tuple[list[float], list[float]]:
    """Return genuine and impostor squared L2 of one draw, each copy a person of its own."""
    copies = [
        (face, copy)
        for copy, person in enumerate(draw)
        for face in np.flatnonzero(np.array(labels) == person)
    ]
    squared = squared_l2(rows, rows)
    genuine, impostor = [], []
    for (i, a), (j, b) in itertools.combinations(copies, 2):
        if a == b:
            genuine.append(float(squared[i, j]))
        elif labels[i] != labels[j]:
            impostor.append(float(squared[i, j]))
    return genuine, impostor


def resampled_val(rows: FloatArray, labels: list[int], draw: list[int], far: float) -> float:
    """Compute VAL of one draw from the copies themselves."""
    genuine, impostor = copied_pairs(rows, labels, draw)
    return val_at_far(np.array(genuine, np.float32), np.array(impostor, np.float32), far)


@pytest.mark.parametrize("fars", [[0.02], [0.1, 0.3]])
def test_bootstrap_agrees_with_really_copying_the_drawn_people(fars: list[float]) -> None:
    """Percentiles over draws, with weights, are those over data sets made of the drawn people.

    The impostors listed at first for a FAR of 0.02 are too few for some draws.
    """
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 4]
    rows = faces(8, labels, spread=1.5)
    pairs = all_pairs(rows, labels)
    draws = np.random.default_rng(4).multinomial(5, np.full(5, 0.2), size=60)
    found = bootstrap_by_person(rows, labels, fars=fars, replicates=60, confidence=0.8, seed=4)
    for far, limits in zip(fars, found, strict=True):
        rates = [
            resampled_val(rows, labels, np.repeat(np.arange(5), draw).tolist(), far)
            for draw in draws
        ]
        assert len(set(rates)) > 5
        assert limits.estimate == val_at_far(pairs.genuine, pairs.impostor, far)
        ends = tuple(np.quantile(rates, [0.1, 0.9]))
        assert (limits.low, limits.high) == pytest.approx(ends)


def test_bootstrap_refuses_genuine_pairs_tied_with_the_first_refused_impostor() -> None:
    """All pairs of orthogonal vectors are 2 apart: no FAR below 1 lets any of them match."""
    interval = bootstrap_by_person(
        np.eye(6, dtype=np.float32), [0, 0, 1, 1, 2, 2], fars=[0.1], replicates=50
    )[0]
    assert (interval.estimate, interval.low, interval.high) == (0.0, 0.0, 0.0)


def test_bootstrap_repeats_with_its_seed_and_widens_with_its_confidence() -> None:
    labels = (np.arange(120) // 4).tolist()
    rows = faces(2, labels)
    wide, again, narrow = (
        bootstrap_by_person(rows, labels, fars=[0.01], replicates=200, confidence=c, seed=1)[0]
        for c in (0.95, 0.95, 0.5)
    )
    assert wide == again
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.low < wide.estimate < wide.high


@pytest.mark.slow
def test_bootstrap_intervals_hold_the_rates_of_other_people() -> None:
    """Of 40 samples of 40 people, at least 32 intervals at 90 % hold the rate among 1,000."""
    everyone = (np.arange(2000) // 2).tolist()
    rows = faces(11, everyone)
    pairs = all_pairs(rows, everyone)
    truth = val_at_far(pairs.genuine, pairs.impostor, 0.02), eer(pairs.genuine, pairs.impostor)
    rng, held = np.random.default_rng(0), np.zeros(2)
    for _ in range(40):
        people = rng.choice(1000, size=40, replace=False)
        chosen = np.concatenate([2 * people, 2 * people + 1])
        labels, some = chosen // 2, rows[chosen]
        pairs = all_pairs(some, labels)
        draws = draw_people(pairs, labels, replicates=200, seed=0)
        rates = resampled_rates(
            some, labels, pairs=pairs, draws=draws, fars=[0.02], equal_error=True
        )
        limits = [interval(0.0, column, confidence=0.9) for column in rates.T]
        held += [one.low <= rate <= one.high for one, rate in zip(limits, truth, strict=True)]
    assert held.min() >= 32
    assert held.max() < 40


def test_bootstrap_refuses_what_it_cannot_resample() -> None:
    rows = faces(0, [0, 0, 1])
    with pytest.raises(ValueError, match="two people"):
        bootstrap_by_person(rows, [0, 0, 1], fars=[0.1])
    for fars in ([], [0.0], [1.5]):
        with pytest.raises(ValueError, match="rates lie in"):
            bootstrap_by_person(rows, [0, 0, 1], fars=fars)


def test_resampled_fmr_and_fnmr_agree_with_really_copying_the_drawn_people() -> None:
    """At a fixed threshold; a draw without genuine pairs has neither rate."""
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3]
    rows = faces(8, labels, spread=1.5)
    pairs = all_pairs(rows, labels)
    draws = np.vstack([np.random.default_rng(4).multinomial(4, np.full(4, 0.25), 30), [0, 0, 0, 4]])
    threshold = float(np.median(pairs.genuine))
    found = resampled_rates(rows, labels, pairs=pairs, draws=draws, thresholds=[threshold])
    assert np.isnan(found[-1]).all()
    for draw, (false_match, false_non_match) in zip(draws[:-1], found[:-1], strict=True):
        genuine, impostor = copied_pairs(rows, labels, np.repeat(np.arange(4), draw).tolist())
        if impostor:
            assert false_match == pytest.approx(fmr(impostor, threshold), abs=1e-12)
            assert false_non_match == pytest.approx(fnmr(genuine, threshold), abs=1e-12)


@pytest.mark.parametrize(("spread", "seed"), [(1.5, 8), (0.8, 7), (0.3, 1), (0.5, 3)])
def test_resampled_eer_agrees_with_really_copying_the_drawn_people(
    spread: float, seed: int
) -> None:
    """Of the second and third more impostors must be listed; of the last the EER is 0."""
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4]
    rows = faces(seed, labels, spread=spread)
    pairs = all_pairs(rows, labels)
    draws = np.random.default_rng(4).multinomial(5, np.full(5, 0.2), size=60)
    found = resampled_rates(rows, labels, pairs=pairs, draws=draws, equal_error=True)[:, 0]
    for draw, rate in zip(draws, found, strict=True):
        genuine, impostor = copied_pairs(rows, labels, np.repeat(np.arange(5), draw).tolist())
        assert rate == pytest.approx(eer(genuine, impostor), abs=1e-12)
    assert (np.ptp(found) == 0) == (eer(pairs.genuine, pairs.impostor) == 0) == (seed == 3)


@pytest.mark.slow
def test_a_part_of_the_pairs_gives_nearly_the_same_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = (np.arange(600) // 3).tolist()
    rows = faces(5, labels)

    pairs = all_pairs(rows, labels)
    draws = np.ones((1, 200), dtype=np.int64)

    def both() -> list[Interval]:
        return bootstrap_by_person(rows, labels, fars=[0.1, 0.01], replicates=200)

    def fixed() -> list[float]:
        found = resampled_rates(rows, labels, pairs=pairs, draws=draws, thresholds=[1.5])
        return [float(value) for value in found[0]]

    whole, exact = both(), fixed()
    monkeypatch.setattr(
        "facecli.metrics.resampling.KEPT", 2**13
    )  # of 72,000 and 600: a ninth, and all of these
    part = both()
    assert whole != part
    assert fixed() == pytest.approx(exact, rel=0.1)
    assert fixed()[0] != exact[0]
    for one, other in zip(whole, part, strict=True):
        assert other.estimate == one.estimate
        assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.01)
    monkeypatch.setattr("facecli.metrics.resampling.KEPT", 2**9)
    assert all(one.low < one.estimate < one.high for one in both())


def test_a_share_of_the_nearest_impostors_is_that_share_and_always_the_same() -> None:
    labels = np.arange(200)
    rows = faces(6, labels.tolist())
    every = nearest_impostors(rows, labels, threshold=4)
    some = nearest_impostors(rows, labels, threshold=4, share=0.25)
    assert len(some.squared) == pytest.approx(0.25 * len(every.squared), rel=0.05)
    listed = set(zip(every.first.tolist(), every.second.tolist(), strict=True))
    assert set(zip(some.first.tolist(), some.second.tolist(), strict=True)) < listed
    again = nearest_impostors(rows, labels, threshold=4, share=0.25)
    np.testing.assert_array_equal(again.first, some.first)
