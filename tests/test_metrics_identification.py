"""Ranks of mates in a gallery: by hand and against sorting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.distances import normalize, squared_l2
from facecli.metrics import cmc, rank_one
from facecli.types import FloatArray


def at(*degrees: float) -> FloatArray:
    """Return unit vectors in the plane."""
    angles = np.radians(degrees)
    return normalize(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def test_cmc_by_hand() -> None:
    """Ann's probe is nearest to Ann; Bob's is nearer to Cleo than to Bob; Cleo's comes last."""
    curve = cmc(at(0, 90, 180), ["ann", "bob", "cleo"], at(10, 140, 5), ["ann", "bob", "cleo"])
    np.testing.assert_allclose(curve[:4], [1 / 3, 2 / 3, 1, 1])
    assert curve.shape == (10,)


def test_a_person_is_as_near_as_the_nearest_template() -> None:
    gallery, owners = at(0, 170, 90), ["ann", "ann", "bob"]
    assert rank_one(gallery, owners, at(160), ["ann"]) == 1.0


def test_two_templates_of_a_stranger_cost_one_rank() -> None:
    gallery, owners = at(10, 20, 60), ["ann", "ann", "bob"]
    assert cmc(gallery, owners, at(0), ["bob"], depth=3).tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("owners", [["ann", "bob"], ["bob", "ann"]])
def test_a_tie_counts_against_the_mate_in_either_order(owners: list[str]) -> None:
    assert cmc(at(30, 30), owners, at(30), ["ann"], depth=2).tolist() == [0.0, 1.0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 20), st.integers(1, 6))
def test_cmc_agrees_with_sorting_people(seed: int, templates: int, probes: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    gallery, owners = normalize(rng.normal(size=(templates, 8))), rng.integers(5, size=templates)
    rows, wanted = normalize(rng.normal(size=(probes, 8))), rng.choice(owners, size=probes)
    expected = np.zeros(depth)
    for row, person in zip(rows, wanted, strict=True):
        squared = squared_l2(row[None], gallery)[0]
        ranking = list(dict.fromkeys(owners[np.argsort(squared)].tolist()))
        expected[ranking.index(person) :] += 1 / probes
    np.testing.assert_allclose(cmc(gallery, owners, rows, wanted, depth=depth), expected)


def test_rank_one_is_the_start_of_the_cmc_also_over_several_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    gallery, probes = normalize(rng.normal(size=(50, 3))), normalize(rng.normal(size=(70, 3)))
    wanted = rng.integers(50, size=70)
    whole = cmc(gallery, np.arange(50), probes, wanted, depth=50)
    monkeypatch.setattr("facecli.metrics.identification.BLOCK", 170)
    assert np.array_equal(cmc(gallery, np.arange(50), probes, wanted, depth=50), whole)
    assert rank_one(gallery, np.arange(50), probes, wanted) == whole[0]
    assert whole[-1] == 1.0


def test_what_closed_set_identification_cannot_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="probe of bob has no mate"):
        rank_one(at(0), ["ann"], at(0), ["bob"])
    with pytest.raises(ValueError, match="no probes"):
        rank_one(at(0), ["ann"], at(), [])
    with pytest.raises(ValueError, match="as many labels"):
        rank_one(at(0), ["ann", "bob"], at(0), ["ann"])
    with pytest.raises(ValueError, match="depth"):
        cmc(at(0), ["ann"], at(0), ["ann"], depth=0)
