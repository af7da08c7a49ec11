"""Records of cluster and library: photos sorted into people, and what is remembered of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, NotRequired, TypedDict

from facecli.records.fields import (
    Box,
    Bytes,
    Choices,
    Count,
    ModelName,
    Position,
    Probability,
    Sha256,
    SquaredL2,
    Time,
    Unusable,
    WrittenBy,
    unusable,
)

if TYPE_CHECKING:
    from facecli.albums.export import Export
    from facecli.albums.grouping import Cluster, ClusteredFace, Grouping
    from facecli.stores.library import LibraryStatistics, PhotosForgotten
    from facecli.stores.library.clusters import Correction
    from facecli.types import Failure, ModelCard


class ClusteredFaceRecord(TypedDict):
    """One face and the cluster it is in."""

    kind: Annotated[Literal["clustered_face"], WrittenBy(("facecli cluster",))]
    path: Annotated[str, "the photo"]
    sha256: Annotated[Sha256, "hash of the photo's file"]
    face: Annotated[Count, "number of the face in the photo; 0 is the largest"]
    box: Annotated[Box, "where the face is"]
    confidence: Annotated[Probability, "how sure the detector is"]
    cluster: Annotated[Position, "number of the cluster; it stays the same from run to run"]
    squared_l2: Annotated[SquaredL2, "to the centre of the cluster"]
    weak: Annotated[bool, "whether the face is too poor to begin a cluster of several faces"]
    cluster_size: Annotated[Position, "faces in the cluster"]
    name: Annotated[str | None, "the person's name; null if there is none"]
    enrolled: Annotated[bool, "whether the name comes from the gallery"]


def clustered_face(cluster: Cluster, face: ClusteredFace) -> ClusteredFaceRecord:
    """Return the record of a face of a cluster."""
    return {
        "kind": "clustered_face",
        "path": face.source,
        "sha256": face.sha256,
        "face": face.face,
        "box": face.box,
        "confidence": face.confidence,
        "cluster": face.cluster,
        "squared_l2": face.squared_l2,
        "weak": face.weak,
        "cluster_size": len(cluster.faces),
        "name": cluster.name,
        "enrolled": cluster.enrolled,
    }


class ClusteringRecord(TypedDict):
    """The sum of sorting photos into people."""

    kind: Annotated[Literal["clustering"], WrittenBy(("facecli cluster",))]
    photos: Annotated[Count, "photos given"]
    faces: Annotated[Count, "faces found"]
    people: Annotated[Count, "clusters with a name, or with photos enough (--min-photos)"]
    seen_once: Annotated[Count, "faces in the other clusters"]
    without_face: Annotated[Sequence[str], "photos that show no face"]
    unreadable: Annotated[Sequence[Unusable], "photos that could not be read"]
    threshold: Annotated[SquaredL2, "the largest squared L2 within which faces were put together"]
    model: ModelName


def clustering(found: Grouping, card: ModelCard) -> ClusteringRecord:
    """Return the sum of sorting photos into people."""
    return {
        "kind": "clustering",
        "photos": found.photos,
        "faces": sum(len(one.faces) for one in found.clusters),
        "people": len(found.people),
        "seen_once": len(found.seen_once),
        "without_face": found.without_face,
        "unreadable": [unusable(one) for one in found.failures],
        "threshold": found.threshold,
        "model": card.name,
    }


class ExportRecord(TypedDict):
    """The folders that photos were put in, one for each person."""

    kind: Annotated[Literal["export"], WrittenBy(("facecli cluster --export",))]
    folder: Annotated[str, "the folder of all of them"]
    entries: Annotated[Sequence[str], "what was written: folder/name of each link or copy"]
    linked: Annotated[bool, "whether these are links; if not, they are copies"]
    dry_run: Annotated[bool, "whether nothing was written because of --dry-run"]


def export(made: Export, *, dry_run: bool) -> ExportRecord:
    """Return the record of folders that photos were put in."""
    return {
        "kind": "export",
        "folder": str(made.folder),
        "entries": made.entries,
        "linked": made.linked,
        "dry_run": dry_run,
    }


class SidecarsRecord(TypedDict):
    """The XMP sidecars that names were written to."""

    kind: Annotated[Literal["sidecars"], WrittenBy(("facecli cluster --xmp",))]
    written: Annotated[Count, "sidecars that changed"]
    failed: Annotated[Sequence[Unusable], "sidecars that could not be written"]
    dry_run: Annotated[bool, "whether nothing was written because of --dry-run"]


def sidecars(written: int, failures: Sequence[Failure], *, dry_run: bool) -> SidecarsRecord:
    """Return the record of the sidecars that names were written to."""
    return {
        "kind": "sidecars",
        "written": written,
        "failed": [unusable(one) for one in failures],
        "dry_run": dry_run,
    }


class ClusterCorrectionRecord(TypedDict):
    """A correction was made, or undone."""

    kind: Annotated[
        Literal["cluster_correction"],
        WrittenBy(
            (
                "facecli cluster name",
                "facecli cluster merge",
                "facecli cluster split",
                "facecli cluster move",
                "facecli cluster not-same",
                "facecli cluster undo",
            )
        ),
    ]
    what: Annotated[
        str, Choices(("name", "merge", "split", "move", "not-same", "undo")), "the command"
    ]
    clusters: NotRequired[
        Annotated[
            Sequence[Position],
            "the clusters in the order of the command; for split, the second is the new one; "
            "absent for undo",
        ]
    ]
    name: NotRequired[Annotated[str, "only for name: the name as it is stored"]]
    undone: NotRequired[Annotated[str, "only for undo: the correction that was undone"]]


def named(number: int, name: str) -> ClusterCorrectionRecord:
    """Return the record of a cluster that has a name now."""
    return {**corrected("name", number), "name": name}


def corrected(what: str, *numbers: int) -> ClusterCorrectionRecord:
    """Return the record of a correction of clusters."""
    return {"kind": "cluster_correction", "what": what, "clusters": numbers}


def undone(said: str) -> ClusterCorrectionRecord:
    """Return the record of a correction that was undone."""
    return {"kind": "cluster_correction", "what": "undo", "undone": said}


class CorrectionRecord(TypedDict):
    """A correction in force."""

    kind: Annotated[Literal["correction"], WrittenBy(("facecli cluster log",))]
    id: Annotated[int, "number of the correction"]
    said: Annotated[str, "the correction in words"]
    created: Annotated[Time, "when it was made"]


def correction(one: Correction) -> CorrectionRecord:
    """Return the record of a correction in force."""
    return {"kind": "correction", "id": one.id, "said": one.said, "created": one.created}


class ReviewRecord(TypedDict):
    """The page on which clusters can be corrected."""

    kind: Annotated[Literal["review"], WrittenBy(("facecli cluster review",))]
    address: Annotated[str, "the page's address; whoever knows it may change clusters"]


def review(address: str) -> ReviewRecord:
    """Return the record of the page on which clusters can be corrected."""
    return {"kind": "review", "address": address}


class LibraryRecord(TypedDict):
    """What is remembered of photos."""

    kind: Annotated[Literal["library"], WrittenBy(("facecli library info",))]
    path: Annotated[str, "the library's file"]
    size: Annotated[Bytes, "size of the file and its log"]
    private: Annotated[bool, "whether only the owner can read the file"]
    files: Annotated[Count, "files looked at"]
    photos: Annotated[Count, "different photos among them"]
    faces: Annotated[Count, "faces in these photos"]
    models: Annotated[Mapping[str, Count], "for each model, how many faces it has embedded"]


def library(found: LibraryStatistics) -> LibraryRecord:
    """Return the record of what is remembered of photos."""
    return {
        "kind": "library",
        "path": found.path,
        "size": found.size,
        "private": found.private,
        "files": found.files,
        "photos": found.photos,
        "faces": found.faces,
        "models": found.models,
    }


class PhotosForgottenRecord(TypedDict):
    """The receipt for what was remembered of photos and is erased."""

    kind: Annotated[
        Literal["photos_forgotten"], WrittenBy(("facecli library forget", "facecli library clear"))
    ]
    photos: Annotated[Count, "photos erased"]
    faces: Annotated[Count, "faces erased"]
    at: Annotated[Time, "when"]
    scrubbed: Annotated[
        bool,
        "whether no copy is left in the library's files; "
        "if not, the next write or close removes it",
    ]


def photos_forgotten(receipt: PhotosForgotten) -> PhotosForgottenRecord:
    """Return the receipt for what was remembered of photos and is erased."""
    return {
        "kind": "photos_forgotten",
        "photos": receipt.photos,
        "faces": receipt.faces,
        "at": receipt.at,
        "scrubbed": receipt.scrubbed,
    }
