"""Nearest faces by owner: the blocked search against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.types import FloatArray, IntArray
from facecli.vectors import neighbours
from facecli.vectors.distances import normalize, squared_l2
from facecli.vectors.neighbours import nearest_by_owner


def slow(pool: FloatArray, owners: IntArray, probe: int) -> tuple[float, float]:
    """Return the least squared L2 to another's row, and to an own row other than the probe."""
    squared = squared_l2(pool[probe : probe + 1], pool)[0]
    other = [float(squared[row]) for row in range(len(pool)) if owners[row] != owners[probe]]
    own = [
        float(squared[row])
        for row in range(len(pool))
        if owners[row] == owners[probe] and row != probe
    ]
    return min(other, default=math.inf), min(own, default=math.inf)


@given(st.integers(1, 12), st.integers(0, 6), st.integers(1, 4), st.integers(1, 200))
def test_blocks_find_what_loops_find(size: int, first: int, people: int, cells: int) -> None:
    first = min(first, size - 1)
    random = np.random.default_rng(size * 1000 + first * 10 + people)
    pool = normalize(random.normal(size=(size, 128)))
    owners = random.integers(people, size=size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "COMPARISONS_HELD", cells)
        found = nearest_by_owner(pool, owners, first)
    assert len(found.other) == size - first
    for row in range(size - first):
        other, own = slow(pool, owners, first + row)
        assert found.other_squared[row] == pytest.approx(other, abs=1e-6)
        assert found.own_squared[row] == pytest.approx(own, abs=1e-6)
        if math.isfinite(other):
            assert owners[found.other[row]] != owners[first + row]
