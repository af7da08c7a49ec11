"""Scores of clusters against people: by hand, against the definitions face by face and pairwise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.metrics import (
    PartitionScore,
    bcubed_score,
    normalized_mutual_information,
    pairwise_score,
)

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


def test_nmi_by_hand() -> None:
    """Four faces of two people, in clusters of three and one: they share 3/4 ln 4/3."""
    shared = 3 / 4 * math.log(4 / 3)
    entropy = (math.log(2) + math.log(4) / 4 + 3 / 4 * math.log(4 / 3)) / 2
    found = normalized_mutual_information(["a", "a", "b", "b"], [0, 0, 0, 1])
    assert found == pytest.approx(shared / entropy)


@given(partitions)
def test_nmi_is_that_of_scikit_learn(faces: list[tuple[int, int]]) -> None:
    cluster = pytest.importorskip("sklearn.metrics.cluster")
    people, clusters = zip(*faces, strict=True)
    expected = cluster.normalized_mutual_info_score(people, clusters)
    assert normalized_mutual_information(people, clusters) == pytest.approx(expected, abs=1e-9)


@given(partitions)
def test_nmi_is_symmetric_a_share_and_blind_to_names(faces: list[tuple[int, int]]) -> None:
    people, clusters = zip(*faces, strict=True)
    found = normalized_mutual_information(people, clusters)
    assert 0 <= found <= 1
    assert normalized_mutual_information(clusters, people) == pytest.approx(found)
    renamed = [f"cluster {7 * cluster % 5}" for cluster in clusters]
    assert normalized_mutual_information(people, renamed) == pytest.approx(found)
    assert normalized_mutual_information(people, people) == pytest.approx(1.0)


def test_nmi_of_what_says_nothing() -> None:
    assert normalized_mutual_information([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(0.0)
    assert normalized_mutual_information([0, 0, 1, 1], [5, 5, 5, 5]) == 0.0
    assert normalized_mutual_information([3, 3], ["x", "x"]) == 1.0
    with pytest.raises(ValueError, match="no faces"):
        normalized_mutual_information([], [])
