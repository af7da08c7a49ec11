"""Look over a gallery: who is like whom, whose photos disagree, whom a second photo would help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facecli.types import TemplateMatrix
from facecli.vectors.neighbours import Neighbours, nearest_by_owner


@dataclass(frozen=True, slots=True)
class Standing:
    """A person among the others, all in squared L2.

    `nearest` is the other person with the nearest template, at `squared_l2`; None for who is
    alone. `spread` is how far the template that is farthest from the person's other ones is from
    the nearest of them, None for a person of one template.
    """

    person: str
    templates: int
    nearest: str | None
    squared_l2: float | None
    spread: float | None


@dataclass(frozen=True, slots=True)
class LookAlikePair:
    """Two people with templates at or under the threshold, in squared L2."""

    person: str
    other: str
    squared_l2: float


@dataclass(frozen=True, slots=True)
class Stray:
    """A template that is not like the person's others, and may be somebody else's photo.

    `own_squared_l2` is to the nearest other template of the person, which is beyond the threshold
    or farther than `other`, the nearest other person, at `squared_l2`.
    """

    person: str
    template: int
    own_squared_l2: float
    other: str | None
    squared_l2: float | None


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found: everyone, the most endangered first; the others nearest or farthest first.

    `look_alikes` holds for each person the nearest other only. `second_photo` names people of one
    template, those most like somebody else first.
    """

    standings: tuple[Standing, ...]
    look_alikes: tuple[LookAlikePair, ...]
    strays: tuple[Stray, ...]
    second_photo: tuple[str, ...]


def survey(matrix: TemplateMatrix, *, threshold: float) -> Survey:
    """Compare all templates of one model with each other, in bounded memory."""
    near = nearest_by_owner(matrix.embeddings, matrix.person_ids, 0)
    standings = sorted(_standings(matrix, near), key=_danger)
    return Survey(
        standings=tuple(standings),
        look_alikes=_look_alikes(standings, threshold),
        strays=_strays(matrix, near, threshold),
        second_photo=tuple(one.person for one in standings if one.templates == 1),
    )


def _danger(standing: Standing) -> float:
    return np.inf if standing.squared_l2 is None else standing.squared_l2


def _standings(matrix: TemplateMatrix, near: Neighbours) -> list[Standing]:
    order = np.lexsort((near.other_squared, matrix.person_ids))
    ids, first, counts = np.unique(matrix.person_ids[order], return_index=True, return_counts=True)
    if not len(ids):
        return []
    spreads = np.maximum.reduceat(near.own_squared[order], first)
    found = []
    for person, row, count, spread in zip(ids, order[first], counts, spreads, strict=True):
        name, squared_l2 = _other(matrix, near, int(row))
        own = float(spread) if count > 1 else None
        found.append(Standing(matrix.names[int(person)], int(count), name, squared_l2, own))
    return found


def _other(matrix: TemplateMatrix, near: Neighbours, row: int) -> tuple[str | None, float | None]:
    """Return who is nearest to a template besides its owner, and how near."""
    squared = float(near.other_squared[row])
    if not np.isfinite(squared):
        return None, None
    return matrix.names[int(matrix.person_ids[near.other[row]])], squared


def _look_alikes(standings: list[Standing], threshold: float) -> tuple[LookAlikePair, ...]:
    """Return the pairs once, though each may be the other's nearest."""
    pairs: dict[frozenset[str], LookAlikePair] = {}
    for one in standings:
        if one.nearest is not None and one.squared_l2 is not None and one.squared_l2 <= threshold:
            pair = LookAlikePair(one.person, one.nearest, one.squared_l2)
            pairs.setdefault(frozenset((one.person, one.nearest)), pair)
    return tuple(pairs.values())


def _strays(matrix: TemplateMatrix, near: Neighbours, threshold: float) -> tuple[Stray, ...]:
    own = near.own_squared
    odd = np.isfinite(own) & ((own > np.float64(threshold)) | (own > near.other_squared))
    rows = np.flatnonzero(odd)
    return tuple(
        Stray(
            matrix.names[int(matrix.person_ids[row])],
            int(matrix.template_ids[row]),
            float(own[row]),
            *_other(matrix, near, int(row)),
        )
        for row in rows[np.argsort(-own[rows], kind="stable")].tolist()
    )
