"""Lay clusters out as folders of links to the photos, one folder a person."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facecli.errors import FacecliError
from facecli.images import display_name
from facecli.recognition.cluster import Grouping

MANIFEST = ".facecli-export.json"
"""Lists what an export wrote, which is all that the next one removes."""

SEEN_ONCE = "seen-once"


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: paths of two parts, group/name, below the folder.

    `linked` is false where the disk cannot hold symbolic links, so that they are copies.
    """

    folder: Path
    entries: tuple[str, ...]
    linked: bool


def export(grouping: Grouping, folder: Path) -> Export:
    """Write relative links to the photos of each cluster into groups of them below `folder`.

    A folder that an earlier export made is brought up to date, leaving alone whatever else is in
    it. Raises FacecliError for any other folder that is not empty, and for a file in the way.
    """
    earlier = _earlier(folder)
    folder.mkdir(parents=True, exist_ok=True)
    planned = dict(_planned(grouping))
    linked = _can_link(folder)
    for removed in earlier:
        _remove(removed)
    for name in planned:
        _refuse_occupied(folder / name)
    # On record before anything is written: a run cut short leaves nothing that the next one would
    # not know for its own.
    now = Export(folder, tuple(planned), linked)
    _record(now)
    for name, source in planned.items():
        _write(folder / name, source, linked=linked)
    return now


def check_folder(folder: Path) -> None:
    """Raise FacecliError for a folder that `export` would refuse, before the work is done."""
    _earlier(folder)


def _earlier(folder: Path) -> list[Export]:
    """Return what the last export wrote here; raise FacecliError for a folder that is not ours."""
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise FacecliError(f"{display_name(folder)}: not a folder")
        return []
    manifest = folder / MANIFEST
    if not manifest.exists():
        if any(folder.iterdir()):
            raise FacecliError(
                f"{display_name(folder)}: holds files that are not an export's; choose another"
            )
        return []
    try:
        record = json.loads(manifest.read_text(encoding="utf-8"))
        entries = tuple(_safe(str(entry)) for entry in record["entries"])
        return [Export(folder, entries, bool(record["linked"]))]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{MANIFEST} in it is damaged; choose another folder"
        raise FacecliError(f"{display_name(folder)}: {reason}") from error


def _safe(entry: str) -> str:
    """Return an entry if it is group/name and nothing else: it names what will be deleted."""
    parts = entry.split("/")
    if len(parts) != 2 or any(part in ("", ".", "..") or os.sep in part for part in parts):
        raise ValueError(entry)
    return entry


def _planned(grouping: Grouping) -> Iterator[tuple[str, Path]]:
    """Yield each entry with the photo it is for, a photo once in a group."""
    digits = len(str(len(grouping.people)))
    for number, faces in enumerate(grouping.people, start=1):
        sources = dict.fromkeys(face.source for face in faces)
        yield from _named(f"person-{number:0{digits}}", sources)
    yield from _named(SEEN_ONCE, dict.fromkeys(face.source for face in grouping.seen_once))


def _named(group: str, sources: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Name the photos of one group as they are named, numbering those that share a name."""
    taken: set[str] = set()
    for source in sorted(sources):
        path = Path(source)
        name, number = path.name, 2
        # Some disks take Ada.jpg and ada.jpg for one file.
        while name.casefold() in taken:
            name = f"{path.stem}-{number}{path.suffix}"
            number += 1
        taken.add(name.casefold())
        yield f"{group}/{name}", path


def _can_link(folder: Path) -> bool:
    """Try whether the disk and the account allow symbolic links."""
    trial = folder / ".facecli-link"
    try:
        trial.symlink_to("nowhere")
        trial.unlink()
    except OSError:
        return False
    return True


def _remove(earlier: Export) -> None:
    """Remove what an export wrote and the groups that this empties.

    A link that somebody has replaced by a file of their own stays.
    """
    for entry in earlier.entries:
        path = earlier.folder / entry
        if path.parent.is_symlink():
            continue
        if path.is_symlink() or (path.is_file() and not earlier.linked):
            path.unlink()
    for group in {entry.split("/")[0] for entry in earlier.entries}:
        directory = earlier.folder / group
        if directory.is_dir() and not directory.is_symlink() and not any(directory.iterdir()):
            directory.rmdir()


def _record(made: Export) -> None:
    """Write the manifest, whole or not at all."""
    record = {"schema": 1, "linked": made.linked, "entries": made.entries}
    draft = made.folder / f"{MANIFEST}.part"
    draft.write_text(json.dumps(record, indent=1), encoding="utf-8")
    draft.replace(made.folder / MANIFEST)


def _refuse_occupied(path: Path) -> None:
    """Raise FacecliError for an entry in whose place there is something of somebody else's."""
    if path.parent.is_symlink() or path.exists() or path.is_symlink():
        raise FacecliError(f"{display_name(path)}: exists and is not the export's")


def _write(path: Path, source: Path, *, linked: bool) -> None:
    path.parent.mkdir(exist_ok=True)
    if linked:
        path.symlink_to(_from(path.parent, source))
    else:
        shutil.copyfile(source, path)


def _from(folder: Path, source: Path) -> str:
    """Return the way to a photo from a folder: relative, so that both can move together."""
    target = os.path.abspath(source)  # noqa: PTH100 - resolve() would follow the photo's own link
    try:
        return os.path.relpath(target, folder.resolve())
    except ValueError:
        # Another drive of Windows: there is no relative way.
        return target
