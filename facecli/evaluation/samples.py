"""Turn photos of named people into samples: one face and one vector for each photo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from facecli.datasets import UNKNOWN, PhotoSet
from facecli.faces.embedding import EmbeddedPicture
from facecli.types import BoolArray, Failure, FailureKind, FloatArray, Quality


@dataclass(frozen=True, slots=True)
class Samples:
    """One face of each photo, row by row, and the photos without a face (failures to acquire).

    `people` are names, empty if not known. `faces` is the number of the face in its photo; with the
    photo's SHA-256, a library finds the chip by it. `embeddings` are unit rows, float32 (n, d).
    `failed` and `failed_paths` are the people and paths of the failures. Paths are relative to the
    photo set.
    """

    paths: tuple[str, ...]
    people: tuple[str, ...]
    sha256s: tuple[str, ...]
    faces: tuple[int, ...]
    embeddings: FloatArray
    failures: tuple[Failure, ...]
    qualities: tuple[Quality, ...] = ()
    failed: tuple[str, ...] = ()
    failed_paths: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def unreadable(self) -> int:
        """Number of photos that could not be read."""
        return count_unreadable(self.failures)

    def subset(self, keep: BoolArray, failures: BoolArray) -> Samples:
        """Return the samples for which `keep` is true, and failures for which `failures` is."""
        rows, lost = np.flatnonzero(keep).tolist(), np.flatnonzero(failures).tolist()
        return Samples(
            paths=tuple(self.paths[row] for row in rows),
            people=tuple(self.people[row] for row in rows),
            sha256s=tuple(self.sha256s[row] for row in rows),
            faces=tuple(self.faces[row] for row in rows),
            embeddings=self.embeddings[rows],
            failures=tuple(self.failures[place] for place in lost),
            qualities=tuple(self.qualities[row] for row in rows) if self.qualities else (),
            failed=tuple(self.failed[place] for place in lost),
            failed_paths=tuple(self.failed_paths[place] for place in lost),
        )

    def without_copies(self) -> Samples:
        """Leave out further copies of a file of one person: they say nothing new."""
        seen: set[tuple[str, str]] = set()
        fresh = []
        for key in zip(self.sha256s, self.people, strict=True):
            fresh.append(key not in seen)
            seen.add(key)
        return self.subset(np.array(fresh, dtype=bool), np.ones(len(self.failures), dtype=bool))


def count_unreadable(failures: Iterable[Failure]) -> int:
    """Count the photos that could not be read."""
    return sum(failure.kind is FailureKind.UNREADABLE for failure in failures)


def gather(
    photos: PhotoSet, scanned: Iterable[EmbeddedPicture | Failure], dimension: int
) -> Samples:
    """Take the main face of each photo; `scanned` is in the order of `photos`.

    `dimension` is that of the model.
    """
    kept: list[tuple[str, str, EmbeddedPicture, int]] = []
    failures: list[tuple[Failure, str, str]] = []
    for path, label, result in zip(photos.paths, photos.labels.tolist(), scanned, strict=True):
        person = "" if label == UNKNOWN else photos.people[label]
        if isinstance(result, Failure):
            failures.append((result, person, path))
        elif not result.faces:
            failures.append((Failure.no_face(result.source), person, path))
        else:
            kept.append((path, person, result, result.main.number))
    vectors = [picture.embeddings[face] for _, _, picture, face in kept]
    return Samples(
        paths=tuple(path for path, _, _, _ in kept),
        people=tuple(person for _, person, _, _ in kept),
        sha256s=tuple(picture.sha256 for _, _, picture, _ in kept),
        faces=tuple(face for _, _, _, face in kept),
        embeddings=np.stack(vectors) if vectors else np.empty((0, dimension), np.float32),
        failures=tuple(failure for failure, _, _ in failures),
        qualities=tuple(picture.faces[face].quality for _, _, picture, face in kept),
        failed=tuple(person for _, person, _ in failures),
        failed_paths=tuple(path for _, _, path in failures),
    )
