"""Sort the faces of many photos into people, with numbers that stay and corrections that hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from facecli.albums.facetable import FaceTable
from facecli.albums.grouping import Cluster, ClusteredFace, Grouping, threshold_among
from facecli.albums.links import Links
from facecli.albums.naming import Namer
from facecli.albums.numbering import number_clusters
from facecli.clustering import cluster
from facecli.clustering.kmeans import mean_directions
from facecli.errors import FaceError
from facecli.faces.embedding import EmbeddedPicture
from facecli.stores.library.clusters import AlbumStore, StoredFace
from facecli.types import Failure, FloatArray, IntArray, Subject
from facecli.vectors.distances import paired_squared_l2


@dataclass(frozen=True, slots=True)
class _Corrected:
    """What corrections say, and the stored faces of photos that are not part of this run.

    Those faces are listed only if there are corrections: without them they play no part.
    """

    links: Links
    absent: tuple[StoredFace, ...] = ()

    @classmethod
    def of(cls, pictures: Iterable[EmbeddedPicture], store: AlbumStore) -> _Corrected:
        facts = store.facts()
        if not facts:
            return cls(Links({}))
        everyone = store.sightings()
        present = {picture.sha256 for picture in pictures}
        return cls(
            Links.of(facts, {one.id: one.sha256 for one in everyone}),
            tuple(one for one in everyone if one.sha256 not in present),
        )


def group(
    pictures: Sequence[EmbeddedPicture | Failure],
    *,
    store: AlbumStore,
    threshold: float,
    rates: Mapping[str, float] | None = None,
    k: int | None = None,
    min_photos: int = 2,
    namer: Namer | None = None,
    subject: Subject = Subject.FACE,
) -> Grouping:
    """Cluster all faces into `k` clusters, or into as many as threshold and corrections give.

    With `rates`, as `threshold_among` takes them, many faces are sorted with less than the
    threshold. Two faces of one photo never share a cluster. A cluster keeps the number of the
    earlier cluster that it shares most faces with. `subject` is what the model looks at: clusters
    of faces and of whole pictures have nothing in common. Raises FaceError if there are no faces,
    or if they cannot make `k` clusters.
    """
    seen = [one for one in pictures if isinstance(one, EmbeddedPicture)]
    if not any(picture.faces for picture in seen):
        raise FaceError(f"no face in {len(pictures)} photo{'s' * (len(pictures) != 1)}")
    faces = FaceTable.of(seen, store, subject)
    within = threshold_among(len(faces.stored), threshold, rates or {})
    corrected = _Corrected.of(seen, store)
    labels = _cluster(faces, corrected, threshold=within, k=k)
    squared = _spread(faces.embeddings, labels).tolist()
    placed = [
        replace(one, squared_l2=value) for one, value in zip(faces.stored, squared, strict=True)
    ]
    store.record(
        *number_clusters(placed, labels.tolist(), absent=corrected.absent, links=corrected.links)
    )
    grouping = regroup(pictures, store=store, min_photos=min_photos, namer=namer, subject=subject)
    return replace(grouping, threshold=within, overruled=corrected.links.overruled)


def _cluster(
    faces: FaceTable, corrected: _Corrected, *, threshold: float, k: int | None
) -> IntArray:
    """Return the cluster of each face, int64 (n,), such that corrections hold."""
    links = corrected.links
    together, apart = _constraints(faces.stored, corrected)
    unnamed = [not one.id or links.name(one.id) is None for one in faces.stored]
    try:
        return cluster(
            faces.embeddings,
            threshold=threshold,
            k=k,
            cannot_link=faces.photos,
            together=together,
            apart=apart,
            weak=faces.weak & unnamed,
        ).labels
    except ValueError as error:
        raise FaceError(str(error)) from error


def _constraints(
    stored: Sequence[StoredFace], corrected: _Corrected
) -> tuple[list[int] | None, list[tuple[int, int]] | None]:
    """Return the group of each face, and the rows of faces that must not share a cluster."""
    links = corrected.links
    groups = [links.group(one.id) if one.id else -row for row, one in enumerate(stored, 1)]
    rows = dict(zip(groups, range(len(groups)), strict=True))
    different = links.apart() | _side_by_side(corrected, rows)
    if len(rows) == len(groups) and not different:
        return None, None
    return groups, [(rows[a], rows[b]) for a, b in different if a in rows and b in rows]


def _side_by_side(corrected: _Corrected, groups: Collection[int]) -> set[tuple[int, int]]:
    """Return the pairs of these groups that have a face each in one of the absent photos."""
    shown: dict[str, set[int]] = defaultdict(set)
    for one in corrected.absent:
        group = corrected.links.group(one.id)
        if group in groups:
            shown[one.sha256].add(group)
    return {pair for found in shown.values() for pair in combinations(sorted(found), 2)}


def regroup(
    pictures: Sequence[EmbeddedPicture | Failure],
    *,
    store: AlbumStore,
    min_photos: int = 2,
    namer: Namer | None = None,
    subject: Subject = Subject.FACE,
) -> Grouping:
    """Return the clusters of pictures that `group` has sorted, with all corrections made since."""
    seen = [one for one in pictures if isinstance(one, EmbeddedPicture)]
    faces = FaceTable.of(seen, store, subject)
    # A face that was forgotten since has no cluster: a number below 0 keeps it to itself.
    identities = [one.identity or -row for row, one in enumerate(faces.stored, start=1)]
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
        subject=subject,
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


def _spread(embeddings: FloatArray, labels: IntArray) -> FloatArray:
    """Return the squared L2 of each face to its cluster's centroid, float32 (n,)."""
    return paired_squared_l2(embeddings, mean_directions(embeddings, labels)[labels])
