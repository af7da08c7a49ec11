"""LFW's protocol on embeddings that can be worked out by hand, and against plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import embedded, embedding, squared_l2_of

from facecli.errors import FaceError
from facecli.evaluation.lfw import measure_pairs, squared_l2_of_pairs
from facecli.evaluation.pairlists import PairList
from facecli.faces.embedding import EmbeddedPicture
from facecli.types import Failure


def listed(pairs: list[tuple[str, str, bool]], *, folds: list[int] | None = None) -> PairList:
    return PairList(
        source=Path("pairs.txt"),
        first=tuple(Path(a) for a, _, _ in pairs),
        second=tuple(Path(b) for _, b, _ in pairs),
        same=np.array([same for _, _, same in pairs], dtype=bool),
        folds=np.array(folds or [0] * len(pairs)),
    )


def seen(pairs: PairList, faces: dict[str, float | None]) -> list[EmbeddedPicture | Failure]:
    """Scan the photos: each has a face so many steps from the first, or none."""
    return [
        embedded(str(path))
        if (angle := faces[str(path)]) is None
        else embedded(str(path), embedding(0, angle))
        for path in pairs.photos
    ]


def test_accuracy_at_the_threshold_in_force_and_at_the_best_are_told_apart() -> None:
    """Genuine pairs 4 and 12 steps apart, impostor pairs 8 and 20: any threshold errs once."""
    pairs = listed([("a", "b", True), ("a", "c", True), ("a", "d", False), ("a", "e", False)])
    scanned = seen(pairs, {"a": 0, "b": 4, "c": 12, "d": 8, "e": 20})
    result = measure_pairs(pairs, scanned, threshold=squared_l2_of(25))
    assert (result.accuracy, result.best_accuracy) == (0.5, 0.75)
    assert squared_l2_of(4) < result.best_threshold < squared_l2_of(8)
    assert result.folds is None
    assert (result.false_matches.errors, result.false_non_matches.errors) == (2, 0)
    assert (result.eer, result.auc) == (0.5, 0.75)
    assert [point.val for point in result.val] == [None] * 3


def test_a_pair_with_a_lost_photo_never_matches_and_stays_counted() -> None:
    pairs = listed([("a", "b", True), ("a", "lost", True), ("a", "d", False), ("lost", "d", False)])
    scanned = seen(pairs, {"a": 0, "b": 4, "lost": None, "d": 40})
    result = measure_pairs(pairs, scanned, threshold=4.0)
    assert (result.genuine, result.impostor, result.lost) == (2, 2, 2)
    assert result.accuracy == pytest.approx(0.5)  # rejects the lost pairs, accepts both others
    assert (result.false_non_matches.errors, result.false_matches.errors) == (1, 1)
    assert [failure.source for failure in result.failures] == ["lost"]
    assert result.unreadable == 0


def test_an_unreadable_photo_is_lost_as_well_and_told_apart() -> None:
    pairs = listed([("a", "b", True), ("a", "c", False), ("b", "d", False)])
    faces = {"a": 0.0, "b": 1.0, "c": 30.0}
    scanned = [
        embedded(name, embedding(0, faces[name])) if name in faces else Failure(name, "is empty")
        for name in "abcd"
    ]
    result = measure_pairs(pairs, scanned, threshold=0.5)
    assert (result.lost, result.unreadable, result.photos) == (1, 1, 4)


def test_nothing_but_lost_pairs_is_an_error() -> None:
    pairs = listed([("a", "b", True), ("c", "d", False)])
    scanned = seen(pairs, {"a": 0, "b": None, "c": 0, "d": 40})
    with pytest.raises(FaceError, match="needs genuine and impostor pairs"):
        measure_pairs(pairs, scanned, threshold=1.0)


def test_a_list_of_one_kind_is_an_error() -> None:
    pairs = listed([("a", "b", True)])
    with pytest.raises(FaceError, match="genuine and impostor"):
        measure_pairs(pairs, seen(pairs, {"a": 0, "b": 1}), threshold=1.0)


def test_each_fold_takes_the_threshold_from_the_others() -> None:
    """Fold 1 is separable at 10 steps, fold 2 at 30; each is judged by the other's threshold."""
    pairs = listed(
        [("a", "b", True), ("a", "c", False), ("a", "d", True), ("a", "e", False)],
        folds=[0, 0, 1, 1],
    )
    result = measure_pairs(
        pairs, seen(pairs, {"a": 0, "b": 8, "c": 12, "d": 28, "e": 32}), threshold=1.0
    )
    assert result.folds is not None
    assert result.folds.accuracies.tolist() == [0.5, 0.5]  # c matches under 30; d fails over 10
    assert result.folds.standard_error == 0.0
    assert result.best_accuracy == 0.75


def test_squared_l2_follow_the_order_of_the_list() -> None:
    random = np.random.default_rng(3)
    names = [f"p{place}" for place in range(9)]
    angles = dict(zip(names, random.uniform(0, 60, 9).tolist(), strict=True))
    rows = [tuple(random.choice(names, 2, replace=False)) for _ in range(40)]
    pairs = listed([(a, b, bool(place % 2)) for place, (a, b) in enumerate(rows)])
    squared, _ = squared_l2_of_pairs(pairs, seen(pairs, dict(angles)))
    expected = [squared_l2_of(angles[a] - angles[b]) for a, b in rows]
    np.testing.assert_allclose(squared, expected, atol=1e-6)
