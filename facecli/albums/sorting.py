"""Sort the faces of many photos into people with numbers that stay, as corrections demand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from facecli.albums.grouping import Cluster, ClusteredFace, Grouping, threshold_among
from facecli.albums.links import Links
from facecli.albums.naming import Namer
from facecli.clustering import cluster
from facecli.clustering.kmeans import mean_directions
from facecli.errors import FaceError
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.finding import overlap
from facecli.faces.quality import usable_for_enrollment
from facecli.stores.library.clusters import AlbumStore, StoredFace
from facecli.types import BoolArray, Box, Face, Failure, FloatArray, IntArray
from facecli.vectors.distances import paired_squared_l2

SAME_BOX = 0.5
"""Overlap (intersection over union) from which two boxes in a photo are one face."""


LEAST_CONFIDENCE = 0.99
"""The detector's for a face that may found a cluster. Of 2,761 people's photos 0.5 % are below."""

LEAST_INSIDE = 0.75
"""Share of a box inside the photo. Of the same photos 0.5 % are below; what is cut off is black."""


@dataclass(frozen=True, slots=True)
class FaceTable:
    """The faces of different pictures, row by row: copies of a picture count once.

    `places` maps a picture's SHA-256 and a face's number in it to its row in `embeddings`, float32
    (n, d), `photos` int64 (n,), the number of its picture, and `sightings`. `weak` (n,) marks
    those that would not be enrolled, may be no face, or are cut off.
    """

    places: dict[tuple[str, int], int]
    embeddings: FloatArray
    photos: IntArray
    sightings: tuple[StoredFace, ...]
    weak: BoolArray

    @classmethod
    def of(cls, pictures: Iterable[EmbeddedPicture], store: AlbumStore) -> FaceTable:
        """Gather all faces, each with what is stored of it."""
        different = {picture.sha256: picture for picture in pictures if picture.faces}
        known: dict[str, list[StoredFace]] = {sha256: [] for sha256 in different}
        for sighting in store.sightings(different):
            known[sighting.sha256].append(sighting)
        counts = [len(picture.faces) for picture in different.values()]
        return cls(
            places={
                key: row
                for row, key in enumerate(
                    (picture.sha256, place)
                    for picture in different.values()
                    for place in range(len(picture.faces))
                )
            },
            embeddings=np.concatenate([picture.embeddings for picture in different.values()]),
            photos=np.repeat(np.arange(len(counts)), counts),
            sightings=tuple(
                sighting
                for picture in different.values()
                for sighting in _matched(picture, known[picture.sha256])
            ),
            weak=np.array(
                [
                    _is_weak(face, picture.size)
                    for picture in different.values()
                    for face in picture.faces
                ],
                dtype=bool,
            ),
        )


def _is_weak(face: Face, size: tuple[int, int]) -> bool:
    """Tell whether a face is too poor, too doubtful or too far cut off to found a cluster."""
    left, top, right, bottom = face.detection.box
    width = min(right, size[0]) - max(left, 0)
    height = min(bottom, size[1]) - max(top, 0)
    cut = max(width, 0) * max(height, 0) < LEAST_INSIDE * face.detection.area
    unsure = face.detection.confidence < LEAST_CONFIDENCE
    return cut or unsure or bool(usable_for_enrollment(face.quality))


def _matched(picture: EmbeddedPicture, known: Sequence[StoredFace]) -> list[StoredFace]:
    """Return what is stored of each face of a picture: each stored one is one of them at most."""
    boxes = [face.detection.box for face in picture.faces]
    overlaps = sorted(
        (-overlap(box, one.box), place, row)
        for place, box in enumerate(boxes)
        for row, one in enumerate(known)
    )
    chosen: dict[int, int] = {}
    for shared, place, row in overlaps:
        if -shared >= SAME_BOX and place not in chosen and row not in chosen.values():
            chosen[place] = row
    return [
        replace(known[chosen[place]], box=box)
        if place in chosen
        else StoredFace(0, picture.sha256, box, 0, 0.0)
        for place, box in enumerate(boxes)
    ]


def same_box(a: Box, b: Box) -> bool:
    """Tell whether two boxes in a photo are one face."""
    return overlap(a, b) >= SAME_BOX


def group(
    pictures: Sequence[EmbeddedPicture | Failure],
    *,
    store: AlbumStore,
    threshold: float,
    rates: Mapping[str, float] | None = None,
    k: int | None = None,
    min_photos: int = 2,
    namer: Namer | None = None,
) -> Grouping:
    """Cluster every face, into `k` clusters or as many as the threshold and corrections give.

    With `rates`, as `threshold_among` takes them, many faces are sorted within less than the
    threshold. Two faces of one photo never share a cluster. A cluster keeps the number of the
    earlier one that it has most faces in common with. Raises FaceError if there are no faces, or if
    they cannot make `k` clusters.
    """
    seen = [one for one in pictures if isinstance(one, EmbeddedPicture)]
    if not any(picture.faces for picture in seen):
        raise FaceError(f"no face in {len(pictures)} photo{'s' * (len(pictures) != 1)}")
    faces = FaceTable.of(seen, store)
    within = threshold_among(len(faces.sightings), threshold, rates or {})
    links = _links(store)
    together, apart = _constraints(faces.sightings, links)
    try:
        labels = cluster(
            faces.embeddings,
            threshold=within,
            k=k,
            cannot_link=faces.photos,
            together=together,
            apart=apart,
            weak=faces.weak & [not one.id or links.name(one.id) is None for one in faces.sightings],
        ).labels
    except ValueError as error:
        raise FaceError(str(error)) from error
    numbers = _numbers(labels, faces.sightings, links)
    squared = _spread(faces.embeddings, labels)
    numbered = [
        replace(one, identity=numbers.get(label, 0), squared_l2=value)
        for one, label, value in zip(
            faces.sightings, labels.tolist(), squared.tolist(), strict=True
        )
    ]
    store.record(numbered, labels.tolist())
    grouping = regroup(pictures, store=store, min_photos=min_photos, namer=namer)
    return replace(grouping, threshold=within, overruled=links.overruled)


def regroup(
    pictures: Sequence[EmbeddedPicture | Failure],
    *,
    store: AlbumStore,
    min_photos: int = 2,
    namer: Namer | None = None,
) -> Grouping:
    """Return pictures that `group` has sorted as they are now, after corrections."""
    seen = [one for one in pictures if isinstance(one, EmbeddedPicture)]
    faces = FaceTable.of(seen, store)
    # A face forgotten since is nobody's: numbers below 0 keep each to itself.
    identities = [one.identity or -row for row, one in enumerate(faces.sightings, start=1)]
    numbers, labels = np.unique(np.array(identities, np.int64), return_inverse=True)
    members = _members(seen, faces, labels, numbers.tolist())
    given = store.names()
    names = {
        label: given[number] for label, number in enumerate(numbers.tolist()) if number in given
    }
    enrolled = namer.names(faces.embeddings, labels, faces.photos, given=names) if namer else {}
    clusters = [
        Cluster(number, names.get(label, enrolled.get(label)), label in enrolled, members[label])
        for label, number in enumerate(numbers.tolist())
    ]
    return Grouping(
        clusters=tuple(sorted(clusters, key=lambda one: (-len(one.faces), one.number))),
        without_face=tuple(picture.source for picture in seen if not picture.faces),
        failures=tuple(one for one in pictures if isinstance(one, Failure)),
        photos=len(pictures),
        min_photos=min_photos,
    )


def _members(
    pictures: Iterable[EmbeddedPicture], faces: FaceTable, labels: IntArray, numbers: Sequence[int]
) -> list[tuple[ClusteredFace, ...]]:
    """Return the faces of each cluster, the most typical first, with those of copied pictures."""
    squared = _spread(faces.embeddings, labels)
    members: list[list[ClusteredFace]] = [[] for _ in numbers]
    for picture in pictures:
        for place, face in enumerate(picture.faces):
            row = faces.places[picture.sha256, place]
            members[labels[row]].append(
                ClusteredFace(
                    source=picture.source,
                    sha256=picture.sha256,
                    face=place,
                    box=face.detection.box,
                    confidence=face.detection.confidence,
                    cluster=numbers[labels[row]],
                    squared_l2=float(squared[row]),
                    weak=bool(faces.weak[row]),
                )
            )
    return [tuple(sorted(one, key=lambda face: face.squared_l2)) for one in members]


def _links(store: AlbumStore) -> Links:
    facts = store.facts()
    if not facts:
        return Links({})
    return Links.of(facts, {one.id: one.sha256 for one in store.sightings()})


def _constraints(
    sightings: Sequence[StoredFace], links: Links
) -> tuple[list[int] | None, list[tuple[int, int]] | None]:
    """Return the group of each face, and the rows of faces that must not share a cluster."""
    groups = [links.group(one.id) if one.id else -row for row, one in enumerate(sightings, 1)]
    if len(set(groups)) == len(groups) and not links.apart():
        return None, None
    rows = dict(zip(groups, range(len(groups)), strict=True))
    apart = [(rows[a], rows[b]) for a, b in links.apart() if a in rows and b in rows]
    return groups, apart


def _numbers(labels: IntArray, sightings: Sequence[StoredFace], links: Links) -> dict[int, int]:
    """Give clusters the numbers of those they continue: the faces in common decide.

    A cluster that holds the face a name was given for goes first, since the number goes with the
    name. Each number is given once; clusters of nothing but new faces have none.
    """
    shared: dict[tuple[int, int], list[int]] = {}
    for label, one in zip(labels.tolist(), sightings, strict=True):
        if one.identity:
            count = shared.setdefault((label, one.identity), [0, 0])
            count[0] += bool(one.id and links.name(one.id))
            count[1] += 1
    numbers: dict[int, int] = {}
    taken: set[int] = set()
    order = sorted(shared, key=lambda pair: (-shared[pair][0], -shared[pair][1], pair[1], pair[0]))
    for label, identity in order:
        if label not in numbers and identity not in taken:
            numbers[label] = identity
            taken.add(identity)
    return numbers


def _spread(embeddings: FloatArray, labels: IntArray) -> FloatArray:
    """Return the squared L2 of each face to its cluster's centroid, float32 (n,)."""
    return paired_squared_l2(embeddings, mean_directions(embeddings, labels)[labels])
