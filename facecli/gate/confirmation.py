"""From looks to a decision: one frame can be wrong, several that agree seldom are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facecli.recognition.decisions import Status

MAX_TRIES = 3
"""A face has this many times the looks a match takes before it is called unknown."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What one usable look said of a face; `person` and `squared_l2` are set for a match."""

    status: Status
    person: str | None = None
    squared_l2: float | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the looks amount to; `squared_l2` is the largest of those that agreed on a match."""

    status: Status
    reason: str
    person: str | None = None
    squared_l2: float | None = None


def conclude(votes: Sequence[Vote], confirm: int, *, over: bool) -> Conclusion | None:
    """Decide about one appearance, None while it is too early.

    It is a match when the last `confirm` looks name one person and no look ever named another. If
    that has not come after MAX_TRIES times as many looks, or the appearance is `over`, the face is
    unknown where every look says so, else ambiguous.
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
