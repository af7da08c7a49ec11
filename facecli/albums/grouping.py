"""What sorting photos into people gives, and what each of them is called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from facecli.types import Box, Failure

STRANGERS = 0.2
"""Strangers that may lie within the threshold of a face among all those it is sorted with.

The more faces, the more strangers come as near as one's own photos. Over 500 to 35,000 faces (LFW's
development people, CelebA, all training chips) and three models the best BCubed F let in 0.1 to 3 a
face; a fifth is at the strict end, since two people in one album are worse than one in two. It cost
0.003 of F on LFW, 0.005 on CelebA's 16,000 and 0.026 on all 35,000, where a fixed threshold of FMR
1e-4 had a precision of 0.924 and this one 0.969.
"""


@dataclass(frozen=True, slots=True)
class ClusteredFace:
    """One face and where it belongs.

    `face` counts from 0 in its photo, the largest first. `cluster` is the number of its cluster.
    `squared_l2` is to the cluster's centroid, small for a typical face of it. A `weak` one is too
    small, blurred, dark, turned away, cut off or doubtful to found a cluster: it joins people or
    stays alone.
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
    """The faces taken for one person, the most typical first.

    `number` is the same in every run, as long as most of its faces are. `name` is what somebody
    called it, or else, and then `enrolled` is true, who of the gallery it is.
    """

    number: int
    name: str | None
    enrolled: bool
    faces: tuple[ClusteredFace, ...]

    @property
    def photos(self) -> int:
        """Number of different pictures."""
        return len({face.sha256 for face in self.faces})


@dataclass(frozen=True, slots=True)
class Grouping:
    """All faces of a set of photos, cluster by cluster, those of most faces first.

    Whoever is in fewer than `min_photos` photos and has no name is not one of the `people`.
    `without_face` and `failures` are the photos that gave nothing. `threshold`, in squared L2, is
    what they were last sorted with, and `overruled` counts what was said against newer corrections.
    """

    clusters: tuple[Cluster, ...]
    without_face: tuple[str, ...]
    failures: tuple[Failure, ...]
    photos: int
    min_photos: int = 2
    threshold: float = 0.0
    overruled: int = 0

    @property
    def people(self) -> tuple[Cluster, ...]:
        """Return those with a name or enough photos."""
        return tuple(one for one in self.clusters if self._counts(one))

    @property
    def seen_once(self) -> tuple[ClusteredFace, ...]:
        """Return the faces of everybody else."""
        return tuple(face for one in self.clusters if not self._counts(one) for face in one.faces)

    def _counts(self, one: Cluster) -> bool:
        return one.name is not None or one.photos >= self.min_photos


def threshold_among(faces: int, threshold: float, rates: Mapping[str, float]) -> float:
    """Return the squared L2 within which so many faces are sorted, at most `threshold`.

    `rates` maps false match rates such as "1e-4" to squared L2, as a model's card does. Between and
    beyond them the squared L2 is taken to be linear in the rate's logarithm. A model that states
    fewer than two keeps its threshold.
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
