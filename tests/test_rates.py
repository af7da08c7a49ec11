"""Rates with what they rest on: none where the rule of 30 forbids it; curves and bins counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.evaluation.rates import Rate, curve_of, histogram_of, val_at
from facecli.metrics import Comparisons, fmr, fnmr, val_at_far

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
    assert Rate(29, 1000).with_interval(draws).interval is None
    assert Rate(30, 1000).right_interval is None


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
