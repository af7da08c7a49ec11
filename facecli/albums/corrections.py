"""Corrections of clusters: names, merges, splits and moves, which all later runs keep.

After a split, move or merge the faces of the clusters concerned stay together as they are, since a
user has looked at them; new faces may join. Each correction is one step to undo.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from facecli.errors import FaceError
from facecli.stores.library.clusters import NEW, AlbumStore, Correction, Fact, StoredFace
from facecli.stores.names import clean_name, name_key

APART = "faces and whole pictures are never in one cluster"


class Corrections:
    """The commands that correct clusters, which are given by their numbers.

    Each raises FaceError and changes nothing if a cluster or photo does not exist, if two faces of
    one photo would become one person, or if a face would be one with a whole picture.
    """

    def __init__(self, store: AlbumStore) -> None:
        self._store = store

    def name(self, number: int, name: str) -> str:
        """Name the person of a cluster; return the name as it is stored."""
        members = self._members(number)
        wanted = clean_name(name)
        for other, known in self._store.names().items():
            if other != number and name_key(known) == name_key(wanted):
                if self._store.is_whole(members[0]) is not self._store.is_whole(
                    self._members(other)[0]
                ):
                    raise FaceError(f"{known} is cluster {other} already: {APART}")
                raise FaceError(f"{known} is cluster {other} already: merge {other} and {number}")
        ended = self._facts_of(members, "name")
        fact = Fact(0, "name", members[0].id, name=wanted)
        self._store.correct(f"name {number} {wanted}", facts=[fact], ended=ended)
        return wanted

    def merge(self, into: int, others: Sequence[int]) -> None:
        """Say that clusters are one person, with the number and the name of `into`.

        If `into` has no name, the person gets the first name of the others.
        """
        groups = [self._members(number) for number in dict.fromkeys([into, *others])]
        if len(groups) < 2:
            raise FaceError(f"cluster {into}: name another cluster to merge it with")
        faces = [one for group in groups for one in group]
        self._refuse_twice(faces)
        names = [self._facts_of(group, "name") for group in groups]
        kept = next((own for own in names if own), [])
        dropped = [fact for own in names for fact in own if fact not in kept]
        moved = {one.id: into for group in groups[1:] for one in group}
        listed = " ".join(map(str, [into, *others]))
        ended = [*self._between(faces, faces), *dropped]
        self._store.correct(f"merge {listed}", facts=_bound(faces), ended=ended, moved=moved)

    def split(self, number: int, photos: Iterable[str]) -> int:
        """Say that a cluster's faces in these photos, given by SHA-256, are another person.

        Return the number of the new cluster; the other faces keep name and number.
        """
        members = self._members(number)
        out = [self._face(members, number, sha256) for sha256 in dict.fromkeys(photos)]
        rest = [one for one in members if one not in out]
        if not out or not rest:
            raise FaceError(f"cluster {number}: a split must leave faces on both sides")
        return self._part(f"split {number} into", out, rest, NEW)

    def move(self, number: int, target: int, photos: Iterable[str]) -> None:
        """Move a cluster's faces in these photos, given by SHA-256, to the cluster `target`."""
        if number == target:
            raise FaceError(f"cluster {number}: the faces are there already")
        members, others = self._members(number), self._members(target)
        out = [self._face(members, number, sha256) for sha256 in dict.fromkeys(photos)]
        if not out:
            raise FaceError(f"cluster {number}: name at least one photo to move")
        self._refuse_twice([*out, *others])
        rest = [one for one in members if one not in out]
        self._part(f"move {len(out)} from {number} to {target}", out, rest, target, joined=others)

    def not_same(self, one: int, other: int) -> None:
        """Say that two clusters are different people: they are never merged."""
        first, second = self._members(one)[0], self._members(other)[0]
        if first.id == second.id:
            raise FaceError(f"cluster {one}: name another cluster that it differs from")
        self._store.correct(
            f"not-same {one} {other}", facts=[Fact(0, "different", first.id, second.id)]
        )

    def undo(self) -> Correction:
        """Take back the last correction and return it."""
        undone = self._store.undo()
        if undone is None:
            raise FaceError("there is no correction to undo")
        return undone

    def _part(
        self,
        said: str,
        out: Sequence[StoredFace],
        rest: Sequence[StoredFace],
        target: int,
        *,
        joined: Sequence[StoredFace] = (),
    ) -> int:
        """Part faces from the rest of their cluster and bind them to those of another.

        Return the number of that one if it is NEW. The rest keeps the name, even if it was given
        for one of the faces that leave.
        """
        together = [*joined, *out]
        facts = [*_bound(together), *_bound(rest)]
        if rest:
            facts.append(Fact(0, "different", together[0].id, rest[0].id))
        names = {fact.one: fact for fact in self._store.facts() if fact.kind == "name"}
        leaving = [names[one.id] for one in out if one.id in names]
        if leaving and rest and not any(one.id in names for one in rest):
            facts.append(Fact(0, "name", rest[0].id, name=leaving[0].name))
        ended = [*self._touching(out), *self._between(out, joined), *(one.id for one in leaving)]
        moved = {one.id: target for one in out}
        return self._store.correct(said, facts=facts, ended=ended, moved=moved)

    def _members(self, number: int) -> list[StoredFace]:
        members = self._store.members(number)
        if not members:
            raise FaceError(f"cluster {number}: there is none; `facecli cluster DIR` lists them")
        return members

    def _face(self, members: Sequence[StoredFace], number: int, sha256: str) -> StoredFace:
        for one in members:
            if one.sha256 == sha256:
                return one
        raise FaceError(f"cluster {number}: no face of it is in that photo")

    def _refuse_twice(self, faces: Sequence[StoredFace]) -> None:
        """Raise FaceError if a photo would show one person twice, or a person would be a thing."""
        one_each = {face.identity: face for face in faces}.values()
        if len({self._store.is_whole(face) for face in one_each}) > 1:
            raise FaceError(APART)
        seen: set[str] = set()
        for one in faces:
            if one.sha256 in seen:
                where = self._store.path_of(one.sha256) or f"photo {one.sha256[:12]}"
                raise FaceError(f"{where}: shows both, and nobody is in a photo twice")
            seen.add(one.sha256)

    def _facts_of(self, faces: Sequence[StoredFace], kind: str) -> list[int]:
        """Return the ids of the facts of a kind that are about one of the faces."""
        ids = {one.id for one in faces}
        return [fact.id for fact in self._store.facts() if fact.kind == kind and fact.one in ids]

    def _touching(self, faces: Sequence[StoredFace]) -> list[int]:
        """Return the ids of the facts that bind one of the faces to another face."""
        ids = {one.id for one in faces}
        return [
            fact.id
            for fact in self._store.facts()
            if fact.kind == "same" and ids & {fact.one, fact.other}
        ]

    def _between(self, faces: Sequence[StoredFace], others: Sequence[StoredFace]) -> list[int]:
        """Return the ids of the facts that say that faces differ from the others."""
        ids, theirs = {one.id for one in faces}, {one.id for one in others}
        return [
            fact.id
            for fact in self._store.facts()
            if fact.kind == "different"
            and (
                (fact.one in ids and fact.other in theirs)
                or (fact.one in theirs and fact.other in ids)
            )
        ]


def _bound(faces: Sequence[StoredFace]) -> list[Fact]:
    """Return the facts that bind faces to the first of them."""
    return [Fact(0, "same", faces[0].id, one.id) for one in faces[1:]]
