"""Means over rows with other classes drawn: against really copying them, and paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.metrics import draw_classes, paired_difference, resampled_means, resampled_shares

few = settings(max_examples=25)
seeds = st.integers(0, 2**32 - 1)


@few
@given(seeds)
def test_means_agree_with_really_copying_the_drawn_classes(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.append(random.integers(10, 15, size=30), [10, 11])
    values = random.random((32, 2))
    number, draws = draw_classes(labels, replicates=6, seed=seed)
    found = resampled_means(values, number, draws)
    names = np.unique(labels)
    assert number.tolist() == [names.tolist().index(label) for label in labels]
    for draw, means in zip(draws, found, strict=True):
        copied = [
            row
            for name, times in zip(names, draw, strict=True)
            for row in values[labels == name].tolist() * int(times)
        ]
        assert means.tolist() == pytest.approx(np.mean(copied, axis=0).tolist())


def test_shares_are_means_of_errors() -> None:
    number, draws = draw_classes([0, 0, 1, 1, 2], replicates=20)
    errors = np.array([[True], [False], [False], [False], [True]])
    np.testing.assert_array_equal(
        resampled_shares(errors, number, draws),
        resampled_means(errors.astype(float), number, draws),
    )


@given(seeds)
def test_nothing_differs_from_itself(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = random.random(40)
    found = paired_difference(values, values, np.append(random.integers(0, 6, size=38), [0, 1]))
    assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_difference_is_the_other_less_the_one() -> None:
    """What both find hard does not widen it: all rows are better by a tenth, give or take 0.01."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(30), 8)
    hard = np.repeat(random.random(30), 8)
    better = hard + 0.1 + random.uniform(-0.01, 0.01, size=240)
    found = paired_difference(hard, better, labels)
    assert found.estimate == pytest.approx((better - hard).mean())
    assert 0.097 < found.low < found.estimate < found.high < 0.103
    back = paired_difference(better, hard, labels)
    assert (back.estimate, back.low, back.high) == pytest.approx(
        (-found.estimate, -found.high, -found.low)
    )
    assert paired_difference(hard, better, labels) == found
    assert paired_difference(hard, better, labels, seed=1) != found


def test_a_difference_in_one_class_of_many_is_none() -> None:
    """The rows of one class in twelve change from missed to found, and nothing else does."""
    labels = np.repeat(np.arange(12), 20)
    before = np.zeros(240, bool)
    after = labels == 0
    found = paired_difference(before, after, labels)
    assert found.estimate == pytest.approx(1 / 12)
    assert found.low == 0.0


def test_one_class_and_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="two classes"):
        paired_difference([0.0, 1.0], [1.0, 1.0], [3, 3])
    for one, other, labels in (
        ([0.0], [0.0, 1.0], [0, 1]),
        ([0.0, 1.0], [0.0, 1.0], [0]),
        ([[0.0], [1.0]], [[0.0], [1.0]], [0, 1]),
    ):
        with pytest.raises(ValueError, match="a label for each row"):
            paired_difference(one, other, labels)


@pytest.mark.slow
def test_intervals_of_differences_hold_the_truth_nine_times_in_ten() -> None:
    """Of 200 sets of 60 classes whose rows move together, by 0.02 on the average."""
    random = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        labels = np.repeat(np.arange(60), random.integers(2, 9, size=60))
        before = random.random(len(labels))
        after = before + 0.02 + random.normal(0, 0.1, size=60)[labels]
        found = paired_difference(before, after, labels, replicates=400, seed=trial)
        held += found.low <= 0.02 <= found.high
    assert 0.88 * 200 <= held <= 0.99 * 200
