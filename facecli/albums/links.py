"""What corrections demand of the next clustering: who belongs together, who does not, and names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from facecli.stores.library.clusters import Fact
from facecli.stores.names import name_key


@dataclass
class Links:
    """Sightings bound together, by the newest of what was said about them.

    `photos` maps a sighting to its photo, of which a person has one face. `overruled` counts facts
    that contradict newer ones and therefore are passed over.
    """

    photos: Mapping[int, str]
    overruled: int = 0
    _parent: dict[int, int] = field(default_factory=dict)
    _foes: dict[int, set[int]] = field(default_factory=dict)
    _seen: dict[int, set[str]] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, facts: Iterable[Fact], photos: Mapping[int, str]) -> Links:
        """Gather facts, the newest first; what is known of faces out of sight binds those seen."""
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
        """Return what stands for all that is bound to a sighting."""
        root = sighting
        while (up := self._parent.get(root, root)) != root:
            root = up
        while (up := self._parent.get(sighting, sighting)) != root:
            self._parent[sighting] = root
            sighting = up
        return root

    def name(self, sighting: int) -> str | None:
        """Return the name of the person a sighting is bound to, as it was last given."""
        return self._names.get(self.group(sighting))

    def apart(self) -> set[tuple[int, int]]:
        """Return the groups that are different people, the lower first."""
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
        """Make two groups one; tell whether nothing newer speaks against it."""
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
