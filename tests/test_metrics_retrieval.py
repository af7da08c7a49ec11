"""Recall@K, MAP@R and R-precision: by hand, against plain loops, and what no data can change."""

from __future__ import annotations

import itertools
import time
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.metrics import Retrieval, retrieve
from facecli.types import FloatArray
from facecli.vectors.distances import normalize

EXACT = np.array(
    [*(one * np.eye(4)[axis] for axis in range(4) for one in (1, -1))]
    + [np.array(signs) / 2 for signs in itertools.product((1, -1), repeat=4)],
    np.float32,
)
"""24 unit vectors whose dot products are multiples of a half: exact, and with many ties."""

rows = st.lists(
    st.tuples(st.integers(0, 23), st.integers(-1, 4), st.integers(0, 2)), min_size=2, max_size=40
)


class Found(NamedTuple):
    """What one query found, by the definitions."""

    hits: list[bool]
    average_precision_at_r: float
    precision_at_r: float


def by_loops(
    vectors: FloatArray, labels: list[int], ks: tuple[int, ...], apart: list[int] | None
) -> dict[int, Found]:
    """Return what each query found: sort all neighbours, and look at them one after the other."""
    found = {}
    groups = list(range(len(labels))) if apart is None else apart
    for query, label in enumerate(labels):
        near = [
            (float(((vectors[query].astype(float) - vectors[row]) ** 2).sum()), row)
            for row in range(len(labels))
            if labels[row] >= 0 and groups[row] != groups[query]
        ]
        right = [labels[row] == label for _, row in sorted(near)]
        wanted = sum(right)
        if label < 0 or not wanted:
            continue
        precisions = [sum(right[:i]) / i for i in range(1, wanted + 1) if right[i - 1]]
        found[query] = Found(
            [any(right[:k]) for k in ks], sum(precisions) / wanted, sum(right[:wanted]) / wanted
        )
    return found


def circle(*degrees: float) -> FloatArray:
    angles = np.deg2rad(degrees)
    return normalize(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def of_query(found: Retrieval, row: int) -> Found:
    (place,) = np.flatnonzero(found.query_rows == row)
    return Found(
        found.hits[place].tolist(),
        float(found.average_precision_at_r[place]),
        float(found.precision_at_r[place]),
    )


def test_map_at_r_by_hand_is_not_mean_average_precision() -> None:
    """The query at 0° finds its class at places 1, 3 and 4, and R is 3.

    Its average precision is (1 + 2/3 + 3/4) / 3 = .806; at R the fourth place does not count.
    """
    found = of_query(retrieve(circle(0, 10, 20, 30, 40), [7, 7, 2, 7, 7]), 0)
    assert found.hits == [True] * 4
    assert found.average_precision_at_r == pytest.approx((1 + 2 / 3) / 3)
    assert found.precision_at_r == pytest.approx(2 / 3)


def test_the_first_places_count_more_in_map_at_r_than_in_r_precision() -> None:
    """The queries at 0° find one of their two at place 1, and at place 2."""
    first = of_query(retrieve(circle(0, 10, 20, 90), ["a", "a", "b", "a"]), 0)
    second = of_query(retrieve(circle(0, 20, 10, 90), ["a", "a", "b", "a"]), 0)
    assert (first.precision_at_r, second.precision_at_r) == (0.5, 0.5)
    assert (first.average_precision_at_r, second.average_precision_at_r) == (0.5, 0.25)
    assert (first.hits[0], second.hits[0], second.hits[1]) == (True, False, True)


@given(rows, st.booleans(), st.sampled_from([(1, 2, 4, 8), (3,), (1, 100)]))
def test_agrees_with_plain_loops_also_where_rows_tie(
    drawn: list[tuple[int, int, int]], grouped: bool, ks: tuple[int, ...]
) -> None:
    corners, labels, groups = (list(column) for column in zip(*drawn, strict=True))
    vectors, apart = EXACT[corners], groups if grouped else None
    expected = by_loops(vectors, labels, ks, apart)
    if not expected:
        with pytest.raises(ValueError, match="no row has another one"):
            retrieve(vectors, labels, ks=ks, apart=apart)
        return
    for block in (1, 2**22):
        found = retrieve(vectors, labels, ks=ks, apart=apart, block=block)
        assert found.query_rows.tolist() == list(expected)
        for row, one in expected.items():
            hits, *precisions = of_query(found, row)
            assert hits == one.hits
            assert precisions == pytest.approx(list(one[1:]))
        assert found.recall == pytest.approx(
            {k: np.mean([one.hits[i] for one in expected.values()]) for i, k in enumerate(ks)}
        )


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_plain_loops_on_vectors_as_models_make_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = random.integers(-1, 12, size=150).tolist()
    vectors = normalize(random.normal(size=(13, 128))[labels] + 2 * random.normal(size=(150, 128)))
    expected = by_loops(vectors, labels, (1, 2, 4, 8), None)
    found = retrieve(vectors, labels)
    assert found.map_at_r == pytest.approx(
        np.mean([one.average_precision_at_r for one in expected.values()])
    )
    assert found.r_precision == pytest.approx(
        np.mean([one.precision_at_r for one in expected.values()])
    )
    assert found.query_classes.tolist() == [labels[row] for row in found.query_rows]


def blob(seed: int, classes: int, photos: int, spread: float) -> tuple[FloatArray, list[str]]:
    """Draw rows around a centre a class."""
    random = np.random.default_rng(seed)
    centres = np.repeat(random.normal(size=(classes, 16)), photos, axis=0)
    vectors = normalize(centres + spread * random.normal(size=centres.shape))
    return vectors, [f"c{row // photos}" for row in range(classes * photos)]


@given(st.integers(0, 10**6), st.floats(0.01, 5))
def test_values_are_shares_and_grow_with_k(seed: int, spread: float) -> None:
    vectors, labels = blob(seed, 6, 5, spread)
    found = retrieve(vectors, labels)
    recall = list(found.recall.values())
    assert 0 <= recall[0] <= recall[1] <= recall[2] <= recall[3] <= 1
    assert 0 <= found.map_at_r <= found.r_precision <= 1
    assert (found.average_precision_at_r <= found.precision_at_r + 1e-12).all()


@given(st.integers(0, 10**6))
def test_the_order_of_the_rows_does_not_matter(seed: int) -> None:
    """Without ties, that is: rows at the same squared L2 keep their order."""
    vectors, labels = blob(seed, 5, 4, 1.0)
    order = np.random.default_rng(seed).permutation(len(labels))
    one, other = retrieve(vectors, labels), retrieve(vectors[order], np.array(labels)[order])
    back = np.argsort(order)
    np.testing.assert_allclose(
        other.average_precision_at_r[back], one.average_precision_at_r, atol=1e-12
    )
    np.testing.assert_array_equal(other.hits[back], one.hits)


def test_classes_that_lie_apart_are_perfect() -> None:
    found = retrieve(*blob(0, 8, 6, 0.01))
    assert set(found.recall.values()) == {1.0}
    assert (found.map_at_r, found.r_precision) == (1.0, 1.0)


def test_a_class_of_one_row_is_found_and_does_not_ask_and_an_unknown_row_does_neither() -> None:
    found = retrieve(circle(0, 5, 6, 10), [3, -1, 4, 3])
    assert found.query_rows.tolist() == [0, 3]
    assert found.query_classes.tolist() == [0, 0]
    assert found.recall == {1: 0.0, 2: 1.0, 4: 1.0, 8: 1.0}
    assert (found.map_at_r, found.r_precision) == (0.0, 0.0)


def test_rows_kept_apart_do_not_find_each_other() -> None:
    """Two products are red: two photos of each. Photos of one product are nearest to each other."""
    vectors, colours = circle(0, 1, 40, 41, 20, 21), ["red"] * 4 + ["blue"] * 2
    products = ["mug", "mug", "lid", "lid", "pot", "pot"]
    assert retrieve(vectors, colours).recall[1] == 1.0
    found = retrieve(vectors, colours, apart=products)
    assert found.query_rows.tolist() == [0, 1, 2, 3]  # no other product is blue
    assert found.recall == {1: 0.0, 2: 0.0, 4: 1.0, 8: 1.0}
    assert found.r_precision == 0.0


def test_a_constant_embedding_finds_rows_in_their_order() -> None:
    """A collapsed model: all rows tie, so only the class of the first rows finds its own first."""
    vectors = np.repeat(circle(30), 12, axis=0)
    found = retrieve(vectors, np.arange(12) // 3)
    assert found.recall[1] == 3 / 12


@pytest.mark.parametrize(
    ("vectors", "labels", "more", "reason"),
    [
        (circle(0, 1), [1, 2], {}, "no row has another one"),
        (circle(0, 1), [-1, -1], {}, "no row has another one"),
        (circle(0, 1)[:0], np.empty(0, np.int64), {}, "no row has another one"),
        (circle(0, 1), [1, 1], {"apart": [5, 5]}, "no row has another one"),
        (circle(0, 1), [1, 1], {"apart": [5]}, "`apart` has"),
        (circle(0, 1), [1, 1, 1], {}, "need as many labels"),
        (circle(0, 1), [1, 1], {"ks": (0,)}, "1 or more"),
        (circle(0, 1), [1, 1], {"ks": ()}, "1 or more"),
        (2 * circle(0, 1), [1, 1], {}, "not unit vectors"),
        (np.full((2, 2), np.nan, np.float32), [1, 1], {}, "not unit vectors"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    vectors: FloatArray, labels: list[int], more: dict[str, list[int]], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        retrieve(vectors, labels, **more)  # type: ignore[arg-type]


@pytest.mark.slow
def test_lfw_s_development_photos_take_less_than_a_second() -> None:
    """2,761 rows of 128 take about 0.1 s; the best of three, as other programs run beside."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 1711, size=2761)
    vectors = normalize(random.normal(size=(2761, 128)))
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        retrieve(vectors, labels)
        taken.append(time.perf_counter() - start)
    assert min(taken) < 1.0
