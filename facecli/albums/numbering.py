"""The numbers of clusters, which stay the same from run to run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from facecli.albums.links import Links
from facecli.stores.library.clusters import StoredFace


@dataclass(frozen=True, slots=True)
class _Side:
    """The photos and the groups of linked faces on one side of the question who may meet whom."""

    photos: set[str] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)

    def add(self, face: StoredFace, links: Links) -> None:
        self.photos.add(face.sha256)
        if face.id:
            self.groups.add(links.group(face.id))

    def may_meet(self, other: _Side, apart: Mapping[int, set[int]]) -> bool:
        """Tell whether both can be one person: in no photo twice, and not said to differ."""
        return self.photos.isdisjoint(other.photos) and not any(
            apart[group] & other.groups for group in self.groups if group in apart
        )


def number_clusters(
    faces: Sequence[StoredFace],
    labels: Sequence[int],
    *,
    absent: Iterable[StoredFace],
    links: Links,
) -> tuple[list[StoredFace], list[int]]:
    """Give each cluster the number of the earlier cluster that it shares most faces with.

    `labels` says which cluster each of the faces is in. `absent` are the stored faces of photos
    that are not part of this run: those that corrections bind to one of the faces move with it, the
    others stay where they are. Return the faces and those that move, with the number of their
    cluster as `identity`, and their labels. The number is 0 for a cluster that continues none.
    """
    label_of = {links.group(one.id): at for one, at in zip(faces, labels, strict=True) if one.id}
    moving: list[tuple[StoredFace, int]] = []
    staying: dict[int, _Side] = defaultdict(_Side)
    for one in absent:
        label = label_of.get(links.group(one.id))
        if label is None:
            staying[one.identity].add(one, links)
        else:
            moving.append((one, label))
    placed = [*zip(faces, labels, strict=True), *moving]
    numbers = _numbers(placed, staying, links)
    numbered = [replace(one, identity=numbers.get(label, 0)) for one, label in placed]
    return numbered, [label for _, label in placed]


def _numbers(
    placed: Sequence[tuple[StoredFace, int]], staying: Mapping[int, _Side], links: Links
) -> dict[int, int]:
    """Return the number of each cluster that continues an earlier one.

    A cluster that holds a face with a name goes first, since the number goes with the name. Each
    number is given once, and not to a cluster that may not meet the faces that stay there.
    """
    apart = _enemies(links)
    sides: dict[int, _Side] = defaultdict(_Side)
    shared: dict[tuple[int, int], list[int]] = {}
    for one, label in placed:
        sides[label].add(one, links)
        if one.identity:
            count = shared.setdefault((label, one.identity), [0, 0])
            count[0] += bool(one.id and links.name(one.id))
            count[1] += 1
    numbers: dict[int, int] = {}
    taken: set[int] = set()
    order = sorted(shared, key=lambda pair: (-shared[pair][0], -shared[pair][1], pair[1], pair[0]))
    for label, number in order:
        if label in numbers or number in taken:
            continue
        if number not in staying or sides[label].may_meet(staying[number], apart):
            numbers[label] = number
            taken.add(number)
    return numbers


def _enemies(links: Links) -> dict[int, set[int]]:
    """Return the groups that each group is known to differ from."""
    found: dict[int, set[int]] = defaultdict(set)
    for one, other in links.apart():
        found[one].add(other)
        found[other].add(one)
    return found
