"""Who the faces of one photo are: each rule by hand, and invariants for any comparisons."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.recognition.decisions import (
    UNASSIGNED,
    Decision,
    Distances,
    Status,
    Why,
    assign,
    decide,
)

THRESHOLD, GAP = 1.0, 0.1
FAR = float("inf")


def decided(rows: list[list[float]], votes: list[list[float]] | None = None) -> list[Decision]:
    squared = np.array(rows, dtype=float).reshape(len(rows), -1)
    weights = np.zeros_like(squared) if votes is None else np.array(votes, dtype=float)
    return decide(squared, weights, threshold=THRESHOLD, gap=GAP)


def answers(rows: list[list[float]]) -> list[tuple[Status, int | None]]:
    return [(one.status, one.person) for one in decided(rows)]


def test_a_lone_face_is_its_nearest_person() -> None:
    assert decided([[0.6, 0.3, FAR]]) == [Decision(Status.MATCH, Why.NEAREST, person=1)]


def test_the_threshold_itself_is_a_match_and_anything_above_is_not() -> None:
    assert answers([[THRESHOLD]]) == [(Status.MATCH, 0)]
    assert answers([[np.nextafter(THRESHOLD, 2)]]) == [(Status.UNKNOWN, None)]


def test_a_threshold_of_zero_matches_only_zero() -> None:
    squared = np.array([[0.0, 1e-6]])
    (decision,) = decide(squared, np.zeros((1, 2)), threshold=0.0, gap=0.0)
    assert (decision.status, decision.person) == (Status.MATCH, 0)


def test_nobody_enrolled_is_unknown() -> None:
    empty = np.empty((2, 0))
    decisions = decide(empty, empty, threshold=THRESHOLD, gap=GAP)
    assert decisions == [Decision(Status.UNKNOWN, Why.NOBODY_NEAR)] * 2


@pytest.mark.parametrize(
    ("runner_up", "status"), [(0.39, Status.AMBIGUOUS), (0.41, Status.MATCH), (1.01, Status.MATCH)]
)
def test_a_runner_up_within_the_gap_makes_it_ambiguous(runner_up: float, status: Status) -> None:
    assert decided([[0.3, runner_up]])[0].status is status


def test_a_runner_up_beyond_the_threshold_is_no_rival() -> None:
    assert answers([[0.99, 1.01]]) == [(Status.MATCH, 0)]


def test_a_tie_is_ambiguous_even_without_a_gap() -> None:
    (decision,) = decide(np.array([[0.3, 0.3]]), np.zeros((1, 2)), threshold=1.0, gap=0.0)
    assert decision.status is Status.AMBIGUOUS


def test_a_vote_for_somebody_else_makes_it_ambiguous() -> None:
    (decision,) = decided([[0.3, 0.5]], votes=[[0.7, 0.9]])
    assert decision == Decision(Status.AMBIGUOUS, Why.VOTE, rival=1)


def test_a_drawn_vote_leaves_the_nearest() -> None:
    assert decided([[0.3, 0.5]], votes=[[0.7, 0.7]])[0].status is Status.MATCH


def test_the_worse_of_two_faces_of_one_person_is_unknown() -> None:
    """It resembles only somebody who is clearly the other face of the photo."""
    better, worse = decided([[0.2], [0.8]])
    assert (better.status, better.person) == (Status.MATCH, 0)
    assert worse == Decision(Status.UNKNOWN, Why.PERSON_TAKEN, rival=0)


def test_a_face_that_lost_its_person_is_not_named_after_what_is_left() -> None:
    """Its next candidate is within the threshold but clearly less like it: a person looks."""
    _, loser = decided([[0.1, FAR], [0.5, 0.9]])
    assert loser == Decision(Status.AMBIGUOUS, Why.PERSON_TAKEN, rival=0)


def test_the_other_face_of_a_photo_settles_a_close_race() -> None:
    """Two people are within the gap for the second face, but one of them is the first face."""
    assert answers([[0.1, FAR], [0.50, 0.55]]) == [(Status.MATCH, 0), (Status.MATCH, 1)]


def test_two_faces_as_near_to_one_person_are_both_ambiguous() -> None:
    first, second = decided([[0.30], [0.35]])
    assert first == Decision(Status.AMBIGUOUS, Why.OTHER_FACE, rival=0, other_face=1)
    assert second.status is Status.AMBIGUOUS


def test_a_face_that_is_somebody_else_does_not_contend() -> None:
    """The second face is as near to person 0 as the first, but clearly is person 1."""
    assert answers([[0.3, FAR], [0.3, 0.05]]) == [(Status.MATCH, 0), (Status.MATCH, 1)]


def test_when_the_photo_fits_better_otherwise_nobody_is_named() -> None:
    """Swapping the people costs least in sum, against the first face's own nearest person."""
    first, second = decided([[0.30, 0.50], [0.45, FAR]])
    assert first == Decision(Status.AMBIGUOUS, Why.ARRANGEMENT, rival=1)
    assert second.status is Status.AMBIGUOUS


def slow_assign(squared: Distances, threshold: float) -> float:
    """Return the least cost over every way to give faces people, each at most once."""
    faces, people = squared.shape
    seats = [*range(people), *[UNASSIGNED] * faces]
    return min(
        cost_of(squared, np.array(chosen), threshold)
        for chosen in itertools.permutations(seats, faces)
    )


def cost_of(squared: Distances, given: np.ndarray, threshold: float) -> float:
    total = 0.0
    for face, person in enumerate(given):
        near = person != UNASSIGNED and squared[face, person] <= threshold
        total += float(squared[face, person]) if near else threshold
    return total


tables = st.integers(1, 3).flatmap(
    lambda faces: st.integers(1, 3).flatmap(
        lambda people: st.lists(
            st.floats(0, 2).map(lambda value: round(value, 2)),
            min_size=faces * people,
            max_size=faces * people,
        ).map(lambda values: np.array(values).reshape(faces, people))
    )
)


@given(tables)
def test_assignment_is_the_cheapest_of_all(squared: Distances) -> None:
    given = assign(squared, THRESHOLD)
    people = given[given != UNASSIGNED]
    assert len(set(people.tolist())) == len(people)
    assert all(squared[face, one] <= THRESHOLD for face, one in enumerate(given) if one >= 0)
    assert cost_of(squared, given, THRESHOLD) == pytest.approx(slow_assign(squared, THRESHOLD))


@given(tables)
def test_nobody_is_named_twice_or_beyond_the_threshold(squared: Distances) -> None:
    decisions = decide(squared, np.zeros_like(squared), threshold=THRESHOLD, gap=GAP)
    named = [one.person for one in decisions if one.person is not None]
    assert len(named) == len(set(named))
    for face, decision in enumerate(decisions):
        assert (decision.status is Status.MATCH) == (decision.person is not None)
        if decision.person is not None:
            assert squared[face, decision.person] <= THRESHOLD


@given(tables)
def test_a_name_is_never_far_from_the_best(squared: Distances) -> None:
    """A match is the face's nearest person, or within the gap of it: never a leftover."""
    decisions = decide(squared, np.zeros_like(squared), threshold=THRESHOLD, gap=GAP)
    for face, decision in enumerate(decisions):
        if decision.person is not None:
            assert squared[face, decision.person] - squared[face].min() < GAP + 1e-9


@given(tables, st.randoms())
def test_the_order_of_faces_and_people_does_not_matter(squared: Distances, random: object) -> None:
    order = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    # Distinct values and sums, since ties may fall either way.
    squared = squared + order.random(squared.shape) * 1e-6
    faces, people = order.permutation(len(squared)), order.permutation(squared.shape[1])
    nobody = np.zeros_like(squared)
    plain = decide(squared, nobody, threshold=THRESHOLD, gap=GAP)
    mixed = decide(squared[faces][:, people], nobody, threshold=THRESHOLD, gap=GAP)
    for place, face in enumerate(faces):
        expected = plain[face].person
        found = mixed[place].person
        assert plain[face].status is mixed[place].status
        assert expected == (None if found is None else people[found])


@given(tables)
def test_a_photo_of_one_face_follows_the_simple_rule(squared: Distances) -> None:
    """Nearest within the threshold, and nobody else within the gap and the threshold."""
    row = squared[:1]
    (decision,) = decide(row, np.zeros_like(row), threshold=THRESHOLD, gap=GAP)
    order = np.sort(row[0])
    if order[0] > THRESHOLD:
        expected = Status.UNKNOWN
    elif len(order) > 1 and order[1] <= THRESHOLD and not (order[0] + GAP <= order[1]):
        expected = Status.AMBIGUOUS
    else:
        expected = Status.MATCH
    assert decision.status is expected
