"""Write names to the XMP sidecars of photos, and read names from them."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facecli.albums.grouping import Grouping
from facecli.albums.sidecars import (
    Region,
    area_overlap,
    merged,
    read_regions,
    started,
    stored_area,
    tagged,
)
from facecli.errors import GalleryError
from facecli.faces.acquisition import failure
from facecli.faces.embedding import EmbeddedPicture
from facecli.faces.headers import own_xmp, stored_orientation
from facecli.faces.whole import is_whole
from facecli.files import SHARED, replacing
from facecli.stores.library.clusters import AlbumStore, Fact, StoredFace
from facecli.stores.names import clean_name, name_key
from facecli.types import Box, Failure, Subject

SAME_FACE = 0.3
"""Overlap (intersection over union) from which a region is a face that was found."""

ENDING = ".xmp"


@dataclass(frozen=True, slots=True)
class Named:
    """How many faces got a name from sidecars, and what could not be used, with reasons."""

    faces: int
    failures: tuple[Failure, ...]


def _finder() -> Callable[[Path], Path]:
    """Return a function that finds the sidecar of a photo: photo.jpg.xmp, or photo.xmp.

    The second is used if only it exists, since some programs write it, and if no other photo has
    the same stem. Each folder is listed only once.
    """

    @functools.cache
    def stems(folder: Path) -> Counter[str]:
        try:
            return Counter(one.stem for one in folder.iterdir() if one.suffix not in ("", ENDING))
        except OSError:
            return Counter()

    def sidecar_of(photo: Path) -> Path:
        whole, short = photo.with_name(photo.name + ENDING), photo.with_suffix(ENDING)
        if _exists(whole) or not _exists(short):
            return whole
        return short if stems(photo.parent)[photo.stem] == 1 else whole

    return sidecar_of


def write_sidecars(
    grouping: Grouping,
    pictures: Iterable[EmbeddedPicture | Failure],
    *,
    dry_run: bool = False,
) -> tuple[int, tuple[Failure, ...]]:
    """Write the names of faces to sidecars; return how many files changed, and the failures.

    A sidecar keeps what other programs wrote; a new one starts from the photo's own XMP. A sidecar
    that is up to date is not written again, and a photo without names gets none. Names of whole
    pictures are written as tags. A dry run only counts.
    """
    named: dict[str, list[tuple[str, Box]]] = {}
    for one in grouping.clusters:
        for face in one.faces:
            if one.name is not None:
                named.setdefault(face.source, []).append((one.name, face.box))
    sidecar_of = _finder()
    written = 0
    failures: list[Failure] = []
    for picture in pictures:
        if isinstance(picture, EmbeddedPicture):
            sidecar = sidecar_of(Path(picture.source))
            try:
                of_picture = named.get(picture.source, [])
                after = _content(sidecar, picture, of_picture, grouping.subject)
                if after is not None and not dry_run:
                    _write(sidecar, after)
                written += after is not None
            except Exception as error:
                failures.append(failure(str(sidecar), error))
    return written, tuple(failures)


def _content(
    sidecar: Path,
    picture: EmbeddedPicture,
    named: Sequence[tuple[str, Box]],
    subject: Subject,
) -> bytes | None:
    """Return the new content of a sidecar, or None if it stays as it is."""
    photo = Path(picture.source)
    if _exists(sidecar):
        before: bytes | None = sidecar.read_bytes()
    elif named:
        before = started(own_xmp(photo))
    else:
        return None
    if subject is Subject.PICTURE:
        return tagged(before, [name for name, _ in named])
    orientation = stored_orientation(photo)
    regions = [Region(name, stored_area(box, picture.size, orientation)) for name, box in named]
    size = picture.size[::-1] if orientation >= 5 else picture.size
    return merged(before, regions, size)


def _write(sidecar: Path, content: bytes) -> None:
    mode = sidecar.stat().st_mode & 0o777 if _exists(sidecar) else SHARED
    with replacing(sidecar, mode=mode) as stream:
        stream.write(content)


def names_from_sidecars(pictures: Iterable[EmbeddedPicture | Failure], store: AlbumStore) -> Named:
    """Give faces the names that sidecars say; all of them are one correction.

    The pictures have been clustered, so that their faces are stored. A name that facecli wrote may
    be older than a correction: it counts only for faces without corrections. Names that are twice
    in one photo or not allowed, and regions without a face, are failures that name the sidecar.
    """
    said = store.facts()
    given = {fact.one: fact for fact in said if fact.kind == "name"}
    corrected = {face for fact in said for face in (fact.one, fact.other)}
    named = store.names()
    found, failures = _read_names(pictures, store)
    new = [
        Fact(0, "name", one.face.id, name=one.name)
        for one in found
        if not (one.ours and (one.face.id in corrected or one.face.identity in named))
        and (
            one.face.id not in given
            or name_key(given[one.face.id].name or "") != name_key(one.name)
        )
    ]
    if new:
        ended = [given[fact.one].id for fact in new if fact.one in given]
        store.correct(f"names of {len(new)} faces from sidecars", facts=new, ended=ended)
    return Named(len(new), tuple(failures))


@dataclass(frozen=True, slots=True)
class _NamedFace:
    """A stored face and its name in a sidecar; `ours` is true if facecli wrote the name."""

    face: StoredFace
    name: str
    ours: bool


def _read_names(
    pictures: Iterable[EmbeddedPicture | Failure], store: AlbumStore
) -> tuple[list[_NamedFace], list[Failure]]:
    """Return the faces of all different pictures that sidecars name, and the failures."""
    different = {one.sha256: one for one in pictures if isinstance(one, EmbeddedPicture)}
    sidecar_of = _finder()
    found: list[_NamedFace] = []
    failures: list[Failure] = []
    for picture in different.values():
        sidecar = sidecar_of(Path(picture.source))
        try:
            regions = read_regions(sidecar.read_bytes()) if _exists(sidecar) else []
        except Exception as error:
            failures.append(failure(str(sidecar), error))
            continue
        faces = [
            one for one in store.sightings([picture.sha256]) if not is_whole(one.box, picture.size)
        ]
        named, problems = _matched(picture, regions, faces)
        found += named
        failures += [Failure(str(sidecar), problem) for problem in problems]
    return found, failures


def _matched(
    picture: EmbeddedPicture, regions: Sequence[Region], faces: Sequence[StoredFace]
) -> tuple[list[_NamedFace], list[str]]:
    """Return the faces that regions name, and the problems with other regions."""
    found: list[_NamedFace] = []
    problems: list[str] = []
    orientation = stored_orientation(Path(picture.source)) if regions else 1
    areas = [stored_area(face.box, picture.size, orientation) for face in faces]
    keys = [name_key(region.name) for region in regions]
    for region, key in zip(regions, keys, strict=True):
        try:
            name = clean_name(region.name)
        except GalleryError as error:
            problems.append(str(error))
            continue
        shares = [area_overlap(area, region.area) for area in areas]
        best = max(range(len(faces)), key=shares.__getitem__, default=None)
        if keys.count(key) > 1:
            problems.append(f"{name} is in it {keys.count(key)} times")
        elif best is None or shares[best] < SAME_FACE:
            problems.append(f"no face was found where it shows {name}")
        elif any(one.face == faces[best] for one in found):
            problems.append(f"{name} is where another name is as well")
        else:
            found.append(_NamedFace(faces[best], name, region.ours))
    return found, problems


def _exists(path: Path) -> bool:
    """Tell whether a file exists; a name that is too long for the disk does not."""
    try:
        return path.exists()
    except OSError:
        return False
