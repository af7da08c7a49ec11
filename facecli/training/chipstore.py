"""All chips of a photo set in one memory-mapped array, so that an epoch reads no picture twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from facecli.datasets import PhotoSet
from facecli.errors import FacecliError, TrainingError
from facecli.images import open_picture
from facecli.types import Acquisition, BoolArray, Failure, PixelArray

Acquire = Callable[[Iterable[Path]], Iterable[Acquisition | Failure]]


@dataclass(frozen=True, slots=True)
class ChipStore:
    """`chips` uint8 (n, size, size, 3), of which `usable` (n,) hold a face; `skipped` say why not."""

    chips: PixelArray
    usable: BoolArray
    skipped: tuple[str, ...]


def load_chips(
    photos: PhotoSet,
    folder: Path,
    *,
    size: int,
    acquire: Acquire | None = None,
    on_photo: Callable[[], None] = lambda: None,
) -> ChipStore:
    """Return the chips of all photos, read from `folder` when an earlier run put them there.

    Without `acquire` the photos are chips already and are only brought to `size` pixels; with it,
    each photo gives its largest face. A photo that cannot be read or has no face is skipped and
    counted. `on_photo` is called after each photo.
    """
    key = hashlib.sha256(
        json.dumps([photos.paths, str(photos.root), size, acquire is None]).encode()
    ).hexdigest()
    cached = folder / "chips.npy"
    notes = folder / "chips.json"
    if cached.is_file() and notes.is_file():
        known = json.loads(notes.read_text(encoding="utf-8"))
        if known["key"] == key:
            usable = np.asarray(known["usable"], bool)
            return ChipStore(np.load(cached, mmap_mode="r"), usable, tuple(known["skipped"]))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shape = (len(photos), size, size, 3)
        chips = np.lib.format.open_memmap(cached, mode="w+", dtype=np.uint8, shape=shape)
        paths = [photos.root / path for path in photos.paths]
        rows = _faces(paths, acquire) if acquire else _ready_made(paths, size)
        usable, skipped = _fill(chips, rows, on_photo)
        chips.flush()
        record = {"key": key, "usable": usable.tolist(), "skipped": skipped}
        notes.write_text(json.dumps(record), encoding="utf-8")
    except OSError as error:
        raise TrainingError(f"{folder}: chips cannot be kept: {error.strerror}") from error
    return ChipStore(chips, usable, tuple(skipped))


def _fill(
    chips: PixelArray, rows: Iterable[PixelArray | str], on_photo: Callable[[], None]
) -> tuple[BoolArray, list[str]]:
    usable = np.zeros(len(chips), bool)
    skipped = []
    for index, row in enumerate(rows):
        if isinstance(row, str):
            skipped.append(row)
        else:
            chips[index] = row
            usable[index] = True
        on_photo()
    return usable, skipped


def _ready_made(paths: list[Path], size: int) -> Iterable[PixelArray | str]:
    def read(path: Path) -> PixelArray | str:
        try:
            pixels = open_picture(path).pixels
        except FacecliError as error:
            return str(error)
        if pixels.size != (size, size):
            pixels = pixels.resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(pixels)

    with ThreadPoolExecutor() as pool:
        yield from pool.map(read, paths)


def _faces(paths: list[Path], acquire: Acquire) -> Iterable[PixelArray | str]:
    for found in acquire(paths):
        if isinstance(found, Failure):
            yield found.reason
        elif not found.faces:
            yield f"{found.source}: no face"
        else:
            yield found.faces[0].chip
