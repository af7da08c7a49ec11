"""The picture files that paths and folders mean."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

PICTURE_EXTENSIONS = frozenset(
    {
        ".avif",
        ".bmp",
        ".gif",
        ".heic",
        ".heif",
        ".hif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".mpo",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""Endings that `find_pictures` takes from a folder; a file named outright may have any ending."""


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """List the pictures among files and folders, in the order given, folders sorted by name.

    A file is taken whatever its name, even if it does not exist: opening it says why. Folders are
    walked to the bottom, without hidden entries and files of other endings; a folder reached twice
    through links is walked once.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found.extend(_walk(path, set()))
        else:
            found.append(path)
    return found


def _walk(folder: Path, visited: set[tuple[int, int]]) -> Iterator[Path]:
    try:
        status = folder.stat()
        entries = sorted(folder.iterdir())
    except OSError:
        # Handed on as if it were a picture: opening it names the reason instead of a silent skip.
        yield folder
        return
    if (status.st_dev, status.st_ino) in visited:
        return
    visited.add((status.st_dev, status.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, visited)
        elif entry.suffix.lower() in PICTURE_EXTENSIONS:
            yield entry
