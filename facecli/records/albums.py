"""Records of sorting photos into people."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Literal, NotRequired, TypedDict, cast

from facecli.records.fields import Box, FailedPhoto, Model, Path, Sha256, SquaredL2, Utc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facecli.albums.export import Export
    from facecli.albums.grouping import Cluster, ClusteredFace, Grouping
    from facecli.stores.library.clusters import Correction
    from facecli.types import Failure, ModelCard


class ClusteredFaceRecord(TypedDict):
    """One face and the cluster it is in."""

    kind: Literal["clustered_face"]
    path: Path
    sha256: Sha256
    face: Annotated[int, "number of the face in the photo, 0 for the largest"]
    box: Box
    confidence: Annotated[float, "the detector's, 0 to 1"]
    cluster: Annotated[int, "number of the cluster, which it keeps from run to run"]
    squared_l2: Annotated[SquaredL2, "to the centre of the cluster"]
    weak: Annotated[bool, "whether the face is too poor to found a cluster"]
    cluster_size: Annotated[int, "faces in the cluster"]
    name: Annotated[str | None, "name of the cluster's person"]
    enrolled: Annotated[bool, "whether the name comes from the gallery"]


class ClusteringRecord(TypedDict):
    """All photos of one run."""

    kind: Literal["clustering"]
    photos: int
    faces: int
    people: Annotated[int, "clusters with a name or enough photos"]
    seen_once: Annotated[int, "faces of all other clusters"]
    without_face: Annotated[list[str], "paths of photos without a face"]
    unreadable: Annotated[list[FailedPhoto], "photos that could not be used"]
    threshold: Annotated[float, "squared L2 within which faces were sorted"]
    model: Model


class ExportRecord(TypedDict):
    """Folders of links or copies that were written."""

    kind: Literal["export"]
    folder: Path
    entries: Annotated[list[str], "what was written, as person/photo"]
    linked: Annotated[bool, "whether they are links and not copies"]
    dry_run: Annotated[bool, "whether nothing was written"]


class SidecarsRecord(TypedDict):
    """XMP sidecars that were written."""

    kind: Literal["sidecars"]
    written: int
    failed: Annotated[list[FailedPhoto], "sidecars that could not be written"]
    dry_run: Annotated[bool, "whether nothing was written"]


class ClusterCorrectionRecord(TypedDict):
    """A correction that was made, or taken back."""

    kind: Literal["cluster_correction"]
    what: Annotated[str, "name, merge, split, move, not-same or undo"]
    clusters: NotRequired[Annotated[list[int], "the clusters it is about; not for undo"]]
    name: NotRequired[Annotated[str, "the name that is stored; for name only"]]
    undone: NotRequired[Annotated[str, "what was taken back; for undo only"]]


class CorrectionRecord(TypedDict):
    """A correction in force."""

    kind: Literal["correction"]
    id: int
    said: Annotated[str, "the command that made it"]
    created: Utc


class ReviewRecord(TypedDict):
    """The review page is being served."""

    kind: Literal["review"]
    address: Annotated[str, "URL that only this machine can open"]


def clustered_face(one: Cluster, face: ClusteredFace) -> ClusteredFaceRecord:
    """Return what is said of one face of a cluster."""
    fields = dataclasses.asdict(face)
    record = {
        "kind": "clustered_face",
        "path": fields.pop("source"),
        **fields,
        "cluster_size": len(one.faces),
        "name": one.name,
        "enrolled": one.enrolled,
    }
    return cast("ClusteredFaceRecord", record)


def clustering(grouping: Grouping, card: ModelCard) -> ClusteringRecord:
    """Return what is said of a whole run."""
    return {
        "kind": "clustering",
        "photos": grouping.photos,
        "faces": sum(len(one.faces) for one in grouping.clusters),
        "people": len(grouping.people),
        "seen_once": len(grouping.seen_once),
        "without_face": list(grouping.without_face),
        "unreadable": failed_photos(grouping.failures),
        "threshold": grouping.threshold,
        "model": card.name,
    }


def failed_photos(failures: Sequence[Failure]) -> list[FailedPhoto]:
    """Return the photos that could not be used, with the reasons."""
    return [{"source": one.source, "reason": one.reason} for one in failures]


def export(made: Export, folder: object, *, dry_run: bool) -> ExportRecord:
    """Return what is said of an export into a folder."""
    return {
        "kind": "export",
        "folder": str(folder),
        "entries": list(made.entries),
        "linked": made.linked,
        "dry_run": dry_run,
    }


def correction(one: Correction) -> CorrectionRecord:
    """Return what is said of a correction in force."""
    return {"kind": "correction", "id": one.id, "said": one.said, "created": one.created}
