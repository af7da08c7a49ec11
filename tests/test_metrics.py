"""Rates of one threshold or all of them: by hand, against plain loops, and as invariants."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from facecli.metrics import (
    Comparisons,
    accuracy_at,
    auc,
    best_accuracy_threshold,
    eer,
    fmr,
    fnmr,
    ten_fold_accuracy,
    ten_fold_val,
    threshold_at_fmr,
    val_at_far,
)

FAILED = float("inf")

# Quarters tie often; arbitrary numbers hardly ever; failures to acquire now and then.
tied = st.integers(0, 16).map(lambda quarters: quarters / 4)
squared_values = st.one_of(tied, st.floats(0, 4), st.just(FAILED))
comparisons = st.lists(squared_values, min_size=1, max_size=25)
acquired = st.lists(st.one_of(tied, st.floats(0, 4)), min_size=1, max_size=25)


def share(squared: Sequence[float], threshold: float) -> float:
    """Count matches one by one."""
    return sum(1 for value in squared if value < FAILED and value <= threshold) / len(squared)


def interesting(*groups: Sequence[float]) -> list[float]:
    """List thresholds at, just below and just above every value, and below and above all."""
    finite = {value for group in groups for value in group if value < FAILED}
    around = {float(np.nextafter(value, way)) for value in finite for way in (-np.inf, np.inf)}
    return sorted(finite | around | {-1.0, 5.0})


# Rates at one threshold


def test_rates_by_hand() -> None:
    """A value equal to the threshold matches."""
    assert fmr([1.0, 2.0, 2.0, 3.0], 2.0) == 0.75
    assert fnmr([1.0, 2.0, 2.0, 3.0], 2.0) == 0.25
    assert fmr([1.0, 2.0, 2.0, 3.0], 1.9999) == 0.25


def test_failure_to_acquire_is_counted_and_never_matches() -> None:
    assert fnmr([0.5, FAILED], 4.0) == 0.5
    assert fmr([FAILED, FAILED], float("inf")) == 0.0


@given(comparisons, comparisons)
def test_rates_agree_with_counting(genuine: list[float], impostor: list[float]) -> None:
    for threshold in interesting(genuine, impostor):
        assert fmr(impostor, threshold) == share(impostor, threshold)
        assert fnmr(genuine, threshold) == pytest.approx(1 - share(genuine, threshold), abs=1e-15)


def test_threshold_is_not_rounded_to_the_precision_of_the_values() -> None:
    """1.1 rounded to float32 lies above 1.1, and so must not match at 1.1."""
    value = np.float32(1.1)
    assert float(value) > 1.1
    assert fmr(np.array([value]), 1.1) == 0.0
    assert fmr(np.array([value]), float(value)) == 1.0


@pytest.mark.parametrize(
    ("metric", "kind"),
    [
        (lambda: fmr([], 1.0), "impostor"),
        (lambda: fnmr([], 1.0), "genuine"),
        (lambda: threshold_at_fmr([], 0.1), "impostor"),
        (lambda: val_at_far([], [1.0], 0.1), "genuine"),
        (lambda: val_at_far([1.0], [], 0.1), "impostor"),
        (lambda: eer([1.0], []), "impostor"),
        (lambda: auc([], [1.0]), "genuine"),
        (lambda: best_accuracy_threshold([1.0], []), "impostor"),
    ],
)
def test_empty_class_is_named(metric: Callable[[], object], kind: str) -> None:
    with pytest.raises(ValueError, match=f"no {kind} comparisons"):
        metric()


@pytest.mark.parametrize("bad", [float("nan"), -0.5, -np.inf])
def test_impossible_squared_l2_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or negative"):
        Comparisons.of([1.0, bad])


def test_comparisons_are_taken_in_any_shape_and_order_and_only_sorted_once() -> None:
    sorted_once = Comparisons.of([[3.0, 1.0], [1.0, FAILED]])
    assert sorted_once.values.tolist() == [1.0, 3.0]
    assert sorted_once.counts.tolist() == [0, 2, 3]
    assert sorted_once.size == 4
    assert Comparisons.of(sorted_once) is sorted_once


# Threshold and VAL at a false match rate


@pytest.mark.parametrize(
    ("target", "expected_fmr"),
    [
        (0.0, 0.0),
        (0.24, 0.0),  # one of four is already more than asked for
        (0.25, 0.25),
        (0.5, 0.25),  # the two tied at 2 come together, and would make three of four
        (0.75, 0.75),
        (1.0, 1.0),
    ],
)
def test_threshold_at_fmr_never_splits_a_tie(target: float, expected_fmr: float) -> None:
    impostor = [3.0, 2.0, 1.0, 2.0]
    assert fmr(impostor, threshold_at_fmr(impostor, target)) == expected_fmr


def test_threshold_at_fmr_is_the_number_just_below_the_refused() -> None:
    assert threshold_at_fmr([1.0, 2.0], 0.5) == np.nextafter(2.0, 0.0)
    single = np.array([1.0, 2.0], np.float32)
    assert threshold_at_fmr(single, 0.5) == float(np.nextafter(np.float32(2), np.float32(0)))


def test_threshold_at_fmr_at_the_ends() -> None:
    assert threshold_at_fmr([1.0, 2.0], 1.0) == 4.0
    assert threshold_at_fmr([FAILED], 0.0) == 4.0
    assert threshold_at_fmr([0.0, 2.0], 0.0) < 0.0


@given(comparisons, st.one_of(st.floats(0, 1), st.sampled_from([0.1, 0.2, 0.25, 0.29, 0.5])))
def test_threshold_at_fmr_is_the_largest_that_holds(impostor: list[float], target: float) -> None:
    threshold = threshold_at_fmr(impostor, target)
    assert share(impostor, threshold) <= target
    if threshold < 4.0:
        assert share(impostor, float(np.nextafter(threshold, np.inf))) > target


@pytest.mark.parametrize("target", [-0.1, 1.1, float("nan")])
def test_threshold_at_fmr_refuses_what_is_no_rate(target: float) -> None:
    with pytest.raises(ValueError, match=r"lies in \[0, 1\]"):
        threshold_at_fmr([1.0], target)


@given(comparisons, comparisons, st.floats(0, 1))
def test_val_at_far_is_the_best_share_that_the_far_allows(
    genuine: list[float], impostor: list[float], far: float
) -> None:
    allowed = [t for t in interesting(genuine, impostor) if share(impostor, t) <= far]
    best = max(share(genuine, threshold) for threshold in allowed)
    assert val_at_far(genuine, impostor, far) == best


# The whole curve in one number


@given(comparisons, comparisons)
def test_auc_agrees_with_asking_every_couple_of_pairs(
    genuine: list[float], impostor: list[float]
) -> None:
    won = sum((i > g) + 0.5 * (i == g) for g in genuine for i in impostor)
    assert auc(genuine, impostor) == pytest.approx(won / len(genuine) / len(impostor), abs=1e-15)


@given(acquired, acquired)
def test_auc_agrees_with_scikit_learn(genuine: list[float], impostor: list[float]) -> None:
    mated = [True] * len(genuine) + [False] * len(impostor)
    expected = roc_auc_score(mated, -np.array(genuine + impostor))
    assert auc(genuine, impostor) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("genuine", "impostor", "expected"),
    [
        ([1.0], [2.0], 0.0),
        ([2.0], [1.0], 1.0),
        ([1.0], [1.0], 0.5),
        ([1.0, 3.0], [2.0, 4.0], 0.5),  # threshold 2 refuses one mate and accepts one impostor
        ([1.0, 1.0, 3.0], [2.0, 2.0, 4.0], 1 / 3),  # FMR rises through FNMR = 1/3 inside the tie
        ([1.0, FAILED], [2.0, 3.0], 0.5),
    ],
)
def test_eer_by_hand(genuine: list[float], impostor: list[float], expected: float) -> None:
    assert eer(genuine, impostor) == pytest.approx(expected, abs=1e-15)


def test_eer_needs_rates_that_meet() -> None:
    with pytest.raises(ValueError, match="failures to acquire"):
        eer([1.0, FAILED, FAILED], [2.0, FAILED, FAILED])


@given(acquired, acquired)
def test_eer_lies_between_the_rates_around_it(genuine: list[float], impostor: list[float]) -> None:
    """At thresholds with FMR < FNMR the EER is between the two, and above likewise."""
    rate = eer(genuine, impostor)
    for threshold in interesting(genuine, impostor):
        low, high = sorted([share(impostor, threshold), 1 - share(genuine, threshold)])
        assert low - 1e-12 <= rate <= high + 1e-12


@given(acquired, acquired)
def test_eer_mirrors_when_the_classes_swap(genuine: list[float], impostor: list[float]) -> None:
    assert eer(genuine, impostor) == pytest.approx(1 - eer(impostor, genuine), abs=1e-12)


# Accuracy


def test_accuracy_by_hand() -> None:
    assert accuracy_at([1.0, 2.0, FAILED], [1.5, 3.0], 2.0) == 0.6
    assert accuracy_at([], [1.5, 3.0], 2.0) == 0.5
    with pytest.raises(ValueError, match="no comparisons"):
        accuracy_at([], [], 2.0)


@pytest.mark.parametrize(
    ("genuine", "impostor", "expected"),
    [
        ([1.0, 1.2], [1.8, 2.0], 1.5),  # half way over the gap
        ([1.0, 3.0], [2.0, 4.0], 1.5),  # as good as 3.5, with fewer false matches
        ([2.0], [2.0, 1.0], np.nextafter(1.0, 0.0)),  # better to match nothing
        ([1.0, 2.0, 2.0], [2.0], 2.0),  # everything matches: the largest observed
        ([1.0, FAILED], [FAILED], 1.0),
        ([1 + 2**-52], [1 + 2**-51], 1 + 2**-52),  # neighbours: the middle rounds to the impostor
    ],
)
def test_best_accuracy_threshold_by_hand(
    genuine: list[float], impostor: list[float], expected: float
) -> None:
    assert best_accuracy_threshold(genuine, impostor) == expected


def test_best_accuracy_threshold_needs_something_to_go_by() -> None:
    with pytest.raises(ValueError, match="every comparison"):
        best_accuracy_threshold([FAILED], [FAILED])


@given(comparisons, comparisons)
def test_no_threshold_is_more_accurate_than_the_best(
    genuine: list[float], impostor: list[float]
) -> None:
    assume(min(genuine + impostor) < FAILED)
    best = best_accuracy_threshold(genuine, impostor)
    reached = accuracy_at(genuine, impostor, best)
    for threshold in interesting(genuine, impostor):
        other = accuracy_at(genuine, impostor, threshold)
        assert other <= reached
        if other == reached:
            assert share(impostor, best) <= share(impostor, threshold)


def test_ten_fold_accuracy_by_hand() -> None:
    """Fold 1 is measured at 1.0, learnt from fold 2; fold 2 at 2.0, where an impostor matches."""
    squared = [1.0, 3.0, 0.5, 1.5]
    result = ten_fold_accuracy(squared, [True, False, True, False], [1, 1, 2, 2])
    assert result.thresholds.tolist() == [1.0, 2.0]
    assert result.accuracies.tolist() == [1.0, 0.5]
    assert result.mean == 0.75
    assert result.standard_error == pytest.approx(0.25)  # sample deviation √(1/8), over √2


def test_ten_fold_accuracy_agrees_with_trying_every_threshold() -> None:
    rng = np.random.default_rng(5)
    same = rng.random(600) < 0.5
    squared = np.where(same, rng.normal(1.0, 0.4, 600), rng.normal(2.0, 0.4, 600)).clip(0, 4)
    folds = np.arange(600) % 10
    result = ten_fold_accuracy(squared, same, folds)
    for fold in range(10):
        train, test = folds != fold, folds == fold
        best = max(((squared[train] <= t) == same[train]).mean() for t in squared)
        threshold = result.thresholds[fold]
        assert ((squared[train] <= threshold) == same[train]).mean() == best
        expected = ((squared[test] <= threshold) == same[test]).mean()
        assert result.accuracies[fold] == pytest.approx(expected, abs=1e-15)
    assert result.mean == pytest.approx(result.accuracies.mean(), abs=1e-15)


def test_ten_fold_val_by_hand() -> None:
    """Fold 1 is measured just below 1.5, fold 2's nearest impostor; fold 2 just below 3."""
    squared = [1.0, 2.0, 3.0, 0.5, 2.5, 1.5]
    result = ten_fold_val(squared, [True, True, False] * 2, [1, 1, 1, 2, 2, 2], 0.0)
    assert result.mean == 0.75  # one of two, then both
    assert result.standard_error == pytest.approx(0.25)
    assert result.fmr == 0.5  # none in fold 1, the only one in fold 2


def test_ten_fold_val_agrees_with_trying_every_threshold() -> None:
    rng = np.random.default_rng(6)
    same = np.arange(800) % 2 == 0
    squared = np.where(same, rng.normal(1.0, 0.4, 800), rng.normal(2.0, 0.4, 800)).clip(0, 4)
    folds = np.arange(800) // 80
    vals, rates = [], []
    for fold in range(10):
        train, test = folds != fold, folds == fold
        allowed = [t for t in squared if (squared[train & ~same] <= t).mean() <= 0.05]
        vals.append((squared[test & same] <= max(allowed)).mean())
        rates.append((squared[test & ~same] <= max(allowed)).mean())
    result = ten_fold_val(squared, same, folds, 0.05)
    assert result.mean == pytest.approx(np.mean(vals), abs=1e-15)
    assert result.standard_error == pytest.approx(np.std(vals, ddof=1) / np.sqrt(10), abs=1e-15)
    assert result.fmr == pytest.approx(np.mean(rates), abs=1e-15)


@pytest.mark.parametrize(
    ("same", "folds", "message"),
    [
        ([True, False, True], [1, 1, 1], "two folds"),
        ([True, True, False], [1, 1, 2], "no genuine"),  # fold 1 is left with one impostor pair
        ([True, False, True], [1, 1, 2], "no impostor"),
        ([True, False], [1, 2], "shapes differ"),
    ],
)
def test_folds_that_cannot_teach_a_threshold_are_refused(
    same: list[bool], folds: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ten_fold_accuracy([1.0, 2.0, 3.0], same, folds)
