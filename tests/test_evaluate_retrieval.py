"""Retrieval in a folder of people: the measures, their intervals, and k-means against people."""

from __future__ import annotations

import numpy as np
import pytest
from people import crowd, samples_of

from facecli.evaluation.folders import person_numbers
from facecli.evaluation.retrieval import Mean, RetrievalResult, measure_retrieval
from facecli.metrics import interval, normalized_mutual_information, retrieve, times_drawn
from facecli.vectors.distances import normalize

EYE = np.eye(40, 128, dtype=np.float32)


def ends(one: Mean) -> tuple[float, float]:
    assert one.interval is not None
    return one.interval.low, one.interval.high


def test_the_means_are_those_of_the_metrics_with_intervals_around_them() -> None:
    samples = crowd(0, people=30, photos=5, unnamed=7, spread=1.2)
    found = measure_retrieval(samples)
    plain = retrieve(samples.embeddings, person_numbers(samples))
    assert (found.photos, found.queries, found.people) == (150, 150, 30)
    assert {k: one.value for k, one in found.recall.items()} == pytest.approx(plain.recall)
    assert (found.map_at_r.value, found.r_precision.value) == (plain.map_at_r, plain.r_precision)
    for one in found.named().values():
        low, high = ends(one)
        assert 0 <= low < one.value < high <= 1
    assert found.nmi is not None
    assert 0 < found.nmi < 1


def test_intervals_are_of_people_drawn_with_all_their_photos() -> None:
    samples = crowd(1, people=12, photos=6, spread=1.4)
    plain = retrieve(samples.embeddings, person_numbers(samples))
    draws = times_drawn(12, replicates=1000, seed=0)
    each = plain.average_precision_at_r.reshape(12, 6).sum(axis=1)
    expected = interval(plain.map_at_r, draws @ each / (draws.sum(axis=1) * 6))
    assert ends(measure_retrieval(samples).map_at_r) == pytest.approx((expected.low, expected.high))


def perfect() -> RetrievalResult:
    """Thirty people of two equal photos each, and ten of one photo."""
    rows = np.concatenate([np.repeat(EYE[:30], 2, axis=0), EYE[30:]])
    people = [f"p{row // 2:02}" for row in range(60)] + [f"q{row}" for row in range(10)]
    return measure_retrieval(samples_of(rows, people))


def test_where_all_is_found_an_interval_still_says_how_few_people_there_were() -> None:
    """The rule of three for MAP@R, the exact limit of 60 photos for Recall."""
    found = perfect()
    assert (found.photos, found.queries, found.people) == (70, 60, 30)
    assert {one.value for one in found.named().values()} == {1.0}
    assert ends(found.map_at_r) == ends(found.r_precision) == (0.9, 1.0)
    assert ends(found.recall[1]) == pytest.approx((0.9404, 1.0), abs=1e-4)


def test_people_who_lie_apart_are_found_by_k_means() -> None:
    assert perfect().nmi == pytest.approx(1.0)


def test_k_means_finds_more_than_chance() -> None:
    samples = crowd(3, people=20, photos=8, spread=0.8)
    labels = person_numbers(samples)
    shuffled = np.random.default_rng(0).permutation(labels)
    found = measure_retrieval(samples).nmi
    assert found is not None
    assert found > normalized_mutual_information(labels, shuffled) + 0.3


def test_one_person_with_two_photos_has_no_intervals_where_errors_are_many() -> None:
    """Nearest to each of Ada's 40 photos is one of Bob's photos, who is also Cleo, and so on."""
    random = np.random.default_rng(0)
    ada = normalize(random.normal(size=(40, 128)))
    others = normalize(ada + 0.01 * random.normal(size=ada.shape))
    people = ["ada"] * 40 + [f"other{row}" for row in range(40)]
    found = measure_retrieval(samples_of(np.concatenate([ada, others]), people))
    assert (found.queries, found.people) == (40, 1)
    assert found.recall[1] == Mean(0.0, None)
    assert found.map_at_r.interval is None


def test_too_many_photos_of_too_many_people_are_not_clustered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("facecli.evaluation.retrieval.LARGEST_CLUSTERING", 70 * 40 - 1)
    found = perfect()
    assert found.nmi is None
    assert found.nmi_reason == "too many to cluster: 70 photos of 40 people"
    assert found.map_at_r.value == 1.0


def test_a_constant_embedding_is_measured_like_any_other() -> None:
    rows = np.repeat(EYE[:1], 12, axis=0)
    found = measure_retrieval(samples_of(rows, [f"p{row // 3}" for row in range(12)]))
    assert found.recall[1].value == 3 / 12
    assert found.nmi is not None
    assert found == measure_retrieval(samples_of(rows, [f"p{row // 3}" for row in range(12)]))


def test_nobody_with_two_photos_is_refused() -> None:
    with pytest.raises(ValueError, match="no row has another one"):
        measure_retrieval(samples_of(EYE[:2], ["a", "b"]))
