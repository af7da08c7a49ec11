"""Scores of clusters against people: by hand, against the definitions face by face and pairwise."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.metrics import PartitionScore, bcubed_score, pairwise_score

partitions = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)


def mean(shares: Sequence[float]) -> float:
    return sum(shares) / len(shares)


def test_scores_by_hand() -> None:
    """Ann's three faces lie in two clusters, and Bob's one is with two of them."""
    people, clusters = ["ann", "ann", "ann", "bob"], [0, 0, 1, 0]
    pairwise = pairwise_score(people, clusters)
    assert (pairwise.precision, pairwise.recall) == pytest.approx((1 / 3, 1 / 3))
    bcubed = bcubed_score(people, clusters)
    assert bcubed.precision == pytest.approx((2 / 3 + 2 / 3 + 1 + 1 / 3) / 4)
    assert bcubed.recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1) / 4)
    p, r = bcubed.precision, bcubed.recall
    assert bcubed.f == pytest.approx(2 * p * r / (p + r))


@given(partitions)
def test_pairwise_agrees_with_looking_at_every_pair(faces: list[tuple[int, int]]) -> None:
    together = [(a[0] == b[0]) for a, b in itertools.combinations(faces, 2) if a[1] == b[1]]
    mated = [(a[1] == b[1]) for a, b in itertools.combinations(faces, 2) if a[0] == b[0]]
    score = pairwise_score(*zip(*faces, strict=True))
    assert score.precision == pytest.approx(mean(together) if together else 1.0)
    assert score.recall == pytest.approx(mean(mated) if mated else 1.0)


@pytest.mark.slow
@given(partitions)
def test_bcubed_agrees_with_looking_at_every_face(faces: list[tuple[int, int]]) -> None:
    score = bcubed_score(*zip(*faces, strict=True))
    purity = [mean([b[0] == a[0] for b in faces if b[1] == a[1]]) for a in faces]
    completeness = [mean([b[1] == a[1] for b in faces if b[0] == a[0]]) for a in faces]
    assert score.precision == pytest.approx(mean(purity))
    assert score.recall == pytest.approx(mean(completeness))


@given(partitions)
def test_swapping_people_and_clusters_swaps_precision_and_recall(
    faces: list[tuple[int, int]],
) -> None:
    people, clusters = zip(*faces, strict=True)
    for score in (pairwise_score, bcubed_score):
        one, other = score(people, clusters), score(clusters, people)
        assert (one.precision, one.recall) == pytest.approx((other.recall, other.precision))


@given(partitions)
def test_names_of_clusters_do_not_matter_and_the_truth_is_perfect(
    faces: list[tuple[int, int]],
) -> None:
    people, clusters = zip(*faces, strict=True)
    renamed = [f"cluster {7 * cluster % 5}" for cluster in clusters]
    for score in (pairwise_score, bcubed_score):
        one, other = score(people, clusters), score(people, renamed)
        assert (one.precision, one.recall) == pytest.approx((other.precision, other.recall))
        assert score(people, people) == PartitionScore(1.0, 1.0, 1.0)


def test_all_apart_is_precise_and_recalls_nothing() -> None:
    assert pairwise_score([0, 0, 1, 1], [0, 1, 2, 3]) == PartitionScore(1.0, 0.0, 0.0)
    assert bcubed_score([0, 0, 1, 1], [0, 1, 2, 3]).recall == 0.5


@pytest.mark.parametrize("score", [pairwise_score, bcubed_score])
def test_nothing_to_score_and_lengths_that_differ_are_refused(
    score: Callable[[list[int], list[int]], PartitionScore],
) -> None:
    with pytest.raises(ValueError, match="no faces"):
        score([], [])
    with pytest.raises(ValueError, match="different shapes"):
        score([0, 1], [0])
