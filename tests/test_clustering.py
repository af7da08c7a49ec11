"""Average linkage, spherical k-means and both together: against slow oracles and as invariants."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist
from sklearn.cluster import KMeans

from facecli.clustering import cluster, number_by_size
from facecli.clustering import linkage as linking
from facecli.clustering.constraints import conflicting_pairs
from facecli.clustering.kmeans import (
    kmeans_from_scratch,
    mean_directions,
    spherical_kmeans,
    spread_rows,
)
from facecli.clustering.linkage import average_linkage, smallest
from facecli.metrics import bcubed_score
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import normalize, squared_l2

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 25)


def people(seed: int, *, faces: int, spread: float = 0.7, dimension: int = 16) -> FloatArray:
    """Draw unit vectors around a third as many centres."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(faces // 3 + 1, dimension))
    rows = centres[rng.integers(len(centres), size=faces)]
    return normalize(rows + spread * rng.normal(size=(faces, dimension)))


def photos_of(seed: int, faces: int) -> IntArray:
    """Spread the faces over a number of photos, some of one face and some of several."""
    return np.random.default_rng(seed).integers(faces, size=faces) // 2


def partition(labels: IntArray) -> set[frozenset[int]]:
    """Return the clusters without their numbers."""
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)}


def shares_a_photo(labels: IntArray, photos: IntArray) -> bool:
    """Say whether two faces of one photo are in one cluster."""
    return len(set(zip(labels.tolist(), photos.tolist(), strict=True))) < len(labels)


def greedy_linkage(
    rows: FloatArray, *, threshold: float = 4.0, k: int = 1, photos: IntArray | None = None
) -> set[frozenset[int]]:
    """Merge the two nearest clusters that may be merged, one by one, looking at every pair."""
    exact = rows.astype(np.float64)
    squared = ((exact[:, None] - exact[None]) ** 2).sum(axis=-1)
    clusters = [frozenset([row]) for row in range(len(rows))]
    while len(clusters) > k:
        allowed = [
            (squared[np.ix_(sorted(a), sorted(b))].mean(), a, b)
            for a, b in itertools.combinations(clusters, 2)
            if photos is None or not set(photos[list(a)]) & set(photos[list(b)])
        ]
        mean, a, b = min(allowed, key=lambda item: item[0], default=(np.inf, None, None))
        if mean > threshold:
            break
        assert a is not None
        assert b is not None
        clusters = [one for one in clusters if one not in (a, b)] + [a | b]
    return set(clusters)


# Average linkage


@given(seeds, sizes, st.floats(0, 4))
def test_linkage_at_a_threshold_agrees_with_merging_one_by_one(
    seed: int, faces: int, threshold: float
) -> None:
    rows = people(seed, faces=faces)
    found = partition(average_linkage(rows, threshold=threshold).labels())
    assert found == greedy_linkage(rows, threshold=threshold)


@given(seeds, sizes, st.data())
def test_linkage_to_k_clusters_agrees_with_merging_one_by_one(
    seed: int, faces: int, data: st.DataObject
) -> None:
    rows, k = people(seed, faces=faces), data.draw(st.integers(1, faces))
    assert partition(average_linkage(rows, k=k).labels()) == greedy_linkage(rows, k=k)


@given(seeds, sizes, st.floats(0.5, 4), st.integers(1, 5))
def test_linkage_with_forbidden_merges_agrees_with_merging_one_by_one(
    seed: int, faces: int, threshold: float, k: int
) -> None:
    rows, photos = people(seed, faces=faces), photos_of(seed, faces)
    labels = average_linkage(
        rows, threshold=threshold, k=k, conflicts=conflicting_pairs(photos)
    ).labels()
    assert partition(labels) == greedy_linkage(rows, threshold=threshold, k=k, photos=photos)
    assert not shares_a_photo(labels, photos)


@pytest.mark.parametrize("few", [1, 2, 3])
def test_linkage_that_remembers_few_neighbours_agrees_with_merging_one_by_one(
    monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Who is remembered goes, merges, moves away or is forbidden, long before the end."""
    monkeypatch.setattr(linking, "FEW", few)
    monkeypatch.setattr(linking, "CHUNK", 2)
    for seed in range(12):
        rows, photos = people(seed, faces=25, spread=1.0), photos_of(seed, 25)
        threshold = 1.0 + seed / 12
        free = average_linkage(rows, threshold=threshold)
        kept = average_linkage(rows, threshold=threshold, conflicts=conflicting_pairs(photos))
        assert partition(free.labels()) == greedy_linkage(rows, threshold=threshold)
        assert partition(kept.labels()) == greedy_linkage(rows, threshold=threshold, photos=photos)


@given(seeds, st.integers(1, 4), st.integers(1, 200), st.integers(1, 20))
def test_the_smallest_of_each_row_agree_with_sorting(
    seed: int, height: int, width: int, few: int
) -> None:
    """Ties and infinite values among them."""
    values = np.random.default_rng(seed).integers(9, size=(height, width)).astype(np.float32)
    values[values == 8] = np.inf
    columns, reach = smallest(values, few)
    ascending = np.sort(values, axis=1)
    np.testing.assert_array_equal(np.take_along_axis(values, columns, 1), ascending[:, :few])
    assert all(len(set(line)) == len(line) for line in columns.tolist())
    expected = ascending[:, few - 1] if few < width else np.full(height, np.inf)
    np.testing.assert_array_equal(reach, expected)


@pytest.fixture(scope="module")
def crowd() -> FloatArray:
    """Return 2,000 faces of about 670 people, some of them hard to tell apart."""
    return people(0, faces=2000, spread=0.9, dimension=128)


@pytest.fixture(scope="module")
def tree(crowd: FloatArray) -> np.ndarray:
    """Return SciPy's average linkage of the squared L2 of all pairs in float64."""
    result: np.ndarray = linkage(pdist(crowd.astype(np.float64), "sqeuclidean"), "average")
    return result


@pytest.mark.parametrize("threshold", [0.6, 0.9, 1.0, 1.1, 1.2, 1.9])
def test_linkage_at_a_threshold_agrees_with_scipy(
    crowd: FloatArray, tree: np.ndarray, threshold: float
) -> None:
    expected = fcluster(tree, threshold, criterion="distance")
    assert 1 < len(set(expected)) < 2000
    assert partition(average_linkage(crowd, threshold=threshold).labels()) == partition(expected)


@pytest.mark.slow
def test_linkage_of_a_family_agrees_with_scipy() -> None:
    """Five people with hundreds of photos, each photo with dozens that are nearly as near."""
    rng = np.random.default_rng(5)
    centres = normalize(rng.normal(size=(5, 128)))
    noise = 0.05 * rng.lognormal(0, 0.35, (1000, 1)) * rng.normal(size=(1000, 128))
    rows = normalize(np.repeat(centres, 200, axis=0) + noise)
    tree = linkage(pdist(rows.astype(np.float64), "sqeuclidean"), "average")
    for threshold in (0.5, 0.8, 1.1):
        expected = fcluster(tree, threshold, criterion="distance")
        found = average_linkage(rows, threshold=threshold).labels()
        assert partition(found) == partition(expected)


@pytest.mark.parametrize("k", [1, 2, 100, 670, 1999, 2000])
def test_linkage_to_k_clusters_agrees_with_scipy(
    crowd: FloatArray, tree: np.ndarray, k: int
) -> None:
    expected = fcluster(tree, k, criterion="maxclust")
    assert partition(average_linkage(crowd, k=k).labels()) == partition(expected)


def test_linkage_labels_clusters_by_their_first_row() -> None:
    east, north = [1.0, 0.0], [0.0, 1.0]
    rows = np.array([north, east, north, east], np.float32)
    assert average_linkage(rows, threshold=1.0).labels().tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("k", [1, 2, 5, 30])
def test_linkage_of_equal_vectors_still_ends_at_k(k: int) -> None:
    """Every merge ties with every other, and any choice is right."""
    rows = np.repeat(people(1, faces=1), 30, axis=0)
    assert len(set(average_linkage(rows, k=k).labels())) == k


def test_linkage_of_a_circle_leaves_nothing_within_the_threshold() -> None:
    """Evenly spaced vectors tie all around; still no two clusters that should merge remain."""
    angles = np.arange(64) * 2 * np.pi / 64
    rows = normalize(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    labels = average_linkage(rows, threshold=0.02).labels()
    means = np.stack([rows[labels == label].mean(axis=0) for label in np.unique(labels)])
    others = 2 - 2 * means @ means.T + 4 * np.eye(len(means))
    assert len(means) < 64
    assert others.min() > 0.02
    assert len(set(average_linkage(rows, k=7).labels())) == 7


def test_linkage_breaks_a_ring_without_mutual_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rounding makes each of three the nearest of the one before, the nearest two merge."""

    def rounded(a: FloatArray, b: FloatArray) -> FloatArray:
        squared = squared_l2(a, b)
        if squared.shape == (3, 3):
            squared[[0, 1, 2], [1, 2, 0]] -= np.array([1e-6, 2e-6, 1e-6], np.float32)
        return squared

    angles = np.arange(3) * 2 * np.pi / 3
    rows = normalize(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    monkeypatch.setattr("facecli.clustering.linkage.squared_l2", rounded)
    assert average_linkage(rows, k=2).labels().tolist() == [0, 1, 1]


def test_linkage_takes_the_threshold_itself_and_nothing_above() -> None:
    rows = people(5, faces=2)
    squared = squared_l2(rows, rows)[0, 1].item()
    assert len(set(average_linkage(rows, threshold=squared).labels())) == 1
    assert len(set(average_linkage(rows, threshold=float(np.nextafter(squared, 0))).labels())) == 2


def test_linkage_needs_no_matrix_of_all_pairs() -> None:
    """6,000 faces take less than half of what the float32 matrix of their pairs would."""
    rows = people(2, faces=6000, dimension=128)
    tracemalloc.start()
    average_linkage(rows, threshold=1.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6000 * 6000 * 4 / 2


@given(seeds, sizes, st.integers(1, 8))
def test_merges_to_groups_is_the_last_level_with_so_many(seed: int, faces: int, k: int) -> None:
    tree = average_linkage(people(seed, faces=faces))
    counts = [
        sum(len(cluster) > 1 for cluster in partition(tree.labels(merges)))
        for merges in range(faces)
    ]
    expected = max((merges for merges in range(faces) if counts[merges] >= k), default=None)
    assert tree.merges_to_groups(k) == expected


def test_merges_come_after_those_they_build_on_though_rounding_says_otherwise() -> None:
    """Among near-copies, heights differ by less than rounding."""
    rows = normalize(people(0, faces=1) + 1e-4 * np.random.default_rng(0).normal(size=(200, 16)))
    tree = average_linkage(rows)
    for merge in range(199):
        assert not np.isin(tree.gone[merge], tree.kept[merge + 1 :])
        assert not np.isin(tree.kept[merge], tree.gone[:merge])


@given(seeds, sizes)
def test_tree_is_that_of_scipy(seed: int, faces: int) -> None:
    """Heights are the same, and ascend."""
    rows = people(seed, faces=faces).astype(np.float64)
    heights = average_linkage(rows.astype(np.float32)).heights
    expected = linkage(pdist(rows, "sqeuclidean"), "average")[:, 2] if faces > 1 else []
    np.testing.assert_allclose(heights, expected, atol=1e-5)
    assert np.all(np.diff(heights) >= 0)


@given(st.lists(st.integers(0, 5), max_size=12))
def test_conflicting_pairs_are_those_of_one_photo(photos: list[int]) -> None:
    numbers = range(len(photos))
    expected = {(i, j) for i in numbers for j in numbers if i != j and photos[i] == photos[j]}
    pairs = conflicting_pairs(np.array(photos, dtype=np.int64))
    assert pairs.shape == (2, len(expected))
    assert set(zip(*pairs.tolist(), strict=True)) == expected


# Spherical k-means


def spread_within(rows: FloatArray, labels: IntArray) -> float:
    """Sum squared L2 to the own centroid, which k-means is to make small."""
    exact, centroids = rows.astype(np.float64), mean_directions(rows, labels).astype(np.float64)
    return float(((exact - centroids[labels]) ** 2).sum())


@given(seeds, sizes, st.data())
def test_one_round_of_kmeans_assigns_to_the_nearest(
    seed: int, faces: int, data: st.DataObject
) -> None:
    rows = people(seed, faces=faces)
    centroids = rows[: data.draw(st.integers(1, faces))]
    labels = spherical_kmeans(rows, centroids, iterations=1)
    for row, label in zip(rows, labels, strict=True):
        squared = squared_l2(row[None], centroids)[0]
        assert squared[label] <= squared.min() + 1e-6


@given(seeds, sizes, st.data(), st.booleans())
def test_kmeans_never_gets_worse_and_keeps_every_cluster(
    seed: int, faces: int, data: st.DataObject, crowded: bool
) -> None:
    rows = people(seed, faces=faces)
    photos = photos_of(seed, faces) if crowded else None
    least = int(np.bincount(photos).max()) if photos is not None else 1
    k = data.draw(st.integers(least, faces))
    start = normalize(np.random.default_rng(seed).normal(size=(k, 16)))
    results = [spherical_kmeans(rows, start, iterations=i, photos=photos) for i in (1, 2, 3, 50)]
    for labels in results:
        assert set(labels) == set(range(k))
        assert photos is None or not shares_a_photo(labels, photos)
    spreads = [spread_within(rows, labels) for labels in results]
    assert all(after <= before + 1e-5 for before, after in itertools.pairwise(spreads))


def test_kmeans_stops_where_nothing_moves() -> None:
    """Each face is then in the cluster of the nearest centroid of the members themselves."""
    rows = people(3, faces=200)
    labels = spherical_kmeans(rows, rows[:20], iterations=1000)
    nearest = squared_l2(rows, mean_directions(rows, labels)).argmin(axis=1)
    assert np.array_equal(labels, nearest)


@given(seeds, st.integers(1, 4), st.integers(0, 2))
def test_faces_of_one_photo_share_out_the_centroids_at_least_cost(
    seed: int, faces: int, spare: int
) -> None:
    """No other way of giving each face a centroid of its own has a smaller sum."""
    rows = people(seed, faces=faces, spread=0.1)
    centroids = people(seed + 1, faces=faces + spare, spread=0.1)
    photo = np.zeros(faces, np.int64)
    # One more face of its own photo per centroid, so that none is empty and gets refilled.
    everyone = np.concatenate([rows, centroids])
    photos = np.concatenate([photo, 1 + np.arange(len(centroids))])
    labels = spherical_kmeans(everyone, centroids, iterations=1, photos=photos)[:faces]
    squared = squared_l2(rows, centroids)
    cheapest = min(
        squared[np.arange(faces), list(choice)].sum()
        for choice in itertools.permutations(range(len(centroids)), faces)
    )
    assert squared[np.arange(faces), labels].sum() == pytest.approx(cheapest, abs=1e-5)


def test_an_empty_centroid_takes_the_face_farthest_from_its_own() -> None:
    rows = normalize([[1.0, 0.0], [1.0, 0.1], [1.0, 0.5]])
    labels = spherical_kmeans(rows, normalize([[1.0, 0.0], [-1.0, 0.0]]), iterations=1)
    assert labels.tolist() == [0, 0, 1]


def test_mean_directions_by_hand_and_where_members_cancel() -> None:
    rows = normalize([[1, 0], [0, 1], [0, 1], [0, -1]])
    found = mean_directions(rows, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(found, [[0.5**0.5, 0.5**0.5], [0, 1]], atol=1e-7)


# Both together


@given(seeds, sizes, st.floats(0, 4), st.booleans(), st.data())
def test_clusters_are_numbered_by_size_and_centred_on_their_members(
    seed: int, faces: int, threshold: float, crowded: bool, data: st.DataObject
) -> None:
    rows = people(seed, faces=faces)
    photos = photos_of(seed, faces) if crowded else None
    least = int(np.bincount(photos).max()) if photos is not None else 1
    k = data.draw(st.none() | st.integers(least, faces))
    result = cluster(rows, threshold=threshold, k=k, cannot_link=photos)
    counts = np.bincount(result.labels)
    firsts = [int(np.argmax(result.labels == label)) for label in range(len(counts))]
    order = sorted(range(len(counts)), key=lambda label: (-counts[label], firsts[label]))
    assert order == list(range(len(counts)))
    assert counts.min() > 0
    assert k is None or len(counts) == k
    assert photos is None or not shares_a_photo(result.labels, photos)
    assert result.labels.dtype == np.int64
    for label, centroid in enumerate(result.centroids):
        mean = rows[result.labels == label].mean(axis=0)
        np.testing.assert_allclose(centroid, mean / np.linalg.norm(mean), atol=1e-5)


@given(seeds, st.integers(1, 20))
def test_the_order_of_faces_does_not_matter(seed: int, faces: int) -> None:
    rows = people(seed, faces=faces, spread=0.2)
    order = np.random.default_rng(seed).permutation(faces)
    straight = cluster(rows, threshold=1.0).labels
    shuffled = cluster(rows[order], threshold=1.0).labels
    assert partition(straight[order]) == partition(shuffled)


def test_clear_people_are_found_with_and_without_k() -> None:
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(40), np.arange(40) % 5 + 1)
    rows = normalize(rng.normal(size=(40, 128))[person] + 0.4 * rng.normal(size=(len(person), 128)))
    for k in (None, 40):
        assert partition(cluster(rows, threshold=1.1, k=k).labels) == partition(person)


def test_faces_of_one_photo_are_kept_apart_though_they_look_alike() -> None:
    """Twins photographed together twice are two people, each next to the better likeness."""
    twins = normalize([[1.0, 0.1], [1.0, -0.1], [1.0, 0.12], [1.0, -0.12]])
    assert set(cluster(twins, threshold=1.0).labels) == {0}
    for k in (None, 2):
        result = cluster(twins, threshold=1.0, k=k, cannot_link=["a", "a", "b", "b"])
        assert result.labels.tolist() == [0, 1, 0, 1]


def test_k_is_reached_though_photos_keep_the_linkage_from_it() -> None:
    """Three pairs of likenesses exclude one another, but two clusters can hold the three photos."""
    angles = np.radians([0, 1, 120, 121, 240, 241])
    rows = normalize(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    photos = np.array([0, 1, 0, 2, 1, 2])
    start = average_linkage(rows, k=2, conflicts=conflicting_pairs(photos)).labels()
    assert start.tolist() == [0, 0, 2, 2, 4, 4]
    labels = cluster(rows, threshold=1.0, k=2, cannot_link=photos).labels
    assert np.bincount(labels).tolist() == [3, 3]
    assert not shares_a_photo(labels, photos)


def test_odd_faces_do_not_make_people_share_a_cluster() -> None:
    """With k = 3, the linkage alone gives two odd faces a cluster each and joins three people."""
    axes, person = np.eye(128), np.repeat([0, 1, 2], 20)
    seen = normalize(axes[person] + 0.03 * np.random.default_rng(2).normal(size=(60, 128)))
    odd = normalize([2 * axes[3] - axes[:3].sum(axis=0), -2 * axes[3] - axes[:3].sum(axis=0)])
    rows = np.concatenate([seen, odd])
    assert sorted(np.bincount(number_by_size(average_linkage(rows, k=3).labels()))) == [1, 1, 60]
    assert partition(cluster(rows, threshold=1.0, k=3).labels[:60]) == partition(person)


def test_no_faces_one_face_and_equal_faces() -> None:
    none = cluster(np.empty((0, 128), np.float32), threshold=1.0)
    assert none.labels.shape == (0,)
    assert none.centroids.shape == (0, 128)
    one = people(0, faces=1)
    assert cluster(one, threshold=1.0).labels.tolist() == [0]
    equal = np.repeat(one, 6, axis=0)
    assert cluster(equal, threshold=0.5).labels.tolist() == [0] * 6
    assert sorted(np.bincount(cluster(equal, threshold=0.5, k=3).labels)) == [1, 1, 4]


@pytest.mark.parametrize(
    ("faces", "k", "photos", "message"),
    [
        (3, 0, None, "between 1 and the number of faces, 3: not 0"),
        (3, 4, None, "between 1 and the number of faces, 3: not 4"),
        (0, 1, None, "number of faces, 0"),
        (3, 1, [7, 7, 8], "one photo holds 2 faces"),
        (3, None, [7, 7], "as many photos"),
    ],
)
def test_impossible_requests_are_refused(
    faces: int, k: int | None, photos: list[int] | None, message: str
) -> None:
    rows = people(0, faces=faces)
    with pytest.raises(ValueError, match=message):
        cluster(rows, threshold=1.0, k=k, cannot_link=photos)


@pytest.mark.parametrize("rows", [np.ones((2, 4)), np.full((2, 4), np.nan), np.ones(4) / 2])
def test_rows_that_are_not_unit_vectors_are_refused(rows: FloatArray) -> None:
    with pytest.raises(ValueError, match="unit vectors"):
        cluster(rows, threshold=1.0)


def test_number_by_size_by_hand() -> None:
    assert number_by_size(np.array([9, 4, 4, 7, 7, 1])).tolist() == [2, 0, 0, 1, 1, 3]


@pytest.mark.faces
def test_real_faces_are_clustered_far_better_than_from_random_seeds(faces: Path) -> None:
    """On real embeddings, k from the threshold is about right, and the linkage's start decides."""
    with np.load(faces / "train" / "targets.npz") as reference:
        person, targets = reference["person"], reference["targets"]
    names = np.unique(person[person != ""])
    chosen = np.isin(person, np.random.default_rng(0).choice(names, 250, replace=False))
    rows, truth = normalize(targets[chosen]), person[chosen]
    automatic = cluster(rows, threshold=1.2).labels
    given_k = cluster(rows, threshold=1.2, k=250).labels
    random = KMeans(250, n_init=3, random_state=0).fit_predict(rows)
    assert bcubed_score(truth, automatic).f > 0.85
    assert bcubed_score(truth, given_k).f > bcubed_score(truth, random).f + 0.1


@given(st.integers(0, 10**6), st.integers(1, 30))
def test_rows_to_start_from_are_different_and_the_same_for_a_seed(seed: int, k: int) -> None:
    """Half of the thirty rows are copies, so that equal ones must be chosen from 16 on."""
    rows = np.repeat(normalize(np.random.default_rng(seed).normal(size=(15, 8))), 2, axis=0)
    chosen = spread_rows(rows, k, seed=seed)
    assert len(set(chosen.tolist())) == k
    assert set(chosen.tolist()) <= set(range(30))
    np.testing.assert_array_equal(chosen, spread_rows(rows, k, seed=seed))
    if k >= 15:
        # Rounding leaves a copy a little from its row, so one may be chosen before the last row.
        assert len({row // 2 for row in chosen.tolist()}) >= 14


def test_k_means_from_scratch_finds_groups_that_lie_apart() -> None:
    random = np.random.default_rng(0)
    people = np.repeat(np.arange(8), 5)
    rows = normalize(np.eye(8, 128)[people] + 0.01 * random.normal(size=(40, 128)))
    labels = kmeans_from_scratch(rows, 8, starts=10, iterations=20)
    assert len(set(zip(people.tolist(), labels.tolist(), strict=True))) == 8
    assert set(labels.tolist()) == set(range(8))


def test_more_starts_bring_rows_closer_to_their_centroids() -> None:
    rows = normalize(np.random.default_rng(2).normal(size=(60, 8)))
    spreads = []
    for starts in (1, 5, 50):
        labels = kmeans_from_scratch(rows, 10, starts=starts, iterations=20)
        squared = (rows - mean_directions(rows, labels)[labels]) ** 2
        spreads.append(float(squared.sum()))
    assert spreads[0] >= spreads[1] > spreads[2]


def test_k_means_from_scratch_of_equal_rows_fills_every_cluster() -> None:
    rows = np.repeat(normalize([[1.0, 2.0]]), 6, axis=0)
    labels = kmeans_from_scratch(rows, 4, starts=2, iterations=20)
    assert set(labels.tolist()) == {0, 1, 2, 3}
