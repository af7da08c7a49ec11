"""What must share a cluster and what must not: never violated, and the best that is allowed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from test_clustering import partition, people, photos_of

from facecli.clustering import cluster
from facecli.clustering.constraints import Units
from facecli.clustering.kmeans import mean_directions, spherical_kmeans
from facecli.clustering.linkage import average_linkage
from facecli.types import BoolArray, FloatArray, IntArray
from facecli.vectors.distances import normalize, squared_l2

seeds = st.integers(0, 2**32 - 1)


def demands(
    seed: int, faces: int, *, photos: IntArray | None
) -> tuple[IntArray, list[tuple[int, int]]]:
    """Draw groups to keep together and pairs to keep apart that do not contradict each other."""
    rng = np.random.default_rng(seed)
    group = np.arange(faces)
    together = photos if photos is not None else group
    for a, b in rng.integers(faces, size=(faces // 2, 2)):
        both = np.flatnonzero(np.isin(group, [group[a], group[b]]))
        if len(set(together[both].tolist())) == len(both):
            group[both] = group[a]
    pairs = [(int(a), int(b)) for a, b in rng.integers(faces, size=(faces // 2, 2))]
    return group, [(a, b) for a, b in pairs if group[a] != group[b]]


def greedy_linkage(
    rows: FloatArray, group: IntArray, apart: list[tuple[int, int]], *, threshold: float
) -> set[frozenset[int]]:
    """Merge the two nearest clusters that may meet, one by one from the groups on."""
    exact = rows.astype(np.float64)
    squared = ((exact[:, None] - exact[None]) ** 2).sum(axis=-1)
    clusters = list(partition(group))
    while True:
        allowed = [
            (squared[np.ix_(sorted(a), sorted(b))].mean(), a, b)
            for a, b in itertools.combinations(clusters, 2)
            if not any((x in a and y in b) or (x in b and y in a) for x, y in apart)
        ]
        best = min(allowed, key=lambda item: item[0], default=None)
        if best is None or best[0] > threshold:
            return set(clusters)
        clusters = [one for one in clusters if one not in best[1:]] + [best[1] | best[2]]


@given(seeds, st.integers(2, 18), st.floats(0.3, 3))
def test_linkage_from_groups_agrees_with_merging_one_by_one(
    seed: int, faces: int, threshold: float
) -> None:
    rows = people(seed, faces=faces)
    group, apart = demands(seed, faces, photos=None)
    units = Units.of(faces, photos=None, together=group, apart=apart)
    tree = average_linkage(rows, threshold=threshold, start=units.start, conflicts=units.conflicts)
    assert partition(tree.labels()) == greedy_linkage(rows, group, apart, threshold=threshold)


@given(seeds, st.integers(2, 18))
def test_groups_are_counted_from_the_first_level_on(seed: int, faces: int) -> None:
    rows = people(seed, faces=faces)
    group, _ = demands(seed, faces, photos=None)
    start = Units.of(faces, photos=None, together=group, apart=None).start
    tree = average_linkage(rows, start=start)
    levels = range(len(tree.kept) + 1)
    counts = [sum(len(one) > 1 for one in partition(tree.labels(level))) for level in levels]
    for k in range(1, 6):
        expected = max((level for level in levels if counts[level] >= k), default=None)
        assert tree.merges_to_groups(k) == expected


@given(seeds, st.integers(2, 30), st.floats(0, 4), st.booleans(), st.booleans())
@example(seed=700, faces=20, threshold=2.0, crowded=True, given_k=False)
def test_demands_are_never_violated(
    seed: int, faces: int, threshold: float, crowded: bool, given_k: bool
) -> None:
    rows = people(seed, faces=faces)
    photos = photos_of(seed, faces) if crowded else None
    group, apart = demands(seed, faces, photos=photos)
    k = len(set(group.tolist())) if given_k else None
    labels = cluster(
        rows, threshold=threshold, k=k, cannot_link=photos, together=group, apart=apart
    ).labels
    assert all(len(set(labels[group == one].tolist())) == 1 for one in group)
    assert all(labels[a] != labels[b] for a, b in apart)
    if photos is not None:
        assert len(set(zip(labels.tolist(), photos.tolist(), strict=True))) == faces
    assert k is None or int(labels.max()) + 1 == k


@given(seeds, st.integers(2, 20))
def test_a_unit_goes_to_the_centroid_that_is_nearest_to_all_its_faces_together(
    seed: int, faces: int
) -> None:
    rows = people(seed, faces=faces)
    group, _ = demands(seed, faces, photos=None)
    units = Units.of(faces, photos=None, together=group, apart=None)
    directions, weights = units.vectors(rows)
    centroids = people(seed + 1, faces=3)[: len(directions)]
    labels = spherical_kmeans(directions, centroids, iterations=1, weights=weights)
    if len(set(labels.tolist())) < len(centroids):
        return
    squared = squared_l2(rows, centroids)
    for unit in range(len(directions)):
        sums = squared[units.unit == unit].sum(axis=0)
        # An emptied centroid may have been given a unit that is alone nowhere else.
        if np.bincount(labels)[labels[unit]] > 1:
            assert sums[labels[unit]] <= sums.min() + 1e-4


@given(seeds, st.integers(2, 20))
def test_means_of_units_are_the_means_of_their_faces(seed: int, faces: int) -> None:
    rows = people(seed, faces=faces)
    group, _ = demands(seed, faces, photos=None)
    units = Units.of(faces, photos=None, together=group, apart=None)
    directions, weights = units.vectors(rows)
    halves = np.arange(len(directions)) % 2 if len(directions) > 1 else np.zeros(1, np.int64)
    np.testing.assert_allclose(
        mean_directions(directions, halves, weights),
        mean_directions(rows, halves[units.unit]),
        atol=1e-5,
    )


def test_those_kept_apart_share_out_clusters_though_they_are_alike() -> None:
    twins = normalize([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.1, 1.0]])
    assert partition(cluster(twins, threshold=1.0).labels) == {frozenset({0, 1}), frozenset({2, 3})}
    labels = cluster(twins, threshold=1.0, apart=[(0, 1)]).labels
    assert partition(labels) == {frozenset({0}), frozenset({1}), frozenset({2, 3})}


def test_unlike_faces_kept_together_each_draw_their_own() -> None:
    """A child and an adult said to be one person: new photos of both join them, a stranger not."""
    child, adult, stranger = np.eye(3)
    rows = normalize([child, adult, child + 0.1 * adult, adult + 0.1 * child, stranger])
    assert len(set(cluster(rows, threshold=0.9).labels)) == 3
    labels = cluster(rows, threshold=0.9, together=[0, 0, 1, 2, 3]).labels
    assert partition(labels) == {frozenset({0, 1, 2, 3}), frozenset({4})}


def test_of_two_faces_of_a_photo_drawn_by_parts_of_one_person_the_worse_is_left_alone() -> None:
    child, adult = np.eye(2)
    rows = normalize([child, adult, child + 0.1 * adult, adult + 0.2 * child])
    labels = cluster(rows, threshold=0.9, together=[0, 0, 1, 2], cannot_link=[0, 1, 2, 2]).labels
    assert partition(labels) == {frozenset({0, 1, 2}), frozenset({3})}


def test_who_may_not_meet_one_part_of_a_person_meets_no_other_part() -> None:
    """A face beside the child is like the adult, too, and goes to a third who is as near."""
    child, adult, between, third = np.eye(4)
    rows = normalize([child, adult, adult + 0.9 * between, between, between + 0.3 * third])
    unaware = cluster(rows, threshold=0.8).labels
    assert unaware[2] == unaware[1]
    labels = cluster(
        rows, threshold=0.8, together=[0, 0, 1, 2, 3], cannot_link=[0, 1, 0, 2, 3]
    ).labels
    assert partition(labels) == {frozenset({0, 1}), frozenset({2, 3, 4})}


def slow_join(
    rows: FloatArray, labels: IntArray, weak: BoolArray, photos: IntArray, *, threshold: float
) -> IntArray:
    """Let the nearest pair of weak face and cluster that may meet come together, one by one."""
    exact, found = rows.astype(np.float64), labels.copy()
    found[weak] = -1
    while True:
        pairs = [
            (((exact[face] - exact[~weak & (labels == one)]) ** 2).sum(axis=1).mean(), face, one)
            for face in np.flatnonzero(weak & (found < 0)).tolist()
            for one in np.unique(labels[~weak]).tolist()
            if (labels[~weak] == one).sum() >= 2 and photos[face] not in photos[found == one]
        ]
        best = min(pairs, default=(np.inf, 0, 0))
        if best[0] > threshold:
            break
        found[best[1]] = best[2]
    found[found < 0] = 1000 + np.arange((found < 0).sum())
    return found


@given(seeds, st.integers(1, 25), st.floats(0.2, 2))
def test_weak_faces_join_the_nearest_that_they_may_and_found_nothing(
    seed: int, faces: int, threshold: float
) -> None:
    rows, photos = people(seed, faces=faces), photos_of(seed, faces)
    weak = np.random.default_rng(seed).random(faces) < 0.5
    strong = np.flatnonzero(~weak)
    labels = np.full(faces, -1)
    labels[strong] = cluster(rows[strong], threshold=threshold, cannot_link=photos[strong]).labels
    found = cluster(rows, threshold=threshold, cannot_link=photos, weak=weak).labels
    expected = slow_join(rows, labels, weak, photos, threshold=threshold)
    assert partition(found) == partition(expected)


def test_a_weak_face_that_was_bound_to_another_founds_with_it() -> None:
    rows = normalize([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2]])
    weak = np.ones(3, dtype=bool)
    assert len(set(cluster(rows, threshold=1.0, weak=weak).labels)) == 3
    assert len(set(cluster(rows, threshold=1.0, weak=weak, together=[0, 0, 1]).labels)) == 1


def test_contradictions_and_too_small_a_k_are_refused() -> None:
    rows = people(0, faces=3)
    with pytest.raises(ValueError, match="both together and apart"):
        cluster(rows, threshold=1.0, together=[0, 0, 0], apart=[(0, 1)])
    with pytest.raises(ValueError, match="both together and apart"):
        cluster(rows, threshold=1.0, together=[0, 0, 1], cannot_link=[5, 5, 6])
    with pytest.raises(ValueError, match="as many groups"):
        cluster(rows, threshold=1.0, together=[0, 0])
    with pytest.raises(ValueError, match="2 clusters are too few"):
        cluster(rows, threshold=1.0, k=2, apart=[(0, 1), (1, 2), (0, 2)])
