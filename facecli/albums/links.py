"""What the next clustering must keep of all corrections: who belongs together and who does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from facecli.stores.library.clusters import Fact
from facecli.stores.names import name_key


@dataclass
class Links:
    """Groups of stored faces that corrections bind together. The newest facts count first.

    `photos` maps the id of a face to its photo; a person has one face in a photo. `overruled`
    counts the facts that contradict newer ones and are ignored.
    """

    photos: Mapping[int, str]
    overruled: int = 0
    _parent: dict[int, int] = field(default_factory=dict)
    _foes: dict[int, set[int]] = field(default_factory=dict)
    _seen: dict[int, set[str]] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Iterable[Fact], photos: Mapping[int, str]) -> Links:
        """Build the groups from facts, the newest first, about all faces in the library."""
        links = cls(photos)
        named: dict[str, int] = {}
        for fact in facts:
            if fact.kind == "name":
                assert fact.name is not None
                first = named.setdefault(name_key(fact.name), fact.one)
                agreed = links._name(fact.one, fact.name) and links._bind(first, fact.one)
            else:
                assert fact.other is not None
                act = links._bind if fact.kind == "same" else links._part
                agreed = act(fact.one, fact.other)
            links.overruled += not agreed
        return links

    def group(self, sighting: int) -> int:
        """Return the group of a face: the id of the face that stands for it."""
        root = sighting
        while (up := self._parent.get(root, root)) != root:
            root = up
        while (up := self._parent.get(sighting, sighting)) != root:
            self._parent[sighting] = root
            sighting = up
        return root

    def name(self, sighting: int) -> str | None:
        """Return the name of the group of a face, the newest one; None if it has no name."""
        return self._names.get(self.group(sighting))

    def apart(self) -> set[tuple[int, int]]:
        """Return the pairs of groups that are different people, the lower id first."""
        pairs = {(one, other) for one, foes in self._foes.items() for other in foes}
        pairs.update(combinations(self._names, 2))
        return {(min(pair), max(pair)) for pair in pairs}

    def _name(self, sighting: int, name: str) -> bool:
        root = self.group(sighting)
        known = self._names.setdefault(root, name)
        return name_key(known) == name_key(name)

    def _part(self, one: int, other: int) -> bool:
        first, second = self.group(one), self.group(other)
        if first == second:
            return False
        self._foes.setdefault(first, set()).add(second)
        self._foes.setdefault(second, set()).add(first)
        return True

    def _bind(self, one: int, other: int) -> bool:
        """Make two groups one, unless a newer fact contradicts it; tell whether it was done."""
        first, second = self.group(one), self.group(other)
        if first == second:
            return True
        names = [self._names[root] for root in (first, second) if root in self._names]
        shown = [self._photos_of(root) for root in (first, second)]
        if (
            second in self._foes.get(first, ())
            or len(set(map(name_key, names))) > 1
            or shown[0] & shown[1]
        ):
            return False
        self._parent[second] = first
        self._seen[first] = shown[0] | shown[1]
        for foe in self._foes.pop(second, set()):
            self._foes[foe].discard(second)
            self._foes[foe].add(first)
            self._foes.setdefault(first, set()).add(foe)
        self._names.pop(second, None)
        if names:
            self._names[first] = names[0]
        return True

    def _photos_of(self, root: int) -> set[str]:
        return self._seen.get(root) or {self.photos[root]}
