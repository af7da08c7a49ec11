"""Ranks of mates in a gallery: by hand and against sorting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.metrics import mate_ranks
from facecli.types import FloatArray
from facecli.vectors.distances import normalize, squared_l2


def at(*degrees: float) -> FloatArray:
    """Return unit vectors in the plane."""
    angles = np.radians(degrees)
    return normalize(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def test_ranks_by_hand() -> None:
    """Ann's probe is nearest to Ann; Bob's is nearer to Cleo than to Bob; Cleo's comes last."""
    people = ["ann", "bob", "cleo"]
    assert mate_ranks(at(0, 90, 180), people, at(10, 140, 5), people).tolist() == [1, 2, 3]


def test_a_person_is_as_near_as_the_nearest_template() -> None:
    gallery, owners = at(0, 170, 90), ["ann", "ann", "bob"]
    assert mate_ranks(gallery, owners, at(160), ["ann"]).tolist() == [1]


def test_two_templates_of_a_stranger_cost_one_rank() -> None:
    gallery, owners = at(10, 20, 60), ["ann", "ann", "bob"]
    assert mate_ranks(gallery, owners, at(0), ["bob"]).tolist() == [2]


@pytest.mark.parametrize("owners", [["ann", "bob"], ["bob", "ann"]])
def test_a_tie_counts_against_the_mate_in_either_order(owners: list[str]) -> None:
    assert mate_ranks(at(30, 30), owners, at(30), ["ann"]).tolist() == [2]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 20))
def test_ranks_agree_with_sorting_people(seed: int, templates: int, probes: int) -> None:
    rng = np.random.default_rng(seed)
    gallery, owners = normalize(rng.normal(size=(templates, 8))), rng.integers(5, size=templates)
    rows, wanted = normalize(rng.normal(size=(probes, 8))), rng.choice(owners, size=probes)
    expected = []
    for row, person in zip(rows, wanted, strict=True):
        squared = squared_l2(row[None], gallery)[0]
        ranking = list(dict.fromkeys(owners[np.argsort(squared)].tolist()))
        expected.append(ranking.index(person) + 1)
    assert mate_ranks(gallery, owners, rows, wanted).tolist() == expected


def test_ranks_are_the_same_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    gallery, probes = normalize(rng.normal(size=(50, 3))), normalize(rng.normal(size=(70, 3)))
    wanted = rng.integers(50, size=70)
    whole = mate_ranks(gallery, np.arange(50), probes, wanted)
    monkeypatch.setattr("facecli.metrics.identification.COMPARISONS_HELD", 170)
    assert np.array_equal(mate_ranks(gallery, np.arange(50), probes, wanted), whole)


def test_what_closed_set_identification_cannot_mean_is_refused() -> None:
    with pytest.raises(ValueError, match="probe of bob has no mate"):
        mate_ranks(at(0), ["ann"], at(0), ["bob"])
    with pytest.raises(ValueError, match="no probes"):
        mate_ranks(at(0), ["ann"], at(), [])
    with pytest.raises(ValueError, match="as many labels"):
        mate_ranks(at(0), ["ann", "bob"], at(0), ["ann"])
