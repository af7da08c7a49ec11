"""List the picture files among paths and folders."""

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
"""Endings of the files that `find_pictures` takes from a folder; a given file may have any."""


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """List the pictures among files and folders, in the order given.

    A given file is always listed, even if it does not exist: opening it tells the reason. Folders
    are searched with all their subfolders, sorted by name, without hidden entries and files with
    other endings. A folder that links reach twice is searched once.
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
        # List it like a picture: opening it then tells the reason, and it is not skipped.
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
