"""Remember people: look at every photo, decide about all of them together, then store.

`examine` looks at each photo by itself; `judge` compares what is left with the gallery and with
each other; `store` writes everything accepted in one transaction. A dry run stops before `store`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from facecli.errors import FingerprintMismatch
from facecli.recognition.screening import LookAlike, Outcome, PhotoOutcome, examine
from facecli.stores.contract import GalleryStore
from facecli.stores.names import name_key
from facecli.types import ModelCard, NewTemplate, Person, TemplateMatrix
from facecli.vectors.neighbours import nearest_by_owner

__all__ = ["LookAlike", "Outcome", "PhotoOutcome", "examine", "judge", "store"]


def judge(
    outcomes: Iterable[PhotoOutcome],
    gallery: GalleryStore,
    card: ModelCard,
    *,
    threshold: float,
    allow_look_alikes: bool = False,
) -> list[PhotoOutcome]:
    """Compare the photos accepted so far with the gallery and with each other.

    Of two names given to one face in a batch both are refused, since nothing says which is wrong;
    `allow_look_alikes` accepts them with a warning, for twins. Photos of one person that resemble
    none of the person's others are accepted with a warning.
    """
    people = gallery.people()
    judged = _refuse_conflicting_ids(list(outcomes), people)
    judged = _refuse_known_pictures(judged, gallery, card.fingerprint)
    repeats = _repeats(judged)
    for place, first in repeats.items():
        reason = f"the same picture as {judged[first].source}"
        judged[place] = judged[place].refuse(Outcome.REPEATED, reason)
    try:
        enrolled = gallery.matrix(card)
    except FingerprintMismatch:
        # Enrolling people again is how a gallery moves to another model.
        enrolled = None
    judged = _compare_faces(judged, enrolled, threshold=threshold, allowed=allow_look_alikes)
    for place, first in repeats.items():
        judged[place] = _like_first(judged[place], judged[first])
    known = {name_key(one.name): one.external_id for one in people}
    return [_tell_new_id(one, known) for one in judged]


def _tell_new_id(outcome: PhotoOutcome, known: dict[str, str | None]) -> PhotoOutcome:
    """Say so if nothing but the external id of a photo is stored; `known` are those before."""
    given, before = outcome.external_id, known.get(name_key(outcome.person))
    if outcome.outcome is not Outcome.REPEATED or given in (None, before):
        return outcome
    return replace(outcome, warnings=(*outcome.warnings, f"takes the external id {given}"))


def store(outcomes: Iterable[PhotoOutcome], gallery: GalleryStore, card: ModelCard) -> int:
    """Store everything accepted in one transaction; return how many templates that is.

    An external id counts too if the person's picture is stored already.
    """
    kept = [one for one in outcomes if not one.outcome.refused]
    templates = [one.template for one in kept if one.template is not None]
    ids = {one.person: one.external_id for one in kept if one.external_id is not None}
    return len(gallery.add(templates, card, external_ids=ids)) if kept else 0


def _refuse_conflicting_ids(
    outcomes: Sequence[PhotoOutcome], people: Iterable[Person]
) -> list[PhotoOutcome]:
    """Refuse photos of a person with two external ids, and of people who would share one."""
    ids: dict[str, set[str]] = defaultdict(set)
    holders: dict[str, dict[str, str]] = defaultdict(dict)
    named = [(one.name, one.external_id) for one in people]
    named += [(one.person, one.template.external_id) for one in outcomes if one.template]
    for name, external_id in named:
        if external_id is not None:
            ids[name_key(name)].add(external_id)
            holders[external_id].setdefault(name_key(name), name)
    return [
        _refuse_conflicting_id(outcome, outcome.template, ids, holders)
        if outcome.template
        else outcome
        for outcome in outcomes
    ]


def _refuse_conflicting_id(
    outcome: PhotoOutcome,
    template: NewTemplate,
    ids: dict[str, set[str]],
    holders: dict[str, dict[str, str]],
) -> PhotoOutcome:
    key = name_key(outcome.person)
    if len(ids[key]) > 1:
        listed = " and ".join(sorted(ids[key]))
        return outcome.refuse(
            Outcome.BAD_REQUEST, f"{outcome.person} has the external ids {listed}: are they two?"
        )
    others = [name for held, name in holders[template.external_id or ""].items() if held != key]
    if others:
        reason = f"external id {template.external_id} belongs to {others[0]} too"
        return outcome.refuse(Outcome.BAD_REQUEST, reason)
    return outcome


def _refuse_known_pictures(
    outcomes: Sequence[PhotoOutcome], gallery: GalleryStore, fingerprint: str
) -> list[PhotoOutcome]:
    """Skip pictures of the same person that are stored; refuse those given for another as well.

    Such a picture shows one face, so the second name for it is wrong even where look-alikes are
    allowed; of two names in one batch, both are refused.
    """
    shown = [one.template.image_sha256 for one in outcomes if one.template]
    known = gallery.images_known(shown, fingerprint)
    given: dict[str, dict[str, PhotoOutcome]] = defaultdict(dict)
    for outcome in outcomes:
        if outcome.template:
            names = given[outcome.template.image_sha256]
            names.setdefault(name_key(outcome.person), outcome)
    return [
        _refuse_known_picture(
            outcome,
            known.get(outcome.template.image_sha256, []),
            given[outcome.template.image_sha256],
        )
        if outcome.template
        else outcome
        for outcome in outcomes
    ]


def _refuse_known_picture(
    outcome: PhotoOutcome, stored: Sequence[str], given: dict[str, PhotoOutcome]
) -> PhotoOutcome:
    """Judge one photo by whose picture it is in the gallery and in the batch."""
    key = name_key(outcome.person)
    if key in map(name_key, stored):
        known = replace(outcome, enrolled=True)
        return known.refuse(Outcome.REPEATED, "enrolled already")
    if stored:
        twin = LookAlike(stored[0], 0.0)
        return outcome.refuse(Outcome.LOOK_ALIKE, f"the same picture as {stored[0]}'s", twin)
    for other, first in given.items():
        if other != key:
            twin = LookAlike(first.person, 0.0, first.source)
            reason = f"the same picture as {first.source}, given for {first.person}"
            return outcome.refuse(Outcome.LOOK_ALIKE, reason, twin)
    return outcome


def _repeats(outcomes: Sequence[PhotoOutcome]) -> dict[int, int]:
    """Map the place of each photo whose picture came before to the place where it came first."""
    firsts: dict[str, int] = {}
    repeats: dict[int, int] = {}
    for place, outcome in enumerate(outcomes):
        if outcome.template:
            first = firsts.setdefault(outcome.template.image_sha256, place)
            if first != place:
                repeats[place] = first
    return repeats


def _like_first(repeated: PhotoOutcome, first: PhotoOutcome) -> PhotoOutcome:
    """Refuse a repeated picture for the reasons for which the first of it was refused."""
    if not first.outcome.refused:
        return repeated
    return replace(
        repeated,
        outcome=first.outcome,
        reasons=(*repeated.reasons, *first.reasons),
        look_alike=first.look_alike,
    )


def _compare_faces(
    outcomes: Sequence[PhotoOutcome],
    enrolled: TemplateMatrix | None,
    *,
    threshold: float,
    allowed: bool,
) -> list[PhotoOutcome]:
    """Compare the accepted faces with everyone enrolled and with each other."""
    accepted = [(one, one.template) for one in outcomes if one.template]
    if not accepted:
        return list(outcomes)
    pool = _Pool(enrolled, accepted)
    compared = iter(
        [
            _compare_face(outcome, pool, row, threshold=threshold, allowed=allowed)
            for row, (outcome, _) in enumerate(accepted)
        ]
    )
    return [next(compared) if outcome.template else outcome for outcome in outcomes]


class _Pool:
    """Everyone enrolled and then the faces of the batch, compared by whose they are."""

    def __init__(
        self, enrolled: TemplateMatrix | None, accepted: Sequence[tuple[PhotoOutcome, NewTemplate]]
    ) -> None:
        codes: dict[str, int] = defaultdict(lambda: len(codes))
        batch = [template.embedding for _, template in accepted]
        owners = np.array([codes[name_key(outcome.person)] for outcome, _ in accepted], np.int64)
        pool = np.stack(batch)
        self.people = [outcome.person for outcome, _ in accepted]
        self.sources: list[str | None] = [outcome.source for outcome, _ in accepted]
        start = 0
        if enrolled is not None and len(enrolled.template_ids):
            start = len(enrolled.template_ids)
            code_of = {person: codes[name_key(name)] for person, name in enrolled.names.items()}
            ids = enrolled.person_ids.tolist()
            owners = np.concatenate([np.array([code_of[person] for person in ids]), owners])
            pool = np.concatenate([enrolled.embeddings, pool])
            self.people = [*(enrolled.names[person] for person in ids), *self.people]
            self.sources = [*([None] * start), *self.sources]
        self.neighbours = nearest_by_owner(pool, owners, start)

    def look_alike(self, row: int) -> LookAlike | None:
        """Return the nearest other person of a face of the batch, if there is anyone else."""
        squared = float(self.neighbours.other_squared[row])
        other = int(self.neighbours.other[row])
        if np.isinf(squared):
            return None
        return LookAlike(self.people[other], squared, self.sources[other])

    def own_squared_l2(self, row: int) -> float:
        """Return squared L2 to the nearest other face of the same person, infinite without one."""
        return float(self.neighbours.own_squared[row])


def _compare_face(
    outcome: PhotoOutcome, pool: _Pool, row: int, *, threshold: float, allowed: bool
) -> PhotoOutcome:
    """Judge one face by its nearest other person and by its own person's other photos."""
    warnings = list(outcome.warnings)
    own = pool.own_squared_l2(row)
    if threshold < own < np.inf:
        warnings.append(
            f"unlike every other photo of {outcome.person}: the nearest is squared L2 {own:.3f}"
        )
    twin = pool.look_alike(row)
    if twin is None or twin.squared_l2 > threshold:
        return replace(outcome, warnings=tuple(warnings))
    where = f" in {twin.source}" if twin.source else ", who is enrolled"
    likeness = f"looks like {twin.person}{where}: squared L2 {twin.squared_l2:.3f}"
    if not allowed:
        return replace(outcome, warnings=tuple(warnings)).refuse(Outcome.LOOK_ALIKE, likeness, twin)
    return replace(outcome, warnings=(*warnings, likeness), look_alike=twin)
