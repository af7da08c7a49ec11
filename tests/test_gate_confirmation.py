"""From looks to one decision: what it takes to be named, and that doubt is never a name."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from facecli.gate.confirmation import MAX_TRIES, Vote, conclude
from facecli.recognition.decisions import Status

ADA = Vote(Status.MATCH, "Ada", 0.2)
NEARLY_ADA = Vote(Status.MATCH, "Ada", 0.4)
BOB = Vote(Status.MATCH, "Bob", 0.3)
NOBODY = Vote(Status.UNKNOWN)
TORN = Vote(Status.AMBIGUOUS)
VOTES = st.lists(st.sampled_from([ADA, BOB, NOBODY, TORN]), max_size=12)


def status(*votes: Vote, over: bool = False) -> Status | None:
    outcome = conclude(votes, 3, over=over)
    return None if outcome is None else outcome.status


def test_three_looks_that_agree_are_a_match_at_the_worst_of_their_squared_l2() -> None:
    outcome = conclude([ADA, NEARLY_ADA, ADA], 3, over=False)
    assert outcome is not None
    assert (outcome.status, outcome.person, outcome.squared_l2) == (Status.MATCH, "Ada", 0.4)


def test_two_looks_are_not_enough_and_are_ambiguous_when_the_face_is_gone() -> None:
    assert status(ADA, ADA) is None
    assert status(ADA, ADA, over=True) is Status.AMBIGUOUS


def test_looks_must_agree_in_a_row() -> None:
    assert status(ADA, ADA, NOBODY) is None
    assert status(ADA, ADA, NOBODY, ADA, ADA) is None
    assert status(ADA, ADA, NOBODY, ADA, ADA, ADA) is Status.MATCH


def test_unknown_takes_patience_or_the_end() -> None:
    assert status(*[NOBODY] * 8) is None
    assert status(*[NOBODY] * 9) is Status.UNKNOWN
    assert status(NOBODY, over=True) is Status.UNKNOWN


def test_a_face_never_looked_at_well_has_no_outcome() -> None:
    assert status(over=True) is None


def slow_match(votes: Sequence[Vote], confirm: int) -> str | None:
    """Return who is named, by the rule as it is told."""
    named = {vote.person for vote in votes if vote.person}
    for person in ("Ada", "Bob"):
        if named == {person} and [vote.person for vote in votes[-confirm:]] == [person] * confirm:
            return person
    return None


@given(VOTES, st.integers(1, 4), st.booleans())
def test_nobody_is_named_but_by_the_last_looks_and_without_a_word_against(
    votes: list[Vote], confirm: int, over: bool
) -> None:
    outcome = conclude(votes, confirm, over=over)
    expected = slow_match(votes, confirm)
    assert (outcome.person if outcome else None) == expected
    assert (outcome is not None and outcome.status is Status.MATCH) == (expected is not None)


@given(VOTES, st.integers(1, 4))
def test_whoever_was_taken_for_two_people_is_never_a_match(votes: list[Vote], confirm: int) -> None:
    for both in ([ADA, BOB, *votes], [*votes, BOB, ADA]):
        outcome = conclude(both, confirm, over=True)
        assert outcome is not None
        assert outcome.status is Status.AMBIGUOUS


@given(VOTES, st.integers(1, 4))
def test_every_face_seen_well_gets_an_outcome(votes: list[Vote], confirm: int) -> None:
    """At the end always, and without it after patience at the latest."""
    assert (conclude(votes, confirm, over=True) is None) == (not votes)
    if len(votes) >= MAX_TRIES * confirm:
        assert conclude(votes, confirm, over=False) is not None
