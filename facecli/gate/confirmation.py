"""Decide about a face from several looks: one can be wrong, several that agree rarely are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facecli.recognition.decisions import Status

MAX_TRIES = 3
"""A face is called unknown or ambiguous after this many times the looks that a match needs."""


@dataclass(frozen=True, slots=True)
class Vote:
    """The result of one usable look at a face; `person` and `squared_l2` are set for a match."""

    status: Status
    person: str | None = None
    squared_l2: float | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The decision about an appearance.

    `person` and `squared_l2` are set for a match. `squared_l2` is the largest of the looks that
    agreed.
    """

    status: Status
    reason: str
    person: str | None = None
    squared_l2: float | None = None


def conclude(votes: Sequence[Vote], confirm: int, *, over: bool) -> Conclusion | None:
    """Decide about one appearance; return None while it is too early.

    The result is a match if the last `confirm` looks name one person and no look named another
    person. If there is no match after MAX_TRIES * `confirm` looks, or when the appearance is
    `over`, the face is unknown if every look says unknown. Otherwise it is ambiguous.
    """
    named = {vote.person for vote in votes if vote.person is not None}
    last = votes[-confirm:]
    agreed = [vote.squared_l2 for vote in last if vote.squared_l2 is not None]
    if len(named) == 1 and len(agreed) == confirm:
        return Conclusion(
            Status.MATCH, f"looks in a row that agree: {confirm}", named.pop(), max(agreed)
        )
    if not votes or not (over or len(votes) >= MAX_TRIES * confirm):
        return None
    if all(vote.status is Status.UNKNOWN for vote in votes):
        return Conclusion(Status.UNKNOWN, "nobody is within the threshold")
    if len(named) > 1:
        return Conclusion(Status.AMBIGUOUS, "the looks name different people")
    if len(votes) < confirm:
        return Conclusion(Status.AMBIGUOUS, f"only {len(votes)} of {confirm} looks were usable")
    return Conclusion(Status.AMBIGUOUS, "the looks do not agree")
