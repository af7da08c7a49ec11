"""Decide who the faces of one photo are, all of them together: no person is in a photo twice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from facecli.types import BoolArray, IntArray

Distances = npt.NDArray[np.float64]

UNASSIGNED = -1


class Why(StrEnum):
    """What decided about a face."""

    NEAREST = "one person is clearly the nearest"
    NOBODY_NEAR = "nobody is within the threshold"
    PERSON_TAKEN = "the person it resembles is another face of the photo"
    RUNNER_UP = "two people are closer to each other than the gap"
    VOTE = "the vote of the nearest templates names someone else"
    ARRANGEMENT = "all faces of the photo together fit better otherwise"
    OTHER_FACE = "another face of the photo is as near to that person"


class Status(StrEnum):
    """The answer for a face, or for a photo without one."""

    MATCH = "match"
    UNKNOWN = "unknown"
    AMBIGUOUS = "ambiguous"
    NO_FACE = "no face"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one face.

    `person` is the column of the match, else None; `rival` the column of the other person the
    reason speaks of, and `other_face` the row of the other face, where there is one.
    """

    status: Status
    why: Why
    person: int | None = None
    rival: int | None = None
    other_face: int | None = None


def assign(squared: Distances, threshold: float) -> IntArray:
    """Give each face (row) at most one person (column) and each person at most one face.

    `squared` is squared L2 (faces, people), infinite where a pair is out of the question. Nobody
    beyond the threshold is given; the sum of min(squared L2, threshold) is least, a face without a
    person counting as the threshold. Returns columns int64 (faces,), UNASSIGNED for none.
    """
    from scipy.optimize import linear_sum_assignment

    faces, people = squared.shape
    near = squared <= threshold
    # Just above the threshold, so that a person exactly at it is preferred to nobody.
    nobody = threshold * (1 + 1e-9) + 1e-9
    cost = np.full((faces, people + faces), nobody)
    cost[:, :people] = np.where(near, squared, 3 * nobody)
    rows, columns = linear_sum_assignment(cost)
    given = np.full(faces, UNASSIGNED, dtype=np.int64)
    given[rows] = np.where(columns < people, columns, UNASSIGNED)
    return given


def decide(squared: Distances, votes: Distances, *, threshold: float, gap: float) -> list[Decision]:
    """Decide for each face of one photo between the people near it.

    `squared` is squared L2 (faces, people) to each person's nearest template; `votes` of the same
    shape weighs each person's share in the k-nearest-neighbour vote. Two values closer than `gap`
    are not told apart. A face is a match only where every one of these holds for one person: within
    the threshold and clearly nearest; the vote agrees; so does the joint assignment; and no other
    face of the photo is as near to that person. People who clearly are another face of the photo
    are out of the question.
    """
    if not squared.size:
        return [Decision(Status.UNKNOWN, Why.NOBODY_NEAR) for _ in squared]
    photo = _Photo(np.where(squared <= threshold, squared, np.inf), threshold, gap)
    return [_decide_one(photo, face, votes[face]) for face in range(len(squared))]


class _Photo:
    """The comparisons of one photo's faces, infinite beyond the threshold."""

    def __init__(self, squared: Distances, threshold: float, gap: float) -> None:
        self.squared = squared
        self.gap = gap
        self.given = assign(squared, threshold)
        nearest = squared.min(axis=1, keepdims=True)
        self.claims: BoolArray = np.isfinite(squared) & ~self.clearly_nearer(nearest, squared)

    def clearly_nearer(self, a: npt.ArrayLike, b: npt.ArrayLike) -> BoolArray:
        """Tell where `a` is less than `b` by at least the gap."""
        first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        return (first < second) & (first + self.gap <= second)

    def taken_from(self, face: int) -> BoolArray:
        """Tell which people are another face: assigned to one that is clearly nearer to them."""
        taken = np.zeros(self.squared.shape[1], dtype=np.bool_)
        for other, person in enumerate(self.given):
            if other != face and person != UNASSIGNED:
                distances = self.squared[[other, face], person]
                taken[person] = self.clearly_nearer(distances[0], distances[1])
        return taken

    def contender(self, face: int, person: int) -> int | None:
        """Return another face that may as well be this person, if there is one."""
        column = self.squared[:, person]
        as_near = self.claims[:, person] & ~self.clearly_nearer(column[face], column)
        as_near[face] = False
        return int(np.argmax(as_near)) if as_near.any() else None


def _decide_one(photo: _Photo, face: int, votes: Distances) -> Decision:
    row = photo.squared[face]
    nearest = int(np.argmin(row))
    if np.isinf(row[nearest]):
        return Decision(Status.UNKNOWN, Why.NOBODY_NEAR)
    free = np.where(photo.taken_from(face), np.inf, row)
    best = int(np.argmin(free))
    if np.isinf(free[best]):
        return Decision(Status.UNKNOWN, Why.PERSON_TAKEN, rival=nearest)
    if photo.clearly_nearer(row[nearest], free[best]):
        return Decision(Status.AMBIGUOUS, Why.PERSON_TAKEN, rival=nearest)
    others = free.copy()
    others[best] = np.inf
    runner_up = int(np.argmin(others))
    if np.isfinite(others[runner_up]) and not photo.clearly_nearer(free[best], others[runner_up]):
        return Decision(Status.AMBIGUOUS, Why.RUNNER_UP, rival=runner_up)
    elected = int(np.argmax(np.where(np.isfinite(free), votes, -np.inf)))
    if votes[elected] > votes[best]:
        return Decision(Status.AMBIGUOUS, Why.VOTE, rival=elected)
    if photo.given[face] != best:
        given = int(photo.given[face])
        rival = None if given == UNASSIGNED else given
        return Decision(Status.AMBIGUOUS, Why.ARRANGEMENT, rival=rival)
    contender = photo.contender(face, best)
    if contender is not None:
        return Decision(Status.AMBIGUOUS, Why.OTHER_FACE, rival=best, other_face=contender)
    return Decision(Status.MATCH, Why.NEAREST, person=best)
