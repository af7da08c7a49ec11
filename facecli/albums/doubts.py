"""What a user should check: faces in a doubtful cluster, and clusters that may be one person.

The measure is the mean squared L2 to all faces of a cluster: clusters were joined by it, too.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from facecli.albums.grouping import Cluster, ClusteredFace, Grouping
from facecli.faces.embedding import EmbeddedPicture
from facecli.stores.library.clusters import AlbumStore
from facecli.types import Failure, FloatArray, IntArray
from facecli.vectors.distances import COMPARISONS_HELD

QUEUE = 60
"""At most this many doubts of each kind are shown: work for one evening."""

NEAR = 1.15
"""Times the threshold: what is up to this far apart may still be one person.

Of LFW's 2,761 development photos, 13 pairs of clusters, one of two photos at least, are one person.
In the first 60 pairs, which are up to 1.1 times the threshold apart, are 6 of them.
"""

GAP = 0.15
"""Times the threshold: a face is doubtful if its own cluster is nearer by less than this.

Of the same photos 30 are in somebody else's cluster. With 0.1, 0.15 and 0.2, 15, 34 and 54 faces
are shown, and 3, 12 and 16 of those 30 are among them.
"""


@dataclass(frozen=True, slots=True)
class DoubtfulFace:
    """A face that may be in the wrong cluster.

    `own` is the mean squared L2 to the other faces of its cluster, `squared_l2` that to the faces
    of the nearest other cluster, and `other` the number of that cluster; None if there is none that
    it could be in.
    """

    face: ClusteredFace
    own: float
    other: int | None
    squared_l2: float


@dataclass(frozen=True, slots=True)
class SimilarClusters:
    """The numbers of two clusters, the larger first, and the mean squared L2 of their faces."""

    one: int
    other: int
    squared_l2: float


@dataclass(frozen=True, slots=True)
class Doubts:
    """What to check, the most doubtful first, at most QUEUE of each kind."""

    faces: tuple[DoubtfulFace, ...]
    clusters: tuple[SimilarClusters, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """All clusters, and all different faces.

    `vectors` float32 (n, d) are the embeddings of the faces, `rows` int64 (n,) their clusters and
    `photos` int64 (n,) their photos. `sizes` (k,) are the numbers of faces in the clusters, and
    `means` float32 (k, d) the means of their vectors, not scaled to unit length.
    """

    clusters: tuple[Cluster, ...]
    faces: tuple[ClusteredFace, ...]
    vectors: FloatArray
    rows: IntArray
    photos: IntArray
    sizes: IntArray
    means: FloatArray


def find_doubts(
    grouping: Grouping,
    pictures: Iterable[EmbeddedPicture | Failure],
    *,
    apart: Collection[tuple[int, int]] = (),
) -> Doubts:
    """Return the doubts about a grouping of these pictures.

    There is no doubt that two clusters are different people if they share a photo, if they have
    different names, or if they are one of the pairs of numbers in `apart`.
    """
    table = _table(grouping, pictures)
    people = {one.number for one in grouping.people}
    limit = grouping.threshold
    alikes = _look_alikes(table, people, {frozenset(pair) for pair in apart}, limit)
    return Doubts(
        faces=tuple(_doubtful(table, limit))[:QUEUE],
        clusters=tuple(itertools.islice(alikes, QUEUE)),
    )


def said_apart(store: AlbumStore) -> set[tuple[int, int]]:
    """Return the numbers of clusters that a correction says are different people, as pairs."""
    facts = [fact for fact in store.facts() if fact.kind == "different"]
    if not facts:
        return set()
    number = {one.id: one.identity for one in store.sightings()}
    return {(number[fact.one], number[fact.other]) for fact in facts if fact.other is not None}


def _table(grouping: Grouping, pictures: Iterable[EmbeddedPicture | Failure]) -> _Table:
    embedding = {
        (picture.sha256, place): vector
        for picture in pictures
        if isinstance(picture, EmbeddedPicture)
        for place, vector in enumerate(picture.embeddings)
    }
    faces = {
        (face.sha256, face.face): (face, row)
        for row, one in enumerate(grouping.clusters)
        for face in one.faces
    }
    vectors = np.stack([embedding[key] for key in faces])
    rows = np.array([row for _, row in faces.values()], np.int64)
    photo = {sha256: number for number, sha256 in enumerate(dict.fromkeys(key[0] for key in faces))}
    sizes = np.bincount(rows, minlength=len(grouping.clusters))
    sums = np.zeros((len(sizes), vectors.shape[1]))
    np.add.at(sums, rows, vectors)
    return _Table(
        clusters=grouping.clusters,
        faces=tuple(face for face, _ in faces.values()),
        vectors=vectors,
        rows=rows,
        photos=np.array([photo[key[0]] for key in faces], np.int64),
        sizes=sizes,
        means=(sums / sizes[:, None]).astype(np.float32),
    )


def _doubtful(table: _Table, threshold: float) -> list[DoubtfulFace]:
    """List the faces, in clusters of two or more, that are nearly as near to another cluster."""
    inside = np.flatnonzero(table.sizes[table.rows] > 1)
    found: list[tuple[float, DoubtfulFace]] = []
    height = max(1, COMPARISONS_HELD // len(table.means))
    for start in range(0, len(inside), height):
        some = inside[start : start + height]
        squared = 2 - 2 * table.vectors[some] @ table.means.T
        place, cluster = np.arange(len(some)), table.rows[some]
        size = table.sizes[cluster]
        # The mean of its own cluster includes the face itself, at squared L2 0.
        own = squared[place, cluster] * size / (size - 1)
        for column, same_photo in enumerate(_in_photos_of(table, some)):
            squared[column, same_photo] = np.inf
        other = squared.argmin(axis=1)
        nearest = squared[place, other]
        torn = (nearest < own + GAP * threshold) & (nearest <= NEAR * threshold)
        for row in np.flatnonzero(torn | (own > NEAR * threshold)).tolist():
            number = table.clusters[other[row]].number if np.isfinite(nearest[row]) else None
            face = table.faces[some[row]]
            doubt = DoubtfulFace(face, float(own[row]), number, float(nearest[row]))
            found.append((float(nearest[row] - own[row]), doubt))
    return [doubt for _, doubt in sorted(found, key=lambda one: one[0])]


def _in_photos_of(table: _Table, faces: IntArray) -> Iterable[IntArray]:
    """Yield, for each face, the clusters with a face in the same photo, its own included."""
    order = np.argsort(table.photos, kind="stable")
    starts = np.searchsorted(table.photos[order], np.arange(table.photos.max() + 2))
    for photo in table.photos[faces]:
        yield table.rows[order[starts[photo] : starts[photo + 1]]]


def _look_alikes(
    table: _Table, people: set[int], apart: Collection[frozenset[int]], threshold: float
) -> Iterable[SimilarClusters]:
    """Yield pairs of clusters that may be one, the nearest first; at least one is a person."""
    photos: dict[int, set[int]] = {}
    for row, photo in zip(table.rows.tolist(), table.photos.tolist(), strict=True):
        photos.setdefault(row, set()).add(photo)
    for squared, first, second in _near_clusters(table.means, NEAR * threshold):
        one, other = table.clusters[first], table.clusters[second]
        two_names = one.name is not None and other.name is not None and one.name != other.name
        if (
            not people.isdisjoint((one.number, other.number))
            and not two_names
            and frozenset((one.number, other.number)) not in apart
            and not photos[first] & photos[second]
        ):
            yield SimilarClusters(one.number, other.number, squared)


def _near_clusters(means: FloatArray, limit: float) -> list[tuple[float, int, int]]:
    """List mean squared L2 and rows of all pairs of clusters within a limit, the nearest first."""
    found: list[tuple[float, int, int]] = []
    height = max(1, COMPARISONS_HELD // len(means))
    for start in range(0, len(means), height):
        squared = 2 - 2 * means[start : start + height] @ means.T
        first, second = np.nonzero(squared <= limit)
        first, values = first + start, squared[first, second]
        kept = first < second
        found += zip(
            values[kept].tolist(), first[kept].tolist(), second[kept].tolist(), strict=True
        )
    return sorted(found)
