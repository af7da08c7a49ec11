"""Rates with what they rest on: none where the rule of 30 forbids it; curves and bins counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from facecli.evaluation.rates import Rate, bound, curve_of, eer_bounds, histogram_of, val_at
from facecli.metrics import Comparisons, Interval, exact_interval, fmr, fnmr, val_at_far

distances = st.lists(st.integers(0, 400).map(lambda step: step / 100), min_size=1, max_size=200)


def test_a_rate_needs_thirty_errors() -> None:
    assert Rate(30, 1000).value == 0.03
    assert Rate(29, 1000).value is None
    assert Rate(0, 0).value is None
    assert (Rate(29, 1000).right, Rate(30, 1000).right) == (None, 0.97)


def test_the_interval_of_a_rate_is_turned_round_for_what_is_right() -> None:
    draws = np.linspace(0.02, 0.06, 1001)
    rate = Rate(30, 1000).with_interval(draws)
    assert rate.right_interval is not None
    limits = (rate.right_interval.estimate, rate.right_interval.low, rate.right_interval.high)
    assert limits == pytest.approx((0.97, 0.941, 0.979))
    assert Rate(30, 1000).right_interval is None


def test_a_rate_without_a_value_has_a_bound() -> None:
    """345 of 346 found: at least 98.4 %, the exact limit of Clopper and Pearson."""
    missed = Rate(1, 346)
    assert missed.value is None
    assert missed.right_interval is not None
    assert missed.right_interval.low == pytest.approx(binomtest(345, 346).proportion_ci().low)
    assert bound(missed.right_interval) == "at least 98.4 %"
    assert bound(missed.interval) == "at most 1.6 %"
    assert bound(Rate(0, 346).interval) == "at most 1.1 %"  # the rule of three, two-sided
    assert bound(Rate(0, 0).interval) == ""


@given(st.integers(0, 60), st.integers(0, 60))
def test_exact_intervals_are_those_of_an_independent_program(errors: int, right: int) -> None:
    if errors + right == 0:
        return
    found = exact_interval(errors, errors + right)
    known = binomtest(errors, errors + right).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=1e-9)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_bound_in_words_never_claims_more_than_the_interval(
    one: float, other: float, third: float
) -> None:
    low, estimate, high = sorted((one, other, third))
    said = bound(Interval(estimate, low, high))
    if said.startswith("at least"):
        assert float(said.split()[2]) / 100 <= low + 1e-12
    elif said:
        assert float(said.split()[2]) / 100 >= high - 1e-12
    else:
        assert low <= 0
        assert high >= 1


def test_errors_that_come_together_in_a_person_widen_the_bound() -> None:
    """Sixteen of 160 searches fail, all of one of ten people: that is as 1 of 10, not as 16."""
    alone = Rate(16, 160)
    drawn = np.random.default_rng(0).multinomial(10, [0.1] * 10, size=1000)[:, 0] / 10
    together = alone.with_interval(drawn)
    assert alone.interval is not None
    assert together.interval is not None
    assert together.interval.high == pytest.approx(binomtest(1, 10).proportion_ci().high, abs=0.02)
    assert together.interval.high > 2 * alone.interval.high
    assert Rate(0, 160).with_interval(drawn * 0).interval == Rate(0, 160).interval


def test_val_that_is_not_supported_has_a_bound() -> None:
    """With nine genuine pairs the exact interval; at a smaller FAR at most VAL at a larger one."""
    strangers = Comparisons.of(np.linspace(1, 4, 300))
    nine = val_at(Comparisons.of(np.zeros(9)), strangers, 0.1)
    assert (nine.val, nine.interval) == (None, exact_interval(9, 9))
    assert nine.threshold is not None
    half = Comparisons.of(np.linspace(0, 2.6, 100))
    supported, beyond, far_beyond = (val_at(half, strangers, far) for far in (0.1, 0.02, 1e-4))
    assert supported.val is not None
    most = exact_interval(round(100 * supported.val), 100).high
    for point in (beyond, far_beyond):
        assert point.interval is not None
        assert (point.val, point.threshold, point.interval.high) == (None, None, most)
        assert bound(point.missed_interval).startswith("at least")
    # One of 300 strangers matches at most: FMR is 0.02 or less, beyond doubt.
    assert beyond.interval is not None
    assert exact_interval(1, 300).high < 0.02 < exact_interval(2, 300).high
    sure = val_at_far(np.linspace(0, 2.6, 100), np.linspace(1, 4, 300), 1 / 300)
    assert beyond.interval.low == exact_interval(round(100 * sure), 100).low > 0
    assert far_beyond.interval is not None
    assert far_beyond.interval.low == 0


def test_the_bounds_of_an_eer_hold_both_of_its_rates() -> None:
    mates, strangers = Comparisons.of(np.zeros(9)), Comparisons.of(np.full(27, 2.0))
    found = eer_bounds(mates, strangers, 0.0)
    assert (found.estimate, found.low) == (0.0, 0.0)
    assert found.high == exact_interval(0, 9).high


def test_val_needs_impostor_pairs_enough_for_thirty_errors_and_thirty_genuine_pairs() -> None:
    mates = Comparisons.of(np.linspace(0, 2, 30))
    strangers = np.linspace(1, 4, 300)
    point = val_at(mates, Comparisons.of(strangers), 0.1)
    assert point.val == val_at_far(mates, strangers, 0.1)
    assert point.reason() == ""
    few = val_at(mates, Comparisons.of(strangers[:299]), 0.1)
    assert (few.val, few.threshold) == (None, None)
    assert few.reason() == "not supported by 299 impostor pairs"
    lonely = val_at(Comparisons.of(np.ones(29)), Comparisons.of(strangers), 0.1)
    assert lonely.val is None
    assert lonely.reason() == "not supported by 29 genuine pairs"
    assert "no searches" not in lonely.reason(genuine="searches")


@given(distances, distances)
def test_a_thinned_curve_lies_on_the_curve_and_reaches_both_ends(
    genuine: list[float], impostor: list[float]
) -> None:
    curve = curve_of(Comparisons.of(genuine), Comparisons.of(impostor))
    for place, threshold in enumerate(curve.thresholds):
        assert curve.fmr[place] == pytest.approx(fmr(impostor, threshold), abs=1e-12)
        assert curve.fnmr[place] == pytest.approx(fnmr(genuine, threshold), abs=1e-12)
    assert curve.thresholds[-1] == max(genuine + impostor)
    assert min(genuine) in curve.thresholds
    assert min(impostor) in curve.thresholds
    assert (np.diff(curve.thresholds) > 0).all()


def test_a_curve_of_millions_has_a_few_hundred_points() -> None:
    random = np.random.default_rng(0)
    curve = curve_of(Comparisons.of(random.random(10_000)), Comparisons.of(random.random(10**6)))
    assert len(curve.thresholds) <= 400
    assert np.log10(curve.fmr[curve.fmr > 0]).min() == pytest.approx(-6)


def test_failures_to_acquire_keep_a_curve_from_its_end() -> None:
    curve = curve_of(Comparisons.of([0.1, np.inf]), Comparisons.of([0.2, np.inf, np.inf, np.inf]))
    assert (curve.fmr[-1], curve.fnmr[-1]) == (0.25, 0.5)


def test_bins_hold_their_upper_edge_and_the_first_one_zero() -> None:
    counted = histogram_of(Comparisons.of([0.0, 0.05, 0.051]), Comparisons.of([4.0, np.inf]))
    assert counted.genuine[:3].tolist() == [2, 1, 0]
    assert counted.impostor[-1] == counted.impostor.sum() == 1
    assert len(counted.edges) == len(counted.genuine) + 1 == 81
