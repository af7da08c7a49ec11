"""Lay clusters out as folders of links to the photos, one folder a person."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from facecli.albums.grouping import Cluster, Grouping
from facecli.errors import FacecliError
from facecli.faces.images import display_name

MANIFEST = ".facecli-export.json"
"""Lists what an export wrote, which is all that the next one removes."""

SEEN_ONCE = "seen-once"

FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
"""What one system or another does not allow in a name (Windows' list, and every other's)."""

UNFINISHED = ".facecli-copy.part"
"""A copy on its way: one cut short is never taken for a file of somebody else's."""

COARSEST_SECONDS = 2.0
"""How far apart the times of equal files may be: FAT keeps every other second."""

MOST_CHARACTERS = 60
"""Of a name in a folder's: at most 240 bytes, where file systems stop at 255."""


Stamp = tuple[int, float]
"""Bytes of a file, and when it was last changed in seconds."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: paths of two parts, group/name, below the folder.

    `linked` is false for copies, made on demand or where the disk cannot hold symbolic links.
    `stamps` are bytes and time of each copy, by which one that was edited since is known.
    """

    folder: Path
    entries: tuple[str, ...]
    linked: bool
    stamps: Mapping[str, Stamp] = field(default_factory=dict)


def export(
    grouping: Grouping, folder: Path, *, copies: bool = False, dry_run: bool = False
) -> Export:
    """Write relative links to the photos of each person, or copies, into groups below `folder`.

    A folder that an earlier export made is brought up to date, leaving alone whatever else is in
    it; a dry run only says what would be in it. Raises FacecliError for any other folder that is
    not empty, and for a file in the way.
    """
    earlier = _earlier(folder)
    planned = dict(_planned(grouping))
    if dry_run:
        return Export(folder, tuple(planned), not copies)
    folder.mkdir(parents=True, exist_ok=True)
    linked = not copies and _can_link(folder)
    stamps = {} if linked else {name: _stamp(source) for name, source in planned.items()}
    now = Export(folder, tuple(planned), linked, stamps)
    kept = {
        name
        for one in earlier
        for name in one.entries
        if name in planned and _is_written(folder / name, planned[name], linked=now.linked)
    }
    for one in earlier:
        _remove(one, kept)
    for name in planned.keys() - kept:
        _refuse_occupied(folder / name)
    # On record before anything is written: a run cut short leaves nothing that the next one would
    # not know for its own.
    _record(now)
    for name, source in planned.items():
        if name not in kept:
            _write(folder / name, source, linked=now.linked, draft=folder / UNFINISHED)
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
        stamps = {name: (int(a), float(b)) for name, (a, b) in record.get("stamps", {}).items()}
        return [Export(folder, entries, bool(record["linked"]), stamps)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
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
    groups: dict[str, dict[str, None]] = {}
    folders: dict[str, str] = {}
    for one in grouping.people:
        # Some disks take Ada and ada for one folder.
        wanted = _folder_name(one)
        group = folders.setdefault(wanted.casefold(), wanted)
        groups.setdefault(group, {}).update(dict.fromkeys(face.source for face in one.faces))
    groups.setdefault(SEEN_ONCE, {}).update(
        dict.fromkeys(face.source for face in grouping.seen_once)
    )
    for group, sources in groups.items():
        yield from _named(group, sources)


def _folder_name(one: Cluster) -> str:
    """Return what a person's folder is called: no name leads out of it or hides it.

    A name that looks like a number's folder or a list's gets an underscore.
    """
    if one.name is None:
        return f"person-{one.number}"
    name = FORBIDDEN.sub("_", one.name).strip(". ")[:MOST_CHARACTERS]
    taken = not name or name.casefold() == SEEN_ONCE or name.casefold().startswith("person-")
    return f"_{name}" if taken else name


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


def _is_written(path: Path, source: Path, *, linked: bool) -> bool:
    """Tell whether an entry is as it would be written."""
    if path.parent.is_symlink():
        return False
    if linked:
        return path.is_symlink() and str(path.readlink()) == _from(path.parent, source)
    return path.is_file() and not path.is_symlink() and _alike(_stamp(path), _stamp(source))


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime


def _alike(one: Stamp, other: Stamp) -> bool:
    """Tell whether two stamps are of one content, times being as coarse as some disks keep them."""
    return one[0] == other[0] and abs(one[1] - other[1]) <= COARSEST_SECONDS


def _remove(earlier: Export, kept: Collection[str]) -> None:
    """Remove what an export wrote, but for what is kept, and the groups that this empties.

    A link that somebody has replaced by a file of their own stays, and so does an edited copy.
    """
    for entry in earlier.entries:
        if entry in kept:
            continue
        path = earlier.folder / entry
        if path.parent.is_symlink():
            continue
        edited = path.is_file() and not _alike(
            _stamp(path), earlier.stamps.get(entry, _stamp(path))
        )
        if path.is_symlink() or (path.is_file() and not earlier.linked and not edited):
            path.unlink()
    for group in {entry.split("/")[0] for entry in earlier.entries}:
        directory = earlier.folder / group
        if directory.is_dir() and not directory.is_symlink() and not any(directory.iterdir()):
            directory.rmdir()


def _record(made: Export) -> None:
    """Write the manifest, whole or not at all."""
    record = {
        "schema": 1,
        "linked": made.linked,
        "entries": made.entries,
        "stamps": dict(made.stamps),
    }
    draft = made.folder / f"{MANIFEST}.part"
    draft.write_text(json.dumps(record, indent=1), encoding="utf-8")
    draft.replace(made.folder / MANIFEST)


def _refuse_occupied(path: Path) -> None:
    """Raise FacecliError for an entry in whose place there is something of somebody else's."""
    if path.parent.is_symlink() or path.exists() or path.is_symlink():
        raise FacecliError(f"{display_name(path)}: exists and is not the export's")


def _write(path: Path, source: Path, *, linked: bool, draft: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if linked:
        path.symlink_to(_from(path.parent, source))
        return
    try:
        shutil.copy2(source, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _from(folder: Path, source: Path) -> str:
    """Return the way to a photo from a folder: relative, so that both can move together."""
    target = os.path.abspath(source)  # noqa: PTH100 - resolve() would follow the photo's own link
    try:
        return os.path.relpath(target, folder.resolve())
    except ValueError:
        # Another drive of Windows: there is no relative way.
        return target
