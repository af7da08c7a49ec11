"""Sort the faces of many photos into people, without knowing anyone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from facecli.clustering import cluster
from facecli.distances import paired_squared_l2
from facecli.errors import FaceError
from facecli.recognition.embedding import EmbeddedPicture
from facecli.types import Box, Failure


@dataclass(frozen=True, slots=True)
class ClusteredFace:
    """One face and where it belongs.

    `face` counts from 0 in its photo, the largest first. `cluster` counts from 1, the largest
    first. `squared_l2` is to the cluster's centroid, small for a typical face of it.
    """

    source: str
    face: int
    box: Box
    confidence: float
    cluster: int
    squared_l2: float


@dataclass(frozen=True, slots=True)
class Grouping:
    """All faces of a set of photos, cluster by cluster, each cluster's most typical face first.

    A cluster of one face is somebody seen once. `without_face` and `failures` are the photos that
    gave nothing.
    """

    clusters: tuple[tuple[ClusteredFace, ...], ...]
    without_face: tuple[str, ...]
    failures: tuple[Failure, ...]
    photos: int

    @property
    def people(self) -> tuple[tuple[ClusteredFace, ...], ...]:
        """Return the clusters of two faces or more."""
        return tuple(faces for faces in self.clusters if len(faces) > 1)

    @property
    def seen_once(self) -> tuple[ClusteredFace, ...]:
        """Return the faces that are alone in their cluster."""
        return tuple(faces[0] for faces in self.clusters if len(faces) == 1)


def group(
    pictures: Iterable[EmbeddedPicture | Failure], *, threshold: float, k: int | None = None
) -> Grouping:
    """Cluster every face of the pictures, into `k` clusters or as many as the threshold gives.

    Two faces of one photo never share a cluster. Raises FaceError if there are no faces, or if
    they cannot make `k` clusters.
    """
    seen: list[EmbeddedPicture] = []
    failures: list[Failure] = []
    for item in pictures:
        if isinstance(item, Failure):
            failures.append(item)
        else:
            seen.append(item)
    if not any(picture.faces for picture in seen):
        raise FaceError(f"no face in {len(seen) + len(failures)} photos")
    return Grouping(
        clusters=_clusters(seen, threshold=threshold, k=k),
        without_face=tuple(picture.source for picture in seen if not picture.faces),
        failures=tuple(failures),
        photos=len(seen) + len(failures),
    )


def _clusters(
    pictures: list[EmbeddedPicture], *, threshold: float, k: int | None
) -> tuple[tuple[ClusteredFace, ...], ...]:
    embeddings = np.concatenate([picture.embeddings for picture in pictures])
    photos = np.repeat(np.arange(len(pictures)), [len(picture.faces) for picture in pictures])
    try:
        found = cluster(embeddings, threshold=threshold, k=k, cannot_link=photos)
    except ValueError as error:
        raise FaceError(str(error)) from error
    squared = paired_squared_l2(embeddings, found.centroids[found.labels])
    faces = [
        (picture.source, place, face.detection)
        for picture in pictures
        for place, face in enumerate(picture.faces)
    ]
    members: list[list[ClusteredFace]] = [[] for _ in range(int(found.labels.max()) + 1)]
    for row in np.argsort(squared, kind="stable"):
        source, place, detection = faces[row]
        label = int(found.labels[row])
        members[label].append(
            ClusteredFace(
                source=source,
                face=place,
                box=detection.box,
                confidence=detection.confidence,
                cluster=label + 1,
                squared_l2=float(squared[row]),
            )
        )
    return tuple(tuple(one) for one in members)
