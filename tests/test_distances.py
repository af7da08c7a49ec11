"""Unit vectors and squared L2, against float64 and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facecli.types import FloatArray
from facecli.vectors.distances import normalize, paired_squared_l2, squared_l2

seeds = st.integers(0, 2**32 - 1)


def unit_rows(seed: int, *, rows: int, dimension: int = 128) -> FloatArray:
    return normalize(np.random.default_rng(seed).normal(size=(rows, dimension)))


def test_normalize_by_hand() -> None:
    result = normalize([[3.0, 4.0], [0.0, -2.0]])
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, [[0.6, 0.8], [0.0, -1.0]], rtol=1e-7)


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        elements=st.floats(-(2.0**100), 2.0**100, width=32),
    )
)
def test_normalize_gives_unit_rows_of_the_same_direction_or_refuses(
    vectors: FloatArray,
) -> None:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not (lengths > 0).all():
        with pytest.raises(ValueError, match="no direction"):
            normalize(vectors)
        return
    unit = normalize(vectors).astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, atol=1e-6)
    restored = unit * lengths[:, None]
    np.testing.assert_allclose(restored, vectors, rtol=1e-6, atol=lengths.max() * 1e-7)


def test_normalize_takes_one_vector_and_no_vectors() -> None:
    assert normalize(np.array([0.0, 2.0])).tolist() == [0.0, 1.0]
    assert normalize(np.empty((0, 128))).shape == (0, 128)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_normalize_names_the_row_without_direction(bad: float) -> None:
    with pytest.raises(ValueError, match="vector 1 has no direction"):
        normalize([[1.0, 0.0], [bad, 1.0]])


def test_squared_l2_by_hand() -> None:
    """Same, orthogonal and opposite vectors are 0, 2 and 4 apart."""
    east = np.array([[1, 0]], np.float32)
    compass = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
    assert squared_l2(east, compass).tolist() == [[0.0, 2.0, 4.0]]


@given(seeds, st.integers(0, 9), st.integers(0, 9))
def test_squared_l2_agrees_with_subtraction_in_float64(seed: int, n: int, m: int) -> None:
    a, b = unit_rows(seed, rows=n), unit_rows(seed + 1, rows=m)
    difference = a[:, None].astype(np.float64) - b[None].astype(np.float64)
    result = squared_l2(a, b)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (difference**2).sum(axis=-1), atol=1e-6)


@given(seeds)
def test_squared_l2_lies_on_the_grid_that_metrics_counts_on(seed: int) -> None:
    """Near, opposite and unrelated vectors alike give multiples of 2^-23 within [0, 4]."""
    rng = np.random.default_rng(seed)
    a = unit_rows(seed, rows=20)
    near = normalize(a + rng.normal(size=a.shape) * rng.choice([1e-8, 1e-4, 1e-1], size=(20, 1)))
    squared = squared_l2(np.concatenate([a, near]), np.concatenate([near, -a]))
    steps = squared.astype(np.float64) * 2**23
    assert np.array_equal(steps, np.rint(steps))
    assert steps.min() >= 0
    assert steps.max() <= 4 * 2**23


def test_squared_l2_leaves_its_arguments_alone() -> None:
    a = unit_rows(0, rows=4)
    before = a.copy()
    squared_l2(a, a)
    assert np.array_equal(a, before)


@given(seeds, st.integers(0, 20))
def test_paired_is_the_diagonal_of_all_pairs(seed: int, n: int) -> None:
    a, b = unit_rows(seed, rows=n), unit_rows(seed + 1, rows=n)
    np.testing.assert_allclose(paired_squared_l2(a, b), np.diag(squared_l2(a, b)), atol=1e-6)


def test_paired_keeps_its_precision_near_zero() -> None:
    """A turn by 1e-5 radians is 1e-10 apart, which 2 - 2 a·b in float32 cannot tell from 0."""
    a = np.array([[1.0, 0.0]], np.float32)
    b = np.array([[1.0, 1e-5]], np.float32)
    assert squared_l2(a, b).item() == 0.0
    assert paired_squared_l2(a, b).item() == pytest.approx(1e-10, rel=1e-5)


def test_opposites_are_at_most_4_apart_though_rounding_says_more() -> None:
    rows = unit_rows(0, rows=1000)
    assert ((rows - -rows) ** 2).sum(axis=1).max() > 4
    assert paired_squared_l2(rows, -rows).max() == 4
    assert squared_l2(rows, -rows).max() == 4


def test_paired_refuses_to_broadcast() -> None:
    with pytest.raises(ValueError, match="equal"):
        paired_squared_l2(unit_rows(0, rows=3), unit_rows(0, rows=1))
