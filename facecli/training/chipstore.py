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
from facecli.errors import FacecliError, TrainingError
from facecli.faces.images import open_picture
from facecli.faces.prominence import main_face
from facecli.types import NO_FACE_FOUND, Acquisition, BoolArray, ChipGeometry, Failure, PixelArray

Acquire = Callable[[Iterable[Path], ChipGeometry], Iterable[Acquisition | Failure]]
"""Finds the faces in photos, as `faces.acquisition.acquire` does with a detector."""


@dataclass(frozen=True, slots=True)
class ChipStore:
    """The chips of a photo set, one row per photo.

    `chips` is uint8 (n, size, size, 3). Rows where `usable` (n,) is true hold a face. `skipped`
    names each of the other photos and the reason.
    """

    chips: PixelArray
    usable: BoolArray
    skipped: tuple[str, ...]


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
            usable, skipped = _write(cached, rows, len(files), geometry.size, on_photo)
            known = {"key": key, "usable": usable, "skipped": skipped}
            _write_whole(notes, json.dumps(known).encode())
        chips: PixelArray = np.load(cached, mmap_mode="r")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(f"{folder}: chips cannot be stored: {reason}") from error
    return ChipStore(chips, np.array(known["usable"], bool), tuple(known["skipped"]))


def _key(files: list[Path], geometry: ChipGeometry, *, ready_made: bool) -> str:
    """Return a hash that changes if the photos change, or the way in which chips are cut."""
    digest = hashlib.sha256(f"{geometry} {ready_made} main face".encode())
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
        known: dict[str, Any] = json.loads(notes.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return known if known.get("key") == key else None


def _write(
    path: Path,
    rows: Iterable[PixelArray | str],
    count: int,
    size: int,
    on_photo: Callable[[], None],
) -> tuple[list[bool], list[str]]:
    """Write the chips one after the other; return which are usable, and what was skipped.

    A memory-mapped file would be easier to fill, but then a full disk kills the process.
    """
    usable, skipped = [], []
    blank = bytes(size * size * 3)
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("wb") as stream:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
            np.lib.format.write_array_header_1_0(stream, header)
            for row in rows:
                usable.append(not isinstance(row, str))
                skipped += [row] if isinstance(row, str) else []
                stream.write(blank if isinstance(row, str) else row.tobytes())
                on_photo()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return usable, skipped


def _write_whole(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


def _ready_made(files: list[Path], geometry: ChipGeometry) -> Iterator[PixelArray | str]:
    shape = (geometry.size, geometry.size)

    def read(file: Path) -> PixelArray | str:
        try:
            pixels = open_picture(file).pixels
        except FacecliError as error:
            return str(error)
        if pixels.size != shape:
            pixels = pixels.resize(shape, Image.Resampling.BILINEAR)
        return np.asarray(pixels)

    with ThreadPoolExecutor() as pool:
        # Block by block: all at once would fill the memory with finished chips.
        for start in range(0, len(files), 256):
            yield from pool.map(read, files[start : start + 256])


def _faces(
    files: list[Path], acquire: Acquire, geometry: ChipGeometry
) -> Iterator[PixelArray | str]:
    for found in acquire(files, geometry):
        if isinstance(found, Failure):
            yield f"{found.source}: {found.reason}"
        elif not found.faces:
            yield f"{found.source}: {NO_FACE_FOUND}"
        else:
            yield found.chips[main_face(found.faces, found.size).number]
