"""List the picture files among paths and folders, and what is passed over in the folders."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from pathlib import Path

from facecli.text import shown

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
"""Endings of the files that are taken from a folder; a given file may have any.

It is the only such list: what one command takes for a photo, all do.
"""

OF_THE_SYSTEM = (
    # Synology, QNAP and other network storage: thumbnails, recycle bins, snapshots.
    *("@eadir", "@tmp", "@sharebin", "@sharesnap", "#recycle", "#snapshot", "#trash"),
    *("@recycle", "@recycle_bin", "@recently-snapshot", "@snapshot", "@__thumb", "@transcode"),
    *("network recycle bin*", "trashbox", "~snapshot", "files_trashbin", "files_versions"),
    # Linux, Windows and Android.
    *("lost+found", "lost.dir", "found.[0-9][0-9][0-9]", "$recycle.bin", "recycler", "recycled"),
    *("system volume information", "$extend", "$winreagent", "$windows.~bt", "$windows.~ws"),
    *("config.msi", "msocache", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
    # macOS, also on a network, and what archive programs leave behind.
    *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),
    *("thefindbycontentfolder", "ipod photo cache", "icon\r", "paxheader", "paxheaders*"),
)
"""Names of files and folders that no person made, in small letters, as patterns of fnmatch.

The hidden ones, such as .@__thumb, .Trashes, .picasaoriginals or ._1.jpg, need no name here.
"""

_OF_THE_SYSTEM = re.compile("|".join(map(translate, OF_THE_SYSTEM)))

SHOWN = 3
"""So many examples of what was passed over for one reason are named."""


class Why(StrEnum):
    """Why an entry of a folder was passed over; the text tells how many with their names."""

    SYSTEM = "of the system"
    HIDDEN = "hidden"
    NO_PICTURE = "without a picture's ending"
    AGAIN = "found before, by a link"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """An entry of a folder, a file or a whole folder, that was not taken, and why."""

    path: Path
    why: Why


@dataclass(frozen=True, slots=True)
class Searched:
    """The pictures among files and folders, in order, and what was passed over."""

    pictures: tuple[Path, ...]
    passed: tuple[PassedOver, ...]


def search_pictures(paths: Iterable[Path]) -> Searched:
    """List the pictures among files and folders, in the order given.

    A given file is always listed, even if it does not exist: opening it tells the reason. Folders
    are searched with all their subfolders, sorted by name, without hidden entries, those of the
    system and files with other endings. A folder that links reach twice is searched once.
    """
    found: list[Path] = []
    passed: list[PassedOver] = []
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises for names that are too long)
            found.extend(_walk(path, passed))
        else:
            found.append(path)
    return Searched(tuple(found), tuple(passed))


def find_pictures(paths: Iterable[Path]) -> list[Path]:
    """List the pictures as `search_pictures` does, without what is passed over."""
    return list(search_pictures(paths).pictures)


def said(passed: Iterable[PassedOver]) -> str:
    """Return in one line how many entries were passed over and why; empty if there are none."""
    entries = list(passed)
    reasons = [_counted(why, entries) for why in Why if any(one.why is why for one in entries)]
    return f"{len(entries)} passed over: {', '.join(reasons)}" if entries else ""


def _counted(why: Why, entries: list[PassedOver]) -> str:
    """Return how many entries there are for one reason, with examples."""
    names = Counter(
        one.path.suffix.lower() or one.path.name if why is Why.NO_PICTURE else one.path.name
        for one in entries
        if one.why is why
    )
    listed = ", ".join(shown(name) for name, _ in names.most_common(SHOWN))
    more = ", …" if len(names) > SHOWN else ""
    return f"{names.total()} {why} ({listed}{more})"


def _walk(folder: Path, passed: list[PassedOver]) -> Iterator[Path]:
    """Yield the pictures below a folder. Folders wait in a list: they may nest without limit."""
    visited: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        entry = waiting.pop()
        if entry is not folder and (why := _why_passed(entry)):
            passed.append(PassedOver(entry, why))
        elif not os.path.isdir(entry):  # noqa: PTH112
            yield entry
        else:
            try:
                status = entry.stat()
                inside = sorted(entry.iterdir(), reverse=True)
            except OSError:
                # List it like a picture: opening it then tells the reason, and it is not skipped.
                yield entry
                continue
            if (status.st_dev, status.st_ino) in visited:
                passed.append(PassedOver(entry, Why.AGAIN))
                continue
            visited.add((status.st_dev, status.st_ino))
            waiting.extend(inside)


def _why_passed(entry: Path) -> Why | None:
    """Return why an entry is passed over by its name, None if it is not."""
    if _OF_THE_SYSTEM.match(entry.name.casefold()):
        return Why.SYSTEM
    if entry.name.startswith("."):
        return Why.HIDDEN
    if entry.suffix.lower() in PICTURE_EXTENSIONS or os.path.isdir(entry):  # noqa: PTH112
        return None
    return Why.NO_PICTURE
