"""What a photo library receives and returns."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from facecli.types import Face, FloatArray


def absolute(path: Path) -> str:
    """Return a path from the root without "..", not following links."""
    return os.path.abspath(path)  # noqa: PTH100 - resolve() would follow links


@dataclass(frozen=True, slots=True)
class FileState:
    """A file as its folder describes it: absolute path, size in bytes, last change in ns."""

    path: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Describe a file as it is now; raise OSError or ValueError if there is none."""
        status = path.stat()
        return cls(absolute(path), status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class RememberedPhoto:
    """What is remembered of one picture.

    `size` is width and height of the upright picture. `embeddings` is float32 (faces, d), or None
    if the model has not embedded all of the faces.
    """

    size: tuple[int, int]
    faces: tuple[Face, ...]
    notes: tuple[str, ...]
    embeddings: FloatArray | None


@dataclass(frozen=True, slots=True)
class LibraryStatistics:
    """What a library holds.

    `files` counts paths. `photos` counts different pictures: copies of one count once. `models`
    maps a model's name to how many faces it has embedded. `size` is bytes on disk. `private` is
    true when only the owner may read the files.
    """

    path: str
    size: int
    private: bool
    files: int
    photos: int
    faces: int
    models: dict[str, int]


@dataclass(frozen=True, slots=True)
class PhotosForgotten:
    """What was erased, and when in UTC ISO 8601; `scrubbed` as in `ForgetReceipt`."""

    photos: int
    faces: int
    at: str
    scrubbed: bool
