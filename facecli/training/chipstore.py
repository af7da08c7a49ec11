"""All chips of a photo set in one memory-mapped array, so that each picture is read only once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facecli.datasets import PhotoSet
from facecli.errors import TrainingError
from facecli.faces.acquisition import failure
from facecli.faces.images import open_picture
from facecli.faces.prominence import main_face
from facecli.files import PRIVATE, replacing
from facecli.text import read_json_object
from facecli.types import Acquisition, BoolArray, ChipGeometry, Failure, FailureKind, PixelArray

Acquire = Callable[[Iterable[Path], ChipGeometry], Iterable[Acquisition | Failure]]
"""Finds the faces in photos, as `faces.acquisition.acquire` does with a detector."""


LARGEST_NOTES = 256 * 2**20
"""Most bytes of the notes: they have an entry for every photo."""


@dataclass(frozen=True, slots=True)
class ChipStore:
    """The chips of a photo set, one row per photo.

    `chips` is uint8 (n, size, size, 3). Rows where `usable` (n,) is true hold a face. `failures`
    are the other photos.
    """

    chips: PixelArray
    usable: BoolArray
    failures: tuple[Failure, ...]

    @property
    def skipped(self) -> tuple[str, ...]:
        """Each photo without a chip, and the reason."""
        return tuple(f"{one.source}: {one.reason}" for one in self.failures)

    @property
    def unreadable(self) -> int:
        """Number of photos that could not be read."""
        return sum(one.kind is FailureKind.UNREADABLE for one in self.failures)


def load_chips(
    photos: PhotoSet,
    folder: Path,
    *,
    geometry: ChipGeometry,
    acquire: Acquire | None = None,
    on_photo: Callable[[], None] = lambda: None,
) -> ChipStore:
    """Return the chips of all photos; chips that an earlier run stored in `folder` are read again.

    With `acquire`, each photo gives its main face. Without it the photos are chips already, and
    are only resized. A photo that cannot be read or has no face is skipped. `on_photo` is called
    after each photo. Raises TrainingError if the folder cannot be written.
    """
    files = [photos.root / path for path in photos.paths]
    key = _key(files, geometry, ready_made=acquire is None)
    cached, notes = folder / "chips.npy", folder / "chips.json"
    try:
        known = _known(notes, key)
        if known is None or not cached.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            notes.unlink(missing_ok=True)  # it must never describe chips of another run
            rows = _faces(files, acquire, geometry) if acquire else _ready_made(files, geometry)
            usable, failures = _write(cached, rows, len(files), geometry.size, on_photo)
            lost = [(one.source, one.reason, str(one.kind)) for one in failures]
            known = {"key": key, "usable": usable, "skipped": lost}
            with replacing(notes, mode=PRIVATE) as stream:
                stream.write(json.dumps(known).encode())
        chips: PixelArray = np.load(cached, mmap_mode="r")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(f"{folder}: chips cannot be stored: {reason}") from error
    skipped = tuple(Failure(one, why, FailureKind(kind)) for one, why, kind in known["skipped"])
    return ChipStore(chips, np.array(known["usable"], bool), skipped)


def _key(files: list[Path], geometry: ChipGeometry, *, ready_made: bool) -> str:
    """Return a hash that changes if the photos change, or the way in which chips are cut."""
    digest = hashlib.sha256(f"{geometry} {ready_made} main face, failures".encode())
    for file in files:
        try:
            status = file.stat()
            mark = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            mark = "absent"
        digest.update(f"{file} {mark}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _known(notes: Path, key: str) -> dict[str, Any] | None:
    """Return the notes of an earlier run about the same chips; None if there are none."""
    try:
        known = read_json_object(notes.read_bytes(), most=LARGEST_NOTES)
    except (FileNotFoundError, ValueError):
        return None
    return known if known.get("key") == key else None


def _write(
    path: Path,
    rows: Iterable[PixelArray | Failure],
    count: int,
    size: int,
    on_photo: Callable[[], None],
) -> tuple[list[bool], list[Failure]]:
    """Write the chips one after the other; return which are usable, and the failures.

    A memory-mapped file would be easier to fill, but then a full disk kills the process.
    """
    usable, failures = [], []
    blank = bytes(size * size * 3)
    with replacing(path, mode=PRIVATE) as stream:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
        np.lib.format.write_array_header_1_0(stream, header)
        for row in rows:
            usable.append(not isinstance(row, Failure))
            failures += [row] if isinstance(row, Failure) else []
            stream.write(blank if isinstance(row, Failure) else row.tobytes())
            on_photo()
    return usable, failures


def _ready_made(files: list[Path], geometry: ChipGeometry) -> Iterator[PixelArray | Failure]:
    shape = (geometry.size, geometry.size)

    def read(file: Path) -> PixelArray | Failure:
        try:
            pixels = open_picture(file).pixels
            if pixels.size != shape:
                pixels = pixels.resize(shape, Image.Resampling.BILINEAR)
            return np.asarray(pixels)
        except Exception as error:
            return failure(str(file), error)

    with ThreadPoolExecutor() as pool:
        # Block by block: all at once would fill the memory with finished chips.
        for start in range(0, len(files), 256):
            yield from pool.map(read, files[start : start + 256])


def _faces(
    files: list[Path], acquire: Acquire, geometry: ChipGeometry
) -> Iterator[PixelArray | Failure]:
    for found in acquire(files, geometry):
        if isinstance(found, Failure):
            yield found
        elif not found.faces:
            yield Failure.no_face(found.source)
        else:
            yield found.chips[main_face(found.faces, found.size).number]
