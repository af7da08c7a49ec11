"""Write clusters as folders of links to the photos, one folder per person."""

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
from facecli.text import read_json_object

MANIFEST = ".facecli-export.json"
"""The list of what an export wrote; the next export removes nothing else."""

LARGEST_MANIFEST = 256 * 2**20
"""Most bytes of the list: it names every photo."""

SEEN_ONCE = "seen-once"

FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x1f]')
"""Characters that Windows or another system does not allow in file names."""

UNFINISHED = ".facecli-copy.part"
"""The name of an unfinished copy, so that it is never taken for a file of the user."""

UNRECORDED = f"{MANIFEST}.part"
TRIAL = ".facecli-link"
"""The names of an unfinished list and of a link made to try whether the disk allows links."""

DRAFTS = (UNFINISHED, UNRECORDED, TRIAL)
"""What an export that was killed may leave; the next one removes it."""

COARSEST_SECONDS = 2.0
"""The largest difference of times between equal files: FAT stores times in steps of 2 s."""

MOST_CHARACTERS = 60
"""The longest folder name: at most 240 bytes, and file systems allow 255."""


Stamp = tuple[int, float]
"""The size of a file in bytes, and the time of its last change in seconds."""


@dataclass(frozen=True, slots=True)
class Export:
    """What an export wrote: its entries are paths of two parts, group/name, below the folder.

    `linked` is false for copies, which are made on request or if the disk allows no symbolic links.
    `stamps` hold size and time of each copy, to recognise copies that were edited since.
    """

    folder: Path
    entries: tuple[str, ...]
    linked: bool
    stamps: Mapping[str, Stamp] = field(default_factory=dict)


def export(
    grouping: Grouping, folder: Path, *, copies: bool = False, dry_run: bool = False
) -> Export:
    """Write relative links to the photos of each person, or copies, into folders below `folder`.

    The folder of an earlier export is updated, and other files in it stay as they are. A dry run
    only returns what would be written. Raises FacecliError for any other folder that is not empty,
    and if another file has the name of an entry.
    """
    earlier = _earlier(folder)
    planned = dict(_planned(grouping))
    if dry_run:
        return Export(folder, tuple(planned), not copies)
    folder.mkdir(parents=True, exist_ok=True)
    for draft in DRAFTS:
        (folder / draft).unlink(missing_ok=True)
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
    # Recorded before anything is written, so that the next export recognises what an interrupted
    # one has left.
    _record(now)
    for name, source in planned.items():
        if name not in kept:
            _write(folder / name, source, linked=now.linked, draft=folder / UNFINISHED)
    return now


def check_folder(folder: Path) -> None:
    """Raise FacecliError for a folder that `export` would refuse."""
    _earlier(folder)


def _earlier(folder: Path) -> list[Export]:
    """Return what the last export wrote here; raise FacecliError for a folder with other files."""
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise FacecliError(f"{display_name(folder)}: not a folder")
        return []
    manifest = folder / MANIFEST
    if not manifest.exists():
        # An export that was killed before its list was complete has written nothing else.
        if any(one.name not in DRAFTS for one in folder.iterdir()):
            raise FacecliError(
                f"{display_name(folder)}: holds files that are not from an export; choose another"
            )
        return []
    try:
        record = read_json_object(manifest.read_bytes(), most=LARGEST_MANIFEST)
        entries = tuple(_safe(str(entry)) for entry in record["entries"])
        stamps = {name: (int(a), float(b)) for name, (a, b) in record.get("stamps", {}).items()}
        return [Export(folder, entries, bool(record["linked"]), stamps)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{MANIFEST} in it is damaged; choose another folder"
        raise FacecliError(f"{display_name(folder)}: {reason}") from error


def _safe(entry: str) -> str:
    """Return an entry if it is group/name; raise ValueError if not, since entries are deleted."""
    parts = entry.split("/")
    if len(parts) != 2 or any(part in ("", ".", "..") or os.sep in part for part in parts):
        raise ValueError(entry)
    return entry


def _planned(grouping: Grouping) -> Iterator[tuple[str, Path]]:
    """Yield each entry with its photo; a photo is in a group only once."""
    groups: dict[str, dict[str, None]] = {}
    folders: dict[str, str] = {}
    for one in grouping.people:
        # On some disks Ada and ada are the same folder.
        wanted = _folder_name(one)
        group = folders.setdefault(wanted.casefold(), wanted)
        groups.setdefault(group, {}).update(dict.fromkeys(face.source for face in one.faces))
    groups.setdefault(SEEN_ONCE, {}).update(
        dict.fromkeys(face.source for face in grouping.seen_once)
    )
    for group, sources in groups.items():
        yield from _named(group, sources)


def _folder_name(one: Cluster) -> str:
    """Return the name of a person's folder, which is neither hidden nor outside the export.

    A name that looks like another folder of the export gets an underscore.
    """
    if one.name is None:
        return f"person-{one.number}"
    name = FORBIDDEN.sub("_", one.name).strip(". ")[:MOST_CHARACTERS]
    taken = not name or name.casefold() == SEEN_ONCE or name.casefold().startswith("person-")
    return f"_{name}" if taken else name


def _named(group: str, sources: Iterable[str]) -> Iterator[tuple[str, Path]]:
    """Yield the photos of one group under their own names, with numbers where names are equal."""
    taken: set[str] = set()
    for source in sorted(sources):
        path = Path(source)
        name, number = path.name, 2
        # On some disks Ada.jpg and ada.jpg are the same file.
        while name.casefold() in taken:
            name = f"{path.stem}-{number}{path.suffix}"
            number += 1
        taken.add(name.casefold())
        yield f"{group}/{name}", path


def _can_link(folder: Path) -> bool:
    """Tell whether disk and account allow symbolic links, by making one."""
    trial = folder / TRIAL
    try:
        trial.symlink_to("nowhere")
        trial.unlink()
    except OSError:
        return False
    return True


def _is_written(path: Path, source: Path, *, linked: bool) -> bool:
    """Tell whether an entry exists as it would be written."""
    if path.parent.is_symlink():
        return False
    if linked:
        return path.is_symlink() and str(path.readlink()) == _from(path.parent, source)
    return path.is_file() and not path.is_symlink() and _alike(_stamp(path), _stamp(source))


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return status.st_size, status.st_mtime


def _alike(one: Stamp, other: Stamp) -> bool:
    """Tell whether two stamps are equal, with times as exact as every disk stores them."""
    return one[0] == other[0] and abs(one[1] - other[1]) <= COARSEST_SECONDS


def _remove(earlier: Export, kept: Collection[str]) -> None:
    """Remove what an export wrote, except what is kept, and groups that are empty then.

    A link that the user has replaced by a file stays, and so does an edited copy.
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
    """Write the manifest; the old one is replaced only when the new one is complete."""
    record = {
        "schema": 1,
        "linked": made.linked,
        "entries": made.entries,
        "stamps": dict(made.stamps),
    }
    draft = made.folder / UNRECORDED
    draft.write_text(json.dumps(record, indent=1), encoding="utf-8")
    draft.replace(made.folder / MANIFEST)


def _refuse_occupied(path: Path) -> None:
    """Raise FacecliError if something else has the name of an entry."""
    if path.parent.is_symlink() or path.exists() or path.is_symlink():
        raise FacecliError(f"{display_name(path)}: exists and is not from an export")


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
    """Return the path from a folder to a photo: relative, so that both can be moved together."""
    target = os.path.abspath(source)  # noqa: PTH100 - resolve() would follow the photo's own link
    try:
        return os.path.relpath(target, folder.resolve())
    except ValueError:
        # On Windows there is no relative path to another drive.
        return target
