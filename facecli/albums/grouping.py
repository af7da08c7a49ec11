"""The result of sorting photos into people: clusters, their numbers and their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from facecli.types import Box, Failure, Subject

STRANGERS = 0.2
"""The number of strangers within the threshold of a face that is accepted, on average.

With more faces, more strangers are as near as other photos of the same person. 0.2 is a strict
choice, since two people in one cluster are worse than one person in two clusters. With the start
weights of facecli-128, LFW's 2,761 development photos stay at 1.1, with 0.1 strangers per face, a
BCubed F of 0.989 and a precision of 0.988; the best F, 0.991, was at 1.05. Of these and 3,657 faces
of CelebA together, 0.2 gives 1.099, an F of 0.941 and a precision of 0.989; at 1.15, with 0.6
strangers per face, these were 0.945 and 0.978. Over 500 to 35,000 faces and three earlier models,
the best F had 0.1 to 3 strangers per face.
"""


@dataclass(frozen=True, slots=True)
class ClusteredFace:
    """One face of a photo, and its cluster.

    `face` counts the faces of the photo from 0, the largest first. `cluster` is the number of the
    cluster. `squared_l2` is the squared L2 to the cluster's centroid: small for a typical face. A
    `weak` face is too small, blurred, dark, turned away, cut off or doubtful to start a cluster: it
    joins one or stays alone.
    """

    source: str
    sha256: str
    face: int
    box: Box
    confidence: float
    cluster: int
    squared_l2: float
    weak: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """The faces of one person, the most typical first.

    `number` stays the same from run to run as long as most of the faces stay. `name` is the name
    that a user gave the cluster. Without one it is the name of an enrolled person, and then
    `enrolled` is true; or it is None.
    """

    number: int
    name: str | None
    enrolled: bool
    faces: tuple[ClusteredFace, ...]

    @property
    def photos(self) -> int:
        """The number of different pictures."""
        return len({face.sha256 for face in self.faces})


@dataclass(frozen=True, slots=True)
class Grouping:
    """All faces of a set of photos in clusters, the largest first.

    Clusters without a name in fewer than `min_photos` photos are not among the `people`.
    `without_face` are photos without a face, `failures` those that cannot be read. `threshold`, in
    squared L2, is the one the faces were sorted with. `overruled` counts the facts from corrections
    that contradict newer ones and are ignored. With a model that looks at whole pictures, which is
    its `subject`, each picture counts as one face.
    """

    clusters: tuple[Cluster, ...]
    without_face: tuple[str, ...]
    failures: tuple[Failure, ...]
    photos: int
    min_photos: int = 2
    threshold: float = 0.0
    overruled: int = 0
    subject: Subject = Subject.FACE

    @property
    def people(self) -> tuple[Cluster, ...]:
        """The clusters with a name or enough photos."""
        return tuple(one for one in self.clusters if self._counts(one))

    @property
    def seen_once(self) -> tuple[ClusteredFace, ...]:
        """The faces of all other clusters."""
        return tuple(face for one in self.clusters if not self._counts(one) for face in one.faces)

    def _counts(self, one: Cluster) -> bool:
        return one.name is not None or one.photos >= self.min_photos


def threshold_among(faces: int, threshold: float, rates: Mapping[str, float]) -> float:
    """Return the threshold in squared L2 for this number of faces, which is at most `threshold`.

    `rates` maps false match rates such as "1e-4" to squared L2, as a model's card does. Between and
    beyond these rates the squared L2 is assumed to be linear in the logarithm of the rate. With
    fewer than two rates the threshold is returned as it is.
    """
    import numpy as np

    known = sorted((float(rate), squared) for rate, squared in rates.items())
    if len(known) < 2 or not faces:
        return threshold
    logs = np.log([rate for rate, _ in known])
    squared = np.array([value for _, value in known])
    wanted = np.log(STRANGERS / faces)
    slope = (squared[1] - squared[0]) / (logs[1] - logs[0])
    found = np.interp(wanted, logs, squared) + min(0.0, wanted - logs[0]) * slope
    return min(threshold, max(0.0, float(found)))
